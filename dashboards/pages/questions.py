"""Show page Questions: every question over the steps, to filter, sort and open."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import streamlit as st

from relift.analysis.questions.heat import sparklines
from relift.dashboards.answers import events_of_question, trajectory_of_question
from relift.dashboards.charts.questions import heat_map
from relift.dashboards.exports import downloads
from relift.dashboards.frames import Ready, Unavailable
from relift.dashboards.origins import NAMES, NOTE, able_origins, choose_origin, of_origin
from relift.dashboards.overview_frames import balances
from relift.dashboards.population import say_population
from relift.dashboards.question_filter import (
    MANY,
    SORTS,
    Facts,
    Filter,
    class_counts,
    counts_of,
    facts,
    heat_of,
    listed,
    listed_facts,
    rows_of,
    shape_run,
    shown_runs,
)
from relift.dashboards.question_widgets import pair_of_sides, show_head, show_sides, show_trajectory
from relift.dashboards.runs import Choice, RunInfo
from relift.dashboards.sections import show_spec
from relift.dashboards.terms import TERMS
from relift.dashboards.widgets import choose_runs, keep_choices, link, plain, restore_choices, say_damage, start_page

SORT_WORDS = {
    "shape": "the shape of their trajectories", "most gained": "what they gained", "most lost": "what they lost",
    "hardest": "their last accuracy, lowest first", "easiest": "their last accuracy, highest first",
    "order of the data": "their order in the data",
}  # fmt: skip
ORIGIN_HELP = (
    "Probed: the same questions at every probe. Trained on: by their training rollouts. Evaluated: of benchmarks."
)
PER_PAGE = 500  # rows of the table at once
_SEVERAL = ("class", "band", "reach", "source", "subject", "level", "mark")


def show() -> None:
    """Show the whole page."""
    start_page("questions")
    choice = choose_runs()
    if choice is None:
        return
    say_population(choice)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        origin = choose_origin("Questions that were", able_origins(choice), help=ORIGIN_HELP) or "probe"
        choice = of_origin(choice, origin)
        run = _choose_shape(choice)
        search = st.container(horizontal=True, vertical_alignment="bottom", gap="small", width="content")
    if run is None:
        st.info(
            "None of these runs has answers yet. `relift train` probes by itself (probe.questions); `relift eval` "
            "answers benchmarks.",
            icon=":material/inbox:",
        )
        return
    known = facts(choice, run)
    say_damage(known.left_out)
    if known.frame.empty:
        st.info("No question of these runs has a decided attempt yet.", icon=":material/inbox:")
        return
    wanted = _filters(known, run, search)
    rows = listed(choice, run, wanted)
    if origin == "rollout":
        st.caption(NOTE)
    _counts(known, rows, wanted)
    if not len(rows):
        st.info("No question is left: take a filter away.", icon=":material/search:")
        return
    left, right = st.columns([4, 8], gap="medium") if origin == "probe" else (None, st.container())
    picked = None
    if left is not None:
        with left:
            picked = _heat(choice, run, wanted, len(rows))
    with right:
        chosen = _table(choice, run, known, rows if picked is None else rows[picked], wanted)
    if chosen is not None:
        _peek(choice, run, known, chosen, wanted)
    else:
        st.caption("Choose a row to read its answers here. Arrow keys move among rows, Space chooses one.")
    if origin == "probe":  # last: dealing what chance gives takes longest
        _class_row(choice, run, known)


def _choose_shape(choice: Choice) -> RunInfo | None:
    """Choose the run that classes, sorting and marks go by."""
    run = shape_run(choice, st.query_params.get("shape", ""))
    able = [one.name for one in choice.runs if one.probe_steps]
    if run is None or len(able) < 2:
        return run
    name = st.selectbox(
        "Sort and classify by", able, index=None, key="shape", bind="query-params", placeholder=run.name, width=170,
        help="The run whose trajectories give class, order and marks. Nothing chosen: the run with most probes.",
    )  # fmt: skip
    return shape_run(choice, name or "")


def _filters(known: Facts, run: RunInfo, search: Any) -> Filter:
    """Show the filters, all of them in the address: text and order in `search`, the rest below."""
    offered = {column: known.options[column] for column in ("source", "subject", "level")}
    offered = {column: values for column, values in offered.items() if 1 < len(values) <= 200}
    labels = {"class": "Class", "band": "Band", "reach": "Reach of the base"}
    options = {name: known.options[name] for name in labels} | offered | {"mark": known.options["mark"]}
    restore_choices("questions", {**options, "find": None, "sort": SORTS})
    with search:
        st.text_input("Search", key="find", bind="query-params", placeholder="problem or gold answer", width=200)
        st.selectbox("Sort by", SORTS, key="sort", bind="query-params", width=170)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        for column in ("class", "band"):
            _pills(labels[column], column, known)
        more = bool(offered or known.options["mark"] or known.options["reach"])
        with st.popover("More filters") if more else st.container():
            _pills(labels["reach"], "reach", known)
            for column, values in offered.items():
                st.multiselect(column.capitalize(), values, key=column, bind="query-params")
            if known.options["mark"]:
                st.multiselect("Only with", known.options["mark"], key="mark", bind="query-params")
    keep_choices("questions", (*options, "find", "sort"))
    several = {name: tuple(st.session_state.get(name) or ()) for name in _SEVERAL}
    several["klass"] = several.pop("class")
    find, sort = (st.session_state.get("find") or "").strip(), st.session_state.get("sort") or "shape"
    wanted = Filter(**several, find=find, sort=sort, shape=run.name)
    for column in ("class", "band", "reach"):
        if column in known.missing and run.origin == "probe":
            st.caption(f"No {column}: {plain(known.missing[column])}.")
    return wanted


def _pills(label: str, column: str, known: Facts) -> None:
    if known.options[column]:
        st.pills(
            label, known.options[column], selection_mode="multi", key=column, bind="query-params", help=TERMS[column]
        )


def _class_row(choice: Choice, run: RunInfo, known: Facts) -> None:
    """Show how many questions each class holds, and how many chance gives."""
    if "class" in known.missing:
        return
    if len(known.frame) > MANY and not st.toggle("How many of each class, and how many chance gives", key="count"):
        return
    counts = class_counts(choice)
    if isinstance(counts, Unavailable):
        st.caption(f"Classes are not counted: {plain(counts.reason)}.")
        return
    own = counts[(counts["run_id"].astype(object) == run.run_id).to_numpy()]
    st.subheader(f"Classes of {plain(run.name)}", anchor=False, help=TERMS["class"])
    columns = st.columns(len(own)) if len(own) else []
    for column, row in zip(columns, own.to_dict("records"), strict=True):
        column.metric(
            str(row["class"]), f"{row['found']:,}", f"{row['expected']:.0f} ± {2 * row['sd']:.0f} expected",
            delta_color="off", delta_arrow="off",
        )  # fmt: skip
    if len(own):
        st.caption(
            f"Found: classes of {plain(run.name)}'s {int(own['n_questions'].iloc[0])} questions probed at every step, "
            f"gained and lost by its last probe (step {run.probe_steps[-1]}) against step 0. "
            f"Expected without learning: mean and two standard deviations of {int(own['deals'].iloc[0])} dealings of "
            "the same attempts among the probes. " + plain(balances(choice).get(run.name, ""))
        )


def _counts(known: Facts, rows: Any, wanted: Filter) -> None:
    n, total = len(rows), len(known.frame)
    shown = f"**{n:,}** of {total:,} questions" if wanted.restricts else f"**{total:,}** questions"
    st.markdown(f"{shown}, sorted by {SORT_WORDS[wanted.sort]}.")


def _heat(choice: Choice, run: RunInfo, wanted: Filter, n: int) -> Any:
    """Show the heat map of the list of n questions; return the rows brushed in it, None without a brush."""
    made = heat_of(choice, run, wanted)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Question by step", anchor=False)
        downloads(made)
    (spec,) = made.charts("heat", lambda: heat_map(made.frame))
    event: Any = show_spec(spec, key="heat", alt="Accuracy of every question by step, one panel per run")
    largest = int(made.frame["n_questions"].max())
    st.caption(
        "Each bar is one question"
        + (f" (up to {largest} neighbours share one)" if largest > 1 else "")
        + ", in the same order in every panel, columns are probes; dark is never solved, bright "
        "always. Drag down the map to list a part."
    )
    span = ((event or {}).get("selection", {}).get("bars") or {}).get("first")
    if not span:
        return None
    low, high = sorted(float(end) for end in span)
    places = np.arange(n)
    picked = places[(places + 1 > low) & (places < high)]
    return picked if len(picked) else None


def _table(choice: Choice, run: RunInfo, known: Facts, rows: Any, wanted: Filter) -> str | None:
    """Show a page of the list with a sparkline per run; return the question_id of the row chosen."""
    pages = max(1, -(-len(rows) // PER_PAGE))
    page = 1
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"Questions ({len(rows):,})", anchor=False)
        downloads(Ready("questions", listed_facts(choice, run, wanted)), about=f"by-{run.name}")
        if pages > 1:
            page = st.pagination(pages, key="page", bind="query-params")
    shown = known.frame.iloc[rows[(page - 1) * PER_PAGE : page * PER_PAGE]]
    ids = pd.Index(shown["question_id"].astype(object))
    table = pd.DataFrame({"problem": [_short(text) for text in shown["problem"]], "gold": shown["answer"].astype(str)})
    columns: dict[str, Any] = {
        "problem": st.column_config.TextColumn("problem", width=190, pinned=True),
        "gold": st.column_config.TextColumn("gold", width=64),
    }
    for column in ("class", "band"):
        if column not in known.missing and shown[column].notna().any():
            table[column] = shown[column].to_numpy(object)
            columns[column] = st.column_config.TextColumn(column, width=72)
    table.index = pd.RangeIndex(len(table))
    for one in shown_runs(choice, run):
        found = counts_of(one)
        if found is None:
            continue
        if len(found.step_T) > 1:
            table[one.name] = sparklines(found, rows_of(one, ids))
            columns[one.name] = st.column_config.LineChartColumn(one.name, y_min=0, y_max=1, width=95)
        else:
            table[one.name] = [line[-1] if line else None for line in sparklines(found, rows_of(one, ids))]
            columns[one.name] = st.column_config.NumberColumn(one.name, format="percent", width=60)
    event: Any = st.dataframe(
        table, hide_index=True, column_config=columns, selection_mode="single-row", on_select="rerun", height=420,
        key="list", row_height=32,
    )  # fmt: skip
    picked = (event or {}).get("selection", {}).get("rows") or []
    return str(ids[picked[0]]) if picked and picked[0] < len(ids) else None


def _short(text: object, most: int = 90) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _peek(choice: Choice, run: RunInfo, known: Facts, question_id: str, wanted: Filter) -> None:
    """Show the question that was chosen below the table: enough to see why it moved."""
    st.divider()
    row = known.frame.iloc[known.row_of[question_id]]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("The question chosen", anchor=False)
        names = [one.name for one in choice.runs] if len(choice.runs) > 1 else None
        within = urlencode(wanted.parameters(), doseq=True)
        origin = NAMES[run.origin] if run.origin != "probe" else None
        link(
            "question", "Open this question", icon=":material/search:", q=question_id, run=names, within=within,
            base=_base(choice),
            origin=origin,
        )  # fmt: skip
    left, right = st.columns([5, 7], gap="medium")
    frame = trajectory_of_question(choice, question_id)
    with left:
        show_head(choice, question_id, {str(k): v for k, v in row.items()}, rendered=False, key=f"peek-{question_id}")
    with right:
        show_trajectory(choice, question_id, frame, events_of_question(choice, question_id), ())
    own = run if (frame["run"] == run.name).any() else choice.find(str(frame["run"].iloc[0]))
    if own is None:
        return
    key = f"peek-{question_id}-{own.run_id}"
    sides = pair_of_sides(choice, frame, question_id, mode="flip", run=own, other=None, step=None, key=key)
    show_sides(sides, rendered=False, key=key)


def _base(choice: Choice) -> str | None:
    found = choice.find(choice.base) if choice.base else None
    return found.name if found else None


if __name__ == "__main__":
    show()
