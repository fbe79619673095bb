"""From a configuration and a folder to a Run that trains: read, check, build, and resume what is there.

Everything that can be wrong with the input is found before anything is written.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from relift.config import Config, to_toml
from relift.engines.context import context_limit
from relift.errors import InputError
from relift.grading import Grader, Scorer
from relift.learner.distributed import leave_mesh_of_one, world
from relift.learner.learner import Learner
from relift.learner.optim import OptimizerSpec
from relift.run_record import Change, RunRecord
from relift.schema import DEMONSTRATIONS, RunStatus
from relift.store import RunWriter
from relift.store.checkpoints import checkpoint_folder
from relift.store.folder import require_run_folder
from relift.trainer import identity, parallel
from relift.trainer.base_model import (
    checkpoints_activations,
    compute_dtype,
    device_of,
    load_model,
    lora_spec,
    stop_tokens,
    write_config,
    write_model,
)
from relift.trainer.base_scores import score_demonstrations
from relift.trainer.checkpoint import keep_row, restore, save
from relift.trainer.curriculum import Curriculum
from relift.trainer.demos import DemoBuffer
from relift.trainer.draws import Draws
from relift.trainer.facts import facts_of
from relift.trainer.hints import hinted_prompt
from relift.trainer.inputs import Inputs, longest_prompt, questions_frame, read_inputs
from relift.trainer.recipe import Demonstrations, Recipe
from relift.trainer.recipes import build
from relift.trainer.record import Record
from relift.trainer.rewards import Rewarding
from relift.trainer.rollout_engine import learners_logprobs, rollout_engine
from relift.trainer.run import Run
from relift.trainer.step_zero import open_base, take_over_base
from relift.trainer.stream import Stream
from relift.trainer.teacher import open_teacher
from relift.trainer.teacher_open import enter, open_arrivals
from relift.trainer.trackers import About, Trackers, require_trackers, settings_of


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
    set_numerics(config)
    with ExitStack() as stack:
        stack.callback(leave_mesh_of_one)
        parallel.join_world(config.runtime.collective_seconds)
        writer = open_writer(stack, folder, warn) if (folder / "run.json").is_file() else None
        require_run_folder(folder)
        require_one_clock(config)
        if isinstance(writer, RunWriter) and not writer.is_new:
            require_its_base(config, writer.run)
        recipe = build(config)
        require_trackers(config.runtime.trackers)
        grader = stack.enter_context(parallel.on_first_process(Grader(warn=warn)))
        reward = stack.enter_context(parallel.FirstReward(config.rl.reward)) if recipe.rl and config.rl.reward else None
        inputs = read_inputs(config, recipe, grader=grader, warn=warn)
        warn_of_truncation(config, recipe, warn)
        model = load_model(config)
        writer = writer or open_writer(stack, folder, warn)
        run = assemble(config, recipe, inputs, writer, model, stack=stack, grader=grader, reward=reward, warn=warn)
        seed_global_states(config.seed)
        facts = facts_of(config, inputs, run, folder, reward=reward)
        if writer.is_new:
            open_base(config, facts)  # for its errors: nothing has been written yet
            begin(run, inputs, facts)
        else:
            resume(run, facts, allow_changes=allow_changes)
        if run.arrivals is not None:
            enter(run.arrivals, stack, folder, step=run.step or 0, warn=warn)
        if world()[0] == 0:
            run.track = stack.enter_context(trackers_of(run, folder)).log
        yield run


def require_its_base(config: Config, run: RunRecord) -> None:
    """Refuse to look on the hub for the base of a run that began from a folder. Raises InputError."""
    was = run.identity.get("model")
    if isinstance(was, str) and "@" not in was and not Path(config.model.path).is_dir():
        raise InputError(
            f"model.path = {config.model.path!r}: there is no such folder, and the run began from one: put it back, or "
            "set model.path to where it lies now"
        )


def trackers_of(run: Run, folder: Path) -> Trackers:
    """Open the trackers of a run, where it stands now."""
    record = run.record.writer.run
    about = About(
        run_id=record.run_id,
        name=record.name or record.run_id,
        folder=folder,
        settings=settings_of(run.config),
        first_step=0 if run.step is None else run.step + 1,
    )
    return Trackers(run.config.runtime.trackers, about, warn=run.warn)


def set_numerics(config: Config) -> None:
    """Set what torch keeps for the whole process: threads, and how CUDA multiplies float32."""
    on_cuda = device_of(config).type == "cuda"
    if config.runtime.threads is not None or not on_cuda:
        torch.set_num_threads(config.runtime.threads or 1)
    if on_cuda:
        torch.backends.cuda.matmul.fp32_precision = "tf32" if config.runtime.tf32 else "ieee"


def warn_of_truncation(config: Config, recipe: Recipe, warn: Callable[[str], None]) -> None:
    """Warn of rollouts that are drawn from another distribution than the learner weighs."""
    rollout = config.rollout
    if recipe.rl is not None and (rollout.top_p < 1 or rollout.top_k != -1):
        warn(
            f"rollout.top_p = {rollout.top_p}, top_k = {rollout.top_k}: answers are drawn from a truncated "
            "distribution and trained on with log-probabilities of the whole one; 1 and -1 make exact policy gradients"
        )


def require_one_clock(config: Config) -> None:
    """Refuse a budget of seconds where several processes would each look at a clock of their own."""
    if config.budget.seconds is not None and world()[1] > 1:
        raise InputError("budget.seconds: several processes do not end at the same step by it; set budget.flops")


def seed_global_states(seed: int) -> None:
    """Nothing of ours draws from the global random states; a model's own code might. A resume restores them."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def open_writer(stack: ExitStack, folder: Path, warn: Callable[[str], None]) -> RunWriter:
    """The run folder's one writer; on all processes but the first one that writes nothing."""
    writers: list[RunWriter] = []

    def enter() -> bool:
        writers.append(stack.enter_context(RunWriter(folder, on_event=warn)))
        return writers[0].is_new

    is_new = parallel.on_first(enter)
    return writers[0] if writers else parallel.SilentWriter(folder, is_new=is_new)  # type: ignore[return-value]


def assemble(
    config: Config,
    recipe: Recipe,
    inputs: Inputs,
    writer: RunWriter,
    model: Any,
    *,
    stack: ExitStack,
    grader: Scorer,
    reward: parallel.FirstReward | None,
    warn: Callable[[str], None],
) -> Run:
    """Put the parts of a run together at the base model. `stack` ends the engine."""
    # Before the learner, which takes the model over; a publication asks the learner.
    engine = stack.enter_context(
        rollout_engine(config, model, score=lambda token_ids: learners_logprobs(learner, token_ids), warn=warn)
    )
    device = device_of(config)
    n_parameters = model.num_parameters()
    learner = Learner(
        model,
        {name: optimizer_spec(config, recipe, name) for name in recipe.optimizers},
        token_budget=config.runtime.token_budget,
        device=device,
        checkpoint_activations=checkpoints_activations(config, device),
        longest=longest_sequence(inputs, recipe, config),
        compute=compute_dtype(config),
        head_chunk=config.runtime.head_chunk,
        offload_moments=config.runtime.offload_moments,
        sync_gradients=config.runtime.sync_gradients,
        lora=lora_spec(config),
    )
    if needs_reference(config, recipe, inputs):
        learner.keep_reference()
    if world()[1] > 1:
        engine = parallel.SharedEngine(engine)
    buffer = DemoBuffer(
        config.buffer, inputs.demos, batch=config.sft.batch, seed=config.seed, online=config.teacher.online.source
    )
    n_questions = 1 + max(i.question_ix for i in (*inputs.train_items, *inputs.probe_items, *inputs.ends_items))
    return Run(
        config=config,
        recipe=recipe,
        train_items=inputs.train_items,
        probe_items=inputs.probe_items,
        ends_items=inputs.ends_items,
        demos=inputs.demos,
        question_stream=question_stream(config, recipe, inputs),
        draws=draws_of(config, inputs),
        demo_stream=demo_stream(config, recipe, inputs),
        engine=engine,
        grader=grader,
        rewards=Rewarding(config, None if reward is None else reward.give, warn),
        learner=learner,
        decode=partial(inputs.tokenizer.batch_decode, skip_special_tokens=True),
        stop_token_ids=stop_tokens(inputs.tokenizer, config),
        record=Record(writer, n_questions),
        buffer=buffer,
        arrivals=open_arrivals(
            config, inputs, buffer=buffer, writer=writer, grader=grader, context=context_limit(model.config), warn=warn
        ),
        hinted=partial(hinted_prompt, config, inputs.tokenizer, longest=longest_prompt(config, model.config)),
        score_teacher=open_teacher(
            config, recipe, inputs.tokenizer.get_vocab(), longest=longest_sequence(inputs, recipe, config)
        ),
        save=partial(
            save,
            write_model=partial(write_model, model, inputs.tokenizer),
            write_config=partial(write_config, model, inputs.tokenizer),
        ),
        take_over_base=take_over_base,
        warn=warn,
        n_parameters=n_parameters,
    )


def longest_sequence(inputs: Inputs, recipe: Recipe, config: Config) -> int:
    """Count the tokens of the longest sequence that the run can train on."""
    prompts = [len(item.prompt_ids) for item in inputs.train_items]
    if recipe.prefix and recipe.prefix.place == "prompt":
        prompts.append(config.data.max_prompt_tokens)
    elif recipe.prefix:
        prompts += [len(d.prompt_ids) + int(recipe.prefix.high * len(d.completion_ids_T)) for d in inputs.demos]
    rollouts = max(prompts, default=0) + config.rollout.max_tokens if recipe.rl else 0
    if config.teacher.online.source != "none":  # a demonstration that comes may be as long as is let in
        rollouts = max(rollouts, max(prompts, default=0) + config.data.max_demo_tokens)
    return max([rollouts, *(len(demo.prompt_ids) + len(demo.completion_ids_T) for demo in inputs.demos)])


def question_stream(config: Config, recipe: Recipe, inputs: Inputs) -> Stream | None:
    """The order of the training questions; None for a run that samples none."""
    if recipe.rl is None or recipe.sft_steps >= config.steps:
        return None
    n, per_step = len(inputs.train_items), config.rollout.questions_per_step
    return Stream(n, per_batch=per_step, seed=config.seed, purpose="questions")


def draws_of(config: Config, inputs: Inputs) -> Draws | None:
    """Make what draws the questions of a run that has a curriculum or refills steps; None for others."""
    if config.curriculum.order == "accuracy":
        ixs = [item.question_ix for item in inputs.train_items]
        return Curriculum(config.curriculum, ixs, seed=config.seed)
    if not config.rollout.refill:
        return None
    return Draws(len(inputs.train_items), seed=config.seed, purpose="questions")


def demo_stream(config: Config, recipe: Recipe, inputs: Inputs) -> Stream | None:
    """Make the order of the demonstrations that come in a stream; None for a recipe without one."""
    streamed = (Demonstrations.stream, Demonstrations.beside)
    if recipe.method.demonstrations not in streamed or not config.steps:
        return None
    return Stream(len(inputs.demos), per_batch=config.sft.batch, seed=config.seed, purpose="demonstrations")


def optimizer_spec(config: Config, recipe: Recipe, name: str) -> OptimizerSpec:
    """Describe the optimizer of this name. A schedule of no given length ends with its phase."""
    section = config.rl.optimizer if name == "rl" else config.sft.optimizer
    values = section.model_dump(exclude={"over", "warmup_share"})
    n_sft = int(min(recipe.sft_steps, config.steps))
    if section.over == "run":
        phase = config.steps
    elif name == "rl":
        phase = (config.steps - n_sft) * config.rl.updates_per_batch
    else:
        phase = n_sft  # a buffer's steps are not known before: recipes/__init__.py asks for total_steps there
    total = section.total_steps or max(phase, 1)
    warmup = section.warmup_steps or round(section.warmup_share * total)
    over_run = section.over == "run"
    return OptimizerSpec(**{**values, "total_steps": total, "warmup_steps": warmup, "over_run": over_run})


def needs_reference(config: Config, recipe: Recipe, inputs: Inputs) -> bool:
    """Whether anything is scored under the base model, so that a copy of its weights is to be kept."""
    probes = bool(inputs.probe_items or inputs.ends_items) and config.probe.score_base and config.probe.temperature > 0
    return probes or (recipe.rl is not None and recipe.rl.kl is not None) or config.data.score_base


def begin(run: Run, inputs: Inputs, facts: RunRecord) -> None:
    """Lay a new run folder."""
    demonstrations = inputs.demonstration_rows
    if run.config.data.score_base and inputs.demos:
        scores = score_demonstrations(run.learner, inputs.demos)
        demonstrations = demonstrations.assign(sum_logprob_base=demonstrations["demo_id"].map(scores))
    run.record.writer.start(
        replace(facts, n_parameters=run.n_parameters),
        config_toml=to_toml(run.config),
        questions=questions_frame(inputs),
        demonstrations=demonstrations if len(demonstrations) else no_demonstrations() if run.arrivals else None,
    )


def no_demonstrations() -> pd.DataFrame:
    """Make the table of a run to which all its demonstrations come later."""
    return pd.DataFrame(columns=[column.name for column in DEMONSTRATIONS.columns], dtype=object)


def resume(run: Run, facts: RunRecord, *, allow_changes: Collection[str]) -> None:
    """Compare identities, roll back to the newest good checkpoint, restore it."""
    step = parallel.on_first(partial(roll_back, run, facts, allow_changes=allow_changes))
    if world()[0]:
        run.record.writer.run = facts  # type: ignore[misc]  # of the first process alone it is the file
    if step is not None:
        restore(run, checkpoint_folder(run.record.writer.folder, step))


def roll_back(run: Run, facts: RunRecord, *, allow_changes: Collection[str]) -> int | None:
    """The step of the newest good checkpoint, after everything past it was set aside; None: begin again."""
    writer, stored = run.record.writer, run.record.writer.run
    identity.compare(stored.identity, facts.identity, folder=writer.folder)
    changed = identity.changed_tunables(stored.tunable, run.config, folder=writer.folder, allowed=allow_changes)
    same = identity.same_surroundings(stored.surroundings, facts.surroundings)
    if not same:
        run.warn(
            "threads, micro-batches, versions or hardware differ from the last start: resumed, but not bit for bit"
        )
    checkpoint = next(iter(writer.checkpoints()), None)
    step = None if checkpoint is None else checkpoint.step
    writer.roll_back(step)
    if checkpoint is not None and checkpoint.info["row"] is not None:
        keep_row(run, checkpoint.info["row"])  # the run may have died between the checkpoint and its row
    change = Change(from_step=step, fields={name: (old, new) for name, (old, new) in changed.items()})
    writer.update_run(
        status=RunStatus.running,
        tunable=facts.tunable,
        surroundings=facts.surroundings,
        exact=stored.exact and same and not changed,
        changes=(*stored.changes, change) if changed else stored.changes,
    )
    return step
