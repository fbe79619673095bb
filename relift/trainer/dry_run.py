"""Tell what a run would take, and check its inputs, before a weight is loaded or a token sampled.

Nothing is written and no GPU is needed: shapes come from the model's config.json alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relift.config import Config
from relift.engines import hf_model
from relift.engines.context import context_limit, limit_words
from relift.errors import InputError, OutOfMemory
from relift.grading import Grader
from relift.learner.activations import kept_by
from relift.trainer.base_model import compute_dtype, load_model_config, load_tokenizer, lora_spec, positions_of
from relift.trainer.dry_run_memory import (
    GIB,
    RESERVE,
    Load,
    Part,
    Shape,
    adapter_shape_of,
    chunk_of,
    fits,
    parts_of,
    peak,
    shape_of,
)
from relift.trainer.dry_run_time import ASSUMED, learner_flops, learner_seconds, sampler_seconds, tokens_of
from relift.trainer.inputs import Inputs, longest_prompt, read_inputs
from relift.trainer.known_shapes import known_config
from relift.trainer.recipe import Recipe
from relift.trainer.recipes import build
from relift.trainer.setup import longest_sequence

COUNTS = (1, 2, 4, 8, 16, 32, 64)  # of GPUs that are tried where none are given


@dataclass(frozen=True)
class DryRun:
    """Hold what a dry run found."""

    config: Config
    recipe: Recipe
    shape: Shape
    shape_from: str
    checks: list[str]
    load: Load
    parts: list[Part]
    demo_tokens: int
    gpus: int
    gpu_bytes: int

    @property
    def fits(self) -> bool:
        return fits(self.parts, self.gpu_bytes)


def dry_run(
    config: Config, *, gpus: int | None, gpu_gib: float, warn: Callable[[str], None] = lambda line: None
) -> DryRun:
    """Check the inputs and estimate; `gpus` None: the least number of COUNTS that is enough.

    Raises InputError for what a run would refuse, OutOfMemory when the GPUs that were named are not enough.
    """
    recipe = build(config)
    model_config, shape_from = model_config_of(config)
    inputs, checks = check_inputs(config, recipe, model_config, warn=warn)
    shape = shape_of(model_config)
    prompt = max((len(i.prompt_ids) for i in inputs.train_items), default=0) if inputs else 0
    prompt = prompt or longest_prompt(config, model_config)
    answer = config.rollout.max_tokens if recipe.rl or config.probe.questions else 0
    demos = [len(d.completion_ids_T) for d in inputs.demos] if inputs else []
    demo = int(sum(demos) / len(demos)) if demos else config.data.max_demo_tokens
    longest = longest_sequence(inputs, recipe, config) if inputs else prompt + max(answer, demo)
    load = Load(max(config.runtime.token_budget, longest), prompt, answer or config.probe.max_tokens or 0)

    lora = lora_spec(config)
    adapter = None if lora is None else adapter_shape_of(model_config, lora)
    kept = kept_by(
        model_config, dtype=compute_dtype(config), n_tokens=load.n_tokens, head_chunk=chunk_of(config), lora=lora
    )

    teacher = teacher_shape(config, recipe)

    def parts_on(n: int) -> list[Part]:
        return parts_of(
            config, shape, load, optimizers=recipe.optimizers, kept=kept, gpus=n, teacher=teacher,
            adapter=adapter,
            gpu_bytes=int(gpu_gib * GIB),
        )  # fmt: skip

    gpu_bytes = int(gpu_gib * GIB)
    enough = [gpus] if gpus is not None else [n for n in COUNTS if fits(parts_on(n), gpu_bytes)][:1]
    n = enough[0] if enough else COUNTS[-1]
    return DryRun(config, recipe, shape, shape_from, checks, load, parts_on(n), demo, n, gpu_bytes)


def teacher_shape(config: Config, recipe: Recipe) -> Shape | None:
    """Read the sizes of the teacher, for a recipe that has one. Raises InputError when it cannot be had."""
    if recipe.teacher is None:
        return None
    if config.teacher.path is None:
        raise InputError(f"recipe {recipe.name} distills from a teacher: set teacher.path to its checkpoint")
    known = known_config(config.teacher.path)
    if known is None:
        known = hf_model.load_model_config(
            config.teacher.path, revision=config.teacher.revision, option="teacher.path = "
        )
    return shape_of(known)


def model_config_of(config: Config) -> tuple[object, str]:
    """Find the model's configuration: its folder's, the hub's, or that of the table of known shapes."""
    if not config.model.path:
        raise InputError("model.path is empty: name a folder or hub id of a transformers causal LM")
    try:
        return load_model_config(config), f"config.json of {config.model.path}"
    except InputError:
        known = known_config(config.model.path)
        if known is None:
            raise
        positions_of(config).apply(known)
        return known, f"the table of known shapes ({config.model.path}: the hub cannot be reached)"


def check_inputs(
    config: Config, recipe: Recipe, model_config: object, *, warn: Callable[[str], None]
) -> tuple[Inputs | None, list[str]]:
    """Read and check data, prompts and demonstrations as a run does; say what could not be checked, and why."""
    limit = longest_prompt(config, model_config)
    if limit < 1:
        raise InputError(
            f"rollout.max_tokens = {config.rollout.max_tokens} leaves no room for a prompt: "
            f"{limit_words(model_config)}; lower it, or stretch the model: model.max_positions, with a larger "
            "model.rope_theta"
        )
    room = f"lengths: prompts up to {limit:,} tokens and answers up to {config.rollout.max_tokens:,} fit: "
    checks = [room + (limit_words(model_config) if context_limit(model_config) else "the model has no limit")]
    if not config.data.questions:
        return None, [*checks, "data: not checked, data.questions is empty"]
    try:
        load_tokenizer(config)
    except InputError as error:
        return None, [*checks, f"data, prompts: not checked, there is no tokenizer: {error}"]
    with Grader(warn=warn) as grader:
        inputs = read_inputs(config, recipe, grader=grader, warn=warn)
    prompts = [len(item.prompt_ids) for item in inputs.train_items]
    checks.append(
        f"questions: {len(prompts):,} to train on, the longest prompt {max(prompts):,} tokens; "
        f"{len(inputs.probe_items):,} probed every {config.probe.every} steps, {len(inputs.ends_items):,} at both ends"
    )
    if inputs.skipped:
        checks.append(f"left out for their length: {inputs.skipped}")
    if recipe.takes_demonstrations:
        lengths = [len(demo.completion_ids_T) for demo in inputs.demos]
        offered = len(inputs.demonstration_rows)
        checks.append(
            f"demonstrations: {len(lengths):,} of {offered:,} can be trained on, {sum(lengths):,} tokens, "
            f"the longest {max(lengths):,}"
        )
    return inputs, checks


def require_room(found: DryRun) -> None:
    """Raise OutOfMemory where the GPUs are not enough."""
    if not found.fits:
        raise OutOfMemory(
            f"{peak(found.parts) / GIB:,.1f} GiB needed of {found.gpu_bytes / GIB:,.0f} on each of {found.gpus} GPUs, "
            f"{RESERVE:.0%} kept free; take more GPUs, or lower {to_lower(found.parts)}"
        )


def to_lower(parts: list[Part]) -> str:
    """Name the settings that lower the largest parts that settings decide."""
    settings = {
        "activations": "runtime.token_budget (or the longest answer)",
        "keys and values": "rollout.batch_rows",
        "vLLM": "vllm.gpu_memory",
        "chunk of logits": "runtime.head_chunk",
        "whole gradient": 'runtime.sync_gradients (to "each")',
    }
    found = sorted((p for p in parts if p.name in settings), key=lambda p: -p.n_bytes)
    moments = any(p.name.startswith("moments") and p.n_bytes for p in parts)
    named = [settings[p.name] for p in found[:2]]
    return " or ".join(named) + (", or set runtime.offload_moments = true" if moments else "")


def lines_of(found: DryRun) -> list[str]:
    """Write the report, one line each."""
    shape, n, gib = found.shape, found.gpus, found.gpu_bytes / GIB
    verdict = "fits" if found.fits else "does NOT fit"
    return [
        f"model: {shape.n_parameters:,} parameters in {shape.n_layers} layers, from {found.shape_from}",
        *found.checks,
        f"memory of each of {n} GPUs, GiB:",
        *(f"  {p.name:<18} {p.n_bytes / GIB:>7.2f}  {p.phase:<8}  {p.how}" for p in found.parts),
        f"  {'peak':<18} {peak(found.parts) / GIB:>7.2f}  {verdict} into {gib:.4g} with {RESERVE:.0%} kept free "
        "(learner and sampler take turns)",
        *time_lines(found),
    ]


def time_lines(found: DryRun) -> list[str]:
    """Write what a step asks for, and how long it may take."""
    config, load, recipe = found.config, found.load, found.recipe
    tokens = tokens_of(config, recipe, load, demo_tokens=found.demo_tokens)
    answer = tokens.sampled // tokens.attempts if tokens.attempts else found.demo_tokens
    flops = learner_flops(
        found.shape,
        tokens,
        length=load.prompt_tokens + answer,
        checkpointed=config.model.checkpoint_activations is not False,
        frozen=config.lora.rank is not None,
    )
    learning = learner_seconds(config, flops, found.gpus)
    item = 2 if (config.model.compute or config.model.dtype) == "bfloat16" else 4
    sampling = sampler_seconds(config, found.shape, tokens, load, found.gpus, item=item)
    hours = (sampling + learning) * config.steps / 3600
    return [
        f"step: {tokens.attempts:,} answers of at most {load.answer_tokens:,} tokens ({tokens.sampled_most:,}); at "
        f"{ASSUMED.answer_share:.0%} of that {tokens.sampled:,} sampled, {tokens.trained:,} trained on, "
        f"{tokens.scored:,} scored",
        f"work: {flops:.2e} floating-point operations of the learner a step, micro-batches of {load.n_tokens:,} "
        f"tokens, {chunk_of(config):,} logits at a time",
        f"time, assumed and not measured: {sampling:,.0f} s sampling + {learning:,.0f} s learning a step, "
        f"{hours:,.1f} h for {config.steps:,} steps; probes, grading and checkpoints are not counted",
        f"assumed: H100 SXM ({ASSUMED.bfloat16_flops / 1e12:.0f} TFLOP/s in bfloat16, "
        f"{ASSUMED.bytes_a_second / 1e12:.2f} TB/s); the learner reaches {ASSUMED.of_peak:.0%} of the one, decoding "
        f"{ASSUMED.of_bandwidth:.0%} of the other; {ASSUMED.launch_seconds * 1e6:.0f} us an operation of the torch "
        "sampler",
    ]
