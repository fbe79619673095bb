"""Show page Overview: what asks for a look, what training changed, what is within reach, what it cost."""

from __future__ import annotations

import time
from dataclasses import replace

import pandas as pd
import streamlit as st

from relift.analysis.questions.compare import say_change
from relift.analysis.runs.cautions import cautions
from relift.analysis.training.alerts import KINDS as KINDS_OF_ALERT
from relift.dashboards import overview_frames as frames
from relift.dashboards.charts import curves
from relift.dashboards.charts import seeds as seeds_charts
from relift.dashboards.charts.common import COLUMN_PIXELS
from relift.dashboards.cubes import is_large
from relift.dashboards.exports import data_menu
from relift.dashboards.frames import Ready, Unavailable, compute, make
from relift.dashboards.population import say_population
from relift.dashboards.runs import Choice
from relift.dashboards.sections import one_training_run_each, section, table, unavailable
from relift.dashboards.settings_table import show_settings
from relift.dashboards.widgets import age_of, choose_runs, link, plain, remaining, start_page, state_text


def show() -> None:
    """Show the whole page."""
    start_page("overview")
    choice = choose_runs()
    if choice is None:
        return
    say_population(choice)
    _state(choice)
    _cautions(choice)
    checked = st.container()  # filled last: the checks read every rollout, and the figures need not wait
    probed = choice.with_probes()
    if probed.runs:
        seeds = not is_large(probed) and frames.has_seeds(probed)
        if seeds:
            _methods(probed)
        _headline(probed, seeds=seeds)
        if seeds:
            _bands_over_seeds(probed)
        else:
            section(
                "Accuracy by what the base could do",
                "Accuracy at each probe of the questions that the base model answered never, seldom, sometimes and "
                "often.",
                frames.band_accuracy(probed),
                curves.band_accuracy,
                term="band",
            )
        _reach(probed)
        if not is_large(probed):
            section(
                "At least one correct of k",
                "pass@k at each run's last step, the base at step 0: whether more attempts make up for training.",
                _without_rings(make("pass_at_k", probed)),
                curves.pass_at_k,
                term="pass@k",
            )
    else:
        _evaluations(choice)
    _runs(choice)
    show_settings(choice)
    with checked:
        _alerts(choice)


def _evaluations(choice: Choice) -> None:
    """Show the scores of runs without probes."""
    made = make("scores", choice)
    section("Benchmark scores", "Scores of the last step with 95 % intervals over questions; more on Benchmarks.", made)
    link("benchmarks", "Scores, pairs and questions", icon=":material/arrow_forward:")


def _cautions(choice: Choice) -> None:
    for caution in cautions([run.folder for run in choice.runs]):
        if not caution.startswith("Not finished"):  # the table of runs says that
            st.warning(plain(caution), icon=":material/balance:")


def _state(choice: Choice) -> None:
    """Say in a line how far each run is that is not done, and when it was last heard of."""
    now = time.time()
    for run in choice.runs:
        if run.state in ("running", "interrupted"):
            of = f" of {run.planned_steps:,}" if run.planned_steps else ""
            left = "" if (text := remaining(run)) is None else f", {text}"
            st.markdown(
                f":blue-badge[{run.state}] **{plain(run.name)}**: step {run.committed_step or 0:,}{of}, last commit "
                f"{age_of(run, now=now)}{left}. {state_text(run).capitalize()}."
            )


def _alerts(choice: Choice) -> None:
    """Say which checks passed; what does not pass has a line of its own, with the answers it is about."""
    made = compute("alerts", choice, frames.alerts)
    if isinstance(made, Unavailable):
        st.caption(f"Checks were not made: {plain(made.reason)}.")
    else:
        found = made.frame[made.frame["sentence"].notna()]
        checked = [kind for kind in KINDS_OF_ALERT if (made.frame["kind"] == kind).any()]
        unchecked = [kind for kind in KINDS_OF_ALERT if kind not in checked]
        passed = [kind for kind in checked if not (found["kind"] == kind).any()]
        nothing = f" Not checked, for want of what they go by: {', '.join(unchecked)}." if unchecked else ""
        st.caption(
            f":material/health_and_safety: {len(passed)} of {len(checked)} checks passed in every run: "
            f"{', '.join(passed) or 'none'}.{nothing}", help="Their limits stand in docs/dashboard.md. A check is made "
            "in the runs that recorded what it goes by.",
        )  # fmt: skip
        for row in found.to_dict("records"):
            st.warning(f"**{plain(row['run'])}**, {row['kind']}: {plain(row['sentence'])}", icon=":material/search:")
            if row["kind"] == "truncation":
                link("attempts", "Read them", icon=":material/arrow_forward:", of=[row["run"]], sign=["cut off"])
            if row["kind"] == "grader":
                link("attempts", "Read them", icon=":material/arrow_forward:", of=[row["run"]], verdict=["undecided"])


def _without_rings(made: Ready | Unavailable) -> Ready | Unavailable:
    """Leave out of the caption what is drawn in print alone."""
    return replace(made, caption=made.caption.partition(" Rings:")[0]) if isinstance(made, Ready) else made


def _methods(choice: Choice) -> None:
    """Show each method less the base: means over its seeds with the interval between them, the seeds beside it."""
    made = make("seeds", choice)
    legend = seeds_charts.colours_of(made.frame) if isinstance(made, Ready) else None
    section(
        "What each method changed, over its seeds",
        "Last probe less the base model's first, in points of accuracy: dots are means over training seeds, bars their "
        "intervals between seeds, ticks single seeds. Left of the line is harm.",
        made,
        seeds_charts.change_over_seeds,
        legend=legend,
        term="seeds",
    )
    if isinstance(made, Ready) and (made.frame["kind"] == "band").any():
        section(
            "Methods by what the base could do",
            "The same for the questions that the base model answered never, seldom, sometimes and often.",
            replace(made, name="methods-by-band", caption=""),
            seeds_charts.change_of_bands_over_seeds,
            legend=legend,
            term="band",
        )


def _bands_over_seeds(choice: Choice) -> None:
    """Show accuracy by band over steps, a line per method."""
    made = make("band_accuracy_by_seed", choice)
    section(
        "Accuracy by what the base could do",
        "At each probe: thick lines are means over training seeds, thin ones single seeds.",
        made,
        seeds_charts.bands_over_seeds,
        legend=seeds_charts.colours_of(made.frame) if isinstance(made, Ready) else None,
        term="band",
    )


def _headline(choice: Choice, *, seeds: bool) -> None:
    """Show each run less the base: by split, harm beside gain, then by band, then in words."""
    made = frames.change(choice)
    place = st.expander("The single runs") if seeds else st.container()
    with place:
        _single_runs(made, seeds=seeds)
    if not isinstance(made, Ready) or made.frame.empty:
        return
    _words_and_links(choice, made)


def _single_runs(made: Ready | Unavailable, *, seeds: bool) -> None:
    """Show each run less the base by split, and by band where no means over seeds stand above."""
    section(
        "The single runs" if seeds else "What training changed",
        "Each run's last probe less the base model's first, in points of accuracy on the same questions: left of the "
        "line is harm.",
        _of_splits(made),
        curves.change_by_split,
        term="interval",
    )
    if not isinstance(made, Ready) or made.frame.empty:
        return
    if not seeds:
        st.caption(one_training_run_each(made.frame["run"].nunique()))
    if (made.frame["kind"] == "band").any() and not seeds:
        section(
            "The same by what the base could do",
            "Bands are assigned by other attempts than those compared. Questions probed at every step of every run.",
            replace(made, name="change-by-band", caption=""),
            curves.change_by_band,
            term="band",
        )


def _of_splits(made: Ready | Unavailable) -> Ready | Unavailable:
    """Leave out of the caption what the panels of splits do not draw or say in their titles."""
    if not isinstance(made, Ready):
        return made
    said = made.caption.replace(", each band of the base", "").replace(" (questions in brackets)", "")
    return replace(made, caption=said)


def _words_and_links(choice: Choice, made: Ready) -> None:
    with st.expander("In words", expanded=len(choice.runs) <= 2):
        balances = {} if is_large(choice) else frames.balances(choice)
        for run, rows in made.frame.groupby("run", sort=False):
            st.markdown(f"**{plain(run)}**: {plain(say_change(rows))} {plain(balances.get(str(run), ''))}")
    trained = [run.name for run in choice.runs if run.probe_steps[-1] > 0 and run.recipe != "frozen"]
    with st.container(horizontal=True):
        link(
            "questions",
            "The questions that fell",
            icon=":material/trending_down:",
            sort="most lost",
            run=_named(choice),
        )
        link(
            "questions", "The questions that rose", icon=":material/trending_up:", sort="most gained",
            run=_named(choice),
        )  # fmt: skip
        if len(trained) > 1:
            a = next((run.name for run in choice.runs if run.name in trained and run.recipe == "relift"), trained[0])
            b = next(name for name in trained if name != a)
            link(
                "compare", f"{a} against {b}", icon=":material/compare_arrows:", a=a, b=b, run=_named(choice),
            )  # fmt: skip


def _named(choice: Choice) -> list[str] | None:
    """Name the runs for the address of another page; None: all of them."""
    return [run.name for run in choice.runs] if len(choice.runs) > 1 else None


def _reach(choice: Choice) -> None:
    left, right = st.columns([2, 3], gap="large")
    with left:
        section(
            "Within and beyond reach",
            "How many questions a model surely answers, surely does not, or neither can be said.",
            frames.reach_counts(choice),
            curves.reach_bars,
            legend=curves.REACH_COLOURS,
            legend_width=COLUMN_PIXELS,
            term="reach",
        )
    with right:
        section(
            "What became of them",
            "Accuracy after training, by what the base model could reach.",
            frames.reach_accuracy(choice),
            curves.reach_accuracy,
            legend_width=COLUMN_PIXELS,
        )


def _runs(choice: Choice) -> None:
    """Show one row per run: its state, its settings, and what it cost so far."""
    now = time.time()
    rows = pd.DataFrame(
        {
            "run": [run.name for run in choice.runs],
            "state": [run.state for run in choice.runs],
            "changed": [age_of(run, now=now) for run in choice.runs],
            "method": ["" if run.state == "base only" else run.recipe for run in choice.runs],
            "seed": pd.array([run.seed for run in choice.runs], dtype="Int64"),
            "step": pd.array([run.committed_step for run in choice.runs], dtype="Int64"),
            "of": pd.array([run.planned_steps for run in choice.runs], dtype="Int64"),
            "probes": [len(run.probe_steps) for run in choice.runs],
            "questions": [run.n_questions for run in choice.runs],
        }
    )
    made = compute("cost", choice, frames.costs)
    if isinstance(made, Ready) and len(made.frame):
        rows = rows.merge(made.frame.drop(columns="run_id"), on="run", how="left")
    rows["model"] = [run.model for run in choice.runs]
    rows["data"] = [run.data for run in choice.runs]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("The runs and what they cost", anchor=False)
        data_menu(rows, "runs", choice.runs)
    st.markdown("How far each run is, and its updates, demonstrations, tokens and seconds up to its last checkpoint.")
    whole = {name: st.column_config.NumberColumn(format="localized") for name in frames.COSTS.values()}
    table(rows, column_config=whole, key="runs-table")
    for run in choice.runs:
        if run.state not in ("done", "base only"):
            st.caption(f"{plain(run.name)}: {state_text(run)}.")
    if isinstance(made, Unavailable):
        unavailable(made)


if __name__ == "__main__":
    show()
