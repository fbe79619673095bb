"""Show page Transitions: moves of questions between bands, beside those that chance makes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from relift.analysis import BANDS, band_transitions, caption_transitions, plot_transitions
from relift.analysis.questions.transitions import Null, moved_questions
from relift.analysis.report.loaded import Loaded
from relift.dashboards.charts import stability
from relift.dashboards.charts.matrices import CELL, KINDS, largest_excess, transitions
from relift.dashboards.exports import downloads
from relift.dashboards.frames import Ready, compute, make
from relift.dashboards.population import say_population
from relift.dashboards.runs import Choice, questions
from relift.dashboards.sections import section, show_spec, table, unavailable
from relift.dashboards.widgets import choose_runs, link, link_to_question, plain, start_page

MOST_ROWS = 500  # of a cell's questions on the screen


def show() -> None:
    """Show the whole page."""
    start_page("transitions")
    choice = choose_runs()
    if choice is None:
        return
    say_population(choice)
    _matrices(choice)
    section(
        "Questions acquired and dropped between probes",
        "From each probe to the next: questions newly solved, and solved no longer; dashes are what a model that does "
        "not change would show.",
        make("turnover", choice),
        stability.turnover,
        legend=stability.LEGEND,
    )
    section(
        "What was mastered and still is",
        "Of the questions mastered at the first probe, the share still mastered at later ones; dashes are chance.",
        make("retention", choice),
        stability.retention,
    )


def _matrices(choice: Choice) -> None:
    steps = sorted({step for run in choice.runs for step in run.probe_steps if step > 0})
    step = None
    if len(steps) > 1:
        text = st.selectbox(
            "At step", [str(step) for step in steps], index=None, key="step", bind="query-params",
            placeholder="each run's last", width=210,
        )  # fmt: skip
        step = int(text) if text else None

    def data(loaded: Loaded) -> pd.DataFrame:
        base = loaded.probes[(loaded.probes["run_id"] == loaded.base_id) & (loaded.probes["step"] == 0)]
        null: Null = "draws" if (base["draw"] == 1).any() else "fitted"
        return band_transitions(loaded.probes, loaded.bands, step=step, null=null, resamples=200)

    made = compute(
        "transitions", choice, data, caption=caption_transitions, draw=plot_transitions, options=("step", step)
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Moves between bands", anchor=False)
        if isinstance(made, Ready):
            downloads(made)
    st.markdown(
        "Where the questions of each band of the base are at this step: as observed, for a model that did not change, "
        "and the difference, grey where chance explains it. **A click on a cell opens its questions,** as does "
        "the list below it by keyboard."
    )
    if not isinstance(made, Ready):
        unavailable(made)
        return
    runs = list(made.frame.groupby("run", sort=False))
    kinds = tuple(KINDS)
    if len(runs) > 1 and _same_chance(made.frame):  # drawn once: the base alone makes it
        kinds = tuple(kind for kind in KINDS if kind != "null_share")
        st.markdown("#### The same for every run")
        left, _ = st.columns(2, gap="small")
        with left:
            _matrix(made, str(runs[0][0]), runs[0][1], "null_share")
    for run, rows in runs:
        st.markdown(f"#### {plain(run)}")
        _one_run(choice, str(run), made, rows, kinds)
    st.caption(plain(made.caption))


def _same_chance(frame: pd.DataFrame) -> bool:
    """Tell whether the model that did not change looks the same beside every run."""
    cells = frame.groupby(["band_from", "band_to"], observed=True)[["null_share", "n_from"]]
    return bool((cells.nunique(dropna=False) == 1).to_numpy().all())


def _matrix(made: Ready, run: str, rows: pd.DataFrame, kind: str, *, key: str | None = None) -> Any:
    draw = partial(transitions, rows, kind=kind, largest=largest_excess(made.frame))
    alt = f"{KINDS[kind]} moves between bands of {run}"
    return show_spec(made.charts((run, kind), draw)[0], key=key, alt=alt)


def _one_run(choice: Choice, run: str, made: Ready, rows: pd.DataFrame, kinds: tuple[str, ...]) -> None:
    clicked: tuple[str, str] | None = None
    for column, kind in zip(st.columns(len(kinds), gap="small"), kinds, strict=True):
        with column:
            clicked = _cell_of(_matrix(made, run, rows, kind, key=f"cell-{kind}-{run}")) or clicked
    chosen = _choose_cell(run, rows, clicked=clicked)
    if chosen is not None:
        _cell(choice, run, rows, chosen)


def _choose_cell(run: str, rows: pd.DataFrame, *, clicked: tuple[str, str] | None) -> tuple[str, str] | None:
    """Find the cell to list: that of a new click, else the address's, which a list of cells sets by keyboard too."""
    before, key = f"clicked-{run}", f"listed-cell-{run}"
    chosen = _cell_of_address(run)
    if clicked != st.session_state.get(before):
        st.session_state[before] = clicked
        if clicked is not None:
            st.query_params["cell"] = "|".join((run, *clicked))
        elif chosen is not None:
            del st.query_params["cell"]
        chosen = clicked
    full = rows[(rows["count"] > 0).to_numpy()]
    cells = list(zip(full["band_from"].astype(str), full["band_to"].astype(str), strict=True))
    words = {f"{a} to {b}: {n}": (a, b) for (a, b), n in zip(cells, full["count"], strict=True)}
    st.session_state[key] = next((text for text, cell in words.items() if cell == chosen), None)

    def to_address() -> None:
        picked = words.get(st.session_state[key] or "")
        if picked is not None:
            st.query_params["cell"] = "|".join((run, *picked))
        elif "cell" in st.query_params:
            del st.query_params["cell"]

    st.selectbox(
        f"Questions of a cell of {run}", list(words), index=None, key=key, on_change=to_address, width=320,
        placeholder="or choose a cell here, by keyboard too", label_visibility="collapsed",
    )  # fmt: skip
    return chosen


def _cell(choice: Choice, run: str, rows: pd.DataFrame, chosen: tuple[str, str]) -> None:
    """List the questions of one cell, each a click from its page."""
    band_from, band_to = chosen
    run_id, step = str(rows["run_id"].iloc[0]), int(rows["step"].iloc[0])

    def data(loaded: Loaded) -> pd.DataFrame:
        found = moved_questions(
            loaded.probes, loaded.bands, run=run_id, step=step, band_from=band_from, band_to=band_to
        )
        asked = questions(choice)[["question_id", "problem", "answer", "source"]]
        return found.merge(asked.astype(object), on="question_id", how="left")

    made = compute("moved", choice, data, options=(run_id, step, band_from, band_to))
    if not isinstance(made, Ready):
        unavailable(made)
        return
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{len(made.frame)} questions: {band_from} for the base, {band_to} in {plain(run)} at step {step}**"
            )
            downloads(made)
            link(
                "questions", f"All {band_from} questions", icon=":material/arrow_forward:", run=[run], band=[band_from]
            )
        if made.frame.empty:
            return
        event = table(
            made.frame.head(MOST_ROWS), key=f"moved-{run}", on_select="rerun", selection_mode="single-row",
            column_order=["problem", "answer", "n_correct_base", "n_decided_base", "n_correct", "n_decided", "source"],
            column_config={
                "answer": "gold answer", "n_correct_base": "correct at step 0", "n_decided_base": "of",
                "n_correct": f"correct at step {step}", "n_decided": "of ",
            },
        )  # fmt: skip
        if len(made.frame) > MOST_ROWS:
            st.caption(f"The first {MOST_ROWS} of {len(made.frame)}; all of them are in the download.")
        picked = event["selection"]["rows"]
        if picked and picked[0] < len(made.frame):
            link_to_question(made.frame["question_id"].iloc[picked[0]], run=run, step=step, label="Read its answers")
        else:
            st.caption("Choose a row to read its answers.")


def _cell_of(event: Any) -> tuple[str, str] | None:
    """Read the bands of the cell that was clicked, if any; what the browser sends is only ever looked up."""
    points = (event or {}).get("selection", {}).get(CELL) or []
    if not points or points[0].get("band_from") not in BANDS or points[0].get("band_to") not in BANDS:
        return None
    return points[0]["band_from"], points[0]["band_to"]


def _cell_of_address(run: str) -> tuple[str, str] | None:
    """Read the cell of this run that the address names, if any."""
    parts = st.query_params.get("cell", "").rsplit("|", 2)
    if len(parts) != 3 or parts[0] != run or parts[1] not in BANDS or parts[2] not in BANDS:
        return None
    return parts[1], parts[2]


if __name__ == "__main__":
    show()
