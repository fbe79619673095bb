"""Gather what run.json says of a training run: identity, surroundings, decoding, versions."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch
import transformers

from relift.config import Config
from relift.fingerprints import digest, plain_name, plain_values, versions
from relift.learner.distributed import world
from relift.run_record import RunRecord
from relift.schema import RunKind, RunStatus
from relift.trainer import identity, parallel
from relift.trainer.base_model import device_of, model_fingerprint
from relift.trainer.inputs import Inputs
from relift.trainer.rendering import rendering_of
from relift.trainer.run import Run
from relift.trainer.teacher import teacher_fingerprint


def facts_of(
    config: Config, inputs: Inputs, run: Run, folder: Path, *, reward: parallel.FirstReward | None
) -> RunRecord:
    """Gather the record of this configuration as of now: identity, surroundings, decoding, versions."""
    fingerprints = {
        "data": inputs.train.fingerprint,
        "probe": [inputs.probe.fingerprint, inputs.ends.fingerprint],
        "tokenizer": digest(sorted(inputs.tokenizer.get_vocab().items())),
        "model": model_fingerprint(config),
        identity.RENDERING: rendering_of(config, inputs, stop_tokens=run.stop_token_ids),
        **teacher_fingerprint(config, run.recipe),
    }
    if reward is not None:
        fingerprints["rl.reward"] = {"source": reward.source}
    ident = identity.identity_of(config, fingerprints)
    isa = torch.backends.cpu.get_cpu_capability()
    return RunRecord(
        run_id=f"{plain_name(folder)}-{digest(ident)[:8]}",
        kind=RunKind.train,
        name=config.name or config.recipe,
        recipe=config.recipe,
        seed=config.seed,
        status=RunStatus.running,
        identity=ident,
        tunable=identity.tunables(config),
        surroundings=identity.surroundings(config, world_size=world()[1], torch_version=torch.__version__, isa=isa),
        decodings=decodings(config, run),
        engine=run.engine.describe(),
        graders={
            kind: said for kind, said in plain_values(run.grader.describe()).items() if kind in inputs.answer_kinds
        },
        versions=versions() | {"torch": torch.__version__, "transformers": transformers.__version__},
        hardware={"cpu": platform.processor() or platform.machine(), "device": str(device_of(config))},
        skipped_prompts=inputs.skipped,
        repairs={name: dict(s.repairs) for name, s in inputs.sets.items() if s.repairs},
    )


def decodings(config: Config, run: Run) -> dict[str, Any]:
    """Spell out what `attempts.decoding_id` stands for."""
    rollout, probe = config.rollout, config.probe
    stop = list(run.stop_token_ids)
    return {
        "rollout": {
            "temperature": rollout.temperature,
            "top_p": rollout.top_p,
            "top_k": rollout.top_k,
            "max_tokens": rollout.max_tokens,
            "stop_token_ids": stop,
        },
        "probe": {
            "temperature": probe.temperature,
            "top_p": probe.top_p,
            "top_k": -1,
            "max_tokens": probe.max_tokens or rollout.max_tokens,
            "stop_token_ids": stop,
        },
    }
