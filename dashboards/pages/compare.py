"""Show page Compare: two runs from one start, what only one reached and what only one lost."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from relift.analysis.questions.bands import BANDS
from relift.analysis.questions.by_seed import caption_seeds, pair_seeds, plot_seeds
from relift.analysis.questions.cells import CELLS, count_cells, pair_cells, plot_cells
from relift.analysis.questions.compare import paired_difference
from relift.analysis.questions.solved import solved_by
from relift.analysis.report.catalogue import FIGURES, difference_of
from relift.analysis.report.loaded import Loaded
from relift.dashboards.charts.compare import cells, differences, ink
from relift.dashboards.charts.seeds import change_over_seeds, colours_of
from relift.dashboards.cubes import is_large
from relift.dashboards.exports import downloads
from relift.dashboards.frames import Ready, Unavailable, compute
from relift.dashboards.overview_frames import has_seeds, methods_of
from relift.dashboards.population import say_population
from relift.dashboards.runs import Choice, RunInfo, questions
from relift.dashboards.sections import one_training_run_each, section, unavailable
from relift.dashboards.settings_table import show_settings
from relift.dashboards.widgets import choose_runs, link, plain, start_page

RULES = {"at least once": "once", "in more than half of its attempts": "mostly"}  # as an address says it
LISTED = 1_000  # questions of a cell that are listed


def show() -> None:
    """Show the whole page."""
    start_page("compare")
    choice = choose_runs()
    if choice is None:
        return
    say_population(choice)
    able = [run for run in choice.runs if run.probe_steps and run.probe_steps[-1] > 0]
    if len(able) < 2:
        st.info(
            "Two runs with a probe after step 0 are needed. Start the dashboard with both: "
            "`relift dashboard RUN_A RUN_B`. Evaluations are compared on the Benchmarks page.",
            icon=":material/inbox:",
        )
        return
    a, b, rule = _choose_pair(choice, able)
    pairs = compute(
        "pair-cells", choice.with_probes(), lambda loaded: _pairs(loaded, a, b, RULES[rule]),
        options=(a.run_id, b.run_id, rule), caption=None,
    )  # fmt: skip
    if isinstance(pairs, Unavailable):
        unavailable(pairs)
        return
    counts = count_cells(pairs.frame)
    chosen = _cells(counts, a, b, rule)
    _list(choice, pairs.frame, a, b, chosen)
    _difference(choice, pairs.frame, a, b)
    _over_seeds(choice, a, b)
    _combinations(choice)
    show_settings(replace(choice, runs=(a, b)))


def _pairs(loaded: Loaded, a: RunInfo, b: RunInfo, rule: Any) -> pd.DataFrame:
    # not loaded.probes: questions that were probed at both ends alone count here too
    wanted = {a.run_id, b.run_id}
    of = next((world for world in loaded.worlds if wanted <= set(world.runs["run_id"])), loaded)  # their own base
    return pair_cells(of.trajectories, a=a.run_id, b=b.run_id, base=of.base_id, rule=rule)


def _choose_pair(choice: Choice, able: list[RunInfo]) -> tuple[RunInfo, RunInfo, str]:
    """Choose run a, run b and when a question counts as solved; by name where the address says nothing.

    Run b is then of another method and the same seed, if there is one. A frozen copy comes last.
    """
    by_name = {run.name: run for run in able}
    names = sorted(by_name, key=lambda name: (by_name[name].recipe == "frozen", name))
    methods = methods_of(choice).set_index("run_id")["method"]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        a = st.selectbox("Run a", names, index=None, key="a", bind="query-params", placeholder=names[0], width=220)
        a = a or names[0]
        first = by_name[a]
        others = [name for name in names if name != a]
        others.sort(key=lambda name: (methods[by_name[name].run_id] == methods[first.run_id],
                                      by_name[name].seed != first.seed))  # fmt: skip
        b = st.selectbox("Run b", others, index=None, key="b", bind="query-params", placeholder=others[0], width=220)
        rule = st.segmented_control(
            "Solved", list(RULES), default=next(iter(RULES)), key="rule", bind="query-params",
            help="Of draw 0 alone, so that every side has as many attempts.",
        )  # fmt: skip
    return by_name[a], by_name[b or others[0]], rule or next(iter(RULES))


def _cells(counts: pd.DataFrame, a: RunInfo, b: RunInfo, rule: str) -> str:
    """Show the table of cells; return the name of the cell chosen."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Who solves what", anchor=False)
        downloads(Ready("cells", counts, draw=lambda frame: plot_cells(frame, a=a.name, b=b.name)))
    st.markdown(
        f"Questions by whether the base model solved them, and which of **{plain(a.name)}** and **{plain(b.name)}** "
        f"does at its last step, {rule}. Click a cell to list its questions."
    )
    event: Any = st.altair_chart(
        cells(counts, a=a.name, b=b.name, ink=ink()), width="stretch", key="cells", on_select="rerun",
        alt="Counts of questions by who solves them",
    )  # fmt: skip
    st.caption(
        f"{int(counts['n_questions'].iloc[0]):,} questions, draw 0 of each probe. If both were equal: how many if both "
        "runs were equally good at every question, its correct attempts dealt at random among both."
    )
    options = list(CELLS.values())
    picked = (event or {}).get("selection", {}).get("cell") or []
    clicked = str(picked[0].get("cell")) if picked else None
    if clicked in options and st.session_state.get("cell-clicked") != clicked:
        st.session_state["cell-listed"] = clicked
        st.query_params["cell"] = clicked
    st.session_state["cell-clicked"] = clicked
    if "cell-listed" not in st.session_state:
        asked = st.query_params.get("cell", "")
        st.session_state["cell-listed"] = asked if asked in options else "reached only by a"
    known = counts.set_index("cell")["count"]
    listed = st.pills(
        "List", options, format_func=lambda name: f"{_label(name, a.name, b.name)} ({int(known[name])})",
        key="cell-listed", on_change=_note_cell,
    )  # fmt: skip
    return str(listed or "reached only by a")


def _note_cell() -> None:
    st.query_params["cell"] = st.session_state.get("cell-listed") or "reached only by a"


def _label(cell: str, a: str, b: str) -> str:
    for side, name in (("a", a), ("b", b)):
        if cell.endswith(f"only by {side}"):
            return f"{cell[:-1]}{name}"
    return cell


def _list(choice: Choice, pairs: pd.DataFrame, a: RunInfo, b: RunInfo, cell: str) -> None:
    """List the questions of a cell, the largest difference first; the one chosen has a link."""
    rows = pairs[(pairs["cell"] == cell).to_numpy()].copy()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"{_label(cell, a.name, b.name).capitalize()}: {len(rows):,} questions", anchor=False)
        if len(rows):
            downloads(Ready("cell-questions", rows))
    if rows.empty:
        st.info("No question is in this cell.", icon=":material/inbox:")
        return
    rows = rows.sort_values("difference", key=lambda d: -d.abs(), kind="stable").head(LISTED)
    known = questions(choice).set_index("question_id")
    ids = list(rows["question_id"].astype(object))
    table = pd.DataFrame(
        {
            "problem": [" ".join(str(known.at[q, "problem"]).split())[:120] for q in ids],
            "gold": [str(known.at[q, "answer"]) for q in ids],
            "split": [str(known.at[q, "split"]) for q in ids], "subject": [known.at[q, "subject"] for q in ids],
            "at the start": _of(rows, "start"), a.name: _of(rows, "a"), b.name: _of(rows, "b"),
            "difference": rows["difference"].to_numpy(float),
        }
    )  # fmt: skip
    if table["subject"].isna().all():
        table = table.drop(columns="subject")
    columns = {"difference": st.column_config.NumberColumn(f"{a.name} less {b.name}", format="%+.2f")}
    event: Any = st.dataframe(
        table, hide_index=True, column_config=columns, selection_mode="single-row", on_select="rerun",
        key=f"cell-list-{cell}-{a.run_id}-{b.run_id}", height=min(420, 40 + 36 * len(table)),
    )  # fmt: skip
    picked = (event or {}).get("selection", {}).get("rows") or []
    names = [a.name, b.name]
    if picked and picked[0] < len(ids):
        link(
            "question", "Read what both answered", icon=":material/search:", q=ids[picked[0]], read="two runs",
            of=b.name,
            beside=a.name, run=names if len(choice.runs) > 1 else None,
        )  # fmt: skip
    else:
        st.caption("Choose a row to read what both runs answered.")


def _of(rows: pd.DataFrame, side: str) -> list[str]:
    counts = zip(rows[f"n_correct_{side}"], rows[f"n_decided_{side}"], strict=True)
    return [f"{int(correct)} of {int(decided)}" for correct, decided in counts]


def _difference(choice: Choice, pairs: pd.DataFrame, a: RunInfo, b: RunInfo) -> None:
    """Show the mean paired difference over all questions, and by band where there are bands."""
    frame = paired_difference(pairs)
    known = questions(choice)
    split_of = pd.Series(known["split"].astype(object).to_numpy(), index=known["question_id"].astype(object))
    by_split = paired_difference(pairs, by=split_of).sort_values("group")
    if len(by_split) > 1:
        frame = pd.concat([frame, by_split], ignore_index=True)
    bands = compute("questions-bands", choice, lambda loaded: loaded.bands)
    if isinstance(bands, Ready):
        by = bands.frame.drop_duplicates("question_id").set_index("question_id")["band"].astype(object)
        groups = paired_difference(pairs, by=by).sort_values("group", key=lambda names: names.map(BANDS.index))
        frame = pd.concat([frame, groups], ignore_index=True)
    caption = (
        "Mean over questions of the difference of their accuracies, 95 % intervals by Student's t over questions; in "
        f"brackets the number of questions. {one_training_run_each(2)}"
    )
    section(
        "Paired difference", f"{plain(a.name)} less {plain(b.name)} on the same questions, at their last steps.",
        Ready("paired-difference", frame, caption),
        lambda rows: differences(rows, title=f"accuracy of {a.name} less {b.name}, points"),
    )  # fmt: skip


def _over_seeds(choice: Choice, a: RunInfo, b: RunInfo) -> None:
    """Show the methods of both runs against each other over the seeds that both have, where these are several."""
    methods = methods_of(choice).set_index("run_id")["method"]
    one, other = str(methods[a.run_id]), str(methods[b.run_id])
    if one == other:
        st.caption(f"Both are runs of {plain(one)}: their difference is one between seeds.")
        return
    if not has_seeds(choice) or is_large(choice):
        return
    made = compute(
        "pair-seeds", choice.with_probes(), lambda loaded: pair_seeds(difference_of(loaded), loaded.methods, a=one,
                                                                      b=other),
        options=(one, other), caption=caption_seeds, draw=plot_seeds,
    )  # fmt: skip
    section(
        "The two methods over their seeds",
        f"**{plain(one)}** less **{plain(other)}** seed by seed, both less their base, in points: the dot is the mean, "
        "the bar its interval between seeds, ticks are single seeds.",
        made, change_over_seeds, legend=colours_of(made.frame) if isinstance(made, Ready) else None, term="seeds",
    )  # fmt: skip


def _combinations(choice: Choice) -> None:
    """Show which runs solve which questions, all runs at once; a row chosen lists its questions."""
    probed = choice.with_probes()
    if len(probed.runs) < 3:
        return
    figure = FIGURES["solved_by"]
    made = compute(
        "solved_by", probed, partial(_solved_by_names, choice=probed), caption=figure.caption, draw=figure.draw,
    )  # fmt: skip
    event = section(
        "All runs at once", "How many questions exactly these models solve at least once, the base model at step 0. "
        "Choose a row to list its questions.",
        made if isinstance(made, Unavailable) else replace(made, frame=made.frame.head(40)), key="solved-by",
        on_select="rerun", selection_mode="single-row",
        column_config={
            "solved_by": "solved by exactly", "n_runs": "runs", "count": "questions", "n_attempts": "attempts",
            "n_questions": "of questions",
        },
    )  # fmt: skip
    picked = (event or {}).get("selection", {}).get("rows") or []
    if isinstance(made, Unavailable) or not picked or picked[0] >= len(made.frame):
        return
    row = made.frame.iloc[picked[0]]
    found = compute("solved-by-questions", probed, partial(_solved_by_each, choice=probed))
    if isinstance(found, Unavailable):
        unavailable(found)
        return
    names = [name for name in found.frame.columns if name != "question_id" and name in row.index]
    keep = np.all([found.frame[name].to_numpy(bool) == bool(row[name]) for name in names], axis=0)
    known = questions(choice).set_index("question_id")
    ids = list(found.frame.loc[keep, "question_id"].astype(object))
    listed = pd.DataFrame(
        {
            "problem": [" ".join(str(known.at[q, "problem"]).split())[:120] for q in ids],
            "gold": [str(known.at[q, "answer"]) for q in ids],
        }
    )
    st.markdown(f"**{len(ids):,}** questions solved by {plain(row['solved_by'])}")
    chosen: Any = st.dataframe(
        listed, hide_index=True, selection_mode="single-row", on_select="rerun", key=f"solved-{picked[0]}"
    )
    at = (chosen or {}).get("selection", {}).get("rows") or []
    if at and at[0] < len(ids):
        link(
            "question", "Open this question", icon=":material/search:", q=ids[at[0]],
            run=[run.name for run in choice.runs],
        )  # fmt: skip


def _solved_by_names(loaded: Loaded, *, choice: Choice) -> pd.DataFrame:
    """Count the questions that exactly these runs solve (of `solved_by`), under the dashboard's names."""
    frame = solved_by(loaded.compared, base=loaded.compared_base_id)
    ends = loaded.compared[["run_id", "run"]].astype(object).drop_duplicates().to_numpy()
    labels = {f"{run} ({run_id})": run_id for run_id, run in ends} | {run: run_id for run_id, run in ends}
    frame = frame.rename(columns={label: choice.names.get(run_id, label) for label, run_id in labels.items()})
    names = [choice.names.get(run_id, run) for run_id, run in ends]
    solved = frame[names].to_numpy(bool)
    return frame.assign(solved_by=[" + ".join(np.array(names, object)[row]) or "no run" for row in solved])


def _solved_by_each(loaded: Loaded, *, choice: Choice) -> pd.DataFrame:
    """Tell for each question which runs solve it at least once in draw 0: question_id and a column per run's name."""
    rows = loaded.compared[(loaded.compared["draw"] == 0).to_numpy()]
    start = (rows["run_id"] == loaded.compared_base_id) & (rows["step"] == 0)
    last = rows["step"] > 0
    ends = rows[(start | last).to_numpy()].astype({"question_id": object, "run": object, "run_id": object})
    ends["run"] = [choice.names.get(i, n) for i, n in zip(ends["run_id"], ends["run"], strict=True)]
    solved = ends.assign(solved=ends["n_correct"] > 0).pivot_table(
        index="question_id", columns="run", values="solved", aggfunc="max", observed=True
    )
    return solved.fillna(value=0).astype(bool).reset_index()


if __name__ == "__main__":
    show()
