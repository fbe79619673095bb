"""Run `relift regrade`: verdicts again from the texts that were kept, as a run of its own, and what changed by rule.

Everything but verdicts is copied. A rollout's reward stays what training saw. Answers whose text was not kept keep
their verdicts, and are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relift.analysis.scores.score import score_run
from relift.errors import InputError
from relift.evaluate.run_settings import questions_of
from relift.fingerprints import plain_name, plain_values
from relift.grading import Grader, Submission
from relift.grading.extract import THINKING_TAGS
from relift.run_record import RegradedFrom, RunRecord
from relift.schema import Finish, Origin, Question, RunKind, RunStatus
from relift.store import RunReader, RunWriter, TableFile, trajectories_of
from relift.store.rows import reward_of
from relift.store.tables import PER_STEP


@dataclass(frozen=True)
class Regraded:
    """`changes`: a row for each (verdict and rule before, verdict and rule after) that differ, with its count."""

    folder: Path
    answers: int
    without_text: int
    changes: pd.DataFrame


def regrade(run: Path, into: Path, *, grader: Grader) -> Regraded:
    """Grade every kept text of `run` again into the new run `into`. Interrupted, it goes on with the next step.

    Raises InputError when there is nothing to grade, or `into` holds something else.
    """
    reader = RunReader(run)
    run_record = reader.run
    if not reader.files("responses"):
        raise InputError(f"{run}: no texts were kept there, so there is nothing to grade again")
    questions = dict(questions_of(reader))
    described = plain_values(grader.describe())
    kinds = {q.answer_kind for q in questions.values()}
    graders = {kind: value for kind, value in described.items() if kind in kinds}
    opened = {ix for of in run_record.benchmarks.values() if of.thoughts_opened for ix in of.question_ixs}
    source = RegradedFrom(run_id=run_record.run_id, folder=run.absolute().name)
    run_id = f"{plain_name(into)}-{run_record.run_id[-8:]}"
    now = replace(
        run_record, run_id=run_id, graders=graders, second_grader=described.get("second"), regraded_from=source,
        status=RunStatus.running,
    )  # fmt: skip
    with RunWriter(into) as writer:
        _begin(writer, reader, now)
        done = {file.step for table in PER_STEP for file in RunReader(into).files(table)}
        for step in sorted({file.step for table in PER_STEP for file in reader.files(table)} - done):
            _regrade_step(reader, writer, step, questions, opened, grader)
            writer.commit(step)
        checkpoints = _plain(reader.read("checkpoints"))
        if len(checkpoints):
            writer.write_whole("checkpoints", checkpoints.assign(path=None))  # the weights stay where they are
        if run_record.kind is RunKind.eval:
            writer.write_whole("scores", score_run(into))
        writer.update_run(status=run_record.status or RunStatus.done)
    return _compared(reader, RunReader(into))


def _begin(writer: RunWriter, reader: RunReader, now: RunRecord) -> None:
    """Lay the new run, or go on with it where an earlier command stopped."""
    if writer.is_new:
        demonstrations = reader.read("demonstrations")
        writer.start(
            now,
            config_toml=reader.config_toml,
            questions=reader.read("questions").astype(object),
            demonstrations=demonstrations.astype(object) if len(demonstrations) else None,
        )
    elif writer.run.regraded_from != now.regraded_from or writer.run.graders != now.graders:
        raise InputError(f"{writer.folder}: holds another run: choose another folder for --into")
    else:
        writer.roll_back(writer.committed_step)


def _regrade_step(
    reader: RunReader,
    writer: RunWriter,
    step: int,
    questions: Mapping[int, Question],
    opened: set[int],
    grader: Grader,
) -> None:
    """Write every table of one step, with new verdicts where there are texts."""
    exposures = {
        (file.origin, file.draw, file.part): rows.to_pandas().set_index("question_ix")
        for file, rows in reader.iter_tables("trajectories", steps=[step])
    }
    for table in PER_STEP:
        if table == "trajectories":
            continue  # made from the attempts below
        for file, rows in reader.iter_tables(table, steps=[step]):
            frame = _plain(rows.to_pandas())
            where: dict[str, Any] = {"step": step, "origin": file.origin, "draw": file.draw, "part": file.part}
            if table == "attempts":
                frame = _judged(frame, _texts(reader, file), questions, opened, grader)
                known = exposures.get((file.origin, file.draw, file.part))
                if known is not None:
                    rl, sft, waits = (known[n].to_dict() for n in ("rl_exposures", "sft_exposures", "in_buffer"))
                    rows_Q = trajectories_of(frame, rl_exposures=rl, sft_exposures=sft, in_buffer=waits)
                    writer.write("trajectories", rows_Q, **where)
            writer.write(table, frame, **where)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Python objects with None for what is missing, without the old run's id."""
    frame = frame.drop(columns="run_id", errors="ignore").astype(object)
    return frame.where(frame.notna(), None)


def _judged(
    frame: pd.DataFrame,
    texts: pd.Series | None,
    questions: Mapping[int, Question],
    opened: set[int],
    grader: Grader,
) -> pd.DataFrame:
    """The attempts with new verdicts, rules, answers and, outside of training, rewards."""
    rows = np.flatnonzero(frame["response_id"].notna().to_numpy()) if texts is not None else np.zeros(0, int)
    if texts is None or not len(rows):
        return frame
    submissions = [
        _submission(questions[ix], texts[response_id], finish, opened=ix in opened)
        for ix, response_id, finish in frame.iloc[rows][["question_ix", "response_id", "finish"]].itertuples(
            index=False
        )
    ]
    judgements = grader.judge(submissions)
    agrees = grader.agrees(submissions, judgements)
    frame = frame.copy()
    new: dict[str, list[Any]] = {
        "verdict": [str(j.verdict) for j in judgements],
        "verdict_rule": [j.rule for j in judgements],
        "answer": [j.answer for j in judgements],
        "grader_agrees": agrees,
    }
    if not (frame["origin"] == str(Origin.rollout)).any():
        new["reward"] = [reward_of(j.verdict) for j in judgements]
    for name, values in new.items():
        frame[name] = _set(frame[name], rows, values)
    return frame


def _set(column: pd.Series, rows: np.ndarray, values: list[Any]) -> list[Any]:
    found = column.tolist()
    for row, value in zip(rows, values, strict=True):
        found[row] = value
    return found


def _submission(question: Question, text: str, finish: str, *, opened: bool) -> Submission:
    return Submission(
        question.answer, text, Finish(finish), kind=question.answer_kind, options=question.options, opened=opened
    )


def _texts(reader: RunReader, file: TableFile) -> pd.Series | None:
    """Texts by response_id of the responses file with this file's name; None if there is none."""
    for other, rows in reader.iter_tables(
        "responses", columns=["response_id", "text"], origin=file.origin, draws=[file.draw or 0], steps=[file.step]
    ):
        if other.part == file.part:
            frame = rows.to_pandas()
            return frame.set_index("response_id")["text"]
    return None


def _compared(before: RunReader, after: RunReader) -> Regraded:
    """Count what changed, file by file."""
    changes: Counter[tuple[str, str, str, str]] = Counter()
    answers = without = 0
    columns = ["question_ix", "attempt", "verdict", "verdict_rule", "response_id"]
    new = {file.path.name: file for file in after.files("attempts")}
    for file, rows in before.iter_tables("attempts", columns=columns):
        old = rows.to_pandas()
        there = new[file.path.name]
        same = after.iter_tables(
            "attempts", columns=columns, origin=there.origin, draws=[there.draw or 0], steps=[there.step]
        )
        now = next(table.to_pandas() for other, table in same if other.part == there.part)
        answers += len(old)
        without += int(old["response_id"].isna().sum())
        pairs = zip(*(f[n].astype(str) for f in (old, now) for n in ("verdict", "verdict_rule")), strict=True)
        changes.update((a, b, c, d) for a, b, c, d in pairs if (a, b) != (c, d))
    table = pd.DataFrame(
        [(*change, n) for change, n in changes.most_common()],
        columns=["verdict_before", "rule_before", "verdict_after", "rule_after", "answers"],
    )
    return Regraded(after.folder, answers, without, table)


def run_regrade(run: Path, into: Path, *, grader: str | None, second: str | None) -> None:
    """Regrade with the run's own grader, or another, and print what changed."""
    protocol = RunReader(run).run.protocol
    pairs = [pair for pair in protocol.get("thinking") or () if isinstance(pair, list) and len(pair) == 2]
    tags = tuple((str(opening), str(closing)) for opening, closing in pairs) or THINKING_TAGS
    with Grader(grader=grader or str(protocol.get("grader", "relift")), second=second, tags=tags) as judge:
        done = regrade(run, into, grader=judge)
    changed = int(done.changes["answers"].sum())
    flipped = done.changes[done.changes["verdict_before"] != done.changes["verdict_after"]]
    n_flipped = int(flipped["answers"].sum())
    print(f"{done.answers:,} answers, {changed:,} with another verdict or rule, {n_flipped:,} with another verdict")
    if done.without_text:
        print(f"{done.without_text:,} answers have no text and keep their verdicts")
    if changed:
        print(done.changes.to_string(index=False))
    print(f"regraded: {done.folder}")
