"""Do what happens around the updates of a step: probes, tables, commit, checkpoint, report, guards. Numpy only.

Axes: Q questions of a step, G attempts at each.
"""

from __future__ import annotations

import time

from relift.engines.tokens import Sampling
from relift.errors import GuardStop
from relift.learner.update import Update, UpdateStats
from relift.schema import Origin
from relift.trainer.answers import Answers
from relift.trainer.base_scores import score_base
from relift.trainer.record import attempts_frame
from relift.trainer.run import Run, StepReport
from relift.trainer.sampling import ask
from relift.trainer.step import Step, plain_request
from relift.trainer.tracked_values import values_of

Done = list[tuple[Update, UpdateStats]]


class Interrupted(Exception):
    """A stop was asked for. The run is saved; starting it again continues it."""


def start_with_base(run: Run) -> None:
    """Make step 0: two independent draws of all probes from the base model, and a checkpoint of it."""
    run.step = 0
    accuracy = None
    if not run.take_over_base(run):
        accuracy, _ = (probe(run, 0, draw=draw, ends=True) for draw in (0, 1))
    run.record.writer.commit(0)
    run.save(run, "base" if run.config.steps else "final")
    report(run, None, accuracy)


def finish(run: Run, step: Step, answers: Answers, done: Done, *, began: float) -> None:
    """End a step: tables, a probe and a checkpoint when due, the commit, the guards."""
    config, number = run.config, step.number
    write_step(run, number, answers, done)
    probing = time.monotonic()
    run.record.totals.wall_seconds += probing - began
    run.step = number  # from here on the engine is given the new weights
    run.ended = run.budget_is_spent()
    last = run.ended or number == config.steps
    run.record.forget_kl_to_base()
    accuracy = probe(run, number, draw=0, ends=last) if last or number % config.probe.every == 0 else None
    run.record.totals.wall_seconds += time.monotonic() - probing
    run.record.writer.commit(number)
    count_skipped(run, done)
    scheduled = last or number % config.checkpoint.every == 0
    if scheduled:
        run.save(run, "final" if last else "train")
    report(run, answers, accuracy, done)
    guard_skipped(run)
    if run.stop_requested() and not last:
        if not scheduled:
            run.save(run, None)
        raise Interrupted


def write_step(run: Run, step: int, answers: Answers, done: Done) -> None:
    """Write the tables of a step but for its probe: updates, events of the buffer, rollouts and what became of them."""
    for update, stats in done:
        run.record.count_update(update, stats)
        if stats.skipped:
            run.buffer.refuse(s.demo_id for c in update.components for s in c.sequences if s.demo_id)
    if run.arrivals is not None:
        run.arrivals.end(step, answers)
    run.record.write_updates(step, done)
    run.record.write_demo_events(step, run.buffer)
    if len(answers):
        texts = run.config.runtime.rollout_texts == "all"
        run.record.write_rollouts(step, answers, done, texts=texts, waiting=run.buffer.waiting)


def probe(run: Run, step: int, *, draw: int, ends: bool) -> float | None:
    """Make and record one draw of the probe questions (`ends`: those of the two ends too); give the probe set's
    accuracy, None where there are no questions or nothing was decided."""
    config, rollout = run.config.probe, run.config.rollout
    items = [*run.probe_items, *(run.ends_items if ends else ())]
    if not items:
        return None
    max_tokens = config.max_tokens or rollout.max_tokens
    sampling = Sampling(max_tokens, config.temperature, config.top_p, -1, run.stop_token_ids)
    asked = [plain_request(item, n=config.attempts) for item in items]
    answers = ask(run, asked, sampling, origin=Origin.probe, draw=draw, step=step)
    frame = attempts_frame(answers, decoding="probe")
    if config.score_base and config.temperature > 0:
        frame["sum_logprob_base"] = score_base(run, answers, temperature=config.temperature)
        run.record.note_kl_to_base(frame)
    run.record.write_attempts(step, Origin.probe, draw, frame, texts=True, waiting=run.buffer.waiting)
    return answers.accuracy_of(len(run.probe_items))


def report(run: Run, answers: Answers | None, probe_accuracy: float | None, done: Done | None = None) -> None:
    """Tell trackers and a progress display what there is to show of the step."""
    assert run.step is not None
    totals = run.record.totals
    run.track(
        values_of(
            answers, done or [], probe_accuracy=probe_accuracy, buffer_len=len(run.buffer), totals=run.record.totals
        ),
        run.step,
    )
    reward = answers.accuracy_of(len(answers)) if answers else None
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
    """Count refused updates in a row, up to the last of this step."""
    for _, stats in done:
        run.skipped_in_a_row = run.skipped_in_a_row + 1 if stats.skipped else 0


def guard_skipped(run: Run) -> None:
    """Stop when updates in a row were refused because loss or gradient was not finite."""
    if run.skipped_in_a_row >= run.config.guard.max_skipped:
        raise GuardStop(
            f"step {run.step}: {run.skipped_in_a_row} updates in a row were refused, their loss or gradient not finite "
            "or too large (table updates); lower the learning rate or raise guard.max_skipped"
        )
