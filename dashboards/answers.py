"""Answers to one question, read when they are looked at: attempts with their texts, events, the demonstration."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from relift.analysis.one_question import question_trajectory
from relift.analysis.read import open_runs
from relift.dashboards.origins import cube_of
from relift.dashboards.runs import Choice, RunInfo, questions_of
from relift.store import RunReader

COLUMNS = (
    "verdict", "verdict_rule", "finish", "n_tokens", "answer", "sum_logprob", "mean_entropy", "decoding_id",
    "grader_agrees", "seed", "response_id",
)  # fmt: skip
KEPT = 2_000  # answers of a question at a step, kept for all sessions
MAX_PIECES = 4_000  # words and signs that are compared one by one


def question_ix(run: RunInfo, question_id: str) -> int | None:
    """The question's index in the run, None if the run does not have it."""
    row = _row_of(run, question_id)
    return None if row is None else int(questions_of(run)["question_ix"].iloc[row])


def question_row(choice: Choice, question_id: str) -> dict[str, Any] | None:
    """The row of `questions` of the first run that has it; None if none does."""
    for run in choice.runs:
        row = _row_of(run, question_id)
        if row is not None:
            return {str(k): v for k, v in questions_of(run).iloc[row].to_dict().items()}
    return None


def _row_of(run: RunInfo, question_id: str) -> int | None:
    return _places(str(run.folder), run.run_id, run.n_questions, run).get(question_id)


@st.cache_resource(max_entries=16, show_spinner=False)
def _places(folder: str, run_id: str, n: int, _run: RunInfo) -> dict[str, int]:  # noqa: ARG001
    return {str(q): i for i, q in enumerate(questions_of(_run)["question_id"])}


def counts_of_question(choice: Choice, question_id: str) -> pd.DataFrame:
    """Counts of one question, a row per run, draw and probe, from the cubes: run_id, run, draw, step, n_correct,
    n_decided."""
    parts = []
    for run in choice.runs:
        at = _row_of(run, question_id)
        if at is None or not run.probe_steps:
            continue
        for draw in (0, 1) if 1 in run.base_draws else (0,):
            counts = cube_of(run, draw=draw)
            n_decided_T = counts.n_decided_QT[at].astype(int)
            measured = n_decided_T > 0
            columns = {"step": counts.step_T, "n_correct": counts.n_correct_QT[at].astype(int)}
            own = {name: column[measured] for name, column in columns.items()}
            own["n_decided"] = n_decided_T[measured]
            parts.append(pd.DataFrame({"run_id": run.run_id, "run": run.name, "draw": draw, **own}))
    names = ["run_id", "run", "draw", "step", "n_correct", "n_decided"]
    return pd.concat(parts, ignore_index=True)[names] if parts else pd.DataFrame(columns=names)


def trajectory_of_question(choice: Choice, question_id: str) -> pd.DataFrame:
    """Rate of the question with its interval by run and step (of `question_trajectory`); empty if it was not probed."""
    return question_trajectory(counts_of_question(choice, question_id))


def attempts_at(run: RunInfo, question_id: str, steps: Sequence[int]) -> pd.DataFrame:
    """Every attempt at the question at these steps: step, draw, attempt, verdict, answer, n_tokens. Not to be changed.

    In order of step, draw and attempt. One look into each step's file. StoreError if one is damaged.
    """
    ix = question_ix(run, question_id)
    marks = _marks(run, max(steps, default=0))
    return _attempts(str(run.folder), run.run_id, ix, tuple(steps), marks, run.origin)


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _attempts(
    folder: str,
    run_id: str,  # noqa: ARG001  a new run in the same folder is another
    ix: int | None,  # None: the run does not have the question
    steps: tuple[int, ...],
    marks: tuple[Any, ...],  # noqa: ARG001
    origin: str,
) -> pd.DataFrame:
    (reader,) = open_runs([folder])
    names = ["step", "draw", "attempt", "verdict", "answer", "n_tokens"]
    asked = [] if ix is None else [ix]
    rows = reader.read("attempts", columns=names, origin=origin, steps=steps, question_ixs=asked)
    rows["verdict"] = rows["verdict"].astype(object)
    return rows.sort_values(names[:3], kind="stable", ignore_index=True)


def answers(run: RunInfo, question_id: str, step: int) -> pd.DataFrame:
    """Every attempt at the question at a step, with `text` (null where it was not kept). Not to be changed.

    Columns: draw, attempt, step, COLUMNS, text; in order of draw and attempt. StoreError if a file is damaged.
    """
    ix = question_ix(run, question_id)
    return _answers(str(run.folder), run.run_id, ix, step, _marks(run, step), run.origin)


def _marks(run: RunInfo, step: int) -> tuple[Any, ...]:
    """What changes when a step is written again, or while it is the newest of a run that goes on."""
    return () if step < (run.probe_steps[-1] if run.probe_steps else 0) else run.fingerprint


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _answers(
    folder: str,
    run_id: str,  # noqa: ARG001
    ix: int | None,
    step: int,
    marks: tuple[Any, ...],  # noqa: ARG001
    origin: str,
) -> pd.DataFrame:
    (reader,) = open_runs([folder])
    names, asked = ["draw", "attempt", "step", *COLUMNS], [] if ix is None else [ix]
    rows = reader.read("attempts", columns=names, origin=origin, steps=[step], question_ixs=asked)
    kept = reader.read(
        "responses", columns=["draw", "attempt", "text"], origin=origin, steps=[step], question_ixs=asked
    )
    text_of = {(draw, attempt): text for draw, attempt, text in kept.itertuples(index=False)}
    texts = [text_of.get(place) for place in zip(rows["draw"], rows["attempt"], strict=True)]
    words = dict.fromkeys(("verdict", "verdict_rule", "finish", "decoding_id"), object)
    found = rows.astype({**words, "draw": int}).assign(text=pd.Series(texts, index=rows.index, dtype=object))
    return found.sort_values(["draw", "attempt"], kind="stable", ignore_index=True)


def events_of_question(choice: Choice, question_id: str) -> pd.DataFrame:
    """What happened to the question's demonstration: run, step, event, reason, age_steps, n_correct, n_attempts."""
    frames = []
    for run in choice.runs:
        ix = question_ix(run, question_id)
        if ix is not None:
            events = _events(str(run.folder), run.fingerprint)
            own = events[(events["question_ix"] == ix).to_numpy()]
            frames.append(own.assign(run=run.name).drop(columns="question_ix"))
    names = ["run", "step", "event", "reason", "age_steps", "n_correct", "n_attempts"]
    if not frames:
        return pd.DataFrame(columns=names)
    return pd.concat(frames, ignore_index=True)[names]


@st.cache_resource(max_entries=16, show_spinner=False)
def _events(folder: str, marks: tuple[int, ...]) -> pd.DataFrame:  # noqa: ARG001
    from pathlib import Path

    names = ["question_ix", "step", "event", "reason", "age_steps", "n_correct", "n_attempts"]
    events = RunReader(Path(folder)).read("demo_events", columns=names)
    return events.astype({"event": object, "reason": object})


def demonstrations(choice: Choice, question_id: str) -> pd.DataFrame:
    """The question's demonstrations: demo_id, source, text, n_tokens, verified, accepted, reject_reason, runs."""
    found: dict[str, dict[str, Any]] = {}
    for run in choice.runs:
        ix = question_ix(run, question_id)
        if ix is None:
            continue
        rows = _demonstrations(str(run.folder), run.run_id, run.n_questions)
        for row in rows[(rows["question_ix"] == ix).to_numpy()].to_dict("records"):
            found.setdefault(str(row["demo_id"]), {**row, "runs": []})["runs"].append(run.name)
    names = ["demo_id", "source", "text", "n_tokens", "verified", "accepted", "reject_reason", "runs"]
    return pd.DataFrame(list(found.values()), columns=names)


@st.cache_resource(max_entries=16, show_spinner=False)
def _demonstrations(folder: str, run_id: str, n: int) -> pd.DataFrame:  # noqa: ARG001
    from pathlib import Path

    names = ["demo_id", "question_ix", "source", "text", "n_tokens", "verified", "accepted", "reject_reason"]
    rows = RunReader(Path(folder)).read("demonstrations", columns=names)
    return rows.astype({"source": object, "reject_reason": object})


Piece = tuple[str, bool]  # a stretch of text, and whether the other text has it there


def text_difference(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in stretches, each marked whether it stands in the other one too, word by word and sign by sign.

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
    """Rows as plain values, null for what is not known: for JSON."""
    records: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return records
