"""Sample answers of a trainer's own model and leave no trace: weights, modes and random numbers stay as they were."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import transformers

from relift.engines.tokens import Request, Sampling
from relift.engines.torch_sampler import TorchSampler
from relift.errors import InputError
from relift.integrations.answers import UNKNOWN_SEED
from relift.integrations.probe_questions import Drawn
from relift.schema import Finish

ROWS = 64  # answers written at a time


@contextlib.contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Put the model into evaluation mode, and give mode and random numbers back as they were."""
    modes = {module: module.training for module in model.modules()}
    python, numbers = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(), torch.no_grad():
        model.eval()
        try:
            yield
        finally:
            for module, training in modes.items():
                module.training = training
            random.setstate(python)
            np.random.set_state(numbers)


def exact_sampler(model: Any) -> TorchSampler | None:
    """Make our own sampler of a copy of the model, where it runs on a CPU and ours can do it; else None.

    It seeds every attempt by itself and tells log-probabilities. On a GPU a copy could take memory that training needs.
    """
    if not isinstance(model, transformers.PreTrainedModel) or next(model.parameters()).device.type != "cpu":
        return None
    try:
        return TorchSampler(model, batch_rows=ROWS)
    except InputError:
        return None


def sample_exactly(
    sampler: TorchSampler, prompts: Sequence[tuple[int, ...]], seeds: Sequence[Sequence[int]], sampling: Sampling,
    tokenizer: Any,
) -> list[Drawn]:  # fmt: skip
    """Sample with our own engine: an answer for each seed, prompt by prompt."""
    requests = [Request(ids, tuple(own)) for ids, own in zip(prompts, seeds, strict=True)]
    found = []
    for row in sampler.generate(requests, sampling):
        for one in row:
            ids = tuple(int(token) for token in one.token_ids_T)
            text = str(tokenizer.decode(list(ids), skip_special_tokens=True))
            logprob = float(np.sum(one.logprobs_T, dtype=np.float64))
            found.append(Drawn(ids, text, one.finish is Finish.length, one.seed, logprob, one.mean_entropy))
    return found


def sample_by_generate(
    model: Any,
    prompts: Sequence[tuple[int, ...]],
    sampling: Sampling,
    tokenizer: Any,
    *,
    attempts: int,
    seed: int,
) -> list[Drawn]:
    """Sample with the model's own `generate`: `attempts` answers to each prompt. The seed is one for all of them.

    Nothing of the model's own generation settings (a penalty of repetition, say) plays a part.
    """
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    greedy = sampling.temperature == 0
    options: dict[str, Any] = {}
    if not greedy:
        top_k = 0 if sampling.top_k < 0 else sampling.top_k
        options = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": top_k}
    config = transformers.GenerationConfig(
        max_new_tokens=sampling.max_tokens,
        do_sample=not greedy,
        eos_token_id=list(sampling.stop_token_ids),
        pad_token_id=pad,
        **options,
    )
    device = next(model.parameters()).device
    torch.manual_seed(seed)
    rows = [ids for ids in prompts for _ in range(attempts)]
    found = []
    for first in range(0, len(rows), ROWS):
        part = rows[first : first + ROWS]
        longest = max(map(len, part))
        ids_NT = torch.full((len(part), longest), pad, dtype=torch.long, device=device)
        mask_NT = torch.zeros_like(ids_NT)
        for n, ids in enumerate(part):  # padded on the left: all answers begin at one place
            ids_NT[n, longest - len(ids) :] = torch.tensor(ids, device=device)
            mask_NT[n, longest - len(ids) :] = 1
        with _settings(model, config):
            out_NT = model.generate(input_ids=ids_NT, attention_mask=mask_NT)
        found += [_drawn(out_T[longest:].tolist(), sampling, tokenizer) for out_T in out_NT]
    return found


@contextlib.contextmanager
def _settings(model: Any, config: transformers.GenerationConfig) -> Iterator[None]:
    """Lend the model these generation settings: those handed to `generate` are filled up with the model's own."""
    own, model.generation_config = model.generation_config, config
    try:
        yield
    finally:
        model.generation_config = own


def _drawn(token_ids: list[int], sampling: Sampling, tokenizer: Any) -> Drawn:
    """Cut an answer of a padded batch behind its end token."""
    end = next((i for i, token in enumerate(token_ids) if token in sampling.stop_token_ids), None)
    ids = tuple(token_ids if end is None else token_ids[: end + 1])
    text = str(tokenizer.decode(list(ids), skip_special_tokens=True))
    return Drawn(ids, text, end is None, UNKNOWN_SEED)
