"""From a configuration and a folder to a Run that trains: read, check, build, and resume what is there.

Everything that can be wrong with the input is found before anything is written.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers

from relift.config import Config, OptimizerConfig, to_toml
from relift.engines.torch_sampler import TorchSampler
from relift.errors import InputError
from relift.grading import Grader, make_grader
from relift.prompts import render
from relift.questions import QuestionSet, read_questions
from relift.schema import Question
from relift.store import RunWriter
from relift.trainer import identity
from relift.trainer.admission import admit
from relift.trainer.base_run import take_over_base
from relift.trainer.checkpoint import restore, save
from relift.trainer.demos import DemoBuffer
from relift.trainer.learner import Learner
from relift.trainer.optim import OptimizerSpec
from relift.trainer.recipes import Demo, Recipe, build
from relift.trainer.record import Record
from relift.trainer.run import Item, Run
from relift.trainer.stream import Stream


@dataclass(frozen=True)
class Inputs:
    """What a run is made of, read and checked, without the model's weights."""

    train: QuestionSet
    probe: QuestionSet
    ends: QuestionSet
    tokenizer: Any
    model_config: Any
    train_items: list[Item]
    probe_items: list[Item]
    ends_items: list[Item]
    demos: list[Demo]
    demonstration_rows: pd.DataFrame
    skipped: dict[str, int]  # what data.overlong_prompts = "skip" left out


@contextmanager
def open_run(
    config: Config,
    folder: Path,
    *,
    allow_changes: Collection[str] = (),
    warn: Callable[[str], None] = lambda line: None,
) -> Iterator[Run]:
    """The run of this configuration in this folder: a new one, or the one that is there, at its last checkpoint.

    Raises InputError for bad input (nothing is written then), ResumeRefused when the folder holds another run,
    RunInUse when somebody writes there.
    """
    torch.set_num_threads(config.runtime.threads)
    with ExitStack() as stack:
        existing = folder / "run.json"
        writer = stack.enter_context(RunWriter(folder, on_event=warn)) if existing.is_file() else None
        recipe = build(config)
        graders: dict[str, Grader] = {}
        inputs = read_inputs(config, recipe, graders)
        for grader in graders.values():
            stack.enter_context(grader)
        learner_model, sampler_model = (load_model(config) for _ in range(2))
        writer = writer or stack.enter_context(RunWriter(folder, on_event=warn))
        run = assemble(config, recipe, inputs, graders, writer, learner_model, sampler_model, warn=warn)
        facts = facts_of(config, inputs, run, folder)
        if writer.is_new:
            begin(run, inputs, facts, learner_model)
        else:
            resume(run, facts, allow_changes=allow_changes)
        yield run


def read_inputs(config: Config, recipe: Recipe, graders: dict[str, Grader]) -> Inputs:
    """Read questions, demonstrations and tokenizer, render prompts, let demonstrations through the door.

    Fills `graders` with one grader for each answer_kind that occurs.
    """
    if not config.model.path:
        raise InputError("model.path is empty: name a folder or hub id of a transformers causal LM")
    if not config.data.questions:
        raise InputError("data.questions is empty: name a .jsonl or .parquet file, or hf:owner/name/split")
    columns = config.data.columns
    train = read_questions(config.data.questions, demonstrations=config.data.demonstrations, columns=columns)
    probe = read_questions(config.probe.questions, columns=columns) if config.probe.questions else QuestionSet.empty()
    ends = read_questions(config.probe.ends_only, columns=columns) if config.probe.ends_only else QuestionSet.empty()
    overlap = {q.question_id for q in probe.questions} & {q.question_id for q in ends.questions}
    if overlap:
        raise InputError(
            f"{config.probe.ends_only}: {len(overlap)} questions stand in probe.questions too: leave them out"
        )
    tokenizer, model_config = load_tokenizer(config)
    questions = [*train.questions, *probe.questions, *ends.questions]
    for kind in sorted({q.answer_kind for q in questions}):
        graders[kind] = make_grader(kind)
    place: dict[str, int] = {}
    for question in questions:
        place.setdefault(question.question_id, len(place))
    skipped: dict[str, int] = {}
    items = [
        make_items(config, s.questions, place, tokenizer, model_config, name=name, skipped=skipped)
        for name, s in (("data.questions", train), ("probe.questions", probe), ("probe.ends_only", ends))
    ]
    by_id = {item.question.question_id: item for item in items[0]}
    offered = [d for d in train.demonstrations if d.question_id in by_id]
    demos, rows = admit(
        offered if recipe.demo else [],
        by_id,
        graders,
        encode=lambda text: tokenizer(text, add_special_tokens=False)["input_ids"],
        end_token=stop_tokens(tokenizer, config)[0],
        max_tokens=config.data.max_demo_tokens,
        bad=config.data.bad_demonstrations,
    )
    if recipe.demo and not demos:
        raise InputError(f"recipe {recipe.name} trains on demonstrations and there is none: set data.demonstrations")
    return Inputs(train, probe, ends, tokenizer, model_config, *items, demos, rows, skipped)


def make_items(
    config: Config,
    questions: Sequence[Question],
    place: Mapping[str, int],
    tokenizer: Any,
    model_config: Any,
    *,
    name: str,
    skipped: dict[str, int],
) -> list[Item]:
    """Questions with their rendered prompts; over-long ones are refused or, if so configured, counted and left out."""
    items = [Item(q, place[q.question_id], tuple(render(q.problem, config.data.prompt, tokenizer))) for q in questions]
    context = getattr(model_config, "max_position_embeddings", None) or 2**31
    longest_answer = max(config.rollout.max_tokens, config.probe.max_tokens or 0)
    limit = min(config.data.max_prompt_tokens, context - longest_answer)
    if limit < 1:
        raise InputError(
            f"rollout.max_tokens = {longest_answer} leaves no room for a prompt: the model reads {context} tokens"
        )
    long = [item for item in items if len(item.prompt_ids) > limit]
    if long and config.data.overlong_prompts == "refuse":
        worst = max(long, key=lambda item: len(item.prompt_ids))
        raise InputError(
            f"{name}: {len(long)} of {len(items)} prompts are longer than {limit} tokens, the longest has "
            f"{len(worst.prompt_ids)} ({worst.question.problem[:40]!r}); raise data.max_prompt_tokens (the model reads "
            f'{context}, answers take {longest_answer}), or set data.overlong_prompts = "skip"'
        )
    if long:
        skipped[name] = len(long)
    return [item for item in items if len(item.prompt_ids) <= limit]


def load_tokenizer(config: Config) -> tuple[Any, Any]:
    """Tokenizer and model configuration of the base; InputError when they cannot be had."""
    try:
        options = {"revision": config.model.revision, "trust_remote_code": False}
        tokenizer = transformers.AutoTokenizer.from_pretrained(config.model.path, **options)
        model_config = transformers.AutoConfig.from_pretrained(config.model.path, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"model.path = {config.model.path!r}: {str(error).splitlines()[0]}") from None
    if tokenizer.eos_token_id is None:
        raise InputError(f"model.path = {config.model.path!r}: its tokenizer has no end token")
    return tokenizer, model_config


def load_model(config: Config) -> Any:
    """The base model's weights, safetensors only."""
    try:
        return transformers.AutoModelForCausalLM.from_pretrained(
            config.model.path,
            revision=config.model.revision,
            dtype=getattr(torch, config.model.dtype),
            use_safetensors=True,
            trust_remote_code=False,
        ).to(device_of(config))
    except (OSError, ValueError) as error:
        raise InputError(f"model.path = {config.model.path!r}: {str(error).splitlines()[0]}") from None


def device_of(config: Config) -> torch.device:
    if config.model.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.model.device)


def stop_tokens(tokenizer: Any, config: Config) -> tuple[int, ...]:
    """Tokens that end an answer, the tokenizer's own first: with that one a demonstration is closed."""
    try:
        generation = transformers.GenerationConfig.from_pretrained(config.model.path, revision=config.model.revision)
        more = generation.eos_token_id
    except OSError:
        more = None
    extra = more if isinstance(more, list) else [] if more is None else [more]
    return tuple(dict.fromkeys([tokenizer.eos_token_id, *extra]))


def assemble(
    config: Config,
    recipe: Recipe,
    inputs: Inputs,
    graders: dict[str, Grader],
    writer: RunWriter,
    learner_model: Any,
    sampler_model: Any,
    *,
    warn: Callable[[str], None],
) -> Run:
    """The parts of a run, put together at the base model."""
    sources = {"rl": config.rl.optimizer, "sft": config.sft.optimizer}
    steps = {"rl": config.steps * config.rl.updates_per_batch, "sft": config.sft.phase_steps or config.steps}
    learner = Learner(
        learner_model,
        {name: optimizer_spec(sources[name], steps[name]) for name in recipe.optimizers},
        token_budget=config.runtime.token_budget,
        temperature=config.rollout.temperature,
        device=device_of(config),
    )
    tokenizer = inputs.tokenizer
    n_questions = len(
        {item.question_ix for s in (inputs.train_items, inputs.probe_items, inputs.ends_items) for item in s}
    )
    rolls = recipe.rl is not None and recipe.sft_steps < config.steps
    return Run(
        config=config,
        recipe=recipe,
        train_items=inputs.train_items,
        probe_items=inputs.probe_items,
        ends_items=inputs.ends_items,
        demos=inputs.demos,
        question_stream=Stream(
            len(inputs.train_items),
            per_batch=config.rollout.questions_per_step,
            seed=config.seed,
            purpose="questions",
        )
        if rolls
        else None,
        demo_stream=Stream(len(inputs.demos), per_batch=config.sft.batch, seed=config.seed, purpose="demonstrations")
        if recipe.sft_steps
        else None,
        engine=TorchSampler(sampler_model, batch_rows=config.rollout.batch_rows),
        graders=graders,
        learner=learner,
        decode=lambda rows: tokenizer.batch_decode(rows, skip_special_tokens=True),
        stop_token_ids=stop_tokens(tokenizer, config),
        record=Record(writer, n_questions),
        buffer=DemoBuffer(config.buffer, inputs.demos, batch=config.sft.batch, seed=config.seed),
        save=partial(save, write_model=partial(write_model, learner_model, tokenizer)),
        take_over_base=take_over_base,
        warn=warn,
    )


def optimizer_spec(config: OptimizerConfig, steps: int) -> OptimizerSpec:
    values = config.model_dump()
    return OptimizerSpec(**{**values, "total_steps": config.total_steps or max(steps, 1)})


def write_model(model: Any, tokenizer: Any, folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """A transformers checkpoint of these weights."""
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)


def facts_of(config: Config, inputs: Inputs, run: Run, folder: Path) -> dict[str, Any]:
    """run.json of this configuration as of now: identity, surroundings, decoding, versions."""
    base = Path(config.model.path)
    fingerprints = {
        "data": identity.data_fingerprint(inputs.train.questions, inputs.train.demonstrations),
        "probe": identity.data_fingerprint([*inputs.probe.questions, *inputs.ends.questions], []),
        "tokenizer": identity.digest(sorted(inputs.tokenizer.get_vocab().items())),
        "model": identity.files_fingerprint(base, ("*.safetensors",)) if base.is_dir() else config.model.path,
    }
    ident = identity.identity_of(config, fingerprints)
    isa = torch.backends.cpu.get_cpu_capability()
    return {
        "run_id": f"{folder.name}-{identity.digest(ident)[:8]}",
        "name": config.name or config.recipe,
        "recipe": config.recipe,
        "seed": config.seed,
        "identity": ident,
        "tunable": identity.tunables(config),
        "surroundings": identity.surroundings(config, world_size=1, torch_version=torch.__version__, isa=isa),
        "decodings": decodings(config, run),
        "engine": run.engine.describe(),
        "graders": {kind: grader.describe() for kind, grader in run.graders.items()},
        "versions": identity.versions() | {"torch": torch.__version__, "transformers": transformers.__version__},
        "hardware": {"cpu": platform.processor() or platform.machine(), "device": str(device_of(config))},
        "skipped_prompts": inputs.skipped,
        "repaired_characters": inputs.train.repaired + inputs.probe.repaired + inputs.ends.repaired,
    }


def decodings(config: Config, run: Run) -> dict[str, Any]:
    """What `attempts.decoding_id` stands for."""
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


def begin(run: Run, inputs: Inputs, facts: dict[str, Any], model: Any) -> None:
    """Lay a new run folder."""
    n_parameters = sum(p.numel() for p in model.parameters())
    run.record.writer.start(
        run_json={**facts, "status": "running", "exact": True, "changes": [], "n_parameters": n_parameters},
        config_toml=to_toml(run.config),
        questions=questions_frame(inputs),
        demonstrations=inputs.demonstration_rows if len(inputs.demonstration_rows) else None,
    )


def questions_frame(inputs: Inputs) -> pd.DataFrame:
    """The rows of `questions`: every question of the run once, by question_ix."""
    with_demo = {demo.question_ix for demo in inputs.demos}
    rows: dict[int, dict[str, Any]] = {}
    for item in (*inputs.train_items, *inputs.probe_items, *inputs.ends_items):
        rows.setdefault(
            item.question_ix,
            {
                **vars(item.question),
                "question_ix": item.question_ix,
                "prompt_tokens": len(item.prompt_ids),
                "has_demo": item.question_ix in with_demo,
            },
        )
    return pd.DataFrame([rows[ix] for ix in sorted(rows)])


def resume(run: Run, facts: dict[str, Any], *, allow_changes: Collection[str]) -> None:
    """Compare identities, roll back to the newest good checkpoint, restore it."""
    writer, stored = run.record.writer, run.record.writer.run_json
    identity.compare(stored["identity"], facts["identity"], folder=writer.folder)
    changed = identity.changed_tunables(stored["tunable"], run.config, folder=writer.folder, allowed=allow_changes)
    same = stored["surroundings"] == facts["surroundings"]
    if not same:
        run.warn(
            "threads, micro-batches, versions or hardware differ from the last start: resumed, but not bit for bit"
        )
    checkpoint = next(iter(writer.checkpoints()), None)
    writer.roll_back(None if checkpoint is None else checkpoint.step)
    if checkpoint is not None:
        restore(run, checkpoint)
    writer.update_run_json(
        status="running",
        tunable=facts["tunable"],
        surroundings=facts["surroundings"],
        exact=stored["exact"] and same and not changed,
        changes=[*stored["changes"], *([{"from_step": run.step, "fields": changed}] if changed else [])],
    )
