"""Count moves between bands beside the moves that chance alone makes.

A question that answers 0 of 8 today and 1 of 8 tomorrow need not have learnt anything. So each matrix stands
beside its null, the same matrix for a model that did not change, and what counts is the excess.
Axes: Q questions; matrices are (band_from, band_to), both in the order of BANDS; R resamples.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relift import stats
from relift.analysis import style
from relift.analysis.questions.bands import BANDS, Cuts, codes_of, sure_band_codes
from relift.analysis.questions.unchanged import N_BANDS, fitted_null, one_hot
from relift.analysis.runs.counts import Counts
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import Panel, base_of_bands, check_measure_draw, lay_out, run_id_of
from relift.errors import InputError

Null = Literal["draws", "fitted", "control"]
NULL_DRAW = 1  # the base draw that the null moves to


def band_transitions(
    trajectories: pd.DataFrame | Counts,
    bands: pd.DataFrame,
    *,
    step: int | None = None,
    null: Null = "draws",
    control: str | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure the share of a band's questions that is in which band at `step`: one row per run, band_from, band_to.

    `step`: None is each run's last. `band_from` is that of `bands`. With A the assigned band, B the band of the
    base run's draw 1 at step 0, T the band at `step` (draw 0), over questions that have all three:
    share = sum 1[A=i] 1[T=j] / sum 1[A=i]; null_share the same with B; excess = share - null_share, with its
    95 % bootstrap interval by question (`low`, `high`). `significant`: the interval excludes 0 and the exact
    McNemar test of B against T (`p_value`), which guards small bands, has p <= .05; 16 cells, unadjusted.
    null="fitted", for runs with one base draw: both sides of the null are redrawn from a prior fitted to the base
    draw (a beta distribution and a share of questions that are never solved), refitted in each resample; there is no
    McNemar test then. It is a model, and can be wrong where the second draw cannot.
    control (null="control"): a frozen run, probed as the others were; B is then its band at its last probe (draw 0), so
    that whatever the probes do to a model that is not trained is in the null. Its own rows are left out.
    In simulation 93-97 % of the intervals hold the truth, 86-93 % in cells that hold fewer than 1 % of a row.
    `n_from` questions of the band entered, `n_unmeasured` did not, for want of a sure band.
    Raises InputError if a draw or the step is missing, or if B and T were made of different attempts each.
    """
    if (control is not None) != (null == "control"):
        raise InputError('a frozen control and null="control" go together: name the control, and no other null')
    if null == "draws":
        check_measure_draw(bands, NULL_DRAW, allow_same_draw=False)
    probes = trajectories.probes if isinstance(trajectories, Counts) else trajectories
    draw, at = probes["draw"].to_numpy(), probes["step"].to_numpy()
    later = (draw == 0) & (at > 0 if step is None else at == step) & (at > 0)
    if not later.any():
        raise InputError(f"no run has a probe at {'a step after 0' if step is None else f'step {step}'}")
    run, _ = pd.factorize(probes["run_id"])
    last_of_run = np.zeros(int(run.max(initial=-1)) + 1, np.int64)
    np.maximum.at(last_of_run, run[later], at[later])
    wanted = (later & (at == last_of_run[run])) | ((draw == NULL_DRAW) & (at == 0))
    panel = lay_out(
        trajectories.select(wanted) if isinstance(trajectories, Counts) else trajectories[wanted],
        bands,
        sums=("n_attempts", "n_correct", "n_undecided"),
        measure_draw=NULL_DRAW,
    )
    control_id = None if control is None else run_id_of(probes, control)
    null_at = None if null == "fitted" else _null_column(panel, base_of_bands(bands)[0], control_id)
    last = panel.columns.index[(panel.columns["step"] > 0) & (panel.columns["run_id"] != control_id)]
    if not len(last):
        raise InputError("there is no run beside the control: nothing stands against it")
    frames = [
        _run_transitions(panel, int(column), bands, null=null, null_at=null_at, resamples=resamples, seed=seed)
        for column in last
    ]
    return pd.concat(frames, ignore_index=True)


def _run_transitions(
    panel: Panel, column: int, bands: pd.DataFrame, *, null: Null, null_at: int | None, resamples: int, seed: int
) -> pd.DataFrame:
    """Measure the moves of one column of the panel, long because each step needs the arrays of the one before."""
    cuts = Cuts.parse(bands["cuts"].iloc[0])
    from_Q, to_Q = codes_of(bands), _codes_at(panel, column, cuts)
    to_attempts_Q = panel.sum_QC["n_attempts"][:, column]
    if null_at is not None:
        chance_Q = _null_codes(panel, null_at, cuts, to_attempts_Q)
        complete_Q = (from_Q >= 0) & (to_Q >= 0) & (chance_Q >= 0)
        null_QJ, null_RIJ = one_hot(chance_Q), None
    else:
        complete_Q = (from_Q >= 0) & (to_Q >= 0)
        null_QJ = np.zeros((len(bands), N_BANDS))
        null_RIJ = fitted_null(bands, to_attempts_Q, complete_Q, cuts, resamples=resamples, seed=seed)

    group_Q = np.where(complete_Q, from_Q, -1)
    moved_QJ = one_hot(to_Q) * complete_Q[:, None]
    count_IJ = np.stack([moved_QJ[group_Q == i].sum(axis=0) for i in range(N_BANDS)])
    n_I = np.bincount(group_Q[complete_Q], minlength=N_BANDS)
    share_IJ = stats.rate(count_IJ, n_I[:, None])
    gain_QJ = moved_QJ - null_QJ * complete_Q[:, None]
    excess_RIJ = stats.bootstrap_ratios(
        gain_QJ, np.ones_like(gain_QJ), group_Q, n_groups=N_BANDS, resamples=resamples, seed=seed
    )
    if null_RIJ is None:
        null_IJ = stats.rate(np.stack([null_QJ[group_Q == i].sum(axis=0) for i in range(N_BANDS)]), n_I[:, None])
    else:
        null_IJ = np.where(n_I[:, None] > 0, null_RIJ[0], np.nan)
        excess_RIJ = excess_RIJ - null_RIJ[1:]
    low_IJ, high_IJ = stats.percentile_interval(excess_RIJ)
    # how many questions moved here and not in the null, and the other way (a fitted null has no questions)
    only_to_IJ = np.stack([(gain_QJ[group_Q == i] > 0).sum(axis=0) for i in range(N_BANDS)])
    only_null_IJ = np.stack([(gain_QJ[group_Q == i] < 0).sum(axis=0) for i in range(N_BANDS)])
    fitted_IJ = np.zeros_like(null_IJ) if null_RIJ is None else null_IJ
    if resamples:
        low_IJ, high_IJ = _never_of_width_0(low_IJ, high_IJ, n_I, only_to_IJ, only_null_IJ, fitted_IJ)
    # a model that did not change has B and T exchangeable given A, so the test is exact however few they are
    p_IJ = stats.mcnemar_exact(only_to_IJ, only_null_IJ) if null_at is not None else np.full_like(low_IJ, np.nan)
    excludes_0_IJ = ((low_IJ > 0) | (high_IJ < 0)) & ~(p_IJ > 0.05)

    key = panel.columns.iloc[column]
    n_unmeasured_I = np.bincount(from_Q[(from_Q >= 0) & ~complete_Q], minlength=N_BANDS)
    return pd.DataFrame(
        {
            "run_id": key["run_id"],
            "run": key["run"],
            "step": int(key["step"]),
            "band_from": np.repeat(BANDS, N_BANDS),
            "band_to": np.tile(BANDS, N_BANDS),
            "n_from": np.repeat(n_I, N_BANDS),
            "n_unmeasured": np.repeat(n_unmeasured_I, N_BANDS),
            "count": count_IJ.ravel().astype(np.int64),
            "share": share_IJ.ravel(),
            "null_share": null_IJ.ravel(),
            "excess": (share_IJ - null_IJ).ravel(),
            "low": low_IJ.ravel(),
            "high": high_IJ.ravel(),
            "p_value": p_IJ.ravel(),
            "significant": excludes_0_IJ.ravel(),
            "null": null,
            "band_attempts": style.count_range(bands["n_attempts"]),
            "resamples": resamples,
            "seed": seed,
        }
    )


def _codes_at(panel: Panel, column: int, cuts: Cuts) -> NDArray[np.int64]:
    counts = [panel.sum_QC[name][:, column] for name in ("n_correct", "n_attempts", "n_undecided")]
    return sure_band_codes(counts[0], counts[1], counts[2], cuts=cuts)


def _null_column(panel: Panel, base_id: str, control_id: str | None) -> int:
    """Find the column that the null moves to: the base's second draw, or the control's last probe."""
    if control_id is not None:
        of_control = panel.columns[(panel.columns["run_id"] == control_id) & (panel.columns["step"] > 0)]
        if of_control.empty:
            raise InputError("the control has no probe after step 0: it must be probed at the steps that the runs are")
        return int(of_control.index.to_numpy()[int(of_control["step"].to_numpy().argmax())])
    column = panel.column_of(base_id, 0)
    if column is None:
        raise InputError(
            f"the base run has no draw {NULL_DRAW} at step 0, so what chance alone does is not measured: probe "
            'step 0 once more, or pass null="fitted"'
        )
    return column


def _null_codes(panel: Panel, column: int, cuts: Cuts, to_attempts_Q: stats.Floats) -> NDArray[np.int64]:
    both = (to_attempts_Q > 0) & (panel.sum_QC["n_attempts"][:, column] > 0)
    if (to_attempts_Q != panel.sum_QC["n_attempts"][:, column])[both].any():
        raise InputError(
            "the null's draw and the step have different numbers of attempts a question: bands of different n "
            "cannot be compared"
        )
    return _codes_at(panel, column, cuts)


def _never_of_width_0(
    low_IJ: stats.Floats,
    high_IJ: stats.Floats,
    n_I: NDArray[np.int64],
    only_to_IJ: NDArray[np.int64],
    only_null_IJ: NDArray[np.int64],
    fitted_IJ: stats.Floats,
) -> tuple[stats.Floats, stats.Floats]:
    """Widen bootstrap ends where it cannot see: no question of the band differs from the null, or all do alike.

    There resampling gives a width of 0, even with one question. The exact interval of 0 of n reaches up to
    1 - .025^(1/n) and that of n of n down to .025^(1/n) (Clopper and Pearson): so far go the ends, the shares of
    both directions taken at once. With a fitted null, fixed at `fitted_IJ`, only one direction is counted.
    """
    n_IJ = np.broadcast_to(np.maximum(n_I, 1)[:, None], low_IJ.shape)
    rare_IJ = 1 - 0.025 ** (1 / n_IJ)
    known_IJ = (n_I > 0)[:, None]
    none_IJ = known_IJ & (only_to_IJ == 0) & (only_null_IJ == 0)
    drawn_IJ = fitted_IJ == 0
    low_IJ = np.where(none_IJ & drawn_IJ, -rare_IJ, low_IJ)
    high_IJ = np.where(none_IJ, np.maximum(high_IJ, rare_IJ - fitted_IJ), high_IJ)
    all_to_IJ, all_null_IJ = known_IJ & (only_to_IJ == n_IJ), known_IJ & (only_null_IJ == n_IJ)
    low_IJ = np.where(all_to_IJ, 1 - rare_IJ - np.where(drawn_IJ, rare_IJ, fitted_IJ), low_IJ)
    return low_IJ, np.where(all_null_IJ, 2 * rare_IJ - 1, high_IJ)


def moved_questions(
    trajectories: pd.DataFrame, bands: pd.DataFrame, *, run: str, step: int, band_from: str, band_to: str
) -> pd.DataFrame:
    """List the questions counted in a cell of `band_transitions`, as many as its `count`, most correct first.

    `run` is a run_id. Columns: question_id, n_correct_base, n_decided_base (the draw that assigned the bands),
    n_correct, n_decided (draw 0 at `step`). InputError if there is no such band, or no such probe.
    """
    for band in (band_from, band_to):
        if band not in BANDS:
            raise InputError(f"no band {band!r}; there are {', '.join(BANDS)}")
    cuts, (base_id, _) = Cuts.parse(bands["cuts"].iloc[0]), base_of_bands(bands)
    rows = bands[["question_id", "n_correct", "n_decided"]].add_suffix("_base").rename(
        columns={"question_id_base": "question_id"}
    )  # fmt: skip
    began = codes_of(bands) == BANDS.index(band_from)
    now = _probe(trajectories, bands, run=run, step=step, draw=0)
    if now is None:
        raise InputError(f"run {run} has no probe at step {step}")
    ended = _codes_of_counts(now, cuts) == BANDS.index(band_to)
    null = _probe(trajectories, bands, run=base_id, step=0, draw=NULL_DRAW)
    measured = np.ones(len(bands), bool) if null is None else _codes_of_counts(null, cuts) >= 0
    rows["n_correct"], rows["n_decided"] = now["n_correct"], now["n_attempts"] - now["n_undecided"]
    return rows[began & ended & measured].sort_values("n_correct", ascending=False, kind="stable", ignore_index=True)


def _probe(
    trajectories: pd.DataFrame, bands: pd.DataFrame, *, run: str, step: int, draw: int
) -> dict[str, NDArray[np.int64]] | None:
    """Find the counts of one probe in the order of `bands`, 0 where a question was not asked; None if there is none."""
    chosen = trajectories[
        (
            (trajectories["run_id"] == run) & (trajectories["step"] == step) & (trajectories["draw"] == draw)
        ).to_numpy()
    ]  # fmt: skip
    if chosen.empty:
        return None
    place = pd.Index(chosen["question_id"].astype(object)).get_indexer(pd.Index(bands["question_id"].astype(object)))
    names = ("n_attempts", "n_correct", "n_undecided")
    return {name: np.where(place >= 0, chosen[name].to_numpy(np.int64)[place], 0) for name in names}


def _codes_of_counts(counts: dict[str, NDArray[np.int64]], cuts: Cuts) -> NDArray[np.int64]:
    return sure_band_codes(counts["n_correct"], counts["n_attempts"], counts["n_undecided"], cuts=cuts)


def plot_transitions(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw per run three matrices, observed, null and excess, in per cent. Returns the Axes (run, 3).

    Excess is in points; cells whose interval holds 0 are grey: chance is not to be read as change.
    """
    runs = frame[["run_id", "run"]].drop_duplicates()
    if axes is None:
        axes = style.new_axes(len(runs), 3, height=0.45 + 1.6 * len(runs))
    axes = np.asarray(axes, dtype=object).reshape(len(runs), 3)
    labels = style.run_styles(runs["run"])
    largest = max(0.1, float(frame["excess"].abs().max()))  # of all runs: one colour scale
    null_title = {"draws": "unchanged model", "control": "frozen control"}.get(
        str(frame["null"].iloc[0]), "unchanged model (fitted)"
    )
    with style.context():
        for row, run in zip(axes, runs.itertuples(), strict=True):
            one = frame[frame["run_id"] == run.run_id]
            _draw_matrix(row[0], one, "share", largest=1.0)
            _draw_matrix(row[1], one, "null_share", largest=1.0)
            _draw_matrix(row[2], one, "excess", largest=largest)
            row[0].set_ylabel(f"{labels[str(run.run)].label}\nband at step 0")
            counts = one.drop_duplicates("band_from").set_index("band_from")["n_from"]
            row[0].set_yticks(range(N_BANDS), [f"{band} ({counts[band]})" for band in BANDS])
            row[0].set_title(f"step {one['step'].iloc[0]}, %")
            row[1].set_title(f"{null_title}, %")
            row[2].set_title("excess, points")
        for one in axes[-1]:
            one.set_xlabel(f"band, {frame['band_attempts'].iloc[0]} attempts")
    return axes


def _draw_matrix(axes: Any, frame: pd.DataFrame, value: str, *, largest: float) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import Normalize, to_rgba

    excess = value == "excess"
    scale = Normalize(-largest if excess else 0, largest)
    colours = colormaps["RdBu" if excess else "Blues"]
    value_IJ = frame[value].to_numpy(float).reshape(N_BANDS, N_BANDS)
    plain_IJ = np.isnan(value_IJ)
    if excess:
        plain_IJ |= ~frame["significant"].to_numpy(bool).reshape(N_BANDS, N_BANDS)
    colour_IJ = colours(scale(np.nan_to_num(value_IJ)))
    colour_IJ[plain_IJ] = to_rgba(style.GREY)
    axes.imshow(colour_IJ, aspect="auto")
    for (i, j), number in np.ndenumerate(value_IJ):
        text = "–" if np.isnan(number) else f"{100 * number:+.0f}" if excess else f"{100 * number:.0f}"
        text = text.replace("-", "\N{MINUS SIGN}").replace("+0", "0").replace("\N{MINUS SIGN}0", "0")
        axes.text(j, i, text, ha="center", va="center", fontsize=7, color=style.text_colour(colour_IJ[i, j]))
    axes.set_xticks(range(N_BANDS), BANDS)
    axes.set_yticks(range(N_BANDS), [""] * N_BANDS)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(N_BANDS - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(N_BANDS - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="minor", length=0)


_NULLS = {
    "draws": "Unchanged model: the base model's draw 0 against its draw 1.",
    "control": "Frozen control: a run that was probed like the others and never trained.",
    "fitted": "Unchanged model: fitted null, both draws from a prior fitted to the base model's one draw (a beta "
    "distribution and a share of questions never solved).",
}


def caption_transitions(frame: pd.DataFrame) -> str:
    """Say what a reader must know: attempts, draws, the null, interval method, unmeasured questions."""
    first = frame.iloc[0]
    null = _NULLS[str(first["null"])]
    exact = "" if first["null"] == "fitted" else " or the exact McNemar test has p > .05"
    per_band = frame.drop_duplicates(["run_id", "band_from"])
    return (
        f"Rows sum to 100 %; bands by {first['band_attempts']} attempts; in brackets the number of questions. "
        f"{null} Excess is their difference; grey where its 95 % interval (bootstrap by question, "
        f"{first['resamples']} resamples, unadjusted for 16 cells) holds 0{exact}. "
        f"Questions without a sure band: {int(per_band['n_unmeasured'].sum())}."
    )


def _data(loaded: LoadedRuns) -> pd.DataFrame:
    if loaded.control_id is not None and loaded.probes["run_id"].nunique() > 2:
        return band_transitions(
            loaded.probes, loaded.bands, null="control", control=loaded.control_id, seed=loaded.seed,
            resamples=loaded.resamples,
        )  # fmt: skip
    base = loaded.probes[(loaded.probes["run_id"] == loaded.base_id) & (loaded.probes["step"] == 0)]
    drawn = (base["draw"] == NULL_DRAW).any()
    return band_transitions(
        loaded.probes, loaded.bands, null="draws" if drawn else "fitted", seed=loaded.seed,
        resamples=loaded.resamples if drawn else min(loaded.resamples, 200),  # each refits the prior
    )  # fmt: skip


TRANSITIONS = Figure(
    "transitions", "Moves between bands, and those of chance", "What changed",
    data=_data, draw=plot_transitions, caption=caption_transitions,
)  # fmt: skip
