"""Add attempts to a run that is there: a probe into a training run, a top-up into any run.

The record's `appended` has an entry for each destination, laid before the first answer, so that the same command goes
on with it.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from relift.errors import InputError
from relift.evaluate.fill import Work, add_questions, assign, fill
from relift.evaluate.identity import identity_of, require_same
from relift.evaluate.models import Model
from relift.evaluate.plan import Destination, Plan
from relift.evaluate.tally import Standing, Tally
from relift.fingerprints import digest, plain_values
from relift.run_record import Appended
from relift.schema import Assistance, RunStatus
from relift.store import RunReader, RunWriter


def append(
    writer: RunWriter, destination: Destination, plan: Plan, model: Model, *, why: str, work: Work
) -> tuple[Standing, ...]:
    """Sample the plan's questions into this destination, or what is missing of it. Questions that the run lacks are
    added.

    Raises InputError, ResumeRefused before anything is written: a destination that the run itself filled, another
    identity, other questions or numbers of attempts; what relift.evaluate.fill.fill raises.
    """
    folder, reader = writer.folder, RunReader(writer.folder)
    entry = _entry(reader, destination, plan, model, why=why, work=work)
    committed = reader.committed_step
    if committed is None or destination.step > committed:
        last = "nothing yet" if committed is None else f"step {committed}"
        raise InputError(f"{folder}: step {destination.step} is not committed there; the last is {last}")
    assignment = assign(reader, destination, plan, samples=plan.samples)
    work.answerer.check([planned.request for planned in assignment.attempts], plan.sampling)

    writer.roll_back(committed)  # sets aside what a kill left without a commit record
    add_questions(writer, assignment)
    question_ixs = tuple(question.question_ix for question in assignment.questions)
    entry = replace(entry, question_ixs=question_ixs, status=RunStatus.running)
    writer.update_run(
        decodings={**writer.run.decodings, destination.decoding_id: entry.sampling},
        appended={**writer.run.appended, destination.name: entry},
    )
    tally = Tally({why: (question_ixs, entry.samples)})
    tally.add_frame(assignment.done)
    fill(writer, assignment, work, tally)
    done = replace(entry, status=RunStatus.done)
    writer.update_run(appended={**writer.run.appended, destination.name: done})
    return tuple(tally.standings())


def _entry(reader: RunReader, destination: Destination, plan: Plan, model: Model, *, why: str, work: Work) -> Appended:
    """Make the entry of this destination; the one that is there must say the same."""
    samples = set(plan.samples.values())
    if len(samples) > 1:
        raise InputError(f"{reader.folder}: every question must be asked equally often, not {sorted(samples)} times")
    engine = work.answerer.describe()
    identity = identity_of(plan, model, engine=engine)
    entry = Appended(
        why=why,
        samples=samples.pop() if samples else 0,
        questions=digest(sorted(plan.questions)),
        identity=identity,
        sampling=identity["sampling"],
        engine=plain_values(engine),
    )
    there = reader.run.appended.get(destination.name)
    if there is None:
        draws, steps = [destination.draw], [destination.step]
        if reader.files("attempts", origin=str(destination.origin), draws=draws, steps=steps):
            raise InputError(
                f"{reader.folder}: draw {destination.draw} at step {destination.step} is the run's own: give another "
                "--draw"
            )
        return entry
    require_same(there.identity, identity, folder=reader.folder)
    for what, differ in (
        ("numbers of attempts", there.samples != entry.samples),
        ("questions", there.questions != entry.questions),
    ):
        if differ:
            raise InputError(
                f"{reader.folder}: draw {destination.draw} at step {destination.step} has other {what}: give another "
                "--draw"
            )
    return entry


def counts_of(reader: RunReader, destination: Destination) -> pd.DataFrame:
    """Count the attempts of all draws at this step and origin; one row per draw and question: question_ix, n_attempts,
    n_correct, n_undecided, draw."""
    attempts = reader.read(
        "attempts",
        columns=["draw", "question_ix", "verdict", "assistance"],
        origin=str(destination.origin),
        steps=[destination.step],
    )
    attempts = attempts[attempts["assistance"] == Assistance.none.value]
    keys = ["draw", "question_ix"]
    verdict = attempts["verdict"].astype(str)
    counted = attempts.assign(
        n_attempts=1, n_correct=(verdict == "correct").astype(int), n_undecided=(verdict == "undecided").astype(int)
    )
    return counted.groupby(keys, as_index=False)[["n_attempts", "n_correct", "n_undecided"]].sum()
