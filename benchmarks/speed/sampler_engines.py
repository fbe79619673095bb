"""Define the cases of sampler.py and the engines that run them; vLLM in a process of its own.

Start that process with vLLM's interpreter: python -m relift.benchmarks.speed.sampler_engines CHECKPOINT [quick]
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relift.benchmarks.speed.random_llama import VOCAB
from relift.benchmarks.speed.turns import Caller, serve

STOP_IDS = tuple(range(12))  # 12 of 259 tokens end an answer: 21.6 tokens on average if all were as likely
HEADS = (4, VLLM_HEADS := 3)


@dataclass(frozen=True)
class SamplerCase:
    """State prompts (token ids), answers of each, what ends an answer, and the heads of the model that writes."""

    name: str
    heads: int
    prompts: tuple[tuple[int, ...], ...]
    n_samples: int
    max_tokens: int
    stop_ids: tuple[int, ...]


def sampler_cases(*, quick: bool = False) -> tuple[SamplerCase, ...]:
    """Return both cases for both numbers of heads; `quick`: the same, tiny."""
    rng = random.Random(0)
    n_equal, n_group, n_samples, longest = (8, 4, 2, 4) if quick else (256, 32, 8, 64)
    prompts = tuple(tuple(rng.randrange(12, VOCAB) for _ in range(rng.randint(4, 20))) for _ in range(n_equal))
    return tuple(
        case
        for heads in HEADS
        for case in (
            SamplerCase(f"equal, {heads} heads", heads, prompts, 1, longest, ()),
            SamplerCase(f"group, {heads} heads", heads, prompts[:n_group], n_samples, longest * 3 // 2, STOP_IDS),
        )
    )


# --- the engines: each takes a case and returns the number of tokens written, stop tokens included ---


def relift_engine(model: Any) -> Callable[[SamplerCase], int]:
    """Return the torch sampler as an engine."""
    from relift.engines.tokens import Request, Sampling
    from relift.engines.torch_sampler import TorchSampler

    sampler = TorchSampler(model)

    def run(case: SamplerCase) -> int:
        requests = [Request(p, tuple(range(8 * q, 8 * q + case.n_samples))) for q, p in enumerate(case.prompts)]
        groups = sampler.generate(requests, Sampling(max_tokens=case.max_tokens, stop_token_ids=case.stop_ids))
        return sum(len(completion.token_ids_T) for group in groups for completion in group)

    return run


def transformers_engine(model: Any) -> Callable[[SamplerCase], int]:
    """Return transformers' generate as an engine: one batch, padded on the left."""
    import torch

    def run(case: SamplerCase) -> int:
        width = max(map(len, case.prompts))
        ids = torch.tensor([(0,) * (width - len(p)) + p for p in case.prompts])
        mask = torch.tensor([(0,) * (width - len(p)) + (1,) * len(p) for p in case.prompts])
        out = model.generate(
            ids, attention_mask=mask, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, pad_token_id=0,
            max_new_tokens=case.max_tokens, num_return_sequences=case.n_samples,
            eos_token_id=list(case.stop_ids) or None,
        )[:, width:]  # fmt: skip
        stops = torch.isin(out, torch.tensor(case.stop_ids, dtype=out.dtype))
        length_R = torch.where(stops.any(1), stops.int().argmax(1) + 1, out.shape[1])
        return int(length_R.sum())

    return run


def vllm_engine(checkpoint: str) -> Callable[[SamplerCase], int]:
    """Return vLLM as an engine, in its own interpreter: float32, eager, one prefill, no log-probabilities."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"  # the process is bound to its core already
    from vllm import LLM, SamplingParams

    llm = LLM(
        checkpoint, dtype="float32", enforce_eager=True, kv_cache_memory_bytes=256 * 2**20, skip_tokenizer_init=True,
        max_num_batched_tokens=16384, max_num_seqs=256, max_model_len=256, disable_log_stats=True,
    )  # fmt: skip

    def run(case: SamplerCase) -> int:
        params = SamplingParams(
            n=case.n_samples, temperature=1.0, max_tokens=case.max_tokens, ignore_eos=True,
            stop_token_ids=list(case.stop_ids), detokenize=False,
        )  # fmt: skip
        outputs = llm.generate([{"prompt_token_ids": list(p)} for p in case.prompts], params, use_tqdm=False)
        return sum(len(answer.token_ids) for output in outputs for answer in output.outputs)

    return run


def timed(engine: Callable[[SamplerCase], int], case: SamplerCase) -> tuple[int, float]:
    """Return tokens and wall seconds of one run."""
    begin = time.perf_counter()
    tokens = engine(case)
    return tokens, time.perf_counter() - begin


# --- vLLM as a process that runs a case whenever it is told to ---


def serve_vllm(checkpoint: str, *, quick: bool) -> None:
    """Run, in the child, the case whose name is read from standard input; say its tokens and seconds."""
    import vllm

    engine, by_name = vllm_engine(checkpoint), {case.name: case for case in sampler_cases(quick=quick)}

    def call(name: str) -> dict[str, float]:
        tokens, seconds = timed(engine, by_name[name])
        return {"tokens": tokens, "seconds": seconds}

    serve({"version": vllm.__version__}, call)


class VllmPeer:
    """Drive that process. `missing` says in one line why there is no vLLM; None: it is there."""

    def __init__(self, python: Path, checkpoint: str, *, quick: bool) -> None:
        self.version, self.missing = "", None if python.exists() else f"no interpreter at {python}"
        self.caller: Caller | None = None
        if self.missing is not None:
            return
        command = [str(python), "-m", "relift.benchmarks.speed.sampler_engines", checkpoint]
        self.caller = Caller([*command, *(["quick"] if quick else [])], {"VLLM_LOGGING_LEVEL": "WARNING"})
        try:
            hello = self.caller.hear()
        except RuntimeError as error:
            self.missing = f"vLLM did not start: {error}"
        else:
            self.version = "" if hello is None else hello["version"]

    def timed(self, case: SamplerCase) -> tuple[int, float]:
        """Return tokens and wall seconds of one run of the case."""
        assert self.caller is not None
        self.caller.tell(case.name)
        said = self.caller.hear()
        assert said is not None
        return said["tokens"], said["seconds"]

    def close(self) -> None:
        """End the process."""
        if self.caller is not None:
            self.caller.close()


if __name__ == "__main__":
    serve_vllm(sys.argv[1], quick="quick" in sys.argv[2:])
