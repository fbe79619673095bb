"""Define the configuration of a run and its sections as frozen models; fields.py says what a class of change is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, model_validator

from relift.config.fields import Change, Section, field
from relift.config.training_sections import (
    BufferConfig,
    CurriculumConfig,
    PrefixConfig,
    RLConfig,
    SFTConfig,
    TeacherConfig,
)
from relift.schema import MAX_UNDECIDED


class ModelConfig(Section):
    """The base model: a folder or hub id of a transformers causal LM with safetensors weights."""

    path: str = field("", "identity", "folder or hub id of the base model")
    revision: str | None = field(None, "identity", "hub revision")
    dtype: Literal["float32", "bfloat16"] = field(
        "float32", "identity", "type of the weights that the optimizers step, of their gradient and moments"
    )
    compute: Literal["float32", "bfloat16"] | None = field(
        None, "identity", "type that the learner and the torch sampler compute in; None: model.dtype"
    )
    device: str = field("auto", "numeric", "auto, cpu or cuda")
    checkpoint_activations: bool | None = field(
        None, "numeric", "compute each layer twice and keep its input alone; None: on CUDA"
    )
    max_positions: int | None = field(
        None, "identity", "context in tokens, in place of the checkpoint's max_position_embeddings; None: its own", ge=1
    )
    rope_theta: float | None = field(
        None, "identity", "base of the rotary embedding, in place of the checkpoint's; None: its own", gt=0
    )


class LoraConfig(Section):
    """Train adapters on a frozen base (LoRA, arXiv 2106.09685); docs/scale.md. Needs relift[lora]."""

    rank: int | None = field(None, "identity", "rank of the adapters; None: all weights are trained", ge=1)
    alpha: float | None = field(None, "identity", "adapters count alpha / rank; None: twice the rank", gt=0)
    targets: tuple[str, ...] | None = field(
        None, "identity", "linear layers that get one, as in q_proj; None: all but the head"
    )


class DataConfig(Section):
    """Questions and demonstrations; see relift.data.questions for what may stand here."""

    questions: str = field("", "identity", "training questions: .jsonl, .parquet or hf:owner/name[:config]/split")
    demonstrations: str | None = field(None, "identity", "demonstrations; None: those in the questions' own rows")
    columns: dict[str, str] = field({}, "identity", "our column name -> theirs")
    answer_kind: Literal["auto", "math", "exact", "choice"] = field(
        "auto", "identity", "kind of answers of rows that name none; auto: exact if all are numbers, else math"
    )
    prompt: str = field("chat", "identity", "prompt template: plain, chat, boxed, file:PATH or plain-file:PATH")
    system: str | None = field(None, "identity", "text of a system turn before the user's; None: no such turn")
    max_prompt_tokens: int = field(1024, "identity", "longest prompt", ge=1)
    max_demo_tokens: int = field(8192, "identity", "longest demonstration, end token included", ge=1)
    overlong_prompts: Literal["refuse", "skip"] = field("refuse", "identity", "questions whose prompt is too long")
    repeated: Literal["refuse", "collapse"] = field(
        "refuse",
        "identity",
        "questions that stand in the file several times, some more often than others; collapse takes each once",
    )
    bad_demonstrations: Literal["refuse", "skip"] = field(
        "refuse",
        "identity",
        "demonstrations that fail the answer or length check; skip records and never trains on them",
    )
    score_base: bool = field(
        default=False,
        change="runtime",
        description="record the base model's log-probability of every demonstration: a forward pass over all of them",
    )


class RolloutConfig(Section):
    """Set how training answers are sampled."""

    questions_per_step: int = field(128, "identity", "questions Q of a step", ge=1)
    attempts_per_question: int = field(8, "identity", "attempts G at each", ge=1)
    temperature: float = field(1.0, "identity", "sampling temperature", gt=0)
    top_p: float = field(1.0, "identity", "nucleus", gt=0, le=1)
    top_k: int = field(-1, "identity", "-1: off", ge=-1)
    max_tokens: int = field(8192, "identity", "longest answer", ge=1)
    stop_tokens: tuple[str, ...] | None = field(
        None,
        "identity",
        "tokens that end an answer beside the tokenizer's end token; None: the end of a turn in the chat template",
    )
    batch_rows: int = field(256, "numeric", "rows decoded together by the torch sampler", ge=1)
    engine: Literal["torch", "vllm", "server"] = field(
        "torch", "identity", "who samples: our sampler, vLLM in a process of its own (section vllm), or a vLLM server"
    )
    refill: int = field(
        0,
        "identity",
        "most further rounds of sampling in a step, until questions_per_step groups carry signal; 0: none (DAPO)",
        ge=0,
    )


class VLLMConfig(Section):
    """vLLM as the engine of rollouts and probes; docs/scale.md says what to set where."""

    dtype: Literal["auto", "float32", "bfloat16"] = field(
        "auto", "identity", "type of the sampler's weights; auto: bfloat16 on a GPU, the learner's on a CPU"
    )
    max_sequences: int = field(256, "numeric", "answers written at a time", ge=1)
    gpus: str | None = field(
        None, "runtime", "GPUs of the sampler's own (4,5); None: the learner's, given back between rollouts"
    )
    gpu_memory: float = field(0.45, "runtime", "share of a GPU's memory for weights, keys and values", gt=0, le=1)
    tensor_parallel: int = field(1, "numeric", "GPUs that share one copy of the model", ge=1)
    stall_seconds: float = field(600.0, "runtime", "silence after which the sampler is started again", gt=0)
    restarts: int = field(3, "runtime", "times the sampler is started again for the same work", ge=0)


class ServerConfig(Section):
    """A vLLM server as the engine of rollouts and probes; docs/scale.md has its command."""

    url: str | None = field(None, "runtime", "its address, as in http://127.0.0.1:8000/v1")
    folder: str | None = field(None, "runtime", "folder for new weights that run and server see under one name")
    dtype: Literal["float32", "bfloat16"] = field("bfloat16", "identity", "type of the weights it is sent")
    concurrency: int = field(256, "numeric", "answers under way at a time", ge=1)
    deadline_seconds: float = field(1800.0, "runtime", "longest wait for an answer, repetitions included", gt=0)


class BudgetConfig(Section):
    """End a run at the first step after which it has used this much, probes not counted; `steps` is the most."""

    updates: int | None = field(None, "tunable", "optimizer steps", ge=1)
    demonstrations: int | None = field(None, "tunable", "demonstrations trained on, repeats counted", ge=1)
    generated_tokens: int | None = field(None, "tunable", "tokens of training rollouts", ge=1)
    flops: float | None = field(
        None,
        "tunable",
        "floating-point operations: a parameter takes 2 a token generated and 6 a token trained on",
        gt=0,
    )
    seconds: float | None = field(None, "tunable", "seconds of training; its probes count here", gt=0)


class ProbeConfig(Section):
    """Per-question accuracy of a fixed set of questions: what trajectories are drawn from."""

    questions: str | None = field(None, "identity", "probe questions; None: no probes")
    ends_only: str | None = field(None, "identity", "more questions, probed at step 0 and at the end alone")
    every: int = field(30, "identity", "steps between probes", ge=1)
    attempts: int = field(8, "identity", "attempts at each question", ge=1)
    temperature: float = field(1.0, "identity", "0 is greedy", ge=0)
    top_p: float = field(1.0, "identity", "nucleus", gt=0, le=1)
    max_tokens: int | None = field(None, "identity", "longest answer; None: the rollouts'", ge=1)
    score_base: bool = field(
        default=True, change="runtime", description="record the base model's log-probability of every probe answer"
    )
    base_run: str | None = field(
        None,
        "runtime",
        "run of the same base, seed and probes: its step 0 is taken over instead of sampled again",
    )


class CheckpointConfig(Section):
    """Set which weights are kept. At most `every` steps are repeated after a crash."""

    every: int = field(10, "runtime", "steps between checkpoints", ge=1)
    keep: int = field(2, "runtime", "newest checkpoints kept, besides base and final", ge=2)


class GuardConfig(Section):
    """Set the limits at which a run stops."""

    max_skipped: int = field(3, "runtime", "non-finite updates in a row", ge=1)
    max_undecided: float = field(MAX_UNDECIDED, "runtime", "share of undecided verdicts in a step", gt=0, le=1)


class RuntimeConfig(Section):
    """Set the machine's side of the work."""

    threads: int | None = field(
        None,
        "numeric",
        "CPU threads of one process; None: 1, on CUDA torch's own number",
        ge=1,
        le=1024,
    )
    token_budget: int = field(16384, "numeric", "tokens of one micro-batch", ge=1)
    head_chunk: int | None = field(
        None, "numeric", "logits computed at a time, tokens times vocabulary; None: 2^24, on CUDA 2^27", ge=1, le=2**40
    )
    tf32: bool = field(
        default=False, change="numeric", description="let CUDA multiply float32 matrices with 10 bits of mantissa"
    )
    offload_moments: bool = field(
        default=False, change="runtime", description="keep the optimizers' moments on the CPU between steps"
    )
    sync_gradients: Literal["each", "last"] = field(
        "each",
        "numeric",
        "sum the gradient over processes after each micro-batch, or after the last one alone: fewer exchanges, and "
        "room for a whole gradient on each GPU",
    )
    collective_seconds: float = field(
        3600.0, "runtime", "longest wait of one process for another, the first one's grading and saving included", gt=0
    )
    trackers: tuple[str, ...] = field(
        (), "runtime", "experiment trackers that get copies of the numbers: tensorboard, wandb, trackio"
    )
    rollout_texts: Literal["all", "none"] = field("all", "runtime", "which rollouts' texts are kept")


class Config(Section):
    """One run."""

    recipe: str = field("relift", "identity", "how rollouts and demonstrations become updates")
    name: str | None = field(None, "runtime", "label in tables and figures; None: the recipe's name")
    seed: int = field(0, "identity", "of data order and sampling", ge=0, le=2**63 - 1)
    steps: int = field(500, "tunable", "training steps", ge=0)
    model: ModelConfig = ModelConfig()
    lora: LoraConfig = LoraConfig()
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
    budget: BudgetConfig = BudgetConfig()
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
