"""Show one question, its accuracy in every run, and its answers. Shared by two pages."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from relift.analysis.questions.one_question import caption_question_trajectory, flip_of, plot_question_trajectory
from relift.dashboards.answers import (
    as_records,
    attempts_at,
    demonstrations,
    question_row,
)
from relift.dashboards.charts.questions import attempt_grid, trajectory
from relift.dashboards.exports import downloads
from relift.dashboards.frames import Ready
from relift.dashboards.model_text import show_text
from relift.dashboards.reading import (
    Side,
    choose_side,
    demonstration_side,
    show_difference,
    show_side,
    steps_of,
)
from relift.dashboards.runs import Choice, RunInfo
from relift.dashboards.sections import show_filled
from relift.dashboards.widgets import plain
from relift.errors import ReliftError

MODES = {"before and after": "flip", "two runs": "runs", "demonstration": "demo"}  # as an address says it
GRID_STEPS = 10  # probes in the grid at first: each is a file to look into


def show_head(choice: Choice, question_id: str, facts: dict[str, Any], *, rendered: bool, key: str) -> bool:
    """Show the problem with its gold answer and what is known of it. False, and said, if no run has the question."""
    row = question_row(choice, question_id)
    if row is None:
        st.warning(f"None of these runs has the question {plain(question_id[:64])}.", icon=":material/search:")
        return False
    show_text(str(row["problem"]), rendered=rendered, key=f"{key}-problem")
    if isinstance(row["options"], str):
        for letter, option in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", json.loads(row["options"]), strict=False):
            st.markdown(f"**{letter}** {plain(option)}")
    parts = [f"gold answer **{plain(row['answer'])}**"]
    parts += [plain(row[name]) for name in ("source", "split", "subject") if isinstance(row[name], str) and row[name]]
    if isinstance(row["level"], str):
        parts.append(f"level {plain(row['level'])}")
    if facts.get("band"):
        parts.append(f"band **{facts['band']}**")
    if facts.get("reach"):
        word = {"within": "within reach of the base model", "beyond": "beyond its reach"}
        parts.append(word.get(facts["reach"], "reach undetermined"))
    st.markdown(" · ".join(parts))
    return True


def show_trajectory(
    choice: Choice, question_id: str, frame: pd.DataFrame, events: pd.DataFrame, at: Sequence[tuple[str, int]]
) -> None:
    """Show the curve of the question in every run, its events below."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Trajectory", anchor=False)
        draw = partial(plot_question_trajectory, events=events)
        downloads(Ready("question", frame, draw=draw), about=question_id[:12])
    if frame.empty:
        st.info("This question was never probed in these runs.", icon=":material/inbox:")
        return
    shown = events[events["run"].isin([run.name for run in choice.runs])]
    show_filled(trajectory(frame, shown, at=at), alt="Share of attempts correct over steps by run")
    st.caption(plain(caption_question_trajectory(frame, events=bool(len(shown)))))


def before_and_after(frame: pd.DataFrame, run: RunInfo) -> tuple[int, int] | None:
    """Find the two probes between which the question moved most in a run; None where it has fewer than two."""
    own = sorted(
        (step, n_correct, n_decided)
        for name, step, n_correct, n_decided in zip(
            *(frame[column].tolist() for column in ("run", "step", "n_correct", "n_decided")), strict=True
        )
        if name == run.name
    )
    places = flip_of([row[1] for row in own], [row[2] for row in own])
    return None if places is None else (int(own[places[0]][0]), int(own[places[1]][0]))


def rose(frame: pd.DataFrame, run: RunInfo, steps: tuple[int, int]) -> bool:
    """Tell whether the question's rate is higher at the second of two steps."""
    rate = frame[frame["run"] == run.name].set_index("step")["rate"]
    return bool(rate[steps[1]] >= rate[steps[0]])


def pair_of_sides(
    choice: Choice, frame: pd.DataFrame, question_id: str, *, mode: str, run: RunInfo, other: RunInfo | None,
    step: int | None, key: str,
) -> list[Side | None]:  # fmt: skip
    """Choose the two texts of a mode, each with its selectors, in two columns; fewer where nothing is compared."""
    runs = [one for one in choice.runs if steps_of(frame, one)]
    steps = before_and_after(frame, run)
    own = steps_of(frame, run)
    up = rose(frame, run, steps) if steps else True
    first, last = ("wrong", "correct") if up else ("correct", "wrong")
    left, right = st.columns(2, gap="medium")
    sides: list[Side | None] = []
    if mode == "demo":
        with left:
            sides.append(_choose_demonstration(choice, question_id, key=key))
    elif mode == "runs" and other is not None:
        with left:
            begin = steps_of(frame, other)
            at = min(begin, key=lambda one: abs(one - step)) if step is not None else begin[-1]
            sides.append(_side(runs, frame, question_id, other, at, _worse(frame, other, run), f"{key}-a"))
    else:
        with left:
            begin_at = steps[0] if steps else own[0]
            sides.append(_side(runs, frame, question_id, run, begin_at, first, f"{key}-a"))
    if mode == "flip" and steps is None and len(runs) < 2:
        return sides
    end = step if step is not None else (steps[1] if steps and mode == "flip" else own[-1])
    prefer = _worse(frame, run, other) if mode == "runs" and other is not None else last
    with right:
        sides.append(_side(runs, frame, question_id, run, end, prefer, f"{key}-b-{step}"))
    return sides


def _side(
    runs: list[RunInfo], frame: pd.DataFrame, question_id: str, run: RunInfo, step: int, prefer: str, key: str
) -> Side | None:
    return choose_side(runs, frame, question_id, run=run, step=step, prefer=prefer, key=f"{key}-{run.run_id}-{step}")


def _worse(frame: pd.DataFrame, one: RunInfo, other: RunInfo) -> str:
    """Choose the verdict to read first of a run beside another: wrong where it ends below."""
    ends = [frame.loc[frame["run"] == run.name].sort_values("step")["rate"].to_numpy(float) for run in (one, other)]
    lower = all(len(end) for end in ends) and ends[0][-1] < ends[1][-1]
    return "wrong" if lower else "correct"


def _choose_demonstration(choice: Choice, question_id: str, *, key: str) -> Side | None:
    rows = demonstrations(choice, question_id)
    if rows.empty:
        st.info("No run has a demonstration of this question.", icon=":material/inbox:")
        return None
    if len(rows) > 1:
        at = st.selectbox("Demonstration", range(len(rows)), format_func=lambda i: f"{i + 1}", key=f"{key}-demo")
        return demonstration_side(rows.iloc[at])
    return demonstration_side(rows.iloc[0])


def show_sides(sides: Sequence[Side | None], *, rendered: bool, key: str) -> None:
    """Show the texts beside each other, then what differs."""
    columns = st.columns(2, gap="medium")
    for i, (column, side) in enumerate(zip(columns, sides, strict=False)):
        if side is not None:
            with column:
                show_side(side, rendered=rendered, key=f"{key}-{i}")
    if len(sides) == 2 and sides[0] is not None and sides[1] is not None:
        show_difference(sides[0], sides[1])


def grid_of(run: RunInfo, question_id: str, steps: Sequence[int]) -> pd.DataFrame:
    """Read every attempt of a run at these steps: step, slot (from 1 at each step), verdict, answer, n_tokens."""
    found = attempts_at(run, question_id, steps)
    at: Counter[int] = Counter()
    slots = []
    for step in found["step"].tolist():
        at[step] += 1
        slots.append(at[step])
    return found[["step", "verdict", "answer", "n_tokens"]].assign(slot=slots)


def show_grid(run: RunInfo, frame: pd.DataFrame, question_id: str, *, key: str) -> tuple[int, int] | None:
    """Show the grid of a run's attempts; return (step, slot) of the square that was clicked."""
    steps = steps_of(frame, run)
    st.subheader(f"Every attempt of {plain(run.name)}", anchor=False)
    every = len(steps) <= GRID_STEPS or st.toggle(f"All {len(steps)} probes", key=f"{key}-every")
    if not every:
        flip = before_and_after(frame, run) or ()
        places = np.unique(np.linspace(0, len(steps) - 1, GRID_STEPS - 2).round().astype(int))
        steps = sorted({*(steps[i] for i in places), *flip})
    try:
        rows = grid_of(run, question_id, steps)
    except ReliftError as error:
        st.error(plain(error), icon=":material/error:")
        return None
    if rows.empty:
        st.info("No attempt was recorded.", icon=":material/inbox:")
        return None
    shown = rows.assign(answer=[str(a)[:60] if isinstance(a, str) else "none" for a in rows["answer"]])
    event: Any = show_filled(attempt_grid(shown), key=f"{key}-grid", alt="Attempts by step, coloured by verdict")
    st.caption("Each field is one attempt; click one to read it below on the right. Draws of step 0 follow each other.")
    picked: Any = (event or {}).get("selection", {}).get("attempt") or []
    return (int(picked[0]["step"]), int(picked[0]["slot"])) if picked else None


def show_json(
    question_id: str, row: dict[str, Any], frame: pd.DataFrame, events: pd.DataFrame, sides: Sequence[Side | None]
) -> None:
    """Show the question and its texts as JSON to copy or to take away; made when it is opened."""
    with st.expander("Copy as JSON", key=f"json-{question_id}", on_change="rerun") as place:
        if not place.open:
            return
        about: dict[str, Any] = {name: row[name] for name in ("problem", "answer", "source", "split") if name in row}
        body: dict[str, Any] = {
            "question_id": question_id,
            **about,
            "trajectory": as_records(frame), "events": as_records(events),
            "texts": [side.record for side in sides if side is not None],
        }  # fmt: skip
        text = json.dumps(body, ensure_ascii=False, indent=1, default=str)
        st.code(text, language="json", height=300)
        st.download_button(
            "JSON", text.encode(), file_name=f"relift-question-{question_id[:12]}.json", mime="application/json",
            key=f"get-json-{question_id}", on_click="ignore",
        )  # fmt: skip
