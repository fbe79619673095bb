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
        "Questions acquired and lost between probes",
        "From each probe to the next: questions newly solved, and lost again; dashes are what a model that does not "
        "change would show.",
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
        "and the difference, grey where chance explains it. **A click on a cell opens its questions.**"
    )
    if not isinstance(made, Ready):
        unavailable(made)
        return
    for run, rows in made.frame.groupby("run", sort=False):
        st.markdown(f"#### {plain(run)}")
        _one_run(choice, str(run), made, rows)
    st.caption(plain(made.caption))


def _one_run(choice: Choice, run: str, made: Ready, rows: pd.DataFrame) -> None:
    chosen: tuple[str, str] | None = None
    for column, kind in zip(st.columns(len(KINDS), gap="small"), KINDS, strict=True):
        with column:
            key = f"cell-{kind}-{run}"
            alt = f"{KINDS[kind]} moves between bands of {run}"
            spec = made.charts((run, kind), partial(transitions, rows, kind=kind, largest=largest_excess(made.frame)))[
                0
            ]
            event = show_spec(spec, key=key, alt=alt)
            chosen = _cell_of(event) or chosen
    if chosen is not None:
        st.query_params["cell"] = "|".join((run, *chosen))
    else:
        chosen = _cell_of_address(run)
    if chosen is not None:
        _cell(choice, run, rows, chosen)


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
