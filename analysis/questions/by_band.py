"""Measure accuracy and length of answers by band, and draw both.

Bands are assigned by one draw of the base model's attempts and measured by another: assigned and measured on
the same attempts, a model that never learns shows large change. Axes: Q questions, C columns (run at step),
R resamples, G bands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relift import stats
from relift.analysis import style
from relift.analysis.questions.bands import BANDS, Cuts, codes_of, counts_of_bands
from relift.analysis.runs.counts import Counts
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import Panel, base_of_bands, check_measure_draw, lay_out, matched_questions, run_id_of
from relift.analysis.runs.read import read_demonstrations
from relift.analysis.runs.recorded import require_column
from relift.errors import InputError

Which = Literal["all", "correct", "other"]


def band_accuracy(
    trajectories: pd.DataFrame | Counts,
    bands: pd.DataFrame,
    *,
    measure_draw: int = 1,
    resamples: int = 200,
    seed: int = 0,
    allow_same_draw: bool = False,
    control: str | None = None,
) -> pd.DataFrame:
    """Measure accuracy by band, its change, and their intervals: one row per run, band and step.

    accuracy       mean of c / (n - u) over the questions with a decided attempt; low, high: 95 % bootstrap
                   percentiles by question, or Wilson with n = questions where all questions are equal
                   (`interval` says which), never a width of 0
    bound_low/high the mean had all undecided attempts been wrong, or right
    change         mean of the question's rate minus its rate in `measure_draw` of the base run's step 0; its
                   interval is null where it cannot be told (all questions changed alike)
    Only questions probed in every run and at every step of the frame enter, so that lines compare like with like.
    Step 0 is measured by `measure_draw`, later steps by their draws 0 and 1; top-ups never enter. Raises
    InputError where `measure_draw` assigned the bands, unless `allow_same_draw` (then stamped `same_draw`).
    `control` names a frozen run: then also control_accuracy, control_change, what it shows in the same band and step.
    """
    check_measure_draw(bands, measure_draw, allow_same_draw=allow_same_draw)
    panel = lay_out(
        matched_questions(trajectories),
        bands,
        sums=("n_attempts", "n_correct", "n_undecided"),
        measure_draw=measure_draw,
    )
    base = panel.column_of(base_of_bands(bands)[0], 0)
    estimates, n_of_band = _accuracy_in_blocks(panel, bands, base, resamples=resamples, seed=seed)
    frame = _long_frame(panel, bands, measure_draw=measure_draw, resamples=resamples, seed=seed)
    for name, n_GC in n_of_band.items():
        frame[name] = n_GC.ravel()
    for name in ("accuracy", "accuracy_low", "accuracy_high", "bound_low", "bound_high"):
        frame[name.removeprefix("accuracy_") or name] = estimates[name].ravel()
    frame = _wilson_where_equal(frame)
    for name in ("change", "change_low", "change_high"):
        frame[name] = estimates[name].ravel()
    # a base run's own step 0 has changed by exactly 0; elsewhere a width of 0 only says that all were equal
    itself = (frame["run_id"] == base_of_bands(bands)[0]) & (frame["step"] == 0)
    unknown = (frame["change_high"] - frame["change_low"] < 1e-12) & ~itself
    frame.loc[unknown, ["change_low", "change_high"]] = np.nan
    frame = _by_run(frame)
    if control is None:
        return frame
    own = frame[frame["run_id"] == run_id_of(frame, control)][["band", "step", "accuracy", "change"]]
    floor = own.rename(columns={"accuracy": "control_accuracy", "change": "control_change"})
    return frame.merge(floor, on=["band", "step"], how="left")


_BLOCK_CELLS = 1_300_000  # of the question by column matrices held at once: 10 MB each


def _accuracy_in_blocks(
    panel: Panel, bands: pd.DataFrame, base: int | None, *, resamples: int, seed: int
) -> tuple[dict[str, stats.Floats], dict[str, NDArray[np.int64]]]:
    """Return estimates and counts by band and column, some columns at a time: a large panel need not fit in float64.

    Every block is resampled with the same weights, so the result does not depend on the blocks. Questions are sorted
    by band, so that the weights of a band lie together.
    """
    order_Q = np.argsort(codes_of(bands), kind="stable")
    sorted_bands = bands.iloc[order_Q]
    width = max(1, _BLOCK_CELLS // max(1, len(panel.question_ids)))
    blocks = []
    weights = [w[:, order_Q] for w in stats.small_weights(len(panel.question_ids), resamples, seed=seed)]
    for first in range(0, len(panel.columns), width):
        counts = {
            name: sum_QC[:, first : first + width][order_Q].astype(float) for name, sum_QC in panel.sum_QC.items()
        }
        start = None if base is None else {name: sum_QC[order_Q, base] for name, sum_QC in panel.sum_QC.items()}
        blocks.append(_accuracy_of(counts, start, sorted_bands, resamples=resamples, seed=seed, weights=weights))
    joined = [{name: np.concatenate([b[i][name] for b in blocks], axis=1) for name in blocks[0][i]} for i in (0, 1)]
    return joined[0], joined[1]


def _accuracy_of(
    counts: dict[str, stats.Floats],
    start: dict[str, NDArray[Any]] | None,
    bands: pd.DataFrame,
    *,
    resamples: int,
    seed: int,
    weights: Sequence[NDArray[np.integer]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Estimate accuracy and change of the counts [Q, C]; `start`: counts [Q] of the base run's measuring draw."""
    correct_QC, attempts_QC, undecided_QC = counts["n_correct"], counts["n_attempts"], counts["n_undecided"]
    decided_QC = attempts_QC - undecided_QC
    measured_QC = (decided_QC > 0).astype(float)
    rate_QC = np.nan_to_num(stats.rate(correct_QC, decided_QC))
    if start is None:  # the base run was read without its measuring draw: no change can be told
        changed_QC, paired_QC = np.zeros_like(rate_QC), np.zeros_like(rate_QC)
    else:
        base_Q1 = stats.rate(start["n_correct"], start["n_attempts"] - start["n_undecided"])[:, None]
        paired_QC = measured_QC * ~np.isnan(base_Q1)
        changed_QC = (rate_QC - np.nan_to_num(base_Q1)) * paired_QC
    codes = codes_of(bands)
    sums = {"n_questions": measured_QC, "n_correct": correct_QC, "n_decided": decided_QC, "n_undecided": undecided_QC}
    n_of_band = {
        name: np.stack([sum_QC[codes == code].sum(axis=0) for code in range(len(BANDS))]).astype(np.int64)
        for name, sum_QC in sums.items()
    }
    attempts_QC = np.maximum(attempts_QC, 1)  # cells without attempts weigh nothing below
    estimates = _band_means(
        bands,
        {
            "accuracy": (rate_QC, measured_QC),
            "change": (changed_QC, paired_QC),
            "bound_low": (measured_QC * correct_QC / attempts_QC, measured_QC),
            "bound_high": (measured_QC * (correct_QC + undecided_QC) / attempts_QC, measured_QC),
        },
        resampled=("accuracy", "change"),
        resamples=resamples,
        seed=seed,
        weights=weights,
    )
    return estimates, n_of_band


def _band_means(
    bands: pd.DataFrame,
    ratios: Mapping[str, tuple[stats.Floats, stats.Floats]],
    *,
    resampled: tuple[str, ...],
    resamples: int,
    seed: int,
    weights: Sequence[NDArray[np.integer]] | None = None,
) -> dict[str, stats.Floats]:
    """Average sum(numerator) / sum(denominator) by band: {name: (band, C)}, with name_low, name_high if resampled."""
    codes = codes_of(bands)
    means: dict[str, stats.Floats] = {}
    for name, (numerator_QC, denominator_QC) in ratios.items():
        means[name] = np.stack(
            [
                stats.rate(numerator_QC[codes == code].sum(axis=0), denominator_QC[codes == code].sum(axis=0))
                for code in range(len(BANDS))
            ]
        )
        if name in resampled:
            estimates_RGC = stats.bootstrap_ratios(
                numerator_QC,
                denominator_QC,
                codes,
                n_groups=len(BANDS),
                resamples=resamples,
                seed=seed,
                weights=weights,
            )
            means[f"{name}_low"], means[f"{name}_high"] = stats.percentile_interval(estimates_RGC)
    return means


def _long_frame(panel: Panel, bands: pd.DataFrame, *, measure_draw: int, resamples: int, seed: int) -> pd.DataFrame:
    """Lay out the key columns, one row per band and column of the panel (band-major), and how they were measured."""
    n_columns, assigned_n = len(panel.columns), bands["n_attempts"].unique()
    cuts = Cuts.parse(bands["cuts"].iloc[0])
    counts = counts_of_bands(int(assigned_n[0]), cuts=cuts) if len(assigned_n) == 1 else {}
    frame = pd.concat([panel.columns] * len(BANDS), ignore_index=True)
    frame.insert(2, "band", np.repeat(BANDS, n_columns))
    frame["band_counts"] = frame["band"].map(counts).astype(object) if counts else None
    frame["band_attempts"] = style.count_range(assigned_n)
    frame["measure_draw"], frame["same_draw"] = measure_draw, measure_draw == base_of_bands(bands)[1]
    frame["resamples"], frame["seed"] = resamples, seed
    return frame


def _wilson_where_equal(frame: pd.DataFrame) -> pd.DataFrame:
    equal = (frame["high"] - frame["low"] < 1e-12).to_numpy()
    low, high = stats.wilson(frame["accuracy"] * frame["n_questions"], frame["n_questions"])
    frame["low"], frame["high"] = np.where(equal, low, frame["low"]), np.where(equal, high, frame["high"])
    frame["interval"] = np.where(equal, "wilson", "bootstrap")
    return frame


def _by_run(frame: pd.DataFrame) -> pd.DataFrame:
    """Sort rows by run (as they first appear), band (hardest first), step."""
    order = {run_id: i for i, run_id in enumerate(dict.fromkeys(frame["run_id"]))}
    keys = pd.DataFrame({"r": frame["run_id"].map(order), "b": frame["band"].map(BANDS.index)})
    return frame.iloc[np.lexsort((frame["step"], keys["b"], keys["r"]))].reset_index(drop=True)


def band_lengths(
    trajectories: pd.DataFrame | Counts,
    bands: pd.DataFrame,
    *,
    which: Which = "all",
    measure_draw: int = 1,
    resamples: int = 200,
    seed: int = 0,
    allow_same_draw: bool = False,
) -> pd.DataFrame:
    """Measure tokens of an answer and the truncated share of all answers by band: one row per run, band and step.

    `which`: all answers, the correct ones, or the other ones (wrong and undecided). Means are over attempts,
    intervals bootstrap questions (95 %). Draws as in `band_accuracy`. InputError of Counts, which hold no lengths.
    """
    if isinstance(trajectories, Counts):
        raise InputError("band_lengths needs the lengths of answers, which Counts do not hold: use read_trajectories")
    check_measure_draw(bands, measure_draw, allow_same_draw=allow_same_draw)
    trajectories = matched_questions(trajectories)
    require_column(trajectories, "mean_tokens", table="trajectories")
    all_tokens = trajectories["mean_tokens"].to_numpy(float) * trajectories["n_attempts"].to_numpy(float)
    correct_tokens = np.nan_to_num(
        trajectories["mean_tokens_correct"].to_numpy(float) * trajectories["n_correct"].to_numpy(float)
    )
    tokens, answers = {
        "all": (all_tokens, trajectories["n_attempts"]),
        "correct": (correct_tokens, trajectories["n_correct"]),
        "other": (all_tokens - correct_tokens, trajectories["n_attempts"] - trajectories["n_correct"]),
    }[which]
    panel = lay_out(
        trajectories.assign(tokens_of=tokens, n_answers=answers),
        bands,
        sums=("tokens_of", "n_answers", "n_attempts", "n_truncated"),
        measure_draw=measure_draw,
    )
    sums = panel.sum_QC
    estimates = _band_means(
        bands,
        {
            "tokens": (sums["tokens_of"], sums["n_answers"]),
            "truncated": (sums["n_truncated"], sums["n_attempts"]),
        },
        resampled=("tokens",),
        resamples=resamples,
        seed=seed,
    )
    frame = _long_frame(panel, bands, measure_draw=measure_draw, resamples=resamples, seed=seed)
    codes = codes_of(bands)
    answered = (sums["n_answers"] > 0).astype(np.int64)
    frame.insert(4, "which", which)
    for name, value_QC in ("n_questions", answered), ("n_answers", sums["n_answers"]):
        by_band = [value_QC[codes == code].sum(axis=0) for code in range(len(BANDS))]
        frame[name] = np.stack(by_band).ravel().astype(np.int64)
    for name, source in ("tokens", "tokens"), ("low", "tokens_low"), ("high", "tokens_high"):
        frame[name] = estimates[source].ravel()
    frame["truncated_share"] = estimates["truncated"].ravel()
    return _by_run(frame)


def plot_band_accuracy(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw four panels, hardest first, a line per run with its interval, a level line for a base run.

    Returns the four Axes."""
    axes = _four_panels(axes)
    _draw_band_lines(frame, axes, value="accuracy")
    for one in axes:
        one.set_ylim(-0.02, 1.02)
    axes[0].set_ylabel("accuracy")
    return axes


def plot_band_lengths(
    frame: pd.DataFrame, *, demonstration_tokens: Mapping[str, float] | None = None, axes: Any = None
) -> Any:
    """Draw tokens of an answer in four panels, hardest first, a line per run. Returns the four Axes.

    `demonstration_tokens`: mean length of each band's demonstrations, drawn as a thin dashed line; None: those of the
    column of that name, if the frame has one.
    """
    axes = _four_panels(axes)
    _draw_band_lines(frame, axes, value="tokens")
    lengths = _demonstration_lengths(frame) if demonstration_tokens is None else demonstration_tokens
    for one, band in zip(axes, BANDS, strict=True):
        length = lengths.get(band)
        if length is not None:
            one.axhline(length, color="black", linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
            one.annotate(
                "demonstrations", (0.03, length), (0, -1.5), xycoords=("axes fraction", "data"),
                textcoords="offset points", fontsize=6, va="top",
            )  # fmt: skip
    axes[0].set_ylim(bottom=0)
    kinds = {"all": "tokens of an answer", "correct": "tokens of a correct answer", "other": "tokens, not correct"}
    axes[0].set_ylabel(kinds[str(frame["which"].iloc[0])])
    return axes


def _demonstration_lengths(frame: pd.DataFrame) -> dict[str, float]:
    """Find the mean length of each band's demonstrations, of bands that have some."""
    if "demonstration_tokens" not in frame:
        return {}
    known = frame.dropna(subset="demonstration_tokens").drop_duplicates("band")
    return dict(zip(known["band"].astype(str), known["demonstration_tokens"].astype(float), strict=True))


def _four_panels(axes: Any) -> Any:
    if axes is None:
        return style.new_axes(1, len(BANDS), height=2.0, sharex=True, sharey=True)[0]
    return np.asarray(axes, dtype=object).ravel()


def _draw_band_lines(frame: pd.DataFrame, axes: Any, *, value: str) -> None:
    styles = style.run_styles(frame["run"])
    with style.context():
        for one, band in zip(axes, BANDS, strict=True):
            in_band = frame[frame["band"] == band]
            for (_, run), line in in_band.groupby(["run_id", "run"], sort=False):
                look = styles[str(run)]
                one.fill_between(line["step"], line["low"], line["high"], color=look.colour, alpha=0.15, linewidth=0)
                if set(line["step"]) == {0} and frame["step"].max() > 0:
                    one.axhline(line[value].iloc[0], color=look.colour, linestyle=look.dash)
                else:
                    one.plot(line["step"], line[value], **look.line())
            counts = in_band["band_counts"].dropna().unique()
            attempts = frame["band_attempts"].iloc[0]
            title = f"{band}, {counts[0]} of {attempts}" if len(counts) else f"{band}, of {attempts}"
            one.set_title(f"{title}\n{style.count_range(in_band['n_questions'])} questions")
            style.whole_steps(one)
        style.legend_above(axes[0].figure, styles)


def caption_bands(frame: pd.DataFrame) -> str:
    """Say what a reader of figures by band must know: attempts, draws, interval method, resamples."""
    first = frame.iloc[0]
    draws = (
        "Bands and step 0 come from the SAME attempts, so part of every change is chance."
        if first["same_draw"]
        else f"Bands are assigned by the base model's {first['band_attempts']} attempts of one draw; step 0 is "
        f"measured by draw {first['measure_draw']}, other attempts than these."
    )
    interval = f"Shaded: 95 % intervals, bootstrap by question, {first['resamples']} resamples"
    wilson = "interval" in frame and (frame["interval"] == "wilson").any()
    return f"{draws} {interval}{', Wilson where all questions are equal' if wilson else ''}."


def caption_lengths(frame: pd.DataFrame) -> str:
    """Say what a reader of the lengths must know; the dashed line only where one is drawn."""
    demonstrated = ", ".join(_demonstration_lengths(frame))
    dashed = f" Dashed: mean length of the demonstrations for questions of the band ({demonstrated})."
    return f"{caption_bands(frame)}{dashed if demonstrated else ''}"


def _accuracy_data(loaded: LoadedRuns) -> pd.DataFrame:
    return band_accuracy(
        loaded.probes, loaded.bands, measure_draw=loaded.measure_draw, resamples=loaded.resamples, seed=loaded.seed,
        control=loaded.control_id,
    )  # fmt: skip


def _lengths_data(loaded: LoadedRuns) -> pd.DataFrame:
    frame = band_lengths(
        loaded.probes, loaded.bands, measure_draw=loaded.measure_draw, resamples=loaded.resamples, seed=loaded.seed
    )
    demonstrations = read_demonstrations(list(loaded.paths)).drop_duplicates("demo_id")
    band_of = loaded.bands.set_index("question_id")["band"]
    length = demonstrations.groupby(demonstrations["question_id"].astype(object).map(band_of))["n_tokens"].mean()
    return frame.assign(demonstration_tokens=frame["band"].map(length).astype(float))


ACCURACY = Figure(
    "band_accuracy", "Accuracy by what the base could do", "What changed",
    data=_accuracy_data, draw=plot_band_accuracy, caption=caption_bands,
)  # fmt: skip
LENGTHS = Figure(
    "band_lengths", "Length of answers by what the base could do", "Length of answers",
    data=_lengths_data, draw=plot_band_lengths, caption=caption_lengths,
)  # fmt: skip
