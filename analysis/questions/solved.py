"""Sort questions by whether they are solved before and after: kept, gained, lost, neither, and by which runs.

"Solved" rests on few attempts, so that a model which never changes gains and loses questions too; what chance alone
does stands beside every count. Axes: Q questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relift import stats
from relift.analysis import style
from relift.analysis.questions.definitions import define
from relift.analysis.questions.reach import reach
from relift.analysis.runs.figure import Figure, LoadedRuns
from relift.analysis.runs.panel import matched_questions, run_id_of, with_labels
from relift.errors import InputError

SETS = ("kept", "gained", "lost", "neither")
RATIOS = ("srr", "ndr", "nscr", "sds")


def solved_sets(
    trajectories: pd.DataFrame,
    *,
    base: str,
    step: int | None = None,
    epsilon: float | None = None,
    prior: pd.DataFrame | None = None,
    level: float = 0.95,
    control: str | None = None,
) -> pd.DataFrame:
    """Find the set, of SETS, that each question is in: one row per run and question.

    `epsilon` None: solved means at least once, in draw 0 of the base's step 0 and in draw 0 of the run at `step`
    (None: its last), with as many attempts on both sides; the column epsilon is then 1 - .05^(1/n), the rate from
    which n attempts see a question with 95 % probability. null_set: the same of a model that did not change, the
    base's draw 1 in place of the run (null without one, or with another number of attempts). `control`: a frozen run,
    whose draw 0 at its last probe takes the place of draw 1; its own rows are left out.
    `epsilon` given, with `prior` of `fit_prior`: solved means P(p >= epsilon | counts) >= level, not solved
    P(p < epsilon) >= level, of all draws; a question that is unsure on a side has set null, and null_set is null.
    Questions with an undecided attempt that could change the set have set null.
    InputError if counts differ in number of attempts (epsilon None), or nothing is to be compared.
    """
    base_id = run_id_of(trajectories, base)
    if epsilon is None:
        return _solved_once(trajectories, base_id, step, None if control is None else run_id_of(trajectories, control))
    if prior is None:
        raise InputError(
            "solved_sets: a given epsilon needs the prior of fit_prior, for the posterior of each question"
        )
    return _solved_surely(trajectories, base_id, step, epsilon=epsilon, prior=prior, level=level)


def _solved_once(trajectories: pd.DataFrame, base_id: str, step: int | None, control_id: str | None) -> pd.DataFrame:
    first = with_labels(matched_questions(trajectories[(trajectories["draw"] == 0).to_numpy()]))
    before = _side(first, base_id, 0)
    if control_id is None:
        is_null = (trajectories["run_id"] == base_id) & (trajectories["step"] == 0) & (trajectories["draw"] == 1)
        chance = _side(with_labels(trajectories[is_null]), base_id, 0).reindex(before.index)
    else:
        ends = {run_id: at for run_id, _, at in _ends(first, base_id, step)}
        if control_id not in ends:
            raise InputError("the control has no probe after step 0: it must be probed at the steps that the runs are")
        chance = _side(first, control_id, ends[control_id]).reindex(before.index)
    frames = []
    for run_id, run, at in _ends(first, base_id, step):
        if run_id == control_id:
            continue
        after = _side(first, run_id, at).reindex(before.index)
        n = after["n_attempts"].to_numpy()
        if (n != before["n_attempts"].to_numpy()).any():
            raise InputError(
                f"{run} at step {at} and the base have different numbers of attempts a question: the one with more "
                "solves more by that alone; give epsilon and a prior instead"
            )
        differs = (chance["n_attempts"] != before["n_attempts"]).to_numpy()
        frame = _frame(before, after, run_id, run, at)
        frame["set"] = _set_of(_solved(before), _solved(after))
        null_Q = _set_of(_solved(before), _solved(chance))
        null_Q[differs] = None
        frame["null_set"] = null_Q
        frame["epsilon"] = 1 - 0.05 ** (1 / np.maximum(n, 1))
        frames.append(frame)
    if not frames:
        raise InputError("the control is the only run with a probe after step 0: nothing to compare with it")
    return pd.concat(frames, ignore_index=True).assign(rule="at least once")


def _side(rows: pd.DataFrame, run_id: str, step: int) -> pd.DataFrame:
    """Index the counts of one run and step by question_id."""
    rows = rows[(rows["run_id"] == run_id) & (rows["step"] == step)]
    counts = rows[["n_attempts", "n_correct", "n_undecided"]].astype("int64")
    return counts.set_index(pd.Index(rows["question_id"].astype(object), name="question_id"))


def _ends(rows: pd.DataFrame, base_id: str, step: int | None) -> list[tuple[str, str, int]]:
    """List run and step of what is compared with the base: the base run's own later steps count as a run."""
    others = rows[["run_id", "run", "step"]].drop_duplicates()
    others = others[(others["run_id"] != base_id) | (others["step"] > 0)]
    others = others[others["step"] == step] if step is not None else others[others["step"] > 0]
    if others.empty:
        raise InputError(f"no run has a probe at {'a step after 0' if step is None else f'step {step}'}")
    last = others.groupby(["run_id", "run"], sort=False)["step"].max().reset_index()
    return [(str(run_id), str(run), int(at)) for run_id, run, at in last.itertuples(index=False)]


def _solved(counts: pd.DataFrame) -> NDArray[np.float64]:
    """Mark 1 solved, 0 not, nan where undecided or missing attempts leave it open."""
    correct, undecided = counts["n_correct"].to_numpy(float), counts["n_undecided"].to_numpy(float)
    known = np.where(correct > 0, 1.0, 0.0)
    return np.where(np.isnan(correct) | ((correct == 0) & (undecided > 0)), np.nan, known)


def _set_of(before_Q: NDArray[np.float64], after_Q: NDArray[np.float64]) -> NDArray[np.object_]:
    code = np.where(before_Q == 1, np.where(after_Q == 1, 0, 2), np.where(after_Q == 1, 1, 3))
    names = np.array(SETS, dtype=object)[code]
    names[np.isnan(before_Q) | np.isnan(after_Q)] = None
    return names


def _frame(before: pd.DataFrame, after: pd.DataFrame, run_id: str, run: str, step: int) -> pd.DataFrame:
    counts = {
        f"{name}_{side}": (rows[name] if name == "n_correct" else rows["n_attempts"] - rows["n_undecided"]).to_numpy()
        for side, rows in (("base", before), ("run", after))
        for name in ("n_correct", "n_decided")
    }
    keys = {"run_id": run_id, "run": run, "step": step, "question_id": before.index.to_numpy()}
    return pd.DataFrame({**keys, **counts})


def _solved_surely(
    trajectories: pd.DataFrame, base_id: str, step: int | None, *, epsilon: float, prior: pd.DataFrame, level: float
) -> pd.DataFrame:
    """Decide by `reach`, of all draws, top-ups too."""
    labelled = with_labels(trajectories)

    def side(run_id: str, at: int) -> pd.DataFrame:
        one = labelled[(labelled["run_id"] == run_id) & (labelled["step"] == at)]
        own = prior[(prior["run_id"].astype(object) == run_id).to_numpy()]
        reached = reach(one, own.head(1) if len(own) else prior.head(1), step=at, epsilon=epsilon, level=level)
        return reached.set_index("question_id")[["n_correct", "n_decided", "reach"]]

    before, frames = side(base_id, 0), []
    for run_id, run, at in _ends(labelled, base_id, step):
        both = before.merge(side(run_id, at), left_index=True, right_index=True, suffixes=("_base", "_run"))
        sure = [np.asarray(both[f"reach_{s}"].map({"within": 1.0, "beyond": 0.0}), np.float64) for s in ("base", "run")]
        counts = both.rename_axis("question_id").reset_index().drop(columns=["reach_base", "reach_run"])
        counts.insert(0, "step", at)
        counts.insert(0, "run", run)
        counts.insert(0, "run_id", run_id)
        frames.append(counts.assign(set=_set_of(*sure)))
    return pd.concat(frames, ignore_index=True).assign(null_set=None, epsilon=epsilon, rule=f"posterior {level:g}")


def support(solved: pd.DataFrame, *, resamples: int = 200, seed: int = 0) -> pd.DataFrame:
    """Count the questions in each set and compute the four ratios of arXiv 2507.14843: one row per run.

    With P kept, E gained, S lost: srr = P / (P + S), ndr = E / (P + E), nscr = (E - S) / (P + E + S), sds the
    harmonic mean of srr and ndr. Each with `_low`, `_high` (95 %, over questions: Wilson for the shares srr and ndr,
    bootstrap for the others, null where that has no width) and `_null`, what it is for a model that did not change,
    as are null_kept to null_neither (null where not measured). undetermined: questions whose set is null.
    """
    rows = []
    for (run_id, run, step), one in solved.groupby(["run_id", "run", "step"], sort=False):
        counts, null = _one_hot(one["set"]), _one_hot(one["null_set"])
        resampled = [w @ counts for w in stats.bootstrap_weights(len(one), resamples, seed=seed)]
        ratio_R = _ratios(np.concatenate(resampled) if resampled else np.zeros((0, len(SETS))))
        ratio, ratio_null = _ratios(counts.sum(axis=0)), _ratios(null.sum(axis=0))
        measured = one["null_set"].notna().any()
        row: dict[str, Any] = {"run_id": run_id, "run": run, "step": step, "n_questions": len(one)}
        row |= {name: int(counts[:, i].sum()) for i, name in enumerate(SETS)}
        row["undetermined"] = int(one["set"].isna().sum())
        row |= {f"null_{name}": float(null[:, i].sum()) if measured else np.nan for i, name in enumerate(SETS)}
        share_of = {"srr": ("kept", "lost"), "ndr": ("gained", "kept")}
        for name in RATIOS:
            low, high = stats.percentile_interval(ratio_R[name])
            if name in share_of:
                part, rest = (row[which] for which in share_of[name])
                low, high = stats.wilson(part, part + rest)
            elif not high - low > 1e-12:
                low, high = np.array(np.nan), np.array(np.nan)
            row |= {name: float(ratio[name]), f"{name}_low": float(low), f"{name}_high": float(high)}
            row[f"{name}_null"] = float(ratio_null[name]) if measured else np.nan
        rows.append({**row, "epsilon": float(one["epsilon"].max()), "resamples": resamples, "seed": seed})
    return pd.DataFrame(rows)


def _one_hot(sets: pd.Series) -> stats.Floats:
    return np.stack([(sets == name).to_numpy(float) for name in SETS], axis=1)


def _ratios(count_S: stats.Floats) -> dict[str, stats.Floats]:
    kept, gained, lost = (count_S[..., i] for i in range(3))
    srr, ndr = stats.rate(kept, kept + lost), stats.rate(gained, kept + gained)
    return {
        "srr": srr,
        "ndr": ndr,
        "nscr": stats.rate(gained - lost, kept + gained + lost),
        "sds": stats.rate(2 * srr * ndr, srr + ndr),
    }


def solved_by(trajectories: pd.DataFrame, *, base: str, runs: Sequence[str] | None = None) -> pd.DataFrame:
    """Count the questions that exactly these runs solve at least once, of draw 0: one row per combination of runs.

    The base model counts with step 0, each of `runs` (names or run_ids; None: all others) with its last step.
    A base run that was trained too counts twice, its start as "step 0". Columns: solved_by (labels joined by " + ",
    "none"), a boolean column per run, n_runs, count, n_attempts (range as text), n_questions; largest count first.
    Combinations that no question has are left out.
    """
    first = with_labels(matched_questions(trajectories[(trajectories["draw"] == 0).to_numpy()]))
    base_id = run_id_of(trajectories, base)
    later = _ends(first, base_id, None)
    if runs is not None:
        wanted = {run_id_of(trajectories, run) for run in runs}
        later = [end for end in later if end[0] in wanted]
    named = with_labels(first[(first["run_id"] == base_id).to_numpy()])["run"].iloc[0]
    ends = [(base_id, "step 0" if any(end[0] == base_id for end in later) else named, 0), *later]
    names = _distinct_names(ends)
    sides = [_side(first, run_id, step) for run_id, _, step in ends]
    solved_QR = np.stack([(side.reindex(sides[0].index)["n_correct"] > 0).to_numpy() for side in sides], axis=1)
    combinations, count = np.unique(solved_QR, axis=0, return_counts=True)
    frame = pd.DataFrame(combinations, columns=names)
    frame.insert(0, "solved_by", [" + ".join(np.array(names)[c]) or "none" for c in combinations])
    frame["n_runs"], frame["count"] = combinations.sum(axis=1), count
    frame["n_attempts"] = style.count_range(np.concatenate([side["n_attempts"] for side in sides]))
    frame["n_questions"] = len(solved_QR)
    return frame.sort_values(["count", "solved_by"], ascending=[False, True], ignore_index=True)


def sets_by_run(solved: pd.DataFrame) -> pd.DataFrame:
    """List the set of each question in each run, a column per run, to see who alone gained or lost it.

    `solved` of `solved_sets`. gained_by and lost_by: labels of those runs joined by " + ", "" for none.
    """
    named = solved[["run_id", "run"]].drop_duplicates()
    names = _distinct_names([(str(run_id), str(run), 0) for run_id, run in named.to_numpy()])
    label_of = dict(zip(named["run_id"], names, strict=True))
    wide = solved.assign(label=solved["run_id"].map(label_of)).pivot(index="question_id", columns="label", values="set")
    wide = wide[names].rename_axis(columns=None)
    for which in ("gained", "lost"):
        inside_QR = (wide[names] == which).to_numpy(bool)
        wide[f"{which}_by"] = [" + ".join(np.array(names, dtype=object)[row]) for row in inside_QR]
    return wide.reset_index()


def _distinct_names(ends: list[tuple[str, str, int]]) -> list[str]:
    names = [name for _, name, _ in ends]
    return [name if names.count(name) == 1 else f"{name} ({run_id})" for run_id, name, _ in ends]


def plot_support(solved: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw a 2 x 2 table per run, base solved or not by run solved or not, with what chance would give.

    Returns the Axes, one per run.
    """
    from matplotlib.colors import to_rgba

    counted = support(solved, resamples=0)
    if axes is None:
        axes = style.panels(len(counted), height=1.6, share_y="all")
    axes = np.asarray(axes, dtype=object).ravel()
    styles = style.run_styles(counted["run"])
    places = {"kept": (0, 0), "lost": (0, 1), "gained": (1, 0), "neither": (1, 1)}
    colours = {"kept": "#E8EEF4", "lost": "#F4A582", "gained": "#92C5DE", "neither": "#F2F2F2"}
    with style.context():
        for one, row in zip(axes, counted.to_dict("records"), strict=True):
            image = np.array([[to_rgba(colours["kept"]), to_rgba(colours["lost"])],
                              [to_rgba(colours["gained"]), to_rgba(colours["neither"])]])  # fmt: skip
            one.imshow(image, aspect="auto")
            for name, (i, j) in places.items():
                chance = row[f"null_{name}"]
                one.text(j, i - 0.08, f"{row[name]}", ha="center", va="center", fontsize=8)
                if not np.isnan(chance):
                    one.text(j, i + 0.24, f"({chance:.0f})", ha="center", va="center", fontsize=6)
            one.set_title(styles[str(row["run"])].label)
            one.set_xticks([0, 1], ["solved", "not"])
            one.set_yticks([0, 1], ["solved", "not"])
            one.set_xlabel(f"at step {row['step']}")
            one.tick_params(length=0)
            one.spines[:].set_visible(False)
        axes[0].set_ylabel("base model")
    return axes


def caption_support(solved: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    n = style.count_range(solved["n_decided_base"])
    chance = (
        " In brackets: the same counts for a model that did not change, the base model's draw 1 in place of the run."
        if solved["null_set"].notna().any()
        else ""
    )
    sets = solved.drop_duplicates(["run_id", "question_id"])["set"]
    return (
        f"Questions solved ({solved['rule'].iloc[0]}) by the base model and by each run, {n} attempts a side."
        f"{chance} Questions left open: {int(sets.isna().sum())}. "
        f"{define(['newly solved', 'no longer solved'])}."
    )


def plot_solved_by(frame: pd.DataFrame, *, largest: int = 16, axes: Any = None) -> Any:
    """Draw bars of how many questions exactly these runs solve, dots below say which.

    The `largest` combinations are drawn. Returns the two Axes (bars, dots).
    """
    names = [c for c in frame.columns if c not in ("solved_by", "n_runs", "count", "n_attempts", "n_questions")]
    shown = frame.head(largest)
    if axes is None:
        height = 1.5 + 0.17 * len(names)
        ratios = {"height_ratios": [1.25, 0.17 * len(names)]}
        axes = style.new_axes(2, 1, height=height, sharex=True, gridspec_kw=ratios)[:, 0]
    bars, dots = np.asarray(axes, dtype=object).ravel()
    styles = style.run_styles(names)
    order = list(styles)
    with style.context():
        x = np.arange(len(shown))
        bars.bar(x, shown["count"], color="#5B6770", width=0.65)
        for position, count in zip(x, shown["count"], strict=True):
            bars.annotate(str(count), (position, count), (0, 1), textcoords="offset points", ha="center", fontsize=6)
        bars.set_ylabel("questions")
        bars.tick_params(bottom=False, labelbottom=False)
        for row, name in enumerate(order):
            inside = shown[name].to_numpy(bool)
            dots.plot(x, np.full(len(x), row), "o", color=style.GREY, markersize=4)
            dots.plot(x[inside], np.full(int(inside.sum()), row), "o", color=styles[name].colour, markersize=4)
        dots.set_yticks(range(len(order)), [styles[name].label for name in order])
        dots.set_ylim(len(order) - 0.5, -0.5)
        dots.set_xlim(-0.6, len(shown) - 0.4)
        dots.tick_params(length=0, bottom=False, labelbottom=False)
        dots.spines[:].set_visible(False)
    return np.array([bars, dots], dtype=object)


def caption_solved_by(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    return (
        f"{int(frame['n_questions'].iloc[0])} questions by which models solve them at least once in "
        f"{frame['n_attempts'].iloc[0]} attempts; the base model at step 0, runs at their last step. "
        "With so few attempts chance alone moves questions from one set to another."
    )


def solved_sets_of(loaded: LoadedRuns) -> pd.DataFrame:
    """Find the sets of each run's last step against the base (of `solved_sets`)."""
    return solved_sets(loaded.compared, base=loaded.compared_base_id, control=loaded.control_id)


SUPPORT = Figure(
    "support", "Questions solved before and after", "What is within reach",
    data=solved_sets_of, draw=plot_support, caption=caption_support,
)  # fmt: skip
SOLVED_BY = Figure(
    "solved_by", "Which models solve which questions", "What is within reach",
    data=lambda loaded: solved_by(loaded.compared, base=loaded.compared_base_id),
    draw=plot_solved_by, caption=caption_solved_by,
)  # fmt: skip
