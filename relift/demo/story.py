"""Tell what came out: the demo's table and figures, made from its run folders with relift.analysis.

Bands are those of the base model's draw 0; the base is measured on its draw 1, the others on fresh samples after
training, so no number is measured on the answers that chose its questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from relift import analysis, stats
from relift.analysis.scores.table import records
from relift.demo.methods import CONTROL, METHODS, OOD, SKILL, Size

BANDS = ("Hardest", "Hard", "Medium", "Easy")
LABELS = {
    "base": "base",
    "rl": "RL",
    "sft": "SFT",
    "sft_matched": "SFT, ReLIFT's number of demonstrations",
    "relift": "ReLIFT",
    "sft_rl": "SFT, then RL",
}


@dataclass(frozen=True)
class Measured:
    """Hold a share with its 95 % interval: over questions for one seed, over seeds (Student's t) for several."""

    value: float
    low: float | None
    high: float | None
    per_seed: tuple[float, ...]


def tell(out: Path, folders: Sequence[Path], size: Size) -> dict[str, Any]:
    """Write table.md and figures/ under `out` and return the same numbers as one JSON object."""
    measured = [measure(folder) for folder in folders]
    methods = {method: pool([m[method] for m in measured]) for method in METHODS}
    copies = [beside_a_copy(folder) for folder in folders]
    story = {
        "seeds": [int(folder.name.removeprefix("seed-")) for folder in folders],
        "attempts": size.attempts,
        "band_sizes": [band_sizes(folder) for folder in folders],
        "methods": methods,
        "frozen_copy": [records(copy) for copy in copies],
    }
    (out / "table.md").write_text(f"{table(methods, story)}\n{copy_table(copies)}")
    draw_figures(out / "figures", folders[0])
    return story


def measure(folder: Path) -> dict[str, dict[str, Any]]:
    """Measure each method of one seed: accuracy by band, overall, out of distribution, of the side skill; costs."""
    runs = [folder / method for method in METHODS]
    probes = final_steps(analysis.read_trajectories(runs, splits=["test"]))
    bands = analysis.assign_bands(probes, run="base", draw=0)
    by_band = analysis.band_accuracy(probes, bands, measure_draw=1, resamples=2000, seed=0)
    ends = final_steps(analysis.read_trajectories(runs, splits=[*OOD, SKILL]))
    split_of = analysis.read_questions(runs[:1]).set_index("question_id")["split"].astype(str)
    costs = analysis.read_checkpoints(runs)
    result: dict[str, dict[str, Any]] = {}
    for method in METHODS:
        rows = by_band[
            (by_band["run"] == method) & (by_band["step"] == by_band.loc[by_band["run"] == method, "step"].max())
        ]
        measured = rows[rows["n_questions"] > 0]  # a small experiment may leave a band empty
        shares = {str(r.band): (float(r.accuracy), float(r.low), float(r.high)) for r in measured.itertuples()}
        mine = fresh(probes[probes["run"] == method])
        others = fresh(ends[ends["run"] == method]).assign(split=lambda f: f["question_id"].map(split_of))
        shares["all"] = mean_of(mine)
        shares |= {split: mean_of(others[others["split"] == split]) for split in (*OOD, SKILL)}
        result[method] = {"shares": shares, "cost": cost_of(costs[costs["run"] == method])}
    return result


def beside_a_copy(folder: Path) -> pd.DataFrame:
    """Count what each method's run of one seed claims and what the frozen run shows: a row per run and claim."""
    runs = [folder / method for method in (*METHODS, CONTROL)]
    ends = analysis.read_trajectories(runs)
    return analysis.frozen_copy(ends, base="base", control=CONTROL).drop(columns="run_id")


def final_steps(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Select step 0 of the base and the last step of every other run."""
    last = trajectories.groupby("run_id", observed=True)["step"].transform("max")
    return trajectories[(trajectories["step"] == last)]


def fresh(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Select the draw that no band was assigned on: 1 at step 0, all there are later."""
    return trajectories[(trajectories["step"] > 0) | (trajectories["draw"] == 1)]


def mean_of(trajectories: pd.DataFrame) -> tuple[float, float, float]:
    """Return the mean accuracy over questions with the ends of its interval."""
    decided = trajectories["n_attempts"] - trajectories["n_undecided"]
    estimate = stats.mean_over_questions(trajectories["n_correct"], decided)
    return estimate.value, estimate.low, estimate.high


def cost_of(checkpoints: pd.DataFrame) -> dict[str, float]:
    """Return a run's demonstrations, samples, tokens and minutes."""
    last = checkpoints.sort_values("step").iloc[-1]
    names = ("demonstrations", "distinct_demonstrations", "samples", "generated_tokens", "trained_tokens")
    return {**{name: int(last[name]) for name in names}, "minutes": float(last["wall_seconds"]) / 60}


def band_sizes(folder: Path) -> dict[str, int]:
    """Count the test questions in each band of the base model."""
    probes = analysis.read_trajectories([folder / "base"], splits=["test"])
    counts = analysis.assign_bands(probes, run="base", draw=0)["band"].value_counts()
    return {band: int(counts.get(band, 0)) for band in BANDS}


def pool(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Pool one method over its seeds."""
    names = [n for n in (*BANDS, "all", *OOD, SKILL) if any(n in s["shares"] for s in seeds)]
    accuracy = {name: asdict(over_seeds([s["shares"][name] for s in seeds if name in s["shares"]])) for name in names}
    cost = {name: float(np.mean([s["cost"][name] for s in seeds])) for name in seeds[0]["cost"]}
    return {"accuracy": accuracy, **cost}


def over_seeds(values: Sequence[tuple[float, float, float]]) -> Measured:
    """Average over seeds; the interval is that over questions when there is one seed."""
    shares = tuple(v for v, _, _ in values)
    if len(shares) == 1:
        low, high = (None if np.isnan(x) else x for x in values[0][1:])
        return Measured(shares[0], low, high, shares)
    n = len(shares)
    half = float(student_t.ppf(0.975, n - 1) * np.std(shares, ddof=1) / np.sqrt(n))
    mean = float(np.mean(shares))
    return Measured(mean, max(0.0, mean - half), min(1.0, mean + half), shares)


def table(methods: Mapping[str, Any], story: Mapping[str, Any]) -> str:
    """Write the table in Markdown, with what its numbers are."""
    n = story["band_sizes"][0]
    one = len(story["seeds"]) == 1
    sizes = {band: f" ({n[band]})" if one else "" for band in BANDS}
    head = [*(band + sizes[band] for band in BANDS), "all", "longer", "two products", "side skill"]
    head += ["demonstrations", "of SFT's", "distinct", "tokens", "minutes"]
    lines = ["| | " + " | ".join(head) + " |", "|" + "---|" * (len(head) + 1)]
    sft_total = methods["sft"]["demonstrations"]
    for method in METHODS:
        m = methods[method]
        cells = [cell(m["accuracy"].get(name)) for name in (*BANDS, "all", *OOD, SKILL)]
        cells += [f"{m['demonstrations']:,.0f}", f"{m['demonstrations'] / sft_total:.0%}"]
        cells += [f"{m['distinct_demonstrations']:,.0f}"]
        cells += [f"{(m['generated_tokens'] + m['trained_tokens']) / 1e6:.2f} M", f"{m['minutes']:.1f}"]
        lines.append(f"| {LABELS[method]} | " + " | ".join(cells) + " |")
    over = "over questions" if one else f"over {len(story['seeds'])} seeds, each with its own base model (Student's t)"
    lines.append(
        f"\nAccuracy with 95 % interval {over}; {story['attempts']} fresh answers to each question at temperature 1. "
        "Bands by the base model's accuracy on another draw (number of questions). Tokens: generated in training and "
        "trained on."
    )
    return "\n".join(lines) + "\n"


def copy_table(copies: Sequence[pd.DataFrame]) -> str:
    """Write in Markdown what runs show beside what a frozen copy shows, counts averaged over seeds."""
    seeds = pd.concat(copies)
    claims = list(dict.fromkeys(seeds["claim"]))
    mean = seeds.groupby(["run", "claim"], sort=False)[["count", "frozen"]].mean()
    shown = ".0f" if len(copies) == 1 else ".1f"
    rows = {"a frozen copy": mean["frozen"].groupby("claim").mean()}
    rows |= {LABELS[m]: mean.loc[m]["count"] for m in METHODS if m in mean.index}
    lines = ["| | " + " | ".join(claims) + " |", "|" + "---|" * (len(claims) + 1)]
    lines += [
        f"| {name} | " + " | ".join(f"{row[claim]:{shown}}" for claim in claims) + " |" for name, row in rows.items()
    ]
    n = f"{int(seeds['n_questions'].min()):,}"
    over = "" if len(copies) == 1 else f", means over {len(copies)} seeds"
    lines.append(
        f"\nQuestions of {n} that look learnt or forgotten at the last probe{over}, and how many do in a copy of the "
        "base that was probed at the same steps and never trained. Newly solved: no correct answer at step 0, one or "
        "more at the last probe. A quarter: of a question's answers."
    )
    return "\n".join(lines) + "\n"


def cell(share: Mapping[str, Any] | None) -> str:
    """Write .63 ±.04, or the share alone where there is no interval.

    ± is the longer side: an interval that ends at 0 or at 1 would look narrower than it is.
    """
    if share is None:
        return "–"
    value = f"{share['value']:.3f}".removeprefix("0") if share["value"] < 1 else "1.000"
    if share["low"] is None:
        return value
    half = max(share["high"] - share["value"], share["value"] - share["low"])
    return f"{value} ±{f'{half:.3f}'.removeprefix('0')}"


def draw_figures(folder: Path, seed_folder: Path) -> None:
    """Draw the four figures of one seed, each as pdf, svg, png and with the data behind it."""
    shown = ("rl", "sft", "relift", "sft_rl")
    runs = [seed_folder / method for method in METHODS]
    probes = analysis.read_trajectories(runs, splits=["test"])
    bands = analysis.assign_bands(probes, run="base", draw=0)
    curves = analysis.band_accuracy(probes[probes["run"].isin(["base", *shown])], bands, resamples=1000)
    analysis.save_figure(analysis.plot_band_accuracy(curves)[0].figure, folder, "band_accuracy", curves)

    moved = analysis.band_transitions(
        probes[probes["run"].isin(["base", "rl", "sft", "relift"])], bands, resamples=1000
    )
    analysis.save_figure(analysis.plot_transitions(moved)[0, 0].figure, folder, "transitions", moved)

    trained_runs = [seed_folder / method for method in shown]
    rollouts = analysis.read_trajectories(trained_runs, origin="rollout")
    samples = pd.concat([rollouts, probes[probes["run"].isin(shown)]], ignore_index=True)
    dynamics = analysis.training_dynamics(analysis.read_updates(trained_runs), samples)
    analysis.save_figure(analysis.plot_training_dynamics(dynamics)[0].figure, folder, "dynamics", dynamics)

    scores = analysis.probe_scores(probes[probes["run"] != "base"], measure_draw=1)
    efficiency = analysis.demo_efficiency(scores, analysis.read_checkpoints(runs))
    analysis.save_figure(analysis.plot_demo_efficiency(efficiency)[0].figure, folder, "demonstrations", efficiency)
