"""Choose and show two answers to one question beside each other, and what differs between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from relift.analysis.questions.one_question import typical_attempt
from relift.dashboards.answers import answers, text_difference
from relift.dashboards.model_text import LIMIT, escape_text, show_text
from relift.dashboards.runs import RunInfo
from relift.dashboards.widgets import plain
from relift.errors import ReliftError

MARKS = {"correct": "✓", "wrong": "✗", "undecided": "?"}
BADGES = {"correct": "green", "wrong": "red", "undecided": "gray"}
FEW = 40  # attempts that fit into a row of buttons
COMPARED = 6_000  # characters of a text that differences are looked for in


@dataclass(frozen=True)
class Side:
    """Hold one text with a line that says what it is. `text` null: not kept. `record`: for JSON."""

    heading: str
    text: str | None
    record: dict[str, Any]


def steps_of(trajectory: pd.DataFrame, run: RunInfo) -> list[int]:
    """List the steps at which the question was probed in a run."""
    pairs = zip(trajectory["run"].tolist(), trajectory["step"].tolist(), strict=True)  # a few: no need for masks
    return sorted({int(step) for name, step in pairs if name == run.name})


def choose_side(
    runs: Sequence[RunInfo],
    trajectory: pd.DataFrame,
    question_id: str,
    *,
    run: RunInfo,
    step: int,
    prefer: str,
    key: str,
) -> Side | None:
    """Choose run, step and attempt, with these to begin with; return the answer. None if there is no attempt."""
    names = [one.name for one in runs]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(names) > 1:
            name = st.selectbox("Run", names, index=names.index(run.name), key=f"{key}-run", width=180)
            run = next(one for one in runs if one.name == name)
        steps = steps_of(trajectory, run)
        if not steps:
            st.caption(f"{plain(run.name)} was not probed on this question.")
            return None
        begin = min(steps, key=lambda one: abs(one - step))
        at = st.selectbox("Step", steps, index=steps.index(begin), key=f"{key}-step-{run.run_id}", width=110)
    try:
        found = answers(run, question_id, int(at))
    except ReliftError as error:
        st.error(plain(error), icon=":material/error:")
        return None
    if found.empty:
        st.caption("No attempt was recorded here.")
        return None
    first = typical_attempt(found, prefer=prefer) or 0
    labels = [f"{i + 1} {MARKS.get(str(verdict), '?')}" for i, verdict in enumerate(found["verdict"])]
    place = f"{key}-attempt-{run.run_id}-{at}"
    if len(labels) <= FEW:
        label = st.pills("Attempt", labels, default=labels[first], key=place, label_visibility="collapsed")
    else:
        label = st.selectbox("Attempt", labels, index=first, key=place)
    row = found.iloc[labels.index(label) if label in labels else first]
    return side_of(run, row)


def side_of(run: RunInfo, row: pd.Series) -> Side:
    """Make one attempt a side."""
    verdict = str(row["verdict"])
    parts = [f":{BADGES.get(verdict, 'gray')}-badge[{MARKS.get(verdict, '?')} {plain(verdict)}]"]
    parts.append(f"{plain(run.name)}, step {int(row['step'])}")
    if pd.notna(row["answer"]):
        parts.append(f"final answer **{plain(str(row['answer'])[:80]) or '(empty)'}**")
    else:
        parts.append("no final answer")
    parts.append(f"{int(row['n_tokens'])} tokens" if pd.notna(row["n_tokens"]) else "length not known")
    if row["finish"] == "length":
        parts.append("cut off at the limit")
    parts.append(f"rule {plain(row['verdict_rule'])}")
    text = row["text"] if isinstance(row["text"], str) else None
    record: dict[str, Any] = {"run": run.name, "run_id": run.run_id}
    record |= {str(k): None if pd.isna(v) else getattr(v, "item", lambda v=v: v)() for k, v in row.items()}
    return Side(" · ".join(parts), text, record)


def demonstration_side(row: pd.Series) -> Side:
    """Make one demonstration a side."""
    state = "accepted" if row["accepted"] else f"not accepted: {plain(row['reject_reason'])}"
    heading = f":violet-badge[demonstration] {plain(row['source'])} · {int(row['n_tokens'])} tokens · {state}"
    record = {name: row[name] for name in ("demo_id", "source", "text")}
    return Side(heading, str(row["text"]), record)


def show_side(side: Side, *, rendered: bool, key: str) -> None:
    """Show a side's line and its text."""
    st.markdown(side.heading)
    show_text(
        side.text, rendered=rendered, key=key,
        empty="The text of this answer was not kept: [record] responses decides which are.",
    )  # fmt: skip


def show_difference(one: Side, other: Side) -> None:
    """Show both texts with what the other one lacks marked."""
    if one.text is None or other.text is None:
        return
    if one.text == other.text:
        st.caption("The two texts are the same, sign by sign.")
        return
    cut = max(len(one.text), len(other.text)) > COMPARED
    with st.expander("What differs", expanded=max(len(one.text), len(other.text)) <= 1500):
        if cut:
            st.caption(f"Of the first {COMPARED:,} characters of each.")
        marked = text_difference(one.text[:COMPARED], other.text[:COMPARED])
        for column, pieces, colour in zip(st.columns(2), marked, ("orange", "green"), strict=True):
            column.markdown(difference_markdown(pieces, colour=colour))


def difference_markdown(pieces: Sequence[tuple[str, bool]], *, colour: str) -> str:
    """Write text in which stretches that the other text lacks have a background; nothing of the text is a sign."""
    parts = []
    for text, same in pieces:
        if same:
            parts.append(escape_text(text))
            continue
        for i, line in enumerate(text.split("\n")):
            if i:
                parts.append("  \n")
            if line:
                shown = escape_text(line) if line.strip() else "&#160;" * len(line)
                parts.append(f":{colour}-background[{shown}]")
    return "".join(parts)[: 40 * LIMIT]
