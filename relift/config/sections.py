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
    dtype: Literal["float32", "bfloat16"] = _field(
        "float32", "identity", "type of the weights that the optimizers step, of their gradient and moments"
    )
    compute: Literal["float32", "bfloat16"] | None = _field(
        None, "identity", "type that the learner and the torch sampler compute in; None: model.dtype"
    )
    device: str = _field("auto", "numeric", "auto, cpu or cuda")
    checkpoint_activations: bool | None = _field(
        None, "numeric", "compute each layer twice and keep its input alone; None: on CUDA"
    )
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
    answer_kind: Literal["auto", "math", "exact", "choice"] = _field(
        "auto", "identity", "kind of answers of rows that name none; auto: exact if all are numbers, else math"
    )
    prompt: str = _field("chat", "identity", "prompt template: plain, chat, boxed, file:PATH or plain-file:PATH")
    system: str | None = _field(None, "identity", "text of a system turn before the user's; None: no such turn")
    max_prompt_tokens: int = _field(1024, "identity", "longest prompt", ge=1)
    max_demo_tokens: int = _field(8192, "identity", "longest demonstration, end token included", ge=1)
    overlong_prompts: Literal["refuse", "skip"] = _field("refuse", "identity", "questions whose prompt is too long")
    repeated: Literal["refuse", "collapse"] = _field(
        "refuse",
        "identity",
        "questions that stand in the file several times, some more often than others; collapse takes each once",
    )
    bad_demonstrations: Literal["refuse", "skip"] = _field(
        "refuse",
        "identity",
        "demonstrations that fail the answer or length check; skip records and never trains on them",
    )
    score_base: bool = _field(
        default=False,
        change="runtime",
        description="record the base model's log-probability of every demonstration: a forward pass over all of them",
    )


class RolloutConfig(Section):
    """Set how training answers are sampled."""

    questions_per_step: int = _field(128, "identity", "questions Q of a step", ge=1)
    attempts_per_question: int = _field(8, "identity", "attempts G at each", ge=1)
    temperature: float = _field(1.0, "identity", "sampling temperature", gt=0)
    top_p: float = _field(1.0, "identity", "nucleus", gt=0, le=1)
    top_k: int = _field(-1, "identity", "-1: off", ge=-1)
    max_tokens: int = _field(8192, "identity", "longest answer", ge=1)
    stop_tokens: tuple[str, ...] | None = _field(
        None,
        "identity",
        "tokens that end an answer beside the tokenizer's end token; None: the end of a turn in the chat template",
    )
    batch_rows: int = _field(256, "numeric", "rows decoded together by the torch sampler", ge=1)
    engine: Literal["torch", "vllm", "server"] = _field(
        "torch", "identity", "who samples: our sampler, vLLM in a process of its own (section vllm), or a vLLM server"
    )
    refill: int = _field(
        0,
        "identity",
        "most further rounds of sampling in a step, until questions_per_step groups carry signal; 0: none (DAPO)",
        ge=0,
    )


class CurriculumConfig(Section):
    """Set the questions that a step draws (docs/method.md, Curriculum)."""

    order: Literal["shuffled", "accuracy"] = _field(
        "shuffled", "identity", "every question once an epoch, or drawn with weights by its recent accuracy"
    )
    low: float = _field(0.2, "identity", "accuracy: least recent accuracy of full weight", ge=0, le=1)
    high: float = _field(0.8, "identity", "accuracy: largest recent accuracy of full weight", ge=0, le=1)
    outside: float = _field(0.25, "identity", "accuracy: weight of other questions that are not solved", gt=0, le=1)
    revisit: int = _field(50, "identity", "accuracy: steps after which a question counts as never asked", ge=1)


class VLLMConfig(Section):
    """vLLM as the engine of rollouts and probes; docs/scale.md says what to set where."""

    dtype: Literal["auto", "float32", "bfloat16"] = _field(
        "auto", "identity", "type of the sampler's weights; auto: bfloat16 on a GPU, the learner's on a CPU"
    )
    max_sequences: int = _field(256, "numeric", "answers written at a time", ge=1)
    gpus: str | None = _field(
        None, "runtime", "GPUs of the sampler's own (4,5); None: the learner's, given back between rollouts"
    )
    gpu_memory: float = _field(0.45, "runtime", "share of a GPU's memory for weights, keys and values", gt=0, le=1)
    tensor_parallel: int = _field(1, "numeric", "GPUs that share one copy of the model", ge=1)
    stall_seconds: float = _field(600.0, "runtime", "silence after which the sampler is started again", gt=0)
    restarts: int = _field(3, "runtime", "times the sampler is started again for the same work", ge=0)


class ServerConfig(Section):
    """A vLLM server as the engine of rollouts and probes; docs/scale.md has its command."""

    url: str | None = _field(None, "runtime", "its address, as in http://127.0.0.1:8000/v1")
    folder: str | None = _field(None, "runtime", "folder for new weights that run and server see under one name")
    dtype: Literal["float32", "bfloat16"] = _field("bfloat16", "identity", "type of the weights it is sent")
    concurrency: int = _field(256, "numeric", "answers under way at a time", ge=1)
    deadline_seconds: float = _field(1800.0, "runtime", "longest wait for an answer, repetitions included", gt=0)


class OptimizerConfig(Section):
    """AdamW with a schedule of its own, counted in steps of this optimizer."""

    lr: float = _field(1e-6, "tunable", "peak learning rate; 0 leaves the weights alone", ge=0)
    betas: tuple[Beta, Beta] = _field((0.9, 0.999), "tunable", "AdamW")
    eps: float = _field(1e-8, "tunable", "AdamW", gt=0)
    weight_decay: float = _field(0.01, "tunable", "AdamW, on all parameters", ge=0)
    warmup_steps: int = _field(0, "tunable", "linear warm-up", ge=0)
    warmup_share: float = _field(0.0, "tunable", "linear warm-up as a share of total_steps", ge=0, le=1)
    schedule: Literal["constant", "linear", "cosine"] = _field("constant", "tunable", "after the warm-up")
    total_steps: int | None = _field(None, "tunable", "end of the schedule; None: that of the phase", ge=1)
    over: Literal["own", "run"] = _field(
        "own", "tunable", "what the schedule counts: steps of this optimizer, or steps of the run"
    )
    final_ratio: float = _field(0.0, "tunable", "learning rate at the end, relative to the peak", ge=0, le=1)
    max_grad_norm: float | None = _field(1.0, "tunable", "clip the gradient's norm at this", gt=0)
    skip_grad_norm: float | None = _field(None, "tunable", "make no step when the norm exceeds this", gt=0)


class RLConfig(Section):
    """The reinforcement learning component. The tables of losses, advantages and norms say what may be named here."""

    loss: str = _field("ppo_clip", "identity", "ppo_clip, ratio (no clip), gspo, cispo or srft_rollout")
    advantage: str = _field("mean", "identity", "reward - mean, over the standard deviation, ... (docs/method.md)")
    clip_low: float = _field(0.2, "identity", "lower bound is 1 - clip_low", ge=0, lt=1)
    clip_high: float = _field(0.2, "identity", "upper bound is 1 + clip_high", ge=0)
    dual_clip: float | None = _field(None, "identity", "bound of the ratio for negative advantages", gt=1)
    ratio_cap: float | None = _field(None, "identity", "cispo: largest ratio", gt=0)
    denominator: str = _field("tokens", "identity", "how tokens are averaged: a norm (docs/method.md, Denominators)")
    importance: Literal["auto", "none", "token", "sequence"] = _field(
        "auto",
        "identity",
        "weights p_learner / p_sampler on the rollouts' coefficients; auto: token where another program samples",
    )
    importance_cap: float = _field(2.0, "identity", "largest importance weight", ge=1)
    importance_mask: bool = _field(
        default=False, change="identity", description="leave tokens beyond the cap out instead of capping their weight"
    )
    updates_per_batch: int = _field(1, "identity", "optimizer steps on one batch of rollouts", ge=1)
    drop_flat_groups: bool = _field(
        default=False, change="identity", description="leave groups of equal rewards out altogether (DAPO)"
    )
    entropy_weight: float = _field(0.0, "identity", "beta of the entropy bonus", ge=0)
    kl_weight: float = _field(0.0, "identity", "beta of the k3 KL to the base model", ge=0)
    loss_scale: float = _field(1.0, "identity", "factor on the component", gt=0)
    truncated: Literal["wrong", "mask", "penalty"] = _field(
        "wrong",
        "identity",
        "answers cut off at rollout.max_tokens: judged as they stand; left out of the loss; or a penalty that grows "
        "over the last overlong_tokens, for finished answers too (DAPO)",
    )
    overlong_tokens: int | None = _field(
        None, "identity", "penalty: tokens over which it grows; None: a fifth of rollout.max_tokens", ge=1
    )
    reward: str | None = _field(
        None,
        "identity",
        "module:function or file.py:function that rewards answers in place of the verdicts' 1 and 0 (docs/rewards.md)",
    )
    format_reward: Literal["think", "box", "think_box"] | None = _field(
        None,
        "identity",
        "format that is rewarded beside the answer: thoughts that are closed, an answer in a box, both",
    )
    format_weight: float = _field(0.1, "identity", "reward of an answer that keeps the format", gt=0)
    overlong_factor: float = _field(1.0, "identity", "penalty: what an answer of full length loses", gt=0)
    optimizer: OptimizerConfig = OptimizerConfig()


class SFTConfig(Section):
    """The fine-tuning component."""

    batch: int = _field(64, "identity", "demonstrations of one fine-tuning step (M)", ge=1)
    loss: str = _field("sft", "identity", "sft (cross-entropy), dft, luffy, probability, chord_phi, srft_demo")
    luffy_gamma: float = _field(0.1, "identity", "luffy: gamma (its code: 0.1)", gt=0)
    chord_mu: float = _field(0.1, "identity", "chord_phi: mu (its code with phi on: 0.1)", gt=0)
    mu_peak: float = _field(0.9, "identity", "chord: share of the loss after its warm-up", ge=0, le=1)
    mu_valley: float = _field(0.05, "identity", "chord: share of the loss after its cosine", ge=0, le=1)
    mu_warmup_steps: int = _field(0, "identity", "chord: steps of the run from a share of 0 to mu_peak", ge=0)
    mu_decay_steps: int = _field(200, "identity", "chord: steps of the run from mu_peak to mu_valley", ge=0)
    srft_sign: Literal[-1, 1] = _field(-1, "identity", "srft_demo: sign of the entropy, -1 as in the paper")
    denominator: str = _field("tokens", "identity", "how tokens are averaged: a norm (docs/method.md, Denominators)")
    entropy_weight: float = _field(0.0, "identity", "alpha of the entropy bonus", ge=0)
    loss_scale: float = _field(1.0, "identity", "factor on the component", gt=0)
    phase_steps: int = _field(0, "identity", "sft_rl: fine-tuning steps before RL begins", ge=0)
    moments: Literal["own", "shared"] = _field(
        "own", "identity", "an optimizer of its own over the same weights, or the one of RL for both"
    )
    optimizer: OptimizerConfig = OptimizerConfig()


class PrefixConfig(Section):
    """The attempts that are given the start of a demonstration (recipes prefix_rl, hint_rl)."""

    place: Literal["answer", "prompt"] = _field(
        "answer", "identity", "as the start of the answer, or as a hint after the problem"
    )
    questions: Literal["all", "waiting"] = _field(
        "all", "identity", "whose: all with a demonstration, or those whose last unassisted attempts were all wrong"
    )
    attempts: int | None = _field(None, "identity", "of the n at a question; None: half of them", ge=1)
    low: float = _field(0.25, "identity", "least share of a demonstration's tokens that is given", ge=0, lt=1)
    high: float = _field(0.75, "identity", "largest share", ge=0, lt=1)


class TeacherConfig(Section):
    """The model whose log-probabilities of our answers are trained on (recipes opd, opd_rl, kdrl)."""

    path: str | None = _field(None, "identity", "its checkpoint folder or hub name; same vocabulary as the base model")
    revision: str | None = _field(None, "identity", "of a hub model")
    weight: float = _field(1.0, "identity", "beta of the distillation term", gt=0)
    final_weight: float | None = _field(
        None, "identity", "kdrl: beta in the last step, on a straight line from weight; None: weight", ge=0
    )
    steps: int = _field(60, "identity", "opd_rl: first steps, which distill alone", ge=1)


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
    score_base: bool = _field(
        default=True, change="runtime", description="record the base model's log-probability of every probe answer"
    )
    base_run: str | None = _field(
        None,
        "runtime",
        "run of the same base, seed and probes: its step 0 is taken over instead of sampled again",
    )


class CheckpointConfig(Section):
    """Set which weights are kept. At most `every` steps are repeated after a crash."""

    every: int = _field(10, "runtime", "steps between checkpoints", ge=1)
    keep: int = _field(2, "runtime", "newest checkpoints kept, besides base and final", ge=2)


class GuardConfig(Section):
    """Set the limits at which a run stops."""

    max_skipped: int = _field(3, "runtime", "non-finite updates in a row", ge=1)
    max_undecided: float = _field(MAX_UNDECIDED, "runtime", "share of undecided verdicts in a step", gt=0, le=1)


class RuntimeConfig(Section):
    """Set the machine's side of the work."""

    threads: int | None = _field(
        None,
        "numeric",
        "CPU threads of one process; None: 1, on CUDA torch's own number",
        ge=1,
        le=1024,
    )
    token_budget: int = _field(16384, "numeric", "tokens of one micro-batch", ge=1)
    head_chunk: int | None = _field(
        None, "numeric", "logits computed at a time, tokens times vocabulary; None: 2^24, on CUDA 2^27", ge=1, le=2**40
    )
    tf32: bool = _field(
        default=False, change="numeric", description="let CUDA multiply float32 matrices with 10 bits of mantissa"
    )
    offload_moments: bool = _field(
        default=False, change="runtime", description="keep the optimizers' moments on the CPU between steps"
    )
    sync_gradients: Literal["each", "last"] = _field(
        "each",
        "numeric",
        "sum the gradient over processes after each micro-batch, or after the last one alone: fewer exchanges, and "
        "room for a whole gradient on each GPU",
    )
    collective_seconds: float = _field(
        3600.0, "runtime", "longest wait of one process for another, the first one's grading and saving included", gt=0
    )
    trackers: tuple[str, ...] = _field(
        (), "runtime", "experiment trackers that get copies of the numbers: tensorboard, wandb, trackio"
    )
    rollout_texts: Literal["all", "none"] = _field("all", "runtime", "which rollouts' texts are kept")


class Config(Section):
    """One run."""

    recipe: str = _field("relift", "identity", "how rollouts and demonstrations become updates")
    name: str | None = _field(None, "runtime", "label in tables and figures; None: the recipe's name")
    seed: int = _field(0, "identity", "of data order and sampling", ge=0, le=2**63 - 1)
    steps: int = _field(500, "tunable", "training steps", ge=0)
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    rollout: RolloutConfig = RolloutConfig()
    curriculum: CurriculumConfig = CurriculumConfig()
    vllm: VLLMConfig = VLLMConfig()
    server: ServerConfig = ServerConfig()
    rl: RLConfig = RLConfig()
    sft: SFTConfig = SFTConfig()
    prefix: PrefixConfig = PrefixConfig()
    teacher: TeacherConfig = TeacherConfig()
    buffer: BufferConfig = BufferConfig()
    probe: ProbeConfig = ProbeConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    guard: GuardConfig = GuardConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    @model_validator(mode="after")
    def _agree(self) -> Config:
        if self.model.dtype == "bfloat16" and self.model.compute == "float32":
            raise ValueError(
                'model.compute = "float32" over weights in bfloat16 wins nothing back: set model.dtype = "float32" '
                '(the weights that are stepped), and model.compute = "bfloat16" for speed'
            )
        if self.rollout.questions_per_step % self.rl.updates_per_batch:
            raise ValueError("rl.updates_per_batch: must divide rollout.questions_per_step")
        if self.curriculum.low > self.curriculum.high:
            raise ValueError(
                f"curriculum.low = {self.curriculum.low}: more than curriculum.high = {self.curriculum.high}"
            )
        if self.rollout.engine == "server" and (self.server.url is None or self.server.folder is None):
            raise ValueError(
                'server.url, server.folder: rollout.engine = "server" needs the server\'s address, and a folder that '
                "both see, through which it gets new weights"
            )
        cut = self.rollout.top_p < 1 or self.rollout.top_k != -1
        if self.rollout.engine != "torch" and cut:
            raise ValueError(
                "rollout.top_p, rollout.top_k: vLLM tells log-probabilities after they have left tokens out, which the "
                'learner\'s cannot be compared with; take 1 and -1, or rollout.engine = "torch"'
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
