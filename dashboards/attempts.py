"""Read, filter and sort every attempt of a run at a step, with the text of its answer.

A filter is its query parameters, as that of the questions: whoever has the address has the list.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relift.analysis.training.text_signs import SIGNS, text_signs
from relift.dashboards.kept import kept
from relift.dashboards.runs import RunInfo, questions_of
from relift.errors import InputError
from relift.store import RunReader

COLUMNS = ("step", "draw", "question_ix", "attempt", "verdict", "verdict_rule", "finish", "n_tokens", "answer")
MANY = 100_000  # attempts of a run at a step whose texts are looked through at once
VERDICTS = ("correct", "wrong", "undecided")
MARKS = {
    "cut off": "reached the limit of tokens",
    "no answer": "names no final answer",
    **SIGNS,
}
SORTS = {
    "order of the data": ("", True),
    "longest": ("n_tokens", False),
    "shortest": ("n_tokens", True),
    "most repetitive": ("compression", False),
}  # as an address says it: column, ascending


@dataclass(frozen=True)
class AttemptFilter:
    """Say which attempts are asked for; empty: no restriction. `find` is looked for in texts, with `regex` by RE2."""

    verdict: tuple[str, ...] = ()
    mark: tuple[str, ...] = ()
    rule: tuple[str, ...] = ()
    find: str = ""
    regex: bool = False
    answer: str = ""
    question: str = ""
    sort: str = "order of the data"


@kept(8, spinner="Reading the answers")
def attempts_of(run: RunInfo, step: int) -> pd.DataFrame:
    """Read every attempt of a run at a step, a row each, with its text where it was kept and there are at most MANY.

    Columns: run, COLUMNS, question_id, split, gold, problem, text, and of `text_signs`. StoreError if a file is
    damaged.
    """
    reader = RunReader(run.folder)
    rows = reader.read("attempts", columns=list(COLUMNS), origin=run.origin, steps=[step])
    asked = questions_of(run)
    of_row = np.searchsorted(asked["question_ix"].to_numpy(), rows["question_ix"].to_numpy())
    for name, column in (
        ("question_id", "question_id"),
        ("split", "split"),
        ("gold", "answer"),
        ("problem", "problem"),
    ):
        rows[name] = asked[column].astype(object).to_numpy()[of_row]
    texts = pd.Series(None, index=rows.index, dtype=object)
    if len(rows) <= MANY:
        keys = ["draw", "question_ix", "attempt"]
        kept_texts = reader.read("responses", columns=[*keys, "text"], origin=run.origin, steps=[step])
        joined = rows[keys].merge(kept_texts, on=keys, how="left", validate="one_to_one")
        texts = joined["text"].astype(object).where(joined["text"].notna(), None)
    signs = text_signs(texts.tolist(), rows["problem"].tolist())
    wordy = {name: rows[name].astype(object) for name in ("verdict", "verdict_rule", "finish", "answer")}
    return rows.assign(**wordy, text=texts, run=run.name).join(signs)


def marked(frame: pd.DataFrame, mark: str) -> NDArray[np.bool_]:
    """Tell which attempts bear a mark of MARKS."""
    if mark == "cut off":
        return np.asarray(frame["finish"] == "length")
    if mark == "no answer":
        return frame["answer"].isna().to_numpy()
    return frame[mark].map(bool).to_numpy(bool)  # null is not known, so not marked


def select(frame: pd.DataFrame, wanted: AttemptFilter) -> pd.DataFrame:
    """Keep the attempts that the filter asks for, in its order. InputError where the pattern is none."""
    keep = np.ones(len(frame), bool)
    if wanted.verdict:
        keep &= frame["verdict"].isin(wanted.verdict).to_numpy()
    if wanted.rule:
        keep &= frame["verdict_rule"].isin(wanted.rule).to_numpy()
    for mark in wanted.mark:
        keep &= marked(frame, mark)
    if wanted.answer:
        keep &= (frame["answer"] == wanted.answer).to_numpy()
    if wanted.question:
        keep &= frame["question_id"].str.startswith(wanted.question).to_numpy()
    if wanted.find:
        keep &= _holding(frame, wanted.find, regex=wanted.regex)
    rows = frame[keep]
    column, ascending = SORTS[wanted.sort]
    return rows.sort_values(column, ascending=ascending, kind="stable") if column else rows


def _holding(frame: pd.DataFrame, text: str, *, regex: bool) -> NDArray[np.bool_]:
    """Tell which texts hold a text, or a match of a pattern, letters of either case.

    Patterns are RE2's, whose time is linear in the text: an address that somebody sends cannot stop the server.
    """
    texts = pa.array(frame["text"].tolist(), pa.string())
    match = pc.match_substring_regex if regex else pc.match_substring
    try:
        found = match(texts, pattern=text, ignore_case=True)
    except pa.ArrowInvalid as error:
        raise InputError(f"no pattern of RE2: {str(error).splitlines()[0]}") from None
    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), bool)  # noqa: FBT003
