"""Map all questions by the mean of their accuracy over steps and its spread. Axes: Q questions, T steps, B bins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.runs.counts import Cube
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.live import read_cube
from relift.errors import InputError


def data_map(cube: Cube, *, bins: int = 40) -> pd.DataFrame:
    """Count questions by the mean of their accuracy over steps and its standard deviation: one row per filled bin.

    After Swayamdipta et al. 2020 (arXiv 2009.10795), with accuracy in place of confidence. Columns: mean_low,
    mean_high, sd_low, sd_high, count (questions), noise_sd: the mean standard deviation that the bin's questions would
    show without any change, sqrt(mean of p (1 - p) / n), p their mean. Questions measured at fewer than two steps are
    left out. The mean runs over 0 to 1, the deviation over 0 to .5. InputError if no question is left.
    """
    rate_QT = stats.rate(cube.n_correct_QT, cube.n_decided_QT)
    kept_Q = (cube.n_decided_QT > 0).sum(axis=1) >= 2
    if not kept_Q.any():
        raise InputError("data_map: no question was measured at two steps")
    rate_QT, decided_QT = rate_QT[kept_Q], cube.n_decided_QT[kept_Q].astype(float)
    mean_Q, sd_Q = np.nanmean(rate_QT, axis=1), np.nanstd(rate_QT, axis=1)
    per_attempt_Q = stats.rate((decided_QT > 0).sum(axis=1), np.where(decided_QT > 0, 1, 0).sum(axis=1))
    inverse_QT = np.divide(1.0, decided_QT, out=np.full_like(decided_QT, np.nan), where=decided_QT > 0)
    noise_Q = np.sqrt(mean_Q * (1 - mean_Q) * np.nanmean(inverse_QT, axis=1)) * per_attempt_Q
    column_Q = np.minimum((mean_Q * bins).astype(np.int64), bins - 1)
    row_Q = np.minimum((sd_Q * 2 * bins).astype(np.int64), bins - 1)
    cell_Q = column_Q * bins + row_Q
    count_B = np.bincount(cell_Q, minlength=bins * bins)
    noise_B = stats.rate(np.bincount(cell_Q, weights=noise_Q, minlength=bins * bins), count_B)
    held = np.flatnonzero(count_B)
    column, row = np.divmod(held, bins)
    return pd.DataFrame(
        {
            "mean_low": column / bins, "mean_high": (column + 1) / bins, "sd_low": row / bins / 2,
            "sd_high": (row + 1) / bins / 2, "count": count_B[held], "noise_sd": noise_B[held],
        }
    )  # fmt: skip


def plot_data_map(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw mean accuracy against its spread over steps, shade by number of questions, dashed what chance gives."""
    from matplotlib.colors import LogNorm, Normalize

    axes = style.one_axes(height=2.5, width=style.COLUMN_WIDTH) if axes is None else axes
    width = float((frame["mean_high"] - frame["mean_low"]).iloc[0])
    bins = round(1 / width)
    count = np.full((bins, bins), np.nan)
    count[(frame["sd_low"] * 2 * bins).round().astype(int), (frame["mean_low"] * bins).round().astype(int)] = frame[
        "count"
    ]
    edges = np.linspace(0, 1, bins + 1)
    with style.context():
        most = int(frame["count"].max())
        scale = LogNorm(1, most) if most > 10 else Normalize(0, most)
        mesh = axes.pcolormesh(edges, edges / 2, count, cmap="viridis_r", norm=scale, rasterized=True)
        bar = axes.figure.colorbar(mesh, ax=axes, label="questions", pad=0.02)
        bar.ax.tick_params(labelsize=style.RC["ytick.labelsize"])
        bar.outline.set_visible(False)
        by_mean = frame.assign(w=frame["noise_sd"] * frame["count"]).groupby("mean_low")[["w", "count"]].sum()
        axes.plot(by_mean.index + width / 2, by_mean["w"] / by_mean["count"], color="black", linestyle=(0, (4, 3)))
        axes.set_xlabel("mean accuracy over steps")
        axes.set_ylabel("standard deviation over steps")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 0.5)
    return axes


def caption_data_map(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    return (
        f"{int(frame['count'].sum())} questions by mean and standard deviation of their accuracy over the probes. "
        "Dashed: the deviation that a rate which never changes would show, from the number of attempts alone."
    )


def _data(loaded: LoadedRuns) -> pd.DataFrame:
    steps = loaded.probes.groupby("run_id", observed=True)["step"].nunique()
    if steps.max() < 2:
        raise InputError("no run has probes at two steps: nothing varies over time")
    run_id = str(steps.idxmax())  # the longest; one run, since it is a map of one model's questions
    cube = read_cube(loaded.path_of(run_id))
    shown = loaded.probes.loc[loaded.probes["run_id"] == run_id, "question_ix"].unique()
    kept_Q = np.isin(cube.question_ix_Q, shown)
    cube = Cube(cube.n_correct_QT[kept_Q], cube.n_decided_QT[kept_Q], cube.step_T, cube.question_ix_Q[kept_Q])
    bins = int(np.clip(np.sqrt(len(cube.question_ix_Q)) / 1.5, 10, 40))
    label = loaded.runs.loc[loaded.runs["run_id"] == run_id, "run"].iloc[0]
    return data_map(cube, bins=bins).assign(run_id=run_id, run=label)


DATA_MAP = Figure(
    "data_map", "Map of the questions", "What changed", data=_data, draw=plot_data_map, caption=caption_data_map
)
