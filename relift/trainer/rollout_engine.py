"""Make the engine that samples a run's rollouts and probes, as `rollout.engine` names it."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from relift.config import Config
from relift.config.sections import VLLMConfig
from relift.engines.probe import Score
from relift.engines.tokens import Engine
from relift.engines.torch_sampler import TorchSampler
from relift.engines.vllm_child import RolloutOptions
from relift.engines.vllm_rollouts import VLLMRollouts
from relift.errors import InputError
from relift.learner.learner import Learner
from relift.learner.update import TrainSequence
from relift.trainer import parallel
from relift.trainer.base_model import compute_dtype, device_of

Warn = Callable[[str], None]


def rollout_engine(config: Config, model: Any, *, score: Score, warn: Warn) -> AbstractContextManager[Engine]:
    """Make the engine, to be entered, before a learner takes the model over.

    `score` is asked, at every publication, for the learner's log-probabilities of a fixed text. Raises InputError when
    the engine cannot be had.
    """
    return ENGINES[config.rollout.engine](config, model, score, warn)


def _torch(config: Config, model: Any, score: Score, warn: Warn) -> AbstractContextManager[Engine]:
    # Takes a copy, in the type that the learner computes in: what it publishes is rounded to it.
    return nullcontext(TorchSampler(model, batch_rows=config.rollout.batch_rows, dtype=compute_dtype(config)))


def _vllm(config: Config, model: Any, score: Score, warn: Warn) -> AbstractContextManager[Engine]:
    settings = config.vllm
    on_gpu = device_of(config).type == "cuda"  # the model may have no weights yet
    auto = "bfloat16" if on_gpu else config.model.compute or config.model.dtype
    dtype = auto if settings.dtype == "auto" else settings.dtype
    options = RolloutOptions(
        dtype=dtype,
        max_context=longest(config),
        gpus=own_gpus(settings),
        gpu_memory=settings.gpu_memory,
        tensor_parallel=settings.tensor_parallel,
        max_sequences=settings.max_sequences,
        stall_seconds=settings.stall_seconds,
        restarts=settings.restarts,
    )
    model_config = copy.deepcopy(model.config)  # the learner puts its own attention into the model's
    return VLLMRollouts(model_config, options, score=score, on_event=warn)


def _server(config: Config, model: Any, score: Score, warn: Warn) -> AbstractContextManager[Engine]:
    try:
        from relift.engines.server_rollouts import ServerOptions, ServerRollouts
    except ModuleNotFoundError as error:
        if error.name != "httpx2":
            raise
        raise InputError("rollout.engine = \"server\" needs the package httpx2: pip install 'relift[openai]'") from None
    settings = config.server
    options = ServerOptions(
        url=settings.url or "",
        folder=Path(settings.folder or ""),
        dtype=settings.dtype,
        max_context=longest(config),
        concurrency=settings.concurrency,
        deadline_seconds=settings.deadline_seconds,
    )
    return ServerRollouts(model.config, options, score=score, on_first=parallel.on_first, on_event=warn)


ENGINES: dict[str, Callable[[Config, Any, Score, Warn], AbstractContextManager[Engine]]] = {
    "torch": _torch,
    "vllm": _vllm,
    "server": _server,
}


def longest(config: Config) -> int:
    """Count the tokens of the longest prompt and answer together that a run may ask for."""
    return config.data.max_prompt_tokens + max(config.rollout.max_tokens, config.probe.max_tokens or 0)


def own_gpus(settings: VLLMConfig) -> str | None:
    """Pick this process's GPUs among those that `vllm.gpus` sets apart on its host; None: the learner's."""
    if settings.gpus is None:
        return None
    listed = [gpu.strip() for gpu in settings.gpus.split(",") if gpu.strip()]
    n_processes, own = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    each = settings.tensor_parallel
    if len(listed) != n_processes * each:
        raise InputError(
            f"vllm.gpus = {settings.gpus}: {len(listed)} GPUs for {n_processes} processes with vllm.tensor_parallel = "
            f"{each}; name {n_processes * each}"
        )
    return ",".join(listed[own * each : (own + 1) * each])


def learners_logprobs(learner: Learner, token_ids: Sequence[int]) -> np.ndarray:
    """Score every token but the first under the learner, at temperature 1."""
    (logprobs_T,) = learner.score(
        [TrainSequence(tuple(token_ids[:1]), np.array(token_ids[1:], np.int32))], temperature=1.0
    )
    return logprobs_T
