"""Define the work that every side of overhead.py does, and the bare call that it is compared with."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BENCHMARKS = ("math500", "aime24")
Counted = dict[str, int]  # answers, tokens
Call = Callable[[], Counted]
Side = Iterator[tuple[Call, dict[str, Any]]]  # the call that is timed, and facts about it; its engine lives as long


@dataclass(frozen=True)
class OverheadTask:
    """Hold what every side is told: checkpoint, data, attempts, longest answer, rounds, sampling."""

    checkpoint: str
    data: str
    samples: int
    max_tokens: int
    rounds: int
    temperature: float = 0.6
    benchmarks: tuple[str, ...] = BENCHMARKS


def llm_arguments(task: OverheadTask) -> dict[str, Any]:
    """Return the arguments of vllm.LLM for the peers; relift's engine has its own, also for the bare call beside it.

    No prompt is read in pieces: with that there are no seeds on a CPU.
    """
    return {
        "model": task.checkpoint, "dtype": "float32", "enforce_eager": True, "max_model_len": 2048,
        "generation_config": "vllm", "enable_chunked_prefill": False, "max_num_batched_tokens": 16_384,
        "kv_cache_memory_bytes": 1 << 30, "disable_log_stats": True, "seed": 0,
    }  # fmt: skip


def problems_of(task: OverheadTask) -> dict[str, list[dict[str, str]]]:
    """Read the rows of each benchmark, with `problem` and `answer`."""
    rows = {}
    for name in task.benchmarks:
        lines = (Path(task.data) / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        rows[name] = [json.loads(line) for line in lines]
    return rows


@dataclass
class Bare:
    """Call LLM.generate bare: no evaluation can be faster."""

    llm: Any
    prompts: list[list[int]]
    params: list[Any]

    def __call__(self) -> dict[str, int]:
        outputs = self.llm.generate([{"prompt_token_ids": ids} for ids in self.prompts], self.params, use_tqdm=False)
        answers = [answer for output in outputs for answer in output.outputs]
        return {"answers": len(answers), "tokens": sum(len(a.token_ids) for a in answers)}


def make_bare(
    task: OverheadTask,
    llm: Any,
    *,
    prompts: Sequence[Sequence[int]],
    stop_token_ids: Sequence[int],
    seeds: Sequence[int] | None = None,
) -> Bare:
    """Prepare the bare call: one request for each attempt, with a seed of its own.

    `prompts`: token ids; `seeds`: in order of prompt and attempt; None: 0, 1, 2, ...
    """
    from vllm import SamplingParams

    repeated = [list(ids) for ids in prompts for _ in range(task.samples)]
    params = [
        SamplingParams(
            temperature=task.temperature, top_p=1.0, top_k=-1, max_tokens=task.max_tokens, seed=seed,
            stop_token_ids=list(stop_token_ids),
        )
        for seed in (seeds or range(len(repeated)))
    ]  # fmt: skip
    return Bare(llm, repeated, params)


OpenSide = Callable[[OverheadTask, str, Path], AbstractContextManager[tuple[Call, dict[str, Any]]]]


def chat_prompts(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Render each text as the user's turn: token ids."""
    turns = [[{"role": "user", "content": text}] for text in texts]
    rendered = [tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True) for turn in turns]
    return [list(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in rendered]


def versions(*names: str) -> dict[str, str]:
    """Return the versions of these distributions."""
    return {name: importlib.metadata.version(name) for name in names}
