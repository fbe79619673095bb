"""Run a side of rollouts.py: python -m relift.benchmarks.speed.rollout_sides ROLE TASK, in an interpreter with vLLM."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

ROLES = ("bare", "engine")
Call = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class RolloutTask:
    """Hold the sizes of a call: prompts of 8 to 40 tokens, attempts at each, tokens of every answer."""

    model: str
    rounds: int
    prompts: int = 32
    attempts: int = 8
    max_tokens: int = 96
    max_context: int = 256

    def requests(self, vocab: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Return the prompts as random token ids, each with a seed for every attempt."""
        draw, n = random.Random(0), self.attempts
        prompts = [tuple(draw.randrange(1, vocab) for _ in range(draw.randint(8, 40))) for _ in range(self.prompts)]
        return [(prompt, tuple(range(1 + n * q, 1 + n * (q + 1)))) for q, prompt in enumerate(prompts)]


def answers_of(token_ids: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Count the tokens, and name the answers so that two calls can be compared."""
    named = hashlib.sha256(json.dumps([list(map(int, ids)) for ids in token_ids]).encode()).hexdigest()[:16]
    return {"tokens": sum(map(len, token_ids)), "answers": named}


@contextmanager
def engine_side(task: RolloutTask) -> Iterator[Call]:
    """Call the engine of training, which has taken the weights."""
    import torch

    from relift.engines.hf_model import load_model
    from relift.engines.tokens import Request, Sampling
    from relift.engines.vllm_child import RolloutOptions
    from relift.engines.vllm_rollouts import VLLMRollouts

    model = load_model(task.model, device=torch.device("cpu"))

    @torch.no_grad()
    def score(token_ids: Sequence[int], *, temperature: float = 1.0) -> Any:
        logits_TV = model(torch.tensor([list(token_ids)])).logits[0, :-1] / temperature
        return torch.log_softmax(logits_TV, -1).gather(1, torch.tensor(token_ids[1:])[:, None])[:, 0].numpy()

    requests = [Request(prompt, seeds) for prompt, seeds in task.requests(model.config.vocab_size)]
    with VLLMRollouts(model.config, RolloutOptions(max_context=task.max_context), score=score) as engine:
        engine.publish(model.state_dict(), version=0)

        def call() -> dict[str, Any]:
            groups = engine.generate(requests, Sampling(max_tokens=task.max_tokens))
            return {"role": "engine"} | answers_of([a.token_ids_T.tolist() for group in groups for a in group])

        yield call


@contextmanager
def bare_side(task: RolloutTask) -> Iterator[Call]:
    """Call LLM.generate in process, with the arguments and settings of our child."""
    from transformers import AutoConfig
    from vllm import LLM

    from relift.engines.tokens import Sampling
    from relift.engines.vllm_child import RolloutOptions, VLLMChild
    from relift.engines.vllm_rollouts_worker import sampling_params

    config = AutoConfig.from_pretrained(task.model)
    child = VLLMChild(config, RolloutOptions(max_context=task.max_context), ())
    arguments: Mapping[str, Any] = child.arguments() | {"model": task.model, "load_format": "auto"}
    child.close()
    llm = LLM(**arguments)
    settings = asdict(Sampling(max_tokens=task.max_tokens))
    asked = [(ids, seed) for ids, seeds in task.requests(config.vocab_size) for seed in seeds]
    prompts = [{"prompt_token_ids": list(ids)} for ids, _ in asked]
    params = [sampling_params(settings, seed) for _, seed in asked]

    def call() -> dict[str, Any]:
        outputs = llm.generate(prompts, params, use_tqdm=False)
        return {"role": "bare"} | answers_of([output.outputs[0].token_ids for output in outputs])

    yield call


def main() -> None:
    """Open the side, then make a call for every line of the input."""
    import vllm

    from relift.benchmarks.speed.turns import serve

    role, task = sys.argv[1], RolloutTask(**json.loads(sys.argv[2]))
    with {"bare": bare_side, "engine": engine_side}[role](task) as call:
        serve({"role": role, "vllm": vllm.__version__}, lambda _: call())


if __name__ == "__main__":
    main()
