"""The training loop: sample, grade, update, record. It knows no algorithm by name and runs on numpy alone.

What a step trains on is the recipe's business (recipes.py), who waits for fine-tuning the buffer's (demos.py),
how a gradient is made the learner's (learner.py), what is written down the record's (record.py). setup.py builds
a Run from a configuration.

Axes: Q questions of a step, G attempts at each.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from relift.engines.tokens import Sampling
from relift.errors import GuardStop
from relift.learner.update import TrainSequence, Update, UpdateStats
from relift.schema import Origin
from relift.trainer.answers import Answers
from relift.trainer.recipes import OldLogprobs, advantages, demo_update, mixed_updates, rl_updates
from relift.trainer.record import attempts_frame
from relift.trainer.run import Run, StepReport
from relift.trainer.sampling import ask

Done = list[tuple[Update, UpdateStats]]


class Interrupted(Exception):
    """A stop was asked for. The run is saved; starting it again continues it."""


def train(run: Run) -> None:
    """From the first missing step to the last. Every step ends committed and can be taken up again."""
    config = run.config
    if run.step is None:
        start_with_base(run)
    assert run.step is not None
    for step in range(run.step + 1, config.steps + 1):
        began = time.monotonic()
        answers = None if run.recipe.sft_phase(step) else roll_out(run, step)
        done: Done = []
        for update in updates_of(run, step, answers):
            run.learner.forward_backward(update)
            done.append((update, run.learner.optim_step(update.optimizer)))
        run.engine.publish(run.learner.model_state_dict(), version=step)
        write_step(run, step, answers, done)
        last = step == config.steps
        accuracy = probe(run, step, draw=0, ends=last) if last or step % config.probe.every == 0 else None
        run.record.totals.wall_seconds += time.monotonic() - began
        run.record.writer.commit(step)
        run.step = step
        count_skipped(run, done)
        scheduled = last or step % config.checkpoint.every == 0
        if scheduled:
            run.save(run, "final" if last else "train")
        report(run, answers, accuracy)
        guard_skipped(run)
        if run.stop_requested() and not last:
            if not scheduled:
                run.save(run, None)
            raise Interrupted


def start_with_base(run: Run) -> None:
    """Step 0: two independent draws of all probes from the base model, and a checkpoint of it."""
    run.engine.publish(run.learner.model_state_dict(), version=0)
    accuracy = None
    if not run.take_over_base(run):
        accuracy, _ = (probe(run, 0, draw=draw, ends=True) for draw in (0, 1))
    run.record.writer.commit(0)
    run.step = 0
    run.save(run, "base" if run.config.steps else "final")
    report(run, None, accuracy)


def roll_out(run: Run, step: int) -> Answers:
    """The step's questions, sampled and graded; those that qualify go into the buffer."""
    config = run.config.rollout
    assert run.question_stream is not None
    items = [run.train_items[i] for i in run.question_stream.batch(step - 1 - int(run.recipe.sft_steps))]
    sampling = Sampling(config.max_tokens, config.temperature, config.top_p, config.top_k, run.stop_token_ids)
    n = config.attempts_per_question
    answers = ask(run, items, sampling, n=n, origin=Origin.rollout, draw=0, step=step)
    if run.recipe.gate == "buffer":
        run.buffer.offer(step, answers.question_ix_Q, answers.n_correct_Q, answers.n_decided_Q, n_attempts=n)
    return answers


def updates_of(run: Run, step: int, answers: Answers | None) -> Iterator[Update]:
    """The optimizer steps of this step, each made when the one before has been taken."""
    recipe, buffer = run.recipe, run.buffer
    if answers is None:
        assert recipe.demo is not None and run.demo_stream is not None
        demos = [run.demos[i] for i in run.demo_stream.batch(step - 1)]
        for demo in demos:
            buffer.record_use(step, demo)
        yield demo_update(recipe.demo, demos)
        return
    assert recipe.rl is not None
    advantage_QG = advantages(answers.reward_QG, answers.decided_QG, kind=recipe.rl.advantage)
    old = logprobs_before(run, answers) if recipe.rl.updates_per_batch > 1 else None
    if recipe.gate == "now":
        n = answers.decided_QG.shape[1]
        counts = zip(
            answers.question_ix_Q.tolist(), answers.n_correct_Q.tolist(), answers.n_decided_Q.tolist(), strict=True
        )
        demo_of_Q = [buffer.train_now(step, ix, correct, decided, n_attempts=n) for ix, correct, decided in counts]
        yield from mixed_updates(recipe, answers, advantage_QG, demo_of_Q, old)
        return
    yield from rl_updates(recipe.rl, answers, advantage_QG, old)
    if recipe.gate == "buffer":
        assert recipe.demo is not None
        for demos in buffer.due(step):
            yield demo_update(recipe.demo, demos)


def logprobs_before(run: Run, answers: Answers) -> OldLogprobs:
    """Log-probabilities under the learner before the first of several updates on one batch of rollouts."""
    places = [(q, g) for q, row in enumerate(answers.completions_QG) for g in range(len(row))]
    sequences = [TrainSequence(answers.prompt_ids_Q[q], answers.completions_QG[q][g].token_ids_T) for q, g in places]
    return dict(zip(places, run.learner.score(sequences), strict=True))


def write_step(run: Run, step: int, answers: Answers | None, done: Done) -> None:
    """The tables of a step but for its probe: updates, events of the buffer, rollouts and what became of them."""
    for update, stats in done:
        run.record.count_update(update, stats)
        if stats.skipped:
            run.buffer.refuse(s.demo_id for c in update.components for s in c.sequences if s.demo_id)
    run.record.updates(step, done)
    run.record.demo_events(step, run.buffer)
    if answers is None or run.recipe.rl is None:
        return
    used_QG = np.zeros(answers.decided_QG.shape, dtype=bool)
    for update, stats in done:
        for sequence in (s for c in update.components for s in c.sequences if s.attempt and not stats.skipped):
            used_QG[sequence.attempt] = True
    run.record.rollouts(
        step,
        answers,
        advantage_QG=advantages(answers.reward_QG, answers.decided_QG, kind=run.recipe.rl.advantage),
        used_QG=used_QG,
        texts=run.config.runtime.rollout_texts == "all",
        waiting=run.buffer.waiting,
    )


def probe(run: Run, step: int, *, draw: int, ends: bool) -> float | None:
    """One draw of the probe questions (`ends`: those of the two ends too), recorded; the probe set's accuracy."""
    config, rollout = run.config.probe, run.config.rollout
    items = [*run.probe_items, *(run.ends_items if ends else ())]
    if not items:
        return None
    max_tokens = config.max_tokens or rollout.max_tokens
    sampling = Sampling(max_tokens, config.temperature, config.top_p, -1, run.stop_token_ids)
    answers = ask(run, items, sampling, n=config.attempts, origin=Origin.probe, draw=draw, step=step)
    frame = attempts_frame(answers, decoding="probe")
    run.record.write_attempts(step, Origin.probe, draw, frame, texts=True, waiting=run.buffer.waiting)
    return answers.accuracy_of(len(run.probe_items))


def report(run: Run, answers: Answers | None, probe_accuracy: float | None) -> None:
    """Tell whoever watches."""
    assert run.step is not None
    totals = run.record.totals
    reward = answers.accuracy_of(len(answers.question_ix_Q)) if answers else None
    run.on_step(
        StepReport(
            run.step,
            reward,
            probe_accuracy,
            len(run.buffer),
            totals.updates,
            totals.generated_tokens,
            totals.wall_seconds,
        )
    )


def count_skipped(run: Run, done: Done) -> None:
    """Refused updates in a row, up to the last of this step."""
    for _, stats in done:
        run.skipped_in_a_row = run.skipped_in_a_row + 1 if stats.skipped else 0


def guard_skipped(run: Run) -> None:
    """Stop when updates in a row were refused because loss or gradient was not finite."""
    if run.skipped_in_a_row >= run.config.guard.max_skipped:
        raise GuardStop(
            f"step {run.step}: {run.skipped_in_a_row} updates in a row were refused, their loss or gradient not finite "
            "or too large (table updates); lower the learning rate or raise guard.max_skipped"
        )
