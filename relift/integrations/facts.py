"""State what a run of another trainer is: its settings, model, seed and versions, as its record keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tomli_w

from relift.fingerprints import digest, plain_name, versions
from relift.run_record import RunRecord
from relift.schema import RunKind, RunStatus

# Settings of transformers' trainers that change nothing of what is learnt: where files go, what is logged, how long.
# A setting is left out if its name, or a word of it, stands here.
_NOT_LEARNT = frozenset(
    "dir log logging save eval evaluate hub push report tqdm trackio wandb project resume dataloader ddp deepspeed "
    "fsdp timeout debug do prefetch workers local rank max_steps num_train_epochs seed data_seed run_name "
    "skip_memory_metrics remove_unused_columns vllm_mode vllm_gpu_memory_utilization vllm_server_base_url "
    "vllm_server_host vllm_server_port vllm_group_port".split()
)

# What no recorded run holds, and what is weaker for it.
_LACKS = (
    "updates, checkpoints and demonstrations: nothing is shown of gradients, cost, speed and fine-tuning",
    "seeds and log-probabilities of rollouts: they cannot be sampled again",
)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Say what a recorded run is. `config`: settings that must be the same for the record to go on.

    `decodings`: sampling settings of rollouts and probes. `judge`: who gave the verdicts. `made_by`: trainer and
    version. `model`: what the run starts from.
    """

    recipe: str = "external"
    made_by: str | None = None
    name: str | None = None
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    n_parameters: int | None = None
    decodings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    judge: Mapping[str, Any] = field(default_factory=dict)
    answer_kind: str = "math"
    versions: Mapping[str, str] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """Give what must be equal for the record to go on."""
        config = {"recipe": self.recipe, "seed": self.seed, **self.config}
        return {"config": config, "model": dict(self.model)}

    def record(self, folder: Path) -> RunRecord:
        """Make the record of a run that begins."""
        return RunRecord(
            run_id=f"{plain_name(folder)}-{digest({'folder': folder.name, **self.identity()})[:8]}",
            kind=RunKind.train,
            name=self.name,
            recipe=self.recipe,
            seed=self.seed,
            status=RunStatus.running,
            exact=False,
            identity=self.identity(),
            decodings={name: dict(values) for name, values in self.decodings.items()},
            graders={self.answer_kind: dict(self.judge)} if self.judge else {},
            engine={"name": self.made_by} if self.made_by else {},
            versions={**versions(), **self.versions},
            imported_from=self.made_by or "another trainer",
            lacks=_LACKS,
            n_parameters=self.n_parameters,
        )

    def config_toml(self) -> str:
        """Write the settings as the run folder's config.toml."""
        return tomli_w.dumps({"recorded_from": self.made_by or "a recorder", **_toml(self.identity())})


def _toml(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what TOML has no word for."""
    kept = {name: _toml(value) if isinstance(value, Mapping) else value for name, value in values.items()}
    return {name: value for name, value in kept.items() if value is not None and value != {}}


def facts_of_trainer(args: Any, model: Any) -> Facts:
    """State the facts of a run of TRL or transformers from its arguments and its model."""
    kind = type(args).__name__.removesuffix("Config")
    known = {"GRPO": "trl-grpo", "RLOO": "trl-rloo", "SFT": "trl-sft", "Training": "hf-trainer"}
    package = type(args).__module__.partition(".")[0]
    recipe = known.get(kind, "hf-trainer" if package == "transformers" else f"{package}-{kind.lower()}")
    there = {name: _version(name) for name in ("trl", "transformers", "torch", "accelerate", "peft", "vllm")}
    found = {name: is_there for name, is_there in there.items() if is_there is not None}
    made_by = f"{package} {there.get(package) or ''}".strip()
    settings = {
        name: value
        for name, value in args.to_dict().items()
        if not _NOT_LEARNT & {name, *name.split("_")} and _is_plain(value)
    }
    config = getattr(model, "config", None)
    start = str(getattr(config, "_name_or_path", "") or "")
    return Facts(
        recipe=recipe,
        made_by=made_by,
        seed=args.seed,
        config=settings,
        model={"path": start, "type": getattr(config, "model_type", None)},
        n_parameters=sum(parameter.numel() for parameter in model.parameters()),
        decodings={"rollout": rollout_sampling(args)} if hasattr(args, "max_completion_length") else {},
        versions=found,
    )


def _is_plain(value: Any) -> bool:
    """Tell a value that TOML and JSON have a word for: a number, a text, a list of them."""
    return isinstance(value, str | int | float) or (
        isinstance(value, list) and all(isinstance(one, str | int | float) for one in value)
    )


def rollout_sampling(args: Any) -> dict[str, Any]:
    """List the sampling settings of rollouts in a trainer's arguments."""
    names = ("max_completion_length", "temperature", "top_p", "top_k", "min_p", "repetition_penalty")
    found = {name: getattr(args, name, None) for name in names}
    found["max_tokens"] = found.pop("max_completion_length")
    return {name: value for name, value in found.items() if value is not None}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
