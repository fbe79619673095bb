"""Load the teacher of a run and score answers under it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from relift.config import Config
from relift.engines import hf_model
from relift.engines.context import context_of
from relift.engines.vllm_server import ServerScores
from relift.errors import InputError
from relift.fingerprints import files_fingerprint
from relift.learner.distributed import sum_over_ranks, world
from relift.learner.learner import Learner
from relift.learner.update import TrainSequence
from relift.trainer.base_model import device_of
from relift.trainer.recipe import Recipe
from relift.trainer.step import Score

_OPTION, _SERVER = "teacher.path = ", "teacher.server = "


def open_teacher(
    config: Config,
    recipe: Recipe,
    vocabulary: Mapping[str, int],
    *,
    longest: int,
    warn: Callable[[str], None] = lambda line: None,
) -> Score:
    """Load the teacher that a recipe distills from; a recipe without one gets a function that nothing calls.

    `longest`: tokens of the longest prompt with its answer. The score of an answer is its log-probability, nats per
    token, under the teacher at the temperature that is asked for. Raises InputError for a teacher that is missing,
    has another vocabulary, or reads too little. With `teacher.server` a vLLM server scores, each process its share.
    """
    if recipe.teacher is None:
        return _no_teacher
    path = config.teacher.path
    if path is None:
        raise InputError(f"recipe {recipe.name} distills from a teacher: set teacher.path to its checkpoint")
    tokenizer, _ = hf_model.load_tokenizer(path, revision=config.teacher.revision, option=_OPTION)
    require_same_vocabulary(vocabulary, tokenizer.get_vocab(), path=path)
    if config.teacher.server is not None:
        return _score_by_server(config, longest=longest, warn=warn)
    model = hf_model.load_model(
        path,
        revision=config.teacher.revision,
        dtype=config.model.dtype,
        device=device_of(config),
        option=_OPTION,
    )
    reads = context_of(model.config)
    if reads is not None and reads < longest:
        raise InputError(f"{_OPTION}{path}: it reads {reads} tokens, and a prompt with its answer may have {longest}")
    learner = Learner(model, {}, token_budget=config.runtime.token_budget, device=device_of(config), longest=longest)

    def score(sequences: Sequence[TrainSequence], temperature: float) -> list[np.ndarray]:
        return learner.score(sequences, temperature=temperature)

    return score


def _score_by_server(config: Config, *, longest: int, warn: Callable[[str], None]) -> Score:
    if config.rollout.temperature != 1:
        raise InputError(
            f"{_SERVER}{config.teacher.server}: a server tells log-probabilities of temperature 1, and "
            f"rollout.temperature is {config.rollout.temperature}: set that to 1, or leave teacher.server out"
        )
    scores = ServerScores(str(config.teacher.server), option=_SERVER, on_event=warn)
    scores.open(longest=longest)

    def score(sequences: Sequence[TrainSequence], temperature: float) -> list[np.ndarray]:
        assert temperature == 1
        rank, n_processes = world()
        bounds = np.cumsum([0] + [len(s.completion_ids_T) for s in sequences])
        flat = torch.zeros(int(bounds[-1]), device=device_of(config))
        mine = range(rank, len(sequences), n_processes)
        texts = [(sequences[ix].prompt_ids, sequences[ix].completion_ids_T.tolist()) for ix in mine]
        for ix, logprobs_T in zip(mine, scores.score(texts), strict=True):
            flat[bounds[ix] : bounds[ix + 1]] = torch.from_numpy(logprobs_T).to(flat.device)
        whole = sum_over_ranks(flat).cpu().numpy()
        return np.split(whole, bounds[1:-1]) if len(sequences) else []

    return score


def teacher_fingerprint(config: Config, recipe: Recipe) -> dict[str, Any]:
    """Identify the teacher by its weights and configuration, as an entry of a run's identity; none without one."""
    path = config.teacher.path
    if recipe.teacher is None or path is None:
        return {}
    if Path(path).is_dir():
        return {"teacher": files_fingerprint(Path(path), ("*.safetensors", "config.json"))}
    return {"teacher": f"{path}@{config.teacher.revision}"}


def require_same_vocabulary(ours: Mapping[str, int], theirs: Mapping[str, int], *, path: str) -> None:
    """Refuse a teacher for which a number is another token. Raises InputError with the first such number."""
    token_of = {ix: token for token, ix in theirs.items()}
    for token, ix in sorted(ours.items(), key=lambda pair: pair[1]):
        if token_of.get(ix) != token:
            other = "no token" if ix not in token_of else repr(token_of[ix])
            raise InputError(
                f"{_OPTION}{path}: token {ix} is {other} there and {token!r} in the base model; a teacher weighs our "
                "tokens one by one, so that it needs the same vocabulary"
            )


def _no_teacher(sequences: Sequence[TrainSequence], temperature: float) -> list[np.ndarray]:
    raise AssertionError(f"{len(sequences)} sequences to score, and the recipe has no teacher")
