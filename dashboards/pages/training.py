"""Show page Training: updates, groups with a signal, the buffer, what demonstrations bought, throughput."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from relift.analysis.report.loaded import Loaded
from relift.analysis.training.demos import demonstration_sources
from relift.analysis.training.dynamics import throughput
from relift.dashboards.charts import training
from relift.dashboards.exports import data_buttons
from relift.dashboards.frames import Ready, compute, make
from relift.dashboards.runs import Choice
from relift.dashboards.sections import section, show_legend, show_spec, table, unavailable
from relift.dashboards.widgets import choose_runs, link, start_page
from relift.errors import InputError

METRICS = {
    "loss": "loss", "grad_norm": "gradient norm", "lr": "learning rate", "entropy": "entropy, nats",
    "sampler_kl": "log-probability, sampler less learner, nats",
    "sampler_gap": "the same, absolute, nats", "clip_fraction": "clipped share", "n_sequences": "sequences",
    "n_tokens": "tokens", "seconds": "seconds",
}  # fmt: skip
SOURCES = {
    "n_offered": "offered", "n_accepted": "accepted", "n_online": "while training", "usd": "USD",
}  # fmt: skip
FIRST = ("loss", "grad_norm", "entropy")
MOST_POINTS = 400  # of a run and kind of update, on the screen


def show() -> None:
    """Show the whole page."""
    start_page("training")
    choice = choose_runs(splits=False)
    if choice is None:
        return
    _updates(choice)
    section(
        "Groups that carry a signal",
        "Groups of rollouts by outcome at each step: only mixed ones carry an advantage; all-wrong ones are what a "
        "demonstration is for.",
        make("group_signal", choice),
        training.group_signal,
        legend=training.GROUP_COLOURS,
    )
    section(
        "The buffer of demonstrations",
        "How many demonstrations wait, and how old they are when they are trained on.",
        make("buffer", choice),
        training.buffer,
    )
    _sources(choice)
    section(
        "What demonstrations bought",
        "Accuracy at each probe against the demonstrations trained on until then, with repeats and distinct ones.",
        make("demonstrations", choice),
        training.efficiency,
    )
    section(
        "After a demonstration was trained on",
        "Questions whose demonstration was trained on, less questions that waited as long and were not: the change in "
        "reward since.",
        make("after_training", choice),
        training.after_training,
    )
    link(
        "questions", "The questions whose demonstration was trained on", icon=":material/arrow_forward:",
        mark=["demonstration trained on"], sort="most gained",
        run=[run.name for run in choice.runs] if len(choice.runs) > 1 else None,
        shape=next((run.name for run in choice.runs if run.recipe == "relift"), None),
    )  # fmt: skip
    section(
        "Throughput",
        "Tokens and seconds of each run between its checkpoints.",
        compute("throughput", choice, lambda loaded: throughput(loaded.checkpoints)),
        training.throughput,
    )


def _sources(choice: Choice) -> None:
    st.subheader("Where demonstrations came from", anchor=False)
    st.markdown(
        "A data set, a teacher that was asked while training went on, a person, or the model itself; only accepted "
        "ones are trained on."
    )
    made = compute("demonstration_sources", choice, lambda loaded: demonstration_sources(loaded.demonstrations))
    if not isinstance(made, Ready):
        unavailable(made)
        return
    shown = made.frame.drop(columns="run_id").rename(columns=SOURCES)
    unsaid = [name for name in ("USD", "refused") if shown[name].replace("", None).isna().all()]
    table(shown.drop(columns=unsaid))


def _updates(choice: Choice) -> None:
    made = compute("updates", choice, _all_updates)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Updates", anchor=False)
        if isinstance(made, Ready) and len(made.frame):
            with st.popover("Download", width="content"):
                data_buttons(made.frame, "relift-updates")
    st.markdown("One point per optimizer step; circles, squares and triangles tell RL, SFT and mixed updates apart.")
    if not isinstance(made, Ready):
        unavailable(made)
        return
    recorded = [name for name in METRICS if made.frame[name].notna().any()]
    wanted = st.pills(
        "Metrics", recorded, selection_mode="multi", format_func=lambda name: METRICS[name], key="metric",
        bind="query-params", help="None chosen: loss, gradient norm and entropy.",
    )  # fmt: skip
    shown = wanted or [name for name in FIRST if name in recorded]
    show_legend(made)
    for start in range(0, len(shown), 3):
        columns = st.columns(3, gap="small")
        for column, name in zip(columns, shown[start : start + 3], strict=False):
            with column:
                show_spec(_metric(made, name), alt=METRICS[name])
    skipped = int(made.frame["skipped"].sum())
    n = len(made.frame)
    st.caption(f"{n:,} updates, {skipped} of them not made because loss or gradient was not finite.")
    with st.expander("The last updates, as a table"):
        table(made.frame.tail(200).iloc[::-1], key="updates-table")


def _metric(made: Ready, name: str) -> dict[str, Any]:
    def build() -> Any:
        frame = made.frame.loc[made.frame[name].notna(), ["run_id", "run", "step", "update", "kind", name]]
        return training.metric(_thinned(frame), y=name, title=METRICS[name])

    return made.charts(("metric", name), build)[0]


def _all_updates(loaded: Loaded) -> pd.DataFrame:
    if loaded.updates.empty:
        raise InputError("no run has an update: none was made, or its trainer's updates were not recorded")
    return loaded.updates.astype({"run_id": object, "run": object, "kind": object, "optimizer": object})


def _thinned(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep at most MOST_POINTS rows of each run and kind, evenly spaced, the last among them: a screen has no more."""
    place = frame.groupby(["run_id", "kind"]).cumcount(ascending=False)
    size = frame.groupby(["run_id", "kind"])["update"].transform("size")
    return frame[place % (-(-size // MOST_POINTS)) == 0]


if __name__ == "__main__":
    show()
