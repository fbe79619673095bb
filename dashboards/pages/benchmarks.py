"""Show page Benchmarks: scores with intervals, paired tests, and the questions that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from relift.analysis.report.loaded import Loaded
from relift.analysis.scores.forest import caption_scores, plot_scores, scores_of_last_step
from relift.analysis.scores.paired import Comparison, compare_with_baseline
from relift.analysis.scores.score import score_run
from relift.dashboards.charts.common import RunScale
from relift.dashboards.charts.compare import differences, forest
from relift.dashboards.exports import data_buttons, data_menu
from relift.dashboards.frames import Ready, Unavailable, compute
from relift.dashboards.kept import kept
from relift.dashboards.origins import NAMES, choose_origin, seen_through
from relift.dashboards.runs import Choice, RunInfo
from relift.dashboards.sections import one_training_run_each, section, table, unavailable
from relift.dashboards.widgets import choose_runs, link, plain, start_page
from relift.errors import InputError, ReliftError

LARGE = 3_000_000  # attempts behind the last probe from which a score is made on request only
LISTED = 500


def show() -> None:
    """Show the whole page."""
    start_page("benchmarks")
    choice = choose_runs(splits=False)
    if choice is None:
        return
    origin = _choose_scored(choice)
    if origin is None:
        st.info(
            "None of these runs has answers to score yet. `relift eval MODEL` answers benchmarks; `relift train` "
            "probes while it trains.",
            icon=":material/inbox:",
        )
        return
    runs = tuple(run for run in choice.runs if _has(run, origin))
    _scores(replace(choice, runs=runs), origin)
    if len(runs) < 2:
        st.info("With a second run of the same questions, paired differences stand here.", icon=":material/inbox:")
        return
    _paired(runs, origin)


def _choose_scored(choice: Choice) -> str | None:
    """Offer benchmarks or probes as what is scored; None where there is neither."""
    able = [NAMES[origin] for origin in ("benchmark", "probe") if any(_has(run, origin) for run in choice.runs)]
    return choose_origin(
        "Scores of questions that were", able, key="scores", help="Nothing chosen: benchmarks, where there are any."
    )


def _has(run: RunInfo, origin: str) -> bool:
    return bool(seen_through(run, origin).probe_steps)


def _scores(choice: Choice, origin: str) -> None:
    """Show the forest plot of all runs."""
    made = compute(
        "scores", choice, lambda loaded: _scored(loaded, choice, origin), caption=caption_scores, draw=plot_scores,
        options=origin,
    )  # fmt: skip
    words = "benchmark" if origin == "benchmark" else "split of the probed questions"
    section(
        "Scores", f"Mean accuracy by {words}, each run at its last scored step, with 95 % intervals; in brackets the "
        "number of questions.", made, forest,
    )  # fmt: skip
    if isinstance(made, Ready) and len(made.frame):
        with st.expander("As a table"):
            names = ["run", "benchmark", "step", "metric", "parameter", "value", "ci_low", "ci_high"]
            table(made.frame[[*names, "n_questions", "n_attempts"]].round(4))


def _scored(loaded: Loaded, choice: Choice, origin: str) -> pd.DataFrame:
    """Score every run (avg): from its table of scores, else from its attempts."""
    frames = []
    for run in choice.runs:
        stored = loaded.scores[(loaded.scores["run_id"].astype(object) == run.run_id).to_numpy()]
        if origin == "benchmark" and len(stored):
            frame = stored
        else:
            frame = score_run(run.folder, ks=(), taus=(), origin=origin)
        frames.append(frame.astype(object).assign(run_id=run.run_id, run=run.name))
    if not frames:
        raise InputError("no run has scores")
    joined = pd.concat(frames, ignore_index=True)
    numbers = ["step", "parameter", "value", "ci_low", "ci_high", "n_questions", "n_attempts"]
    return scores_of_last_step(joined.astype(dict.fromkeys(numbers, float))).astype(
        {"step": int, "n_questions": int, "n_attempts": int}
    )


def _paired(runs: tuple[RunInfo, ...], origin: str) -> None:
    """Compare every run with one, tests included, and list the questions that differ."""
    names = [run.name for run in runs]
    preferred = next((name for name in names if name == "base"), sorted(names)[0])
    name = st.selectbox(
        "Compared with", names, index=None, key="less", bind="query-params", placeholder=preferred, width=260,
        help="What the other runs are compared with. Not chosen: the run called base, else the first by name.",
    )  # fmt: skip
    baseline = next(run for run in runs if run.name == (name or preferred))
    others = tuple(run for run in runs if run != baseline)
    force = st.toggle("Compare though the protocols differ", key="force", bind="query-params")
    found = _compared(Choice((baseline, *others)), origin, force=force)
    st.subheader("Paired differences", anchor=False)
    st.markdown(f"Each run less **{plain(baseline.name)}** on the questions that both answered.")
    for run, one in zip(others, found, strict=True):
        _comparison(run, baseline, one, span=_span(found))


@kept(16, spinner="Comparing")
def _compared(runs: Choice, origin: str, *, force: bool) -> list[Comparison | Unavailable]:
    """Compare each run but the first with the first; Holm's adjustment is over all comparisons that could be made."""
    baseline, *others = runs.runs
    try:  # one pass is enough where every run can be compared
        return list(compare_with_baseline(baseline.folder, [run.folder for run in others], origin=origin, force=force))
    except ReliftError:
        able, refused = _comparable(baseline, others, origin, force=force)
    folders = [run.folder for run in able]
    done = compare_with_baseline(baseline.folder, folders, origin=origin, force=force) if able else []
    made = dict(zip((run.run_id for run in able), done, strict=True))
    return [refused[run.run_id] if run.run_id in refused else made[run.run_id] for run in others]


def _comparable(
    baseline: RunInfo, others: Sequence[RunInfo], origin: str, *, force: bool
) -> tuple[list[RunInfo], dict[str, Unavailable]]:
    """Tell the runs that can be compared from those that cannot, with the reason by run_id."""
    able, refused = [], {}
    for run in others:
        try:
            compare_with_baseline(baseline.folder, [run.folder], origin=origin, force=force)
            able.append(run)
        except ReliftError as error:
            refused[run.run_id] = Unavailable(run.name, " ".join(str(error).split()))
    return able, refused


def _span(found: Sequence[Comparison | Unavailable]) -> tuple[float, float]:
    """Find the axis that the differences of all runs share."""
    frames = [one.frame[["low", "high"]].to_numpy(float).ravel() for one in found if isinstance(one, Comparison)]
    ends = np.nan_to_num(np.concatenate([[0.0], *frames]))
    return float(ends.min()) - 0.01, float(ends.max()) + 0.01


def _comparison(run: RunInfo, baseline: RunInfo, one: Comparison | Unavailable, *, span: tuple[float, float]) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(run.name)}** less {plain(baseline.name)}")
            if isinstance(one, Comparison):
                data_menu(one.frame, "paired", (run, baseline))
        if isinstance(one, Unavailable):
            unavailable(one)
            return
        rows = one.frame.rename(columns={"benchmark": "group"})
        st.altair_chart(
            differences(rows, title=f"{run.name} less {baseline.name}, points",
                        colour=RunScale([run.name]).hex(run.name),
                        span=span), width="stretch",
            alt=f"Paired differences of {run.name} and {baseline.name}",
        )  # fmt: skip
        _table(run, baseline, one)
        for note in one.notes:
            st.caption(plain(note))
        _flipped(run, baseline, one)


def _table(run: RunInfo, baseline: RunInfo, one: Comparison) -> None:
    """Show the scores and their difference; tests of these two checkpoints are in the download, beside no name."""
    frame = one.frame
    shown = pd.DataFrame(
        {
            "benchmark": frame["benchmark"].astype(str), "questions": frame["n_questions"],
            "attempts": [str(a) if a == b else f"{a}, {b}" for a, b in zip(frame["k_a"], frame["k_b"], strict=True)],
            run.name: frame["value_a"], baseline.name: frame["value_b"], "difference": 100 * frame["difference"],
            "95 % interval": [f"{100 * a:+.1f} to {100 * b:+.1f}" for a, b in zip(frame["low"], frame["high"],
                                                                             strict=True)],
            "detectable": 100 * frame["detectable"],
            f"only {run.name}": _beside_chance(frame["n_only_a"], frame["expected_only_a"]),
            f"only {baseline.name}": _beside_chance(frame["n_only_b"], frame["expected_only_b"]),
        }
    )  # fmt: skip
    percent = st.column_config.NumberColumn(format="percent")
    table(
        shown,
        column_config={
            run.name: percent, baseline.name: percent,
            "difference": st.column_config.NumberColumn("difference", format="%+.1f"),
            "detectable": st.column_config.NumberColumn("detectable", format="%.1f"),
        },
    )  # fmt: skip
    st.caption(
        "Differences in points with 95 % intervals for questions like these (paired t). Detectable: the true "
        "difference that would be found with a power of .8. Only: questions solved by one alone in more than half of "
        f"its attempts, in brackets how many chance alone would show. {one_training_run_each(2)} Tests, adjusted over "
        "all comparisons on this page, are in the download."
    )


def _beside_chance(counts: pd.Series, expected: pd.Series) -> list[str]:
    return [f"{n} ({chance:.1f})" for n, chance in zip(counts, expected, strict=True)]


def _flipped(run: RunInfo, baseline: RunInfo, one: Comparison) -> None:
    if one.flipped.empty:
        return
    with st.expander(f"{len(one.flipped):,} questions that only one of them solves"):
        rows = one.flipped.head(LISTED)
        side = {"a": run.name, "b": baseline.name}
        shown = pd.DataFrame(
            {
                "problem": [" ".join(str(text).split())[:120] for text in rows["problem"]],
                "benchmark": rows["benchmark"].astype(str),
                "solved by": [side[str(s)] for s in rows["solved_by"]],
                run.name: [f"{c} of {n}" for c, n in zip(rows["n_correct_a"], rows["n_decided_a"], strict=True)],
                baseline.name: [f"{c} of {n}" for c, n in zip(rows["n_correct_b"], rows["n_decided_b"], strict=True)],
                "p": rows["p_value"].round(4), "q (FDR)": rows["q_value"].round(4),
            }
        )  # fmt: skip
        event: Any = st.dataframe(
            shown, hide_index=True, selection_mode="single-row", on_select="rerun", key=f"flipped-{run.run_id}"
        )
        picked = (event or {}).get("selection", {}).get("rows") or []
        if picked and picked[0] < len(rows):
            link(
                "question", "Read what both answered", icon=":material/search:", q=rows["question_id"].iloc[picked[0]],
                read="two runs", of=run.name, beside=baseline.name, run=[run.name, baseline.name],
            )  # fmt: skip
        with st.container(horizontal=True):
            data_buttons(one.flipped, f"relift-flipped-{run.name}-{baseline.name}")


if __name__ == "__main__":
    show()
