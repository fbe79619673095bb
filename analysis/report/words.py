"""Say in sentences what the frames hold: a number, its interval, and what chance alone gives, if that is known.

Every function takes a frame of the library and returns plain text, which is escaped where it is shown. `names` gives
the name of a run_id. An interval that holds 0 is never called a change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from relift.analysis.questions.balance import say_balance
from relift.analysis.questions.bands import BANDS
from relift.analysis.questions.reach import REACH
from relift.analysis.report.loaded import START
from relift.analysis.style import count_range
from relift.analysis.training.event_study import WAITING

Names = Mapping[str, str]
Frames = Mapping[str, pd.DataFrame]

UNTOLD = "not told from chance"


def percent(share: float) -> str:
    """Write a share as "63.8 %"."""
    return f"{100 * share:.1f} %"


def signed(number: float) -> str:
    """Write one decimal with its sign: "+2.7", "−1.0", "0.0"."""
    text = f"{number:+.1f}".replace("-", "\N{MINUS SIGN}")
    return "0.0" if text[1:] == "0.0" else text


def plain(number: float) -> str:
    """Write one decimal, a sign only where negative."""
    return signed(number).removeprefix("+")


def interval(low: float, high: float, *, scale: float = 1.0) -> str:
    """Write "[−1.0, 6.4]", or what is missing."""
    if pd.isna(low) or pd.isna(high):
        return "[no interval]"
    return f"[{plain(scale * low)}, {plain(scale * high)}]"


def points(difference: float, low: float, high: float) -> str:
    """Write a difference of shares in points with its interval: "+19.6 points [16.7, 22.5]"."""
    unit = "point" if abs(round(100 * difference, 1)) == 1 else "points"
    return f"{signed(100 * difference)} {unit} {interval(low, high, scale=100)}"


def doubt(low: float, high: float) -> str:
    """Say ", not told from chance" where the interval holds 0 or is missing."""
    return "" if low > 0 or high < 0 else f", {UNTOLD}"


def doubt_of_several(low: float, high: float, p_holm: float) -> str:
    """Say the same where several comparisons are made: the adjusted test must agree as well."""
    if doubt(low, high):
        return doubt(low, high)
    return f", {UNTOLD} once adjusted" if p_holm > 0.05 else ""


def many(n: int, noun: str) -> str:
    """Write "1 question", "320 questions"."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def say_accuracy(differences: pd.DataFrame, names: Names) -> list[str]:
    """Say each run's difference from the base, over all questions and by split: of difference_from_base."""
    said = []
    for run_id, rows in differences[differences["n_questions"] > 0].groupby("run_id", sort=False):
        splits = [
            f"{row['group']} ({row['n_questions']:,}) {signed(100 * row['difference'])} "
            f"{interval(row['low'], row['high'], scale=100)}"
            for row in rows[rows["kind"] == "group"].to_dict("records")
        ]
        by_split = f" By split: {', '.join(splits)}." if splits else ""
        for row in rows[rows["kind"] == "all"].to_dict("records"):
            left = f", {row['n_left_out']:,} left out" if row["n_left_out"] else ""
            said.append(
                f"{names[str(run_id)]}: {percent(row['accuracy'])} at step {row['step']}, the base "
                f"{percent(row['base_accuracy'])}: "
                f"{points(row['difference'], row['low'], row['high'])}, paired over "
                f"{many(row['n_questions'], 'question')}{left}{doubt(row['low'], row['high'])}.{by_split}"
            )
    return said


def say_levels(scores: pd.DataFrame, names: Names) -> list[str]:
    """Say the accuracy of each run's first probe, one sentence for runs that start alike: of `probe_scores`."""
    alike: dict[str, list[str]] = {}
    for row in scores.sort_values("step", kind="stable").groupby("run_id", sort=False).head(1).to_dict("records"):
        level = f"{percent(row['value'])} {interval(row['ci_low'], row['ci_high'], scale=100)}"
        alike.setdefault(f"at step {row['step']}: {level} of {many(row['n_questions'], 'question')}", []).append(
            names[row["run_id"]]
        )
    return [f"{', '.join(who)} {level}." for level, who in alike.items()]


def say_bands(differences: pd.DataFrame, names: Names) -> list[str]:
    """Say each run's difference from the base by band: of the table difference_from_base."""
    said = []
    for run_id, rows in differences[differences["kind"] == "band"].groupby("run_id", sort=False):
        by_band = {row["group"]: row for row in rows.to_dict("records")}
        parts = [
            f"{band} ({by_band[band]['n_questions']}) {signed(100 * by_band[band]['difference'])} "
            f"{interval(by_band[band]['low'], by_band[band]['high'], scale=100)}"
            for band in BANDS
            if band in by_band and by_band[band]["n_questions"]
        ]
        if parts:
            said.append(f"{names[str(run_id)]}, change in points: {', '.join(parts)}.")
    return said


def say_moves(transitions: pd.DataFrame, names: Names) -> list[str]:
    """Say the moves out of the lowest band and out of the highest, beside what an unchanged model shows."""
    said = []
    told = {
        "Hardest": "moved {left} of {n} Hardest questions to solved at least once",
        "Easy": "let {left} of {n} Easy questions fall to a lower band",
    }
    stayed = transitions[transitions["band_from"] == transitions["band_to"]]
    for band, phrase in told.items():
        for row in stayed[stayed["band_from"] == band].to_dict("records"):
            n, left = int(row["n_from"]), int(row["n_from"] - row["count"])
            if not n:
                said.append(f"{names[row['run_id']]}: the base model has no {band} question.")
                continue
            # of those that stayed to those that left: signs and ends change places
            excess, low, high = -n * row["excess"], -n * row["high"], -n * row["low"]
            fitted = " (fitted null)" if row["null"] == "fitted" else ""
            sure = "" if row["significant"] else f", {UNTOLD}" + (" by the exact test" if low > 0 or high < 0 else "")
            said.append(
                f"{names[row['run_id']]} {phrase.format(left=left, n=n)} by step {row['step']}; "
                f"{n * (1 - row['null_share']):.1f} expected without learning{fitted}; excess {plain(excess)} "
                f"{interval(low, high)}{sure}."
            )
    return said


def say_balances(frame: pd.DataFrame, names: Names) -> list[str]:
    """Say what each run gained less what it lost: of `balance`."""
    return [f"{names[str(row['run_id'])]}: {say_balance(row)}" for row in frame.to_dict("records")]


def say_classes(classes: pd.DataFrame, names: Names) -> list[str]:
    """Say the questions found gained and lost, and those expected without learning."""
    said = []
    for run_id, rows in classes.groupby("run_id", sort=False):
        by_class = {row["class"]: row for row in rows.to_dict("records")}
        parts = [
            f"{by_class[name]['found']} {name} ({by_class[name]['expected']:.1f} expected without learning, standard "
            f"deviation {by_class[name]['sd']:.1f})"
            for name in ("gained", "lost")
        ]
        said.append(
            f"{names[str(run_id)]}: of {many(by_class['gained']['n_questions'], 'question')} {', '.join(parts)}."
        )
    return said


def say_pairs(pairs: pd.DataFrame, names: Names) -> list[str]:
    """Say how runs compare with each other: of `pairs_of_runs`."""
    said = []
    for row in pairs.to_dict("records"):
        a, b = names[row["run_id_a"]], names[row["run_id_b"]]
        said.append(
            f"These two checkpoints, {a} and {b}: {points(row['difference'], row['low'], row['high'])}, paired over "
            f"{many(row['n_questions'], 'question')}"
            f"{doubt_of_several(row['low'], row['high'], row['p_holm'])}. Questions answered in more than half of the "
            f"attempts: {row['n_only_a']} by {a} alone ({row['expected_only_a']:.1f} expected if both were as good), "
            f"{row['n_only_b']} by {b} alone ({row['expected_only_b']:.1f})."
        )
    return said


def p_value(p: float) -> str:
    """Write "= 0.032", "below 0.001"."""
    return "unknown" if pd.isna(p) else "below 0.001" if p < 0.001 else f"= {p:.3f}"


def say_reach(reached: pd.DataFrame, names: Names) -> list[str]:
    """Say how many questions are within, undetermined, beyond: of `reach_counts`."""
    said, few = [], []
    for (run_id, step), rows in reached.groupby(["run_id", "step"], sort=False):
        count = {row["reach"]: row["count"] for row in rows.to_dict("records")}
        first = rows.iloc[0]
        said.append(
            f"{names[str(run_id)]} at step {step}: of {many(int(first['n_questions']), 'question')} "
            + ", ".join(f"{count[name]} {name}{' reach' if name != 'undetermined' else ''}" for name in REACH)
            + f" ({first['n_attempts']} attempts at each)."
        )
        if count["undetermined"] and not count["beyond"]:
            few.append(f"{names[str(run_id)]} at step {step}")
    epsilon = reached["epsilon"].iloc[0]
    said.append(f"Within reach: the rate is at least {epsilon:.3f} with 95 % certainty; beyond: surely below.")
    if few:
        said.append(f"Too few attempts to call any question beyond reach: {', '.join(few)}. `relift topup` adds some.")
    return said


def say_crossover(crossings: pd.DataFrame, names: Names) -> list[str]:
    """Say from which k the base model's pass@k reaches a run's."""
    said = []
    for row in crossings.to_dict("records"):
        name, most = names[row["run_id"]], int(row["k_max"])
        if pd.isna(row["k_star"]):
            cross = "" if row["crossed"] == 0 else f" ({percent(row['crossed'])} of resamples cross)"
            said.append(f"{name}: the base model's pass@k stays below it up to k = {most}{cross}.")
            continue
        low, high = (f"{row[end]:.0f}" if pd.notna(row[end]) else f"more than {most}" for end in ("low", "high"))
        said.append(
            f"{name}: the base model's pass@k reaches it from k = {row['k_star']:.0f} on [{low}, {high}], "
            f"k up to {most} tried."
        )
    return said


def say_retention(kept: pd.DataFrame, names: Names) -> list[str]:
    """Say how many of the questions mastered first still are at the last probe."""
    said = []
    for row in kept.sort_values("step", kind="stable").groupby("run_id", sort=False).tail(1).to_dict("records"):
        null = (
            f"; a model that did not change keeps {percent(row['null_share'])}" if pd.notna(row["null_share"]) else ""
        )
        said.append(
            f"{names[row['run_id']]}: of {many(int(row['n_mastered']), 'question')} mastered at the first probe "
            f"{row['n_still']} still are at step {row['step']} ({percent(row['share'])} "
            f"{interval(row['low'], row['high'], scale=100)}{null})."
            if row["n_mastered"]
            else f"{names[row['run_id']]}: no question was mastered at the first probe."
        )
    return said


def say_demonstrations(efficiency: pd.DataFrame, names: Names) -> list[str]:
    """Say the demonstrations trained on by the last scored step, and the score there."""
    last = efficiency.sort_values("step", kind="stable").groupby("run_id", sort=False).tail(1)
    return [
        f"{names[row['run_id']]}: {percent(row['value'])} {interval(row['ci_low'], row['ci_high'], scale=100)} after "
        f"{many(int(row['demonstrations']), 'demonstration')} ({int(row['distinct_demonstrations']):,} different)."
        for row in last.to_dict("records")
        if row["demonstrations"]
    ]


def say_after_training(studied: pd.DataFrame, names: Names) -> list[str]:
    """Say the event study's window with most questions that has an interval: of `around_training`."""
    said = []
    for run_id, rows in studied.groupby("run_id", sort=False):
        known = rows[rows["low"].notna()]
        if known.empty:
            said.append(f"{names[str(run_id)]}: no control, so that nothing is known of what a demonstration did.")
            continue
        row = known.sort_values("n_trained", kind="stable").iloc[-1]
        others = "that waited in the buffer as long" if row["controls"] == WAITING else f"of {row['controls']}"
        said.append(
            f"{names[str(run_id)]}: {row['from']} to {row['to']} steps after its demonstration was first trained on a "
            f"question is answered {points(row['att'], row['low'], row['high'])} better than controls {others} "
            f"({row['n_trained']} questions, {row['n_controls']} controls){doubt(row['low'], row['high'])}."
        )
    return said


def say_scores(scores: pd.DataFrame, names: Names) -> list[str]:
    """Say benchmark scores with their intervals: rows of the table `scores`, one metric and estimand."""
    said = []
    for run_id, rows in scores.groupby("run_id", sort=False):
        parts = [
            f"{row['benchmark']} {plain(100 * row['value'])} {interval(row['ci_low'], row['ci_high'], scale=100)}"
            for row in rows.to_dict("records")
        ]
        said.append(f"{names[str(run_id)]}, in percent: {', '.join(parts)}.")
    return said


def say_comparison(frame: pd.DataFrame) -> list[str]:
    """Say how run a compares with run b, by benchmark: the frame of `compare_scores`."""
    said = []
    for row in frame.to_dict("records"):
        adjusted = f" (p {p_value(row['p_holm'])}, Holm)" if pd.notna(row["p_holm"]) else ""
        said.append(
            f"{row['benchmark']}: {percent(row['value_a'])} against {percent(row['value_b'])}, "
            f"{points(row['difference'], row['low'], row['high'])}{adjusted}, paired over "
            f"{many(int(row['n_questions']), 'question')}{doubt_of_several(row['low'], row['high'], row['p_holm'])}."
        )
    return said


def findings(frames: Frames, names: Names) -> list[tuple[str, list[str]]]:
    """List (topic, sentences), topics without any left out. `frames`: by the names of the catalogue, and "pairs"."""
    names = {START: START, **names}

    def of(name: str, say: Callable[[pd.DataFrame, Names], list[str]]) -> list[str]:
        return say(frames[name], names) if name in frames else []

    topics: list[tuple[str, Sequence[str]]] = [
        (
            "Accuracy",
            [
                *(of("probe_scores", say_levels) if "difference_from_base" not in frames else []),
                *of("difference_from_base", say_accuracy),
            ],
        ),
        ("By what the base model could do", of("difference_from_base", say_bands)),
        ("Moves between bands, beside those of chance", of("transitions", say_moves)),
        ("Questions gained and lost", [*of("balance", say_balances), *of("classes", say_classes)]),
        ("Kept", of("retention", say_retention)),
        ("Runs against each other", of("pairs", say_pairs)),
        ("Reach", [*of("reach", say_reach), *of("crossover", say_crossover)]),
        (
            "Demonstrations",
            [*of("demonstrations", say_demonstrations), *of("after_training", say_after_training)],
        ),
        ("Benchmarks", of("scores", say_scores)),
    ]
    return [(topic, list(said)) for topic, said in topics if said]


def say_noise(noise: pd.DataFrame) -> list[str]:
    """Say how many questions another draw of the base model puts elsewhere: of `label_noise`."""
    return [
        f"Bands are noisy: another draw of the base model puts {row['flipped']:.0f} of "
        f"{many(int(row['n_questions']), 'question')} into another one ({percent(row['share'])} "
        f"{interval(row['low'], row['high'], scale=100)}). That is why every move stands beside those of chance."
        for row in noise[noise["band"] == "all"].to_dict("records")
        if pd.notna(row["share"])
    ]


def general_limits() -> list[str]:
    """Say what holds for all intervals of a report."""
    return [
        "Intervals are at 95 % and about questions like these. One run of each model: the spread between training "
        "seeds is in none of them.",
        "Figures and sentences are many and not adjusted for their number, where nothing else is said: about one in "
        "twenty differences that are only chance still looks like one.",
    ]


def limits(probes: pd.DataFrame, *, n_excluded: int, names: Names) -> list[str]:
    """Say what the numbers on probes rest on: questions, attempts, draws, undecided and cut-off answers.

    `probes`: the trajectories that entered; `n_excluded`: questions left out as not probed everywhere.
    """
    n = probes["question_id"].nunique()
    draws = probes[probes["step"] == 0].groupby("run_id", observed=True)["draw"].nunique()
    drawn = f", {count_range(draws)} independent draw{'' if draws.max() == 1 else 's'} at step 0" if len(draws) else ""
    said = [f"Probes: {many(n, 'question')}, {count_range(probes['n_attempts'])} attempts at each in a draw{drawn}."]
    if n_excluded:
        said.append(f"{many(n_excluded, 'question')} left out: not probed in every run and at every step.")
    for run_id, rows in probes.groupby(probes["run_id"].astype(object), sort=False):
        n_attempts, undecided, cut = (
            int(rows[name].astype("int64").sum()) for name in ("n_attempts", "n_undecided", "n_truncated")
        )
        bound = " Undecided answers are in no rate." if undecided else ""
        said.append(
            f"{names[str(run_id)]}: of {many(n_attempts, 'attempt')} {undecided:,} undecided "
            f"({percent(undecided / n_attempts)}), {cut:,} cut off at the longest length ({percent(cut / n_attempts)})."
            f"{bound}"
        )
    return said
