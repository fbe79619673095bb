"""Show page Data: state of each run, what is damaged or missing, the check on demand, every table to take away."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from relift.analysis.runs.recorded import recorded_columns, table_sizes
from relift.dashboards.cubes import damaged, is_large
from relift.dashboards.exports import data_buttons
from relift.dashboards.frames import Unavailable, compute
from relift.dashboards.runs import Choice, RunInfo, survey
from relift.dashboards.sections import table
from relift.dashboards.terms import TERMS
from relift.dashboards.widgets import NO_RUN, plain, start_page, state_text, watch
from relift.errors import ReliftError
from relift.schema import TABLES
from relift.store import RunReader, check_run
from relift.store.tables import PER_STEP

BIG = ("attempts", "responses")  # downloaded one step at a time


def show() -> None:
    """Show the whole page, also of runs that cannot be read."""
    start_page("data")
    runs = survey()
    if not runs:
        st.info(
            NO_RUN,
            icon=":material/folder_open:",
        )
        return
    watch(runs)
    _states(runs)
    able = {run.name: run for run in runs if run.readable}
    if not able:
        return
    name = next(iter(able))
    if len(able) > 1:
        name = st.pills("Run", list(able), key="of", bind="query-params") or name
    run = able[name]
    _damage(run)
    _check(run)
    _words()
    left, right = st.columns([3, 2], gap="large")
    with left:
        _recorded(run)
    with right:
        _tables(run)


def _words() -> None:
    """Explain the words of all pages in one place."""
    with st.expander("The words of these pages"):
        for word, meaning in TERMS.items():
            st.markdown(f"**{word}**: {meaning}")


def _states(runs: tuple[RunInfo, ...]) -> None:
    frame = pd.DataFrame(
        {
            "run": [run.name for run in runs],
            "state": [run.state for run in runs],
            "what that means": [state_text(run) for run in runs],
            "folder": [str(run.folder) for run in runs],
            "run_id": [run.run_id if run.readable else None for run in runs],
        }
    )
    table(frame, key="states")
    for run in runs:
        if not run.readable:
            st.error(f"{plain(run.name)}: {plain(run.problem)}", icon=":material/error:")
            continue
        for step, problem in sorted(damaged(run).items() if run.probe_steps else ()):
            st.error(
                f"{plain(run.name)}: the probe at step {step} is left out of every figure: {plain(problem)}",
                icon=":material/error:",
            )
        if run.state != "empty" and run.probe_steps and 0 in run.probe_steps and run.base_draws == (0,):
            st.warning(
                f"{plain(run.name)}: one draw at step 0, so what chance alone does is fitted, not measured. "
                f"`relift probe` with `--into` and `--draw 1` adds the second.",
                icon=":material/casino:",
            )


def _damage(run: RunInfo) -> None:
    """Name the probes of a run that cannot be read as a whole, which figures leave out."""
    one = Choice((run,))
    if run.probe_steps and not is_large(one):
        made = compute("probes-read", one, lambda loaded: loaded.trajectories.head(0))
        for reason in (*made.left_out, *((made.reason,) if isinstance(made, Unavailable) and made.damaged else ())):
            st.error(f"{plain(run.name)}: left out of every figure: {plain(reason)}", icon=":material/error:")


def _check(run: RunInfo) -> None:
    st.subheader("Is the folder sound?", anchor=False)
    st.markdown(
        "Reads every byte, as `relift check`: checksums, keys, counts, references, trajectories rebuilt from attempts."
    )
    results: dict[tuple[object, ...], tuple[list[str], list[str], pd.DataFrame]] = st.session_state.setdefault(
        "checked", {}
    )
    key = (run.run_id, run.fingerprint)
    if st.button(f"Check {run.name}", key="check"):
        bar = st.progress(0.0, text="Checking")
        try:
            report = check_run(
                run.folder, on_progress=lambda done, of: bar.progress(done / max(1, of), text="Checking")
            )
        except ReliftError as error:
            results[key] = ([str(error)], [], pd.DataFrame())
        else:
            results[key] = (report.problems, report.notes, pd.DataFrame(report.summary))
        bar.empty()
    if key not in results:
        return
    problems, notes, summary = results[key]
    if problems:
        st.error(f"{len(problems)} problem{'s' * (len(problems) > 1)}.", icon=":material/error:")
        st.code("\n".join(problems), language=None, wrap_lines=True)
    else:
        st.success("Sound: nothing is missing, changed or inconsistent.", icon=":material/check_circle:")
    for note in notes:
        st.caption(plain(note))
    if len(summary):
        table(summary, key="check-summary")


def _recorded(run: RunInfo) -> None:
    st.subheader("What was recorded", anchor=False)
    st.markdown("Optional columns of the newest files: the share of rows that holds a value, and what records it.")
    try:
        frame = recorded_columns(run.folder)
    except ReliftError as error:
        st.error(plain(error), icon=":material/error:")
        return
    if frame.empty:
        st.info("No table has a row yet.", icon=":material/inbox:")
        return
    frame = frame.assign(recorded=frame["n_recorded"] / frame["n_rows"])
    wanted = st.toggle("Only what holds nothing", key="missing", bind="query-params")
    if wanted:
        frame = frame[frame["n_recorded"] == 0]
    table(
        frame, key="recorded", column_order=["table", "column", "recorded", "n_rows", "how", "meaning"],
        column_config={"recorded": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)},
    )  # fmt: skip


def _tables(run: RunInfo) -> None:
    st.subheader("Take it away", anchor=False)
    st.markdown("A table of this run as CSV or Parquet; what its columns mean stands in docs/schema.md.")
    sizes = table_sizes(run.folder)
    if sizes.empty:
        st.info("No table has a file yet.", icon=":material/inbox:")
        return
    table(sizes.assign(bytes=sizes["bytes"] / 1e6).rename(columns={"bytes": "MB"}), key="sizes")
    name = st.selectbox("Table", list(sizes["table"]), index=None, key="table", placeholder="choose a table")
    if name is None:
        return
    reader = RunReader(run.folder)
    steps: list[int] | None = None
    if name in BIG:
        step = st.selectbox("Step", reader.steps(name), index=None, placeholder="choose a step", key="data-step")
        if step is None:
            st.caption("This table is large: it goes a step at a time.")
            return
        steps = [int(step)]
    try:
        frame = reader.read(name, steps=steps) if name in PER_STEP else reader.read(name)
    except ReliftError as error:
        st.error(plain(error), icon=":material/error:")
        return
    st.caption(f"{len(frame):,} rows, one per {TABLES[name].one_row_per}.")
    with st.container(horizontal=True):
        data_buttons(frame, f"{run.name}-{name}" + (f"-step-{steps[0]}" if steps else ""))


if __name__ == "__main__":
    show()
