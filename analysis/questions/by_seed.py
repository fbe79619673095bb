"""Draw methods over their training seeds: the mean, its interval between seeds, and the single seeds beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from relift.analysis import style
from relift.analysis.questions.bands import BANDS
from relift.analysis.questions.changes import groups_of
from relift.analysis.questions.seeds import over_seeds
from relift.errors import InputError

ONE_SEED = "every method here has one seed: what is said is about these checkpoints, not about their methods"
TWO_CHECKPOINTS = "These two checkpoints are compared, one training run each: another seed gives others."


def with_methods(frame: pd.DataFrame, methods: pd.DataFrame) -> pd.DataFrame:
    """Add method and seed of `read_methods` to the rows of a frame by run_id; a run without one is its own method."""
    own = frame.drop(columns=["method", "seed"], errors="ignore")  # a seed there is that of resampling
    joined = own.merge(methods[["run_id", "method", "seed"]], on="run_id", how="left")
    return joined.assign(method=joined["method"].astype(object).fillna(joined["run"].astype(object)))


def seed_differences(differences: pd.DataFrame, methods: pd.DataFrame) -> pd.DataFrame:
    """Lay single seeds beside their method's mean: one row per method, kind, group and seed.

    `differences` of `difference_from_base`. Columns: run_id, run, method, seed, kind, group, n_questions, difference
    (of this seed), n_seeds, mean, low, high (95 %, Student's t over the method's seeds, cut at -1 and 1; null of one
    seed). InputError if no method has two seeds.
    """
    rows = with_methods(differences[differences["n_questions"] > 0], methods)
    return _beside_mean(rows, ["method", "kind", "group"])


def pair_seeds(differences: pd.DataFrame, methods: pd.DataFrame, *, a: str, b: str) -> pd.DataFrame:
    """Subtract method b from method a seed by seed, both less their base: one row per kind, group and seed.

    Columns as `seed_differences`, where method is "a less b", difference is that of the seed's two runs, and the
    interval is Student's t over the seeds that both have. InputError if these are fewer than two, or a name is unknown.
    """
    rows = with_methods(differences[differences["n_questions"] > 0], methods)
    sides = []
    for name in (a, b):
        own = rows[(rows["method"] == name) & rows["seed"].notna()]
        if own.empty:
            raise InputError(f"no method {name!r} with seeds; there are {', '.join(sorted(rows['method'].unique()))}")
        sides.append(own.set_index(["kind", "group", "seed"]))
    other = sides[1][["difference", "n_questions"]].add_suffix("_b")
    both = sides[0].join(other, how="inner").reset_index()
    if both["seed"].nunique() < 2:
        raise InputError(f"{a} and {b} share fewer than two seeds")
    paired = both.assign(
        method=f"{a} less {b}", difference=both["difference"] - both["difference_b"],
        n_questions=both[["n_questions", "n_questions_b"]].min(axis=1),
    )  # fmt: skip
    return _beside_mean(paired, ["method", "kind", "group"])


def _beside_mean(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    names = ["run_id", "run", "method", "seed", "kind", "group", "n_questions", "difference"]
    found = []
    for _, own in rows.groupby(keys, sort=False):
        mean = over_seeds(own["difference"].to_numpy(float))
        low, high = np.clip([mean["low"], mean["high"]], -1, 1)
        found.append(own.sort_values("seed")[names].assign(n_seeds=len(own), mean=mean["mean"], low=low, high=high))
    frame = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=[*names, "n_seeds"])
    if frame.empty or frame["n_seeds"].max() < 2:
        raise InputError(ONE_SEED)
    return frame


def bands_by_seed(accuracy: pd.DataFrame, methods: pd.DataFrame) -> pd.DataFrame:
    """Average accuracy by band over seeds: one row per method, band, step and seed.

    `accuracy` of `band_accuracy`. Columns: run_id, run, method, seed, band, step, n_questions, accuracy (of this seed),
    n_seeds, mean, low, high (95 %, Student's t over the method's seeds at this step, cut at 0 and 1; null of one
    seed). InputError if no method has two seeds.
    """
    rows = with_methods(accuracy[accuracy["accuracy"].notna()], methods)
    grouped = rows.groupby(["method", "band", "step"], sort=False, observed=True)["accuracy"]
    stats_of = {key: over_seeds(values.to_numpy(float)) for key, values in grouped}
    keys = list(zip(rows["method"], rows["band"].astype(str), rows["step"], strict=True))
    rows = rows.assign(n_seeds=grouped.transform("size"))
    if rows.empty or rows["n_seeds"].max() < 2:
        raise InputError(ONE_SEED)
    several = rows["n_seeds"] > 1
    for name in ("mean", "low", "high"):
        value = pd.Series([stats_of[key][name] for key in keys], index=rows.index, dtype=float)
        rows[name] = value.clip(0, 1).where(several | (name == "mean"))
    names = ["run_id", "run", "method", "seed", "band", "step", "n_questions", "accuracy", "n_seeds", "mean"]
    return rows[[*names, "low", "high"]].reset_index(drop=True)


def say_seeds(frame: pd.DataFrame) -> str:
    """Say how many seeds each method has, of a frame with method and seed: "rl 3 seeds (1, 2, 3), sft one seed (1)"."""
    parts = []
    for method, own in frame.drop_duplicates(["method", "run_id"]).groupby("method", sort=False):
        seeds = ", ".join("?" if pd.isna(seed) else str(seed) for seed in own["seed"].sort_values())
        parts.append(f"{method} {'one seed' if len(own) == 1 else f'{len(own)} seeds'} ({seeds})")
    return ", ".join(parts)


def plot_seeds(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw a row per group of `seed_differences`: each method's mean and interval, its seeds as dots. Returns Axes."""
    groups = groups_of(frame)
    styles = style.run_styles(frame["method"])
    if axes is None:
        axes = style.one_axes(height=0.7 + len(groups) * (0.12 + 0.13 * len(styles)))
    with style.context():
        axes.axvline(0, color="black", linewidth=0.6)
        for i, (method, look) in enumerate(styles.items()):
            own = frame[(frame["method"] == method).to_numpy()]
            height = _rows_of(own, groups) + (i - (len(styles) - 1) / 2) * 0.8 / len(styles)
            low, high, mean = (100 * own[name].to_numpy(float) for name in ("low", "high", "mean"))
            known = ~np.isnan(low)
            axes.hlines(height[known], low[known], high[known], color=look.colour, linewidth=0.9)
            axes.plot(mean, height, marker=look.marker, color=look.colour, linestyle="none", label=look.label)
            axes.plot(100 * own["difference"], height, "|", color=look.colour, markersize=5)
        count = frame.groupby(["kind", "group"])["n_questions"].min()
        labels = [f"{'all questions' if kind == 'all' else group} ({count[kind, group]})" for kind, group in groups]
        axes.set_yticks(range(len(groups)), labels, parse_math=False)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.set_xlabel("accuracy, points above or below the base")
        style.legend_above(axes.figure, styles)
    return axes


def _rows_of(own: pd.DataFrame, groups: Sequence[tuple[str, str]]) -> Any:
    return np.array([groups.index((str(k), str(g))) for k, g in zip(own["kind"], own["group"], strict=True)], float)


def caption_seeds(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    alone = frame[frame["n_seeds"] == 1]["method"].drop_duplicates()
    single = f" {', '.join(alone)}: one seed, so no interval." if len(alone) else ""
    return (
        "Accuracy at the last probe less the base at step 0, paired by question in each run. Points: means over "
        f"training seeds; bars: 95 % intervals between seeds (Student's t); ticks: the single seeds. "
        f"Seeds: {say_seeds(frame)}.{single}"
    )


def plot_bands_by_seed(frame: pd.DataFrame) -> Any:
    """Draw four panels, hardest first: each method's mean over seeds with its interval, single seeds as thin lines.

    Returns the four Axes."""
    axes = style.new_axes(1, len(BANDS), height=2.0, sharex=True, sharey=True)[0]
    styles = style.run_styles(frame["method"])
    last = frame["step"].max()
    with style.context():
        for one, band in zip(axes, BANDS, strict=True):
            for method, own in frame[frame["band"] == band].groupby("method", sort=False):
                look = styles[str(method)]
                for _, seed in own.groupby("run_id", sort=False):
                    one.plot(seed["step"], seed["accuracy"], color=look.colour, linewidth=0.4, alpha=0.6)
                mean = own.drop_duplicates("step").sort_values("step")
                if set(mean["step"]) == {0} and last > 0:
                    one.axhline(mean["mean"].iloc[0], color=look.colour, linestyle=look.dash)
                    continue
                one.fill_between(mean["step"], mean["low"], mean["high"], color=look.colour, alpha=0.15, linewidth=0)
                one.plot(mean["step"], mean["mean"], **look.line())
            one.set_title(band)
            one.set_xlabel("training step")
            one.set_ylim(-0.02, 1.02)
        axes[0].set_ylabel("accuracy")
        style.legend_above(axes[0].figure, styles)
    return axes


def caption_bands_by_seed(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    return (
        "Accuracy by what the base could do: thick lines are means over training seeds, shaded their 95 % intervals "
        f"between seeds (Student's t), thin lines single seeds. {say_seeds(frame)}. "
        f"{style.count_range(frame['n_questions'])} questions a seed."
    )
