"""Show page Question: one question in every run, its events, its answers beside each other."""

from __future__ import annotations

from urllib.parse import parse_qs

import pandas as pd
import streamlit as st

from relift.dashboards.answers import (
    answers,
    counts_of_question,
    events_of_question,
    question_row,
    trajectory_of_question,
)
from relift.dashboards.origins import NAMES, NOTE, ORIGINS, able_origins, choose_origin, of_origin
from relift.dashboards.question_filter import Filter, facts, listed_ids, shape_run
from relift.dashboards.question_widgets import (
    MODES,
    before_and_after,
    pair_of_sides,
    show_grid,
    show_head,
    show_json,
    show_sides,
    show_trajectory,
)
from relift.dashboards.reading import side_of, steps_of
from relift.dashboards.runs import Choice, RunInfo
from relift.dashboards.widgets import choose_runs, link, plain, start_page


def _origin(choice: Choice, question_id: str) -> str:
    """Choose the attempts to look at: of the origins that the question has, else the one that the address asks for."""
    possible = able_origins(choice)
    if not possible:
        return "probe"
    asked = ORIGINS.get(st.query_params.get("origin", ""), ORIGINS[possible[0]])
    if not question_id or len(possible) < 2:
        return asked if len(possible) > 1 else ORIGINS[possible[0]]
    able = [name for name in possible if len(counts_of_question(of_origin(choice, ORIGINS[name]), question_id))]
    return choose_origin("Attempts when it was", able) or asked


class _Parsed(dict[str, list[str]]):
    """Hold the parameters of a list as they stand in an address."""

    def get_all(self, key: str) -> list[str]:
        return self.get(key, [])


def show() -> None:
    """Show the whole page."""
    start_page("question")
    choice = choose_runs(splits=False)
    if choice is None:
        return
    origin = _origin(choice, st.query_params.get("q", ""))
    choice = of_origin(choice, origin)
    wanted = Filter.of(_Parsed(parse_qs(st.query_params.get("within", "")[:4000])))
    by_shape = shape_run(choice, wanted.shape)
    ids, place_of = ([], {}) if by_shape is None else listed_ids(choice, by_shape, wanted)
    question_id = st.query_params.get("q", "") or (ids[0] if ids else "")
    if not question_id:
        st.info("No question was chosen: find one on the Questions page.", icon=":material/search:")
        link("questions", "Questions", icon=":material/search:")
        return
    rendered = _bar(ids, place_of.get(question_id), wanted, choice)
    known = _facts_of(choice, by_shape, question_id)
    frame = trajectory_of_question(choice, question_id)
    events = events_of_question(choice, question_id)
    if not show_head(choice, question_id, known, rendered=rendered, key=f"head-{question_id}"):
        return
    if frame.empty:
        st.info(
            "This question was never probed in these runs, so there are no answers to show.", icon=":material/inbox:"
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        run, other, mode = _what_to_read([one for one in choice.runs if steps_of(frame, one)], by_shape)
        step = _step(frame, run, mode)
    left, right = st.columns([7, 5], gap="medium")
    with left:
        show_trajectory(choice, question_id, frame, events, _places(frame, run, other, mode, step))
        if origin == "rollout":
            st.caption(NOTE)
    with right:
        picked = show_grid(run, frame, question_id, key=f"grid-{question_id}-{run.run_id}")
    key = f"read-{question_id}-{mode}-{run.run_id}-{other.run_id if other else ''}"
    st.subheader(_heading(mode, run, other), anchor=False)
    sides = pair_of_sides(choice, frame, question_id, mode=mode, run=run, other=other, step=step, key=key)
    if picked is not None:
        found = answers(run, question_id, picked[0])
        if 0 < picked[1] <= len(found):
            sides = [*sides[:1], side_of(run, found.iloc[picked[1] - 1])]
            st.caption("On the right: the attempt clicked in the grid. Click beside the fields to let it go.")
    show_sides(sides, rendered=rendered, key=key)
    show_json(question_id, question_row(choice, question_id) or {}, frame, events, sides)


def _facts_of(choice: Choice, run: RunInfo | None, question_id: str) -> dict[str, object]:
    if run is None:
        return {}
    known = facts(choice, run)
    row = known.row_of.get(question_id)
    return {} if row is None else {str(k): v for k, v in known.frame.iloc[row].items()}


def _go(question_id: str) -> None:
    st.query_params["q"] = question_id
    if "step" in st.query_params:
        del st.query_params["step"]


def _to_step(step: int) -> None:
    st.query_params["step"] = str(step)


def _bar(ids: list[str], at: int | None, wanted: Filter, choice: Choice) -> bool:
    """Show next and previous of the list, raw or rendered; return whether mathematics is rendered."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        before = ids[at - 1] if at else None
        after = ids[at + 1] if at is not None and at + 1 < len(ids) else None
        st.button("Previous", shortcut="P", on_click=_go, args=(before,), disabled=before is None)
        st.button("Next", shortcut="N", on_click=_go, args=(after,), disabled=after is None)
        rendered = bool(st.session_state.get("maths"))
        st.button("Raw text" if rendered else "Render maths", shortcut="M", on_click=_switch_maths)
        if at is not None:
            what = "in the filtered list" if wanted.restricts else "questions"
            st.markdown(f"**{at + 1:,}** of {len(ids):,} {what}")
        elif ids:
            st.markdown("Not in the filtered list.")
        link(
            "questions", "Back to the list", icon=":material/arrow_back:", **wanted.parameters(),
            run=[run.name for run in choice.runs] if len(choice.runs) > 1 else None,
            origin=NAMES[choice.runs[0].origin] if choice.runs and choice.runs[0].origin != "probe" else None,
        )  # fmt: skip
    return rendered


def _switch_maths() -> None:
    st.session_state["maths"] = not st.session_state.get("maths", False)


def _what_to_read(runs: list[RunInfo], by_shape: RunInfo | None) -> tuple[RunInfo, RunInfo | None, str]:
    """Choose the run that is read, the one beside it, and the mode."""
    preferred = by_shape if by_shape in runs else min(runs, key=lambda run: (-len(run.probe_steps), run.name))
    names = list(MODES) if len(runs) > 1 else ["before and after", "demonstration"]
    chosen = st.segmented_control(
        "Read", names, default=names[0], key="read", bind="query-params",
        help="Before and after: the two probes between which this question moved most in the run.",
    )  # fmt: skip
    mode = MODES[chosen or "before and after"]
    if len(runs) == 1:
        return preferred, None, mode
    run = _select("answers of", runs, preferred, key="of")
    if mode != "runs":
        return run, None, mode
    others = [one for one in runs if one != run]
    return run, _select("beside", others, min(others, key=lambda one: one.name), key="beside"), mode


def _select(label: str, runs: list[RunInfo], preferred: RunInfo, *, key: str) -> RunInfo:
    names = [run.name for run in runs]
    name = st.selectbox(
        label, names, index=None, key=key, bind="query-params", placeholder=preferred.name, width=190
    )  # fmt: skip
    return next((run for run in runs if run.name == name), preferred)


def _step(frame: pd.DataFrame, run: RunInfo, mode: str) -> int | None:
    """Choose the step of the right-hand answer: by the address, or by J and K."""
    steps = steps_of(frame, run)
    asked = st.query_params.get("step", "")
    step = int(asked) if asked.isdecimal() and len(asked) < 10 and int(asked) in steps else None
    if step is None:
        flip = before_and_after(frame, run)
        at = flip[1] if flip and mode == "flip" else steps[-1]
    else:
        at = step
    place = steps.index(at)
    earlier, later = steps[max(0, place - 1)], steps[min(len(steps) - 1, place + 1)]
    st.button("Earlier step", shortcut="J", on_click=_to_step, args=(earlier,), disabled=place == 0)
    st.button("Later step", shortcut="K", on_click=_to_step, args=(later,), disabled=place == len(steps) - 1)
    st.markdown(f"on the right: step **{at}**")
    return step


def _heading(mode: str, run: RunInfo, other: RunInfo | None) -> str:
    if mode == "flip":
        return f"Before and after {plain(run.name)} moved most"
    if mode == "demo":
        return f"The demonstration, and what {plain(run.name)} answers"
    return f"{plain(other.name if other else '')} and {plain(run.name)}"


def _places(
    frame: pd.DataFrame, run: RunInfo, other: RunInfo | None, mode: str, step: int | None
) -> list[tuple[str, int]]:
    """List where the texts shown stand on the curve."""
    steps = steps_of(frame, run)
    flip = before_and_after(frame, run)
    end = step if step is not None else (flip[1] if flip and mode == "flip" else steps[-1])
    found = [(run.name, end)]
    if mode == "flip" and flip:
        found.append((run.name, flip[0]))
    if other is not None:
        begin = steps_of(frame, other)
        found.append((other.name, min(begin, key=lambda one: abs(one - step)) if step is not None else begin[-1]))
    return found


if __name__ == "__main__":
    show()
