"""Define the sections of a run's configuration as frozen models, every field with its class of change.

Every field says what may happen to it when a run is resumed (`change`):
identity   another value is another run: refused, naming the difference
tunable    may change with `--allow-change FIELD`, which is recorded in run.json
numeric    changes rounding only (threads, micro-batches): resumes, `exact = false` is recorded
runtime    changes nothing that is measured
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from relift.schema import MAX_UNDECIDED

Change = Literal["identity", "tunable", "numeric", "runtime"]
Beta = Annotated[float, Field(ge=0, lt=1)]
RecipeName = Literal["sft", "sft_rl", "grpo", "drgrpo", "dapo", "relift", "hpt"]


def _field(default: Any, change: Change, description: str, **limits: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"change": change}, **limits)


class Section(BaseModel):
    """A frozen part of the configuration: unknown keys are refused, "none" stands for None where that may stand."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _read_none(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        optional = {name for name, info in cls.model_fields.items() if type(None) in get_args(info.annotation)}
        return {k: None if v == "none" and k in optional else v for k, v in values.items()}


class ModelConfig(Section):
    """The base model: a folder or hub id of a transformers causal LM with safetensors weights."""

    path: str = _field("", "identity", "folder or hub id of the base model")
    revision: str | None = _field(None, "identity", "hub revision")
    dtype: Literal["float32", "bfloat16"] = _field("float32", "identity", "type of the weights while training")
    device: str = _field("auto", "numeric", "auto, cpu or cuda")
    max_positions: int | None = _field(
        None, "identity", "context in tokens, in place of the checkpoint's max_position_embeddings; None: its own", ge=1
    )
    rope_theta: float | None = _field(
        None, "identity", "base of the rotary embedding, in place of the checkpoint's; None: its own", gt=0
    )


class DataConfig(Section):
    """Questions and demonstrations; see relift.data.questions for what may stand here."""

    questions: str = _field("", "identity", "training questions: .jsonl, .parquet or hf:owner/name[:config]/split")
    demonstrations: str | None = _field(None, "identity", "demonstrations; None: those in the questions' own rows")
    columns: dict[str, str] = _field({}, "identity", "our column name -> theirs")
    prompt: str = _field("chat", "identity", "name of the prompt template")
    max_prompt_tokens: int = _field(1024, "identity", "longest prompt", ge=1)
    max_demo_tokens: int = _field(8192, "identity", "longest demonstration, end token included", ge=1)
    overlong_prompts: Literal["refuse", "skip"] = _field("refuse", "identity", "questions whose prompt is too long")
    bad_demonstrations: Literal["refuse", "skip"] = _field(
        "refuse",
        "identity",
        "demonstrations that fail the answer or length check; skip records and never trains on them",
    )


class RolloutConfig(Section):
    """How training answers are sampled."""

    questions_per_step: int = _field(128, "identity", "questions Q of a step", ge=1)
    attempts_per_question: int = _field(8, "identity", "attempts G at each", ge=1)
    temperature: float = _field(1.0, "identity", "sampling temperature", gt=0)
    top_p: float = _field(1.0, "identity", "nucleus", gt=0, le=1)
    top_k: int = _field(-1, "identity", "-1: off", ge=-1)
    max_tokens: int = _field(8192, "identity", "longest answer", ge=1)
    batch_rows: int = _field(256, "numeric", "rows decoded together by the torch sampler", ge=1)


class OptimizerConfig(Section):
    """AdamW with a schedule of its own, counted in steps of this optimizer."""

    lr: float = _field(1e-6, "tunable", "peak learning rate", gt=0)
    betas: tuple[Beta, Beta] = _field((0.9, 0.999), "tunable", "AdamW")
    eps: float = _field(1e-8, "tunable", "AdamW", gt=0)
    weight_decay: float = _field(0.01, "tunable", "AdamW, on all parameters", ge=0)
    warmup_steps: int = _field(0, "tunable", "linear warm-up", ge=0)
    schedule: Literal["constant", "linear", "cosine"] = _field("constant", "tunable", "after the warm-up")
    total_steps: int | None = _field(None, "tunable", "end of the schedule; None: the run's steps", ge=1)
    final_ratio: float = _field(0.0, "tunable", "learning rate at the end, relative to the peak", ge=0, le=1)
    max_grad_norm: float | None = _field(1.0, "tunable", "clip the gradient's norm at this", gt=0)
    skip_grad_norm: float | None = _field(None, "tunable", "make no step when the norm exceeds this", gt=0)


class RLConfig(Section):
    """The reinforcement learning component."""

    advantage: Literal["mean", "std"] = _field("mean", "identity", "reward - mean, or that / standard deviation")
    clip: bool = _field(default=True, change="identity", description="clip the ratio")
    clip_low: float = _field(0.2, "identity", "lower bound is 1 - clip_low", ge=0, lt=1)
    clip_high: float = _field(0.2, "identity", "upper bound is 1 + clip_high", ge=0)
    dual_clip: float | None = _field(None, "identity", "bound of the ratio for negative advantages", gt=1)
    denominator: Literal["tokens", "sequences", "max_tokens"] = _field(
        "tokens", "identity", "mean over tokens, mean of sequence means, or sum / (sequences x max_tokens)"
    )
    updates_per_batch: int = _field(1, "identity", "optimizer steps on one batch of rollouts", ge=1)
    drop_flat_groups: bool = _field(
        default=False, change="identity", description="leave groups of equal rewards out altogether (DAPO)"
    )
    entropy_weight: float = _field(0.0, "identity", "beta of the entropy bonus", ge=0)
    loss_scale: float = _field(1.0, "identity", "factor on the component", gt=0)
    optimizer: OptimizerConfig = OptimizerConfig()


class SFTConfig(Section):
    """The fine-tuning component."""

    batch: int = _field(64, "identity", "demonstrations of one fine-tuning step (M)", ge=1)
    mean: Literal["tokens", "sequences"] = _field("tokens", "identity", "mean over tokens, or of sequence means")
    entropy_weight: float = _field(0.0, "identity", "alpha of the entropy bonus", ge=0)
    loss_scale: float = _field(1.0, "identity", "factor on the component (hpt's w)", gt=0)
    phase_steps: int = _field(0, "identity", "sft_rl: fine-tuning steps before RL begins", ge=0)
    optimizer: OptimizerConfig = OptimizerConfig()


class BufferConfig(Section):
    """The demonstrations that wait to be trained on (docs/method.md, Demonstrations)."""

    flush: Literal["adaptive", "all", "uniform", "never"] = _field(
        "adaptive", "identity", "fine-tune when M wait; after every RL step; every `every` steps; never"
    )
    every: int = _field(8, "identity", "period of flush = uniform, in steps", ge=1)
    select: Literal["at_or_below", "above", "any"] = _field("at_or_below", "identity", "which accuracies enter")
    threshold: float = _field(0.0, "identity", "p: a question enters when its accuracy is <= p", ge=0, le=1)
    order: Literal["fifo", "lifo", "random"] = _field("fifo", "identity", "who leaves first")
    dedup: Literal["refresh", "allow"] = _field("refresh", "identity", "one entry per question, or one per visit")
    recheck: Literal["latest", "none"] = _field("latest", "identity", "drop when a later group is above p")
    max_age_steps: int | None = _field(None, "identity", "drop after so many steps", ge=1)
    capacity: int | None = _field(None, "identity", "drop the oldest beyond this", ge=1)
    max_uses: int | None = _field(None, "identity", "times one demonstration may be trained on", ge=1)
    drain: Literal["one", "all"] = _field("one", "identity", "fine-tuning batches per step: one, or all that are full")


class ProbeConfig(Section):
    """Per-question accuracy of a fixed set of questions: what trajectories are drawn from."""

    questions: str | None = _field(None, "identity", "probe questions; None: no probes")
    ends_only: str | None = _field(None, "identity", "more questions, probed at step 0 and at the end alone")
    every: int = _field(30, "identity", "steps between probes", ge=1)
    attempts: int = _field(8, "identity", "attempts at each question", ge=1)
    temperature: float = _field(1.0, "identity", "0 is greedy", ge=0)
    top_p: float = _field(1.0, "identity", "nucleus", gt=0, le=1)
    max_tokens: int | None = _field(None, "identity", "longest answer; None: the rollouts'", ge=1)
    base_run: str | None = _field(
        None,
        "runtime",
        "run of the same base, seed and probes: its step 0 is taken over instead of sampled again",
    )


class CheckpointConfig(Section):
    """What is kept of the weights. At most `every` steps are repeated after a crash."""

    every: int = _field(10, "runtime", "steps between checkpoints", ge=1)
    keep: int = _field(2, "runtime", "newest checkpoints kept, besides base and final", ge=2)


class GuardConfig(Section):
    """What stops a run."""

    max_skipped: int = _field(3, "runtime", "non-finite updates in a row", ge=1)
    max_undecided: float = _field(MAX_UNDECIDED, "runtime", "share of undecided verdicts in a step", gt=0, le=1)


class RuntimeConfig(Section):
    """How the work is done."""

    threads: int = _field(1, "numeric", "CPU threads of one process", ge=1)
    token_budget: int = _field(16384, "numeric", "tokens of one micro-batch", ge=1)
    rollout_texts: Literal["all", "none"] = _field("all", "runtime", "which rollouts' texts are kept")


class Config(Section):
    """One run."""

    recipe: RecipeName = _field("relift", "identity", "how rollouts and demonstrations become updates")
    name: str | None = _field(None, "runtime", "label in tables and figures; None: the recipe's name")
    seed: int = _field(0, "identity", "of data order and sampling", ge=0)
    steps: int = _field(500, "tunable", "training steps", ge=0)
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    rollout: RolloutConfig = RolloutConfig()
    rl: RLConfig = RLConfig()
    sft: SFTConfig = SFTConfig()
    buffer: BufferConfig = BufferConfig()
    probe: ProbeConfig = ProbeConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    guard: GuardConfig = GuardConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    @model_validator(mode="after")
    def _agree(self) -> Config:
        if self.recipe == "sft_rl" and self.sft.phase_steps == 0:
            raise ValueError("sft.phase_steps: recipe sft_rl needs at least one fine-tuning step before RL")
        if self.rollout.questions_per_step % self.rl.updates_per_batch:
            raise ValueError("rl.updates_per_batch: must divide rollout.questions_per_step")
        buffer, full_batches = self.buffer, self.buffer.flush == "adaptive" and self.recipe == "relift"
        if full_batches and buffer.capacity is not None and buffer.capacity < self.sft.batch:
            raise ValueError(
                f"buffer.capacity = {buffer.capacity}: less than sft.batch = {self.sft.batch}, no batch would ever fill"
            )
        return self


def field_changes(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, Change]]:
    """(dotted name, class of change) of every field."""
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from field_changes(kind, f"{prefix}{name}.")
        else:
            extra = info.json_schema_extra
            assert isinstance(extra, dict), f"{prefix}{name} has no class of change"
            yield f"{prefix}{name}", extra["change"]  # type: ignore[misc]


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mapping -> dotted names. `data.columns` and other free mappings count as one value."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name != "data.columns":
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = list(value) if isinstance(value, tuple) else value
    return flat
