"""Follow what comes and goes between probes: questions acquired, lost, retained, and still mastered.

A question is solved at a probe if at least one attempt is correct, mastered if its counts are Easy. Both flip by
chance, so each count stands beside what chance gives. A prior would have to be right about the questions that are
never solved to say how many of them flip; attempts dealt anew between the two probes need no prior. Axes: Q questions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaln

from relift import stats
from relift.analysis import style
from relift.analysis.questions.bands import PAPER, Cuts
from relift.analysis.questions.definitions import define
from relift.analysis.runs.figure import Figure
from relift.analysis.runs.panel import Panel, lay_out_counts, matched_questions, run_id_of
from relift.errors import InputError


def turnover(trajectories: pd.DataFrame, *, control: str | None = None) -> pd.DataFrame:
    """Count questions acquired, lost and retained since the probe before: one row per run and probe after its first.

    acquired: unsolved, then solved; lost: solved, then unsolved (a forgetting event of Toneva et al. 2019, arXiv
    1812.05159, for several attempts); retained: solved both times; never: neither. Of draw 0, over the questions that
    all runs and steps share; n_unmeasured have no decided attempt in one of the two probes and are in none.
    null_acquired, null_lost: expected if no question's rate differs between the two probes: with k correct among all
    its attempts dealt at random, those of the first probe are all wrong with chance C(n', k) / C(n + n', k).
    acquired_excess, lost_excess: observed minus expected, `_low`, `_high` the 95 % interval (of
    `stats.count_over_chance`). It is 0 on average for questions that did not change, whatever their rates; of those
    that did, nearly all that flips counts, also what an unchanged model would have flipped. `control` names a frozen
    run: then also control_acquired and control_lost, what it shows between the same two steps (null where it was not
    probed at both).
    InputError if no run has two probes.
    """
    panel = _first_draw(trajectories)
    rows = []
    for run_id, run, columns in _runs(panel):
        for before, after in zip(columns, columns[1:], strict=False):
            rows.append({"run_id": run_id, "run": run, **_between(panel, before, after)})
    if not rows:
        raise InputError("no run has probes at two steps: nothing can have come or gone")
    frame = pd.DataFrame(rows)
    if control is None:
        return frame
    keys = ["step", "step_before"]
    floor = frame[frame["run_id"] == run_id_of(trajectories, control)][[*keys, "acquired", "lost"]]
    return frame.merge(floor.rename(columns={k: f"control_{k}" for k in ("acquired", "lost")}), on=keys, how="left")


def _first_draw(trajectories: pd.DataFrame) -> Panel:
    return lay_out_counts(matched_questions(trajectories[(trajectories["draw"] == 0).to_numpy()]), draws=[0])


def _runs(panel: Panel) -> list[tuple[str, str, list[int]]]:
    """List run by run the columns of its probes in order of step."""
    grouped = panel.columns.reset_index().groupby(["run_id", "run"], sort=False)
    return [(str(i), str(n), [int(c) for c in rows.sort_values("step")["index"]]) for (i, n), rows in grouped]


def _between(panel: Panel, before: int, after: int) -> dict[str, Any]:
    correct_QC, decided_QC = panel.sum_QC["n_correct"], panel.sum_QC["n_decided"]
    measured_Q = (decided_QC[:, before] > 0) & (decided_QC[:, after] > 0)
    (c_Q, n_Q), (then_Q, later_Q) = (
        (correct_QC[measured_Q, column], decided_QC[measured_Q, column]) for column in (before, after)
    )
    solved_Q, solved_later_Q, total_Q = c_Q > 0, then_Q > 0, c_Q + then_Q
    row: dict[str, Any] = {
        "step": int(panel.columns["step"][after]),
        "step_before": int(panel.columns["step"][before]),
        "acquired": int((~solved_Q & solved_later_Q).sum()),
        "lost": int((solved_Q & ~solved_later_Q).sum()),
        "retained": int((solved_Q & solved_later_Q).sum()),
        "never": int((~solved_Q & ~solved_later_Q).sum()),
        "n_questions": int(measured_Q.sum()),
        "n_unmeasured": int((~measured_Q).sum()),
    }
    for kind, happened_Q, null_Q in (
        ("acquired", ~solved_Q & solved_later_Q, chance_all_later(total_Q, n_Q, later_Q)),
        ("lost", solved_Q & ~solved_later_Q, chance_all_later(total_Q, later_Q, n_Q)),
    ):
        row[f"null_{kind}"], row[f"{kind}_excess"] = float(null_Q.sum()), float(happened_Q.sum() - null_Q.sum())
        row[f"{kind}_excess_low"], row[f"{kind}_excess_high"] = stats.count_over_chance(int(happened_Q.sum()), null_Q)
    return row


def chance_all_later(total_Q: stats.Floats, before_Q: stats.Floats, later_Q: stats.Floats) -> stats.Floats:
    """Compute P(all correct attempts fall into the later probe) when dealt at random: C(n', k) / C(n + n', k).

    0 where none is correct or more are than the later probe has attempts.
    """
    k_Q, possible_Q = np.minimum(total_Q, later_Q), (total_Q > 0) & (total_Q <= later_Q)
    n_Q = before_Q + later_Q
    log_Q = gammaln(later_Q + 1) - gammaln(later_Q - k_Q + 1) - gammaln(n_Q + 1) + gammaln(n_Q - k_Q + 1)
    return np.where(possible_Q, np.exp(log_Q), 0.0)


def retention(trajectories: pd.DataFrame, *, cuts: Cuts = PAPER) -> pd.DataFrame:
    """Measure the share of the questions mastered at the first probe that still is: one row per run and later probe.

    Mastered: the counts of draw 0 are Easy. n_mastered, n_still, share, low, high (95 %, Wilson over questions).
    null_share: the share of them that draw 1 of the first probe shows mastered, which is what a model that did not
    change keeps, since chance helped to choose them (null without such a draw). n_ever, ever_share: the same of the
    questions mastered at any earlier probe. InputError if no run has two probes.
    """
    panel = _first_draw(trajectories)
    second = trajectories[(trajectories["draw"] == 1).to_numpy()]
    rows = []
    for run_id, run, columns in _runs(panel):
        easy_QC = _easy(panel, columns, cuts)
        measured_QC = panel.sum_QC["n_decided"][:, columns] > 0
        again_Q, known_Q = _second_draw(second, panel, run_id, int(panel.columns["step"][columns[0]]), cuts)
        base_Q = easy_QC[:, 0]
        null_share = float(stats.rate((base_Q & again_Q & known_Q).sum(), (base_Q & known_Q).sum()))
        for i in range(1, len(columns)):
            of_Q, ever_Q = base_Q & measured_QC[:, i], easy_QC[:, :i].any(axis=1) & measured_QC[:, i]
            n, n_still, n_ever = int(of_Q.sum()), int((of_Q & easy_QC[:, i]).sum()), int(ever_Q.sum())
            low, high = stats.wilson(n_still, n)
            rows.append(
                {
                    "run_id": run_id, "run": run, "step": int(panel.columns["step"][columns[i]]), "n_mastered": n,
                    "n_still": n_still, "share": float(stats.rate(n_still, n)), "low": float(low), "high": float(high),
                    "null_share": null_share, "n_ever": n_ever,
                    "ever_share": float(stats.rate((ever_Q & easy_QC[:, i]).sum(), n_ever)),
                    "n_attempts": style.count_range(panel.sum_QC["n_decided"][:, columns].ravel()),
                }
            )  # fmt: skip
    if not rows:
        raise InputError("no run has probes at two steps: nothing can have been kept or forgotten")
    return pd.DataFrame(rows)


def _easy(panel: Panel, columns: list[int], cuts: Cuts) -> NDArray[np.bool_]:
    correct_QC, decided_QC = panel.sum_QC["n_correct"][:, columns], panel.sum_QC["n_decided"][:, columns]
    easy_QC = (correct_QC * cuts.easy.denominator >= decided_QC * cuts.easy.numerator) & (decided_QC > 0)
    return np.asarray(easy_QC)


def _second_draw(
    second: pd.DataFrame, panel: Panel, run_id: str, step: int, cuts: Cuts
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Mark the questions mastered in draw 1 of this probe, and those with attempts to say so: both [Q]."""
    rows = second[((second["run_id"] == run_id) & (second["step"] == step)).to_numpy()]
    if rows.empty:
        return np.zeros(len(panel.question_ids), bool), np.zeros(len(panel.question_ids), bool)
    drawn = lay_out_counts(rows, draws=[1])
    row_Q = drawn.question_ids.get_indexer(panel.question_ids)
    known_Q = (row_Q >= 0) & (drawn.sum_QC["n_decided"][row_Q, 0] > 0)
    return known_Q & _easy(drawn, [0], cuts)[row_Q, 0], known_Q


def plot_turnover(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw per run questions acquired (up) and lost (down) at each probe; black: expected by chance.

    Returns the Axes, one per run.
    """
    styles = style.run_styles(frame["run"])
    parts = style.by_style(frame, styles)
    if axes is None:
        axes = style.panels(len(parts), height=1.9, share_y="all")
    axes = np.asarray(axes, dtype=object).ravel()
    with style.context():
        for one, (run, line) in zip(axes, parts, strict=True):
            x = np.arange(len(line))
            one.bar(x, line["acquired"], color=style.GAIN, width=0.7)
            one.bar(x, -line["lost"], color=style.LOSS, width=0.7)
            for kind, sign in (("acquired", 1), ("lost", -1)):
                one.hlines(sign * line[f"null_{kind}"], x - 0.42, x + 0.42, color="black", linewidth=1.1)
            one.axhline(0, color="black", linewidth=0.5)
            one.set_title(styles[run].label)
            shown = np.unique(np.linspace(0, len(line) - 1, min(4, len(line))).round().astype(int))
            one.set_xticks(shown, [str(line["step"].iloc[i]) for i in shown])
            one.set_xlim(-0.7, max(3, len(line)) - 0.3)  # bars of a run with one probe are no wider
            one.set_xlabel("training step")
        low, high = axes[0].get_ylim()
        axes[0].set_ylim(low * 1.05, high * 1.05)
        axes[0].yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
        axes[0].set_ylabel("questions dropped | acquired")
    return axes


def caption_turnover(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    return (
        f"Of {style.count_range(frame['n_questions'])} questions, acquired (up) and dropped (down). "
        f"{define(['acquired', 'dropped'])}. Black: what chance gives if no rate differs between the two "
        "probes (attempts dealt anew); intervals of the difference are in the table."
    )


def plot_retention(frame: pd.DataFrame, *, axes: Any = None) -> Any:
    """Draw the share of the questions first mastered that still are; dashed: a model that did not change."""
    axes = style.one_axes(height=2.3, width=style.COLUMN_WIDTH) if axes is None else axes
    styles = style.run_styles(frame["run"])
    with style.context():
        for run, line in style.by_style(frame, styles):
            style.line_with_interval(axes, line["step"], line, "share", styles[run])
        for level in frame["null_share"].dropna().unique():
            axes.axhline(level, color="black", linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
        axes.set_ylim(0, 1.02)
        axes.set_ylabel("still mastered")
        style.whole_steps(axes)
        style.legend_above(axes.figure, styles, columns=3)
    return axes


def caption_retention(frame: pd.DataFrame) -> str:
    """Say what a reader of the figure must know."""
    dashed = (
        " Dashed: a model that did not change keeps this many, since chance helped to choose them (another draw of the "
        "first probe)."
        if frame["null_share"].notna().any()
        else ""
    )
    return (
        f"Of the {style.count_range(frame['n_mastered'])} questions mastered at the first probe (Easy by "
        f"{frame['n_attempts'].iloc[0]} attempts), the share that still is. Shaded: 95 % intervals (Wilson over "
        f"questions).{dashed}"
    )


TURNOVER = Figure(
    "turnover", "Questions acquired and dropped between probes", "What changed",
    data=lambda loaded: turnover(loaded.probes, control=loaded.control_id),
    draw=plot_turnover, caption=caption_turnover,
)  # fmt: skip
RETENTION = Figure(
    "retention", "What was mastered and still is", "What changed",
    data=lambda loaded: retention(loaded.probes), draw=plot_retention, caption=caption_retention,
)  # fmt: skip
