"""Page Benchmarks: scores with intervals, paired tests, and the questions that differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from relift.analysis.report.loaded import Loaded
from relift.analysis.scores.forest import caption_scores, plot_scores, scores_of_last_step
from relift.analysis.scores.paired import Comparison, compare_with_baseline
from relift.analysis.scores.score import score_run
from relift.dashboards.charts.compare import differences, forest
from relift.dashboards.made import Made, Missing, compute
from relift.dashboards.runs import Choice, RunInfo
from relift.dashboards.widgets import choose_runs, data_buttons, link, missing, plain, start_page, table, view
from relift.errors import InputError, ReliftError
from relift.store import RunReader

LARGE = 3_000_000  # attempts behind the last probe from which a score is made on request only
LISTED = 500


def show() -> None:
    """The whole page."""
    start_page("benchmarks")
    choice = choose_runs(splits=False)
    if choice is None:
        return
    origin = _choose_origin(choice)
    if origin is None:
        st.info(
            "None of these runs has answers to score yet. `relift eval MODEL` answers benchmarks; `relift train` "
            "probes while it trains.",
            icon="🫙",
        )
        return
    runs = tuple(run for run in choice.runs if origin in _origins(run))
    _scores(replace(choice, runs=runs), origin)
    if len(runs) < 2:
        st.info("With a second run of the same questions, paired differences stand here.", icon="🫙")
        return
    _paired(runs, origin)


@st.cache_resource(max_entries=256, show_spinner=False)
def _origins_of(folder: str, marks: tuple[int, ...]) -> tuple[str, ...]:  # noqa: ARG001
    from pathlib import Path

    reader = RunReader(Path(folder))
    return tuple(origin for origin in ("benchmark", "probe") if reader.steps("attempts", origin=origin))


def _origins(run: RunInfo) -> tuple[str, ...]:
    try:
        return _origins_of(str(run.folder), run.fingerprint)
    except ReliftError:  # said where the runs are chosen
        return ()


def _choose_origin(choice: Choice) -> str | None:
    """Whether benchmarks or probes are scored; None where there is neither."""
    able = [one for one in ("benchmark", "probe") if any(one in _origins(run) for run in choice.runs)]
    if len(able) < 2:
        return able[0] if able else None
    names = {"benchmarks": "benchmark", "probes of training": "probe"}
    chosen = st.segmented_control(
        "Scores of", list(names), key="scores", bind="query-params", help="Nothing chosen: benchmarks."
    )
    return names[chosen] if chosen else able[0]


def _scores(choice: Choice, origin: str) -> None:
    """The forest plot of all runs."""
    made = compute(
        "scores", choice, lambda loaded: _scored(loaded, choice, origin), caption=caption_scores, draw=plot_scores,
        options=origin,
    )  # fmt: skip
    words = "benchmark" if origin == "benchmark" else "split of the probed questions"
    view(
        "Scores", f"Mean accuracy by {words}, each run at its last scored step, with 95 % intervals; in brackets the "
        "number of questions.", made, forest,
    )  # fmt: skip
    if isinstance(made, Made) and len(made.frame):
        with st.expander("As a table"):
            names = ["run", "benchmark", "step", "metric", "parameter", "value", "ci_low", "ci_high"]
            table(made.frame[[*names, "n_questions", "n_attempts"]].round(4))


def _scored(loaded: Loaded, choice: Choice, origin: str) -> pd.DataFrame:
    """avg of every run: from its table of scores, else from its attempts."""
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
    """Every run less one, tests included, and the questions that differ."""
    names = [run.name for run in runs]
    preferred = next((name for name in names if name == "base"), sorted(names)[0])
    name = st.selectbox(
        "Less", names, index=None, key="less", bind="query-params", placeholder=preferred, width=260,
        help="What the other runs are compared with. Not chosen: the run called base, else the first by name.",
    )  # fmt: skip
    baseline = next(run for run in runs if run.name == (name or preferred))
    others = tuple(run for run in runs if run != baseline)
    force = st.toggle("Compare though the protocols differ", key="force", bind="query-params")
    found = _compared(tuple(_key(run) for run in (baseline, *others)), origin, force, baseline, others)
    st.subheader("Paired differences", anchor=False)
    st.markdown(f"Each run less **{plain(baseline.name)}** on the questions that both answered.")
    for run, one in zip(others, found, strict=True):
        _comparison(run, baseline, one)


def _key(run: RunInfo) -> tuple[Any, ...]:
    return (str(run.folder), run.run_id, run.fingerprint)


@st.cache_resource(max_entries=16, show_spinner="Comparing...")
def _compared(
    keys: tuple[Any, ...],  # noqa: ARG001
    origin: str,
    force: bool,  # noqa: FBT001  an argument of the cache's key
    _baseline: RunInfo,
    _others: tuple[RunInfo, ...],
) -> list[Comparison | Missing]:
    """Holm's adjustment runs over all comparisons that could be made."""
    able, refused = [], {}
    for run in _others:
        try:
            compare_with_baseline(_baseline.folder, [run.folder], origin=origin, force=force)
            able.append(run)
        except ReliftError as error:
            refused[run.run_id] = Missing(run.name, " ".join(str(error).split()))
    done = compare_with_baseline(
        _baseline.folder, [run.folder for run in able], origin=origin, force=force
    ) if able else []  # fmt: skip
    made = dict(zip((run.run_id for run in able), done, strict=True))
    return [refused[run.run_id] if run.run_id in refused else made[run.run_id] for run in _others]


def _comparison(run: RunInfo, baseline: RunInfo, one: Comparison | Missing) -> None:
    with st.container(border=True):
        st.markdown(f"**{plain(run.name)}** less {plain(baseline.name)}")
        if isinstance(one, Missing):
            missing(one)
            return
        rows = one.frame.rename(columns={"benchmark": "group"})
        st.altair_chart(
            differences(rows, title=f"{run.name} less {baseline.name}"), width="stretch",
            alt=f"Paired differences of {run.name} and {baseline.name}",
        )  # fmt: skip
        shown = one.frame[
            ["benchmark", "n_questions", "k_a", "k_b", "value_a", "value_b", "difference", "low", "high", "p_value",
             "p_holm", "detectable", "n_only_a", "expected_only_a", "n_only_b", "expected_only_b"]
        ].rename(
            columns={"k_a": f"k {run.name}", "k_b": f"k {baseline.name}", "value_a": run.name,
                     "value_b": baseline.name, "n_only_a": f"only {run.name}", "n_only_b": f"only {baseline.name}",
                     "expected_only_a": f"only {run.name}, by chance",
                     "expected_only_b": f"only {baseline.name}, by chance"}
        )  # fmt: skip
        small = {name: [_p_text(p) for p in shown[name]] for name in ("p_value", "p_holm")}
        table(shown.round(4).assign(**small))
        st.caption(
            "95 % intervals for questions like these (paired t); p_holm is adjusted over all comparisons on this page; "
            "detectable: the true difference that would be found with a power of .8. Only: solved by one alone in more "
            "than half of its attempts, and how many chance alone would show."
        )
        for note in one.notes:
            st.caption(plain(note))
        _flipped(run, baseline, one)


def _p_text(p: float) -> str:
    """A p-value to read; empty where there is none."""
    return "" if pd.isna(p) else "< .0001" if p < 1e-4 else f"{p:.2g}"


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
                "question", "Read what both answered", icon="🔎", q=rows["question_id"].iloc[picked[0]],
                read="two runs", of=run.name, beside=baseline.name, run=[run.name, baseline.name],
            )  # fmt: skip
        with st.container(horizontal=True):
            data_buttons(one.flipped, f"relift-flipped-{run.name}-{baseline.name}")


if __name__ == "__main__":
    show()
