"""Attempts added to a run that is there: a probe into a training run, a top-up into any run.

run.json's `appended` has an entry for each place, laid before the first answer, so that the same command goes on.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from relift.engines.texts import Answerer
from relift.errors import InputError
from relift.evaluate.collect import Commits
from relift.evaluate.evaluate import NUMERICS, pairs, sample
from relift.evaluate.folder import question_columns
from relift.evaluate.identity import Identity, require_same
from relift.evaluate.parts import PartWriter, committed_attempts, next_part
from relift.evaluate.plan import Item, Place, Plan, asks_of
from relift.evaluate.tally import Standing, Tally
from relift.fingerprints import digest
from relift.grading import Grader
from relift.schema import Assistance, DemoEvent, Origin
from relift.store import RunReader, RunWriter


def name_of(place: Place) -> str:
    """The entry's name in `appended`."""
    return f"{place.origin}.step-{place.step:06d}.d{place.draw}"


def append(
    writer: RunWriter,
    place: Place,
    plan: Plan,
    *,
    identity: Identity,
    why: str,
    answerer: Answerer,
    grader: Grader,
    commits: Commits,
    console: Console,
) -> tuple[Standing, ...]:
    """Sample the plan's questions into this place, or what is missing of it. Questions that the run lacks are added.

    Raises InputError, ResumeRefused before anything is written: a place that the run itself filled, another identity,
    other questions or numbers of attempts; what relift.evaluate.collect.collect raises.
    """
    folder = writer.folder
    reader = RunReader(folder)
    engine = answerer.describe()
    identity = {**identity, "engine": {name: value for name, value in engine.items() if name != NUMERICS}}
    entry = _entry(reader, place, plan, identity, why=why)
    committed = reader.committed_step
    if committed is None or place.step > committed:
        last = "nothing yet" if committed is None else f"step {committed}"
        raise InputError(f"{folder}: step {place.step} is not committed there; the last is {last}")
    question_ix, new_rows = _questions(writer, plan)
    items = [Item(question, question_ix[q], plan.prompts[q], plan.samples[q]) for q, question in plan.questions.items()]
    done = committed_attempts(reader, place)
    asks = asks_of(items, place, seed=plan.seed, done=pairs(done))
    answerer.check([of.ask for of in asks], plan.sampling)

    writer.roll_back(committed)  # sets aside what a kill left without a commit record
    if len(new_rows):
        table = writer.read_whole("questions")
        writer.write_whole("questions", pd.concat([table, new_rows], ignore_index=True).astype(object))
    decodings = {**writer.run_json.get("decodings", {}), place.decoding_id: entry["sampling"]}
    entry |= {"question_ixs": [item.question_ix for item in items], "engine": dict(engine), "status": "running"}
    appended = {**writer.run_json.get("appended", {}), name_of(place): entry}
    writer.update_run_json(decodings=decodings, appended=appended)

    samples = {item.question_ix: item.samples for item in items}
    tally = Tally({why: ([item.question_ix for item in items], max(samples.values(), default=0))})
    tally.add_frame(done)
    if asks:
        exposures = exposures_at(reader, place.step, n_questions=len(reader.read("questions", columns=["question_ix"])))
        parts = PartWriter(writer, place, next_part(reader, place), samples, exposures)
        sample(parts, asks, plan, answerer=answerer, grader=grader, tally=tally, commits=commits, console=console)
    appended = {**writer.run_json["appended"], name_of(place): {**entry, "status": "done"}}
    writer.update_run_json(appended=appended)
    return tuple(tally.standings())


def _entry(reader: RunReader, place: Place, plan: Plan, identity: Identity, *, why: str) -> dict[str, Any]:
    """The entry of this place; the one that is there must say the same."""
    samples = set(plan.samples.values())
    if len(samples) > 1:
        raise InputError(f"{reader.folder}: every question must be asked equally often, not {sorted(samples)} times")
    entry: dict[str, Any] = {
        "why": why,
        "samples": samples.pop() if samples else 0,
        "questions": digest(sorted(plan.questions)),
        "identity": identity,
        "sampling": identity["sampling"],
    }
    there = reader.run_json.get("appended", {}).get(name_of(place))
    if there is None:
        if reader.files("attempts", origin=str(place.origin), draws=[place.draw], steps=[place.step]):
            raise InputError(
                f"{reader.folder}: draw {place.draw} at step {place.step} is the run's own: give another --draw"
            )
        return entry
    require_same(there["identity"], identity, folder=reader.folder)
    for name, what in (("samples", "numbers of attempts"), ("questions", "questions")):
        if there[name] != entry[name]:
            raise InputError(
                f"{reader.folder}: draw {place.draw} at step {place.step} has other {what}: give another --draw"
            )
    return entry


def _questions(writer: RunWriter, plan: Plan) -> tuple[dict[str, int], pd.DataFrame]:
    """question_id -> question_ix of the plan's questions, and rows for those that the run lacks."""
    table = writer.read_whole("questions")
    place = {q: int(ix) for q, ix in zip(table["question_id"], table["question_ix"], strict=True)}
    golds = dict(zip(table["question_id"], table["answer"], strict=True))
    other = [q for q, question in plan.questions.items() if q in golds and golds[q] != question.answer]
    if other:
        raise InputError(
            f"{writer.folder}: {len(other)} questions have another gold answer there, first {golds[other[0]]!r} "
            f"instead of {plan.questions[other[0]].answer!r}"
        )
    rows = []
    for q, question in plan.questions.items():
        if q not in place:
            place[q] = len(place)
            source = next((task.name for task in plan.tasks if q in task.question_ids), "")
            rows.append(question_columns(question, place[q], n_tokens=len(plan.prompts[q].token_ids), source=source))
    return place, pd.DataFrame(rows)


def exposures_at(reader: RunReader, step: int, *, n_questions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By question_ix after this step: steps whose RL update used an attempt at it, uses of its demonstrations, whether
    one waits in the buffer. All zero in a run that trained nothing."""
    rl = np.zeros(n_questions, dtype=np.int64)
    for _, rows in reader.iter_tables(
        "attempts", columns=["question_ix", "used_in_update"], origin=str(Origin.rollout), steps=range(step + 1)
    ):
        frame = rows.to_pandas()
        used = frame.loc[frame["used_in_update"].fillna(value=False).astype(bool), "question_ix"]
        rl[used.unique()] += 1
    events = reader.read("demo_events", steps=range(step + 1)).sort_values("event_ix")
    sft = np.zeros(n_questions, dtype=np.int64)
    waiting: Counter[tuple[str, int]] = Counter()
    for row in events.to_dict("records"):
        entry = (str(row["demo_id"]), int(row["question_ix"]))
        train = row["event"] == DemoEvent.train
        left = row["event"] == DemoEvent.evict or (train and pd.notna(row["age_steps"]))
        waiting[entry] += int(row["event"] == DemoEvent.enqueue) - int(left)
        sft[entry[1]] += int(train and pd.isna(row["reason"]))
    in_buffer = np.zeros(n_questions, dtype=bool)
    in_buffer[[question_ix for (_, question_ix), n in waiting.items() if n > 0]] = True
    return rl, sft, in_buffer


def counts_of(reader: RunReader, place: Place) -> pd.DataFrame:
    """One row per question asked at this step and origin, over all draws: question_ix, n_attempts, n_correct,
    n_undecided, draw."""
    attempts = reader.read(
        "attempts",
        columns=["draw", "question_ix", "verdict", "assistance"],
        origin=str(place.origin),
        steps=[place.step],
    )
    attempts = attempts[attempts["assistance"] == Assistance.none.value]
    keys = ["draw", "question_ix"]
    verdict = attempts["verdict"].astype(str)
    counted = attempts.assign(
        n_attempts=1, n_correct=(verdict == "correct").astype(int), n_undecided=(verdict == "undecided").astype(int)
    )
    return counted.groupby(keys, as_index=False)[["n_attempts", "n_correct", "n_undecided"]].sum()
