"""Read the answers to one question when they are looked at: attempts with their texts, events, demonstrations."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from relift.analysis.questions.one_question import question_trajectory
from relift.analysis.runs.read import open_runs
from relift.dashboards.cubes import cube
from relift.dashboards.kept import kept
from relift.dashboards.runs import Choice, RunInfo, questions_of
from relift.store import RunReader

COLUMNS = (
    "verdict", "verdict_rule", "finish", "n_tokens", "answer", "sum_logprob", "mean_entropy", "decoding_id",
    "grader_agrees", "seed", "response_id",
)  # fmt: skip
KEPT = 2_000  # answers of a question at a step, kept for all sessions
MAX_PIECES = 4_000  # words and signs that are compared one by one


def question_ix(run: RunInfo, question_id: str) -> int | None:
    """Find the question's index in the run, None if the run does not have it."""
    place = _place_of(run, question_id)
    return None if place is None else place[1]


def question_row(choice: Choice, question_id: str) -> dict[str, Any] | None:
    """Read the row of `questions` of the first run that has it; None if none does."""
    for run in choice.runs:
        place = _place_of(run, question_id)
        if place is not None:
            return {str(k): v for k, v in questions_of(run).iloc[place[0]].to_dict().items()}
    return None


def _place_of(run: RunInfo, question_id: str) -> tuple[int, int] | None:
    """Return its row in the run's questions, and its question_ix."""
    return _places(run).get(question_id)


@kept(16, grows=False)
def _places(run: RunInfo) -> dict[str, tuple[int, int]]:
    rows = questions_of(run)
    ixs = rows["question_ix"].tolist()
    return {str(q): (i, ix) for i, (q, ix) in enumerate(zip(rows["question_id"], ixs, strict=True))}


def counts_of_question(choice: Choice, question_id: str) -> pd.DataFrame:
    """Collect the counts of one question, a row per run, draw and probe: run_id, run, draw, step, n_correct,
    n_decided."""
    rows: list[tuple[Any, ...]] = []
    for run in choice.runs:
        place = _place_of(run, question_id)
        if place is None or not run.probe_steps:
            continue
        for draw in (0, 1) if 1 in run.base_draws else (0,):
            counts = cube(run, draw=draw)
            n_correct_T, n_decided_T = (counts_QT[place[0]] for counts_QT in (counts.n_correct_QT, counts.n_decided_QT))
            for t in np.flatnonzero(n_decided_T):
                row = (run.run_id, run.name, draw, int(counts.step_T[t]), int(n_correct_T[t]), int(n_decided_T[t]))
                rows.append(row)
    names = ["run_id", "run", "draw", "step", "n_correct", "n_decided"]
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    whole = names[2:]
    return pd.DataFrame(
        {n: pd.Series(c, dtype="int64" if n in whole else object) for n, c in zip(names, columns, strict=True)}
    )


def trajectory_of_question(choice: Choice, question_id: str) -> pd.DataFrame:
    """Compute the question's rate with its interval by run and step (of `question_trajectory`); empty if not probed."""
    return question_trajectory(counts_of_question(choice, question_id))


@kept(KEPT)
def attempts_at(run: RunInfo, question_id: str, steps: Sequence[int]) -> pd.DataFrame:
    """Read every attempt at the question at these steps: step, draw, attempt, verdict, answer, n_tokens.

    In order of step, draw and attempt. One look into each step's file. StoreError if one is damaged.
    """
    names = ["step", "draw", "attempt", "verdict", "answer", "n_tokens"]
    return _frame(_rows(run, "attempts", names, question_ix(run, question_id), steps), names)


@kept(KEPT)
def answers(run: RunInfo, question_id: str, step: int) -> pd.DataFrame:
    """Read every attempt at the question at a step, with `text` (null where it was not kept).

    Columns: draw, attempt, step, COLUMNS, text; in order of draw and attempt. StoreError if a file is damaged.
    """
    ix, names = question_ix(run, question_id), ["draw", "attempt", "step", *COLUMNS]
    rows = _rows(run, "attempts", names, ix, (step,))
    with_text = _rows(run, "responses", ["step", "draw", "attempt", "text"], ix, (step,))
    text_of = {(row["draw"], row["attempt"]): row["text"] for row in with_text}
    for row in rows:
        row["text"] = text_of.get((row["draw"], row["attempt"]))
    return _frame(rows, [*names, "text"])


def _rows(run: RunInfo, table: str, names: Sequence[str], ix: int | None, steps: Sequence[int]) -> list[dict[str, Any]]:
    """Read the rows of one question (None: it is not in the run) in order of step, draw, attempt.

    They are few, and frames of so few take longer than reading them.
    """
    (reader,) = open_runs([run.folder])
    asked = [] if ix is None else [ix]
    tables = reader.iter_tables(table, columns=names, origin=run.origin, steps=steps, question_ixs=asked)
    rows = [row for _, rows in tables for row in rows.to_pylist()]
    return sorted(rows, key=lambda row: (row["step"], row["draw"], row["attempt"]))


def _frame(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> pd.DataFrame:
    """Put rows into a frame, null for null: numbers in columns of their own type, all else as objects."""
    types = {**dict.fromkeys(("step", "draw", "attempt", "seed"), "int64")}
    if all(row["n_tokens"] is not None for row in rows if "n_tokens" in row):
        types["n_tokens"] = "int64"  # else null somewhere: an imported run whose source tells no lengths
    else:
        types["n_tokens"] = "float64"
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=types.get(name, object)) for name in names})


def events_of_question(choice: Choice, question_id: str) -> pd.DataFrame:
    """List the events of the question's demonstration: run, step, event, reason, age_steps, n_correct, n_attempts."""
    frames = []
    for run in choice.runs:
        ix = question_ix(run, question_id)
        if ix is not None:
            events = _events(run)
            own = events[(events["question_ix"] == ix).to_numpy()]
            frames.append(own.assign(run=run.name).drop(columns="question_ix"))
    names = ["run", "step", "event", "reason", "age_steps", "n_correct", "n_attempts"]
    if not frames:
        return pd.DataFrame(columns=names)
    return pd.concat(frames, ignore_index=True)[names]


@kept(16)
def _events(run: RunInfo) -> pd.DataFrame:
    names = ["question_ix", "step", "event", "reason", "age_steps", "n_correct", "n_attempts"]
    events = RunReader(run.folder).read("demo_events", columns=names)
    return events.astype({"event": object, "reason": object})


def demonstrations(choice: Choice, question_id: str) -> pd.DataFrame:
    """List the question's demonstrations: demo_id, source, text, n_tokens, verified, accepted, reject_reason, runs."""
    found: dict[str, dict[str, Any]] = {}
    for run in choice.runs:
        ix = question_ix(run, question_id)
        if ix is None:
            continue
        rows = _demonstrations(run)
        for row in rows[(rows["question_ix"] == ix).to_numpy()].to_dict("records"):
            found.setdefault(str(row["demo_id"]), {**{str(k): v for k, v in row.items()}, "runs": []})["runs"].append(
                run.name
            )
    names = ["demo_id", "source", "text", "n_tokens", "verified", "accepted", "reject_reason", "runs"]
    return pd.DataFrame(list(found.values()), columns=names)


@kept(16, grows=False)
def _demonstrations(run: RunInfo) -> pd.DataFrame:
    names = ["demo_id", "question_ix", "source", "text", "n_tokens", "verified", "accepted", "reject_reason"]
    rows = RunReader(run.folder).read("demonstrations", columns=names)
    return rows.astype({"source": object, "reject_reason": object})


Piece = tuple[str, bool]  # a stretch of text, and whether the other text has it there


def text_difference(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """Split both texts into stretches, each marked whether it stands in the other one too, word by word.

    Joined again, the stretches give the texts. Of long texts lines are compared in place of words.
    """
    pieces: list[list[str]] = [_pieces(text) for text in (one, other)]
    if max(len(p) for p in pieces) > MAX_PIECES:
        pieces = [text.splitlines(keepends=True) for text in (one, other)]
    if max(len(p) for p in pieces) > MAX_PIECES:
        return [(one, one == other)], [(other, one == other)]
    marked: tuple[list[Piece], list[Piece]] = ([], [])
    matcher = difflib.SequenceMatcher(None, pieces[0], pieces[1], autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        for side, part in enumerate((pieces[0][i:i_end], pieces[1][j:j_end])):
            if part:
                marked[side].append(("".join(part), tag == "equal"))
    return marked


def _pieces(text: str) -> list[str]:
    return re.findall(r"\w+|\s+|[^\w\s]", text)


def as_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Convert rows to plain values for JSON, null for what is not known."""
    records: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return records
