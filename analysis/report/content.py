"""Collect what a report says: frames, figures, sentences, examples, and what could not be made."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import style
from relift.analysis.questions.compare import compare_runs, paired_difference
from relift.analysis.report import words as words
from relift.analysis.report.catalogue import FIGURES, TABLES
from relift.analysis.report.examples import Example, examples_of_comparison, examples_of_run
from relift.analysis.report.letter import letter
from relift.analysis.report.loaded import START, Loaded, load
from relift.analysis.runs.cautions import cautions
from relift.analysis.runs.read import open_runs
from relift.analysis.scores.forest import scores_of_last_step
from relift.analysis.scores.paired import Comparison, compare_with_baseline, expected_flips
from relift.analysis.scores.score import score_health, score_run
from relift.analysis.scores.table import distinct_names
from relift.analysis.training.demos import probe_scores
from relift.errors import InputError
from relift.schema import Origin

# tables of the catalogue that the report shows or puts into words
_TABLES = (
    "alerts", "difference_from_base", "methods", "variance", "frozen_copy", "audit", "bands", "label_noise",
    "balance",
    "crossover", "support_ratios", "gained_and_lost", "classes", "cost",
)  # fmt: skip

# Of runs that hold no probes: the rest would pool the questions of several benchmarks as if they were one.
_WITHOUT_PROBES = ("alerts", "dynamics", "scores", "buffer", "group_signal", "length_accuracy", "cost")
_NO_PROBES = "no run holds a probe, the same questions asked at several steps (set probe.questions, or relift probe)"


@dataclass(frozen=True)
class Drawn:
    """Hold a figure as svg with its caption."""

    name: str
    title: str
    caption: str
    svg: str
    inches: tuple[float, float]


@dataclass
class Report:
    """Hold what a report says, before it is written: frames by the names of the catalogue, and what is missing."""

    loaded: Loaded
    names: Mapping[str, str]  # of run_id
    frames: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: list[Drawn] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)  # (what, why)

    @property
    def has_probes(self) -> bool:
        """Tell whether a fixed set of questions was followed over time; answers to benchmarks are no such set."""
        try:
            return bool((self.loaded.trajectories["origin"].astype(str) == Origin.probe).any())
        except InputError:
            return False

    def letter(self) -> list[str]:
        """Write the first sentences: what was compared, gained, lost, new, and how sure it is."""
        return letter(self.frames, {START: START, **self.names})

    def findings(self) -> list[tuple[str, list[str]]]:
        """List (topic, sentences) of everything that was measured."""
        found = words.findings(self.frames, self.names)
        for one in self.comparisons:
            found.append((f"{one.a} against {one.b}", words.say_comparison(one.frame)))
        return found


def make_report(
    runs: Sequence[Path | str],
    *,
    base: str | None = None,
    splits: Collection[str] | None = None,
    only: Collection[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    examples: int = 2,
    control: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> Report:
    """Measure and draw everything that the runs allow. Arguments and errors as `write_report`."""
    unknown = sorted(set(only or ()) - set(FIGURES) - set(_TABLES))
    if unknown:
        raise InputError(f"a report has no {', '.join(unknown)}; there are {', '.join([*_TABLES, *FIGURES])}")
    loaded = load(runs, base=base, splits=splits, resamples=resamples, seed=seed, control=control)
    if control is not None:
        loaded.control_id  # noqa: B018  likewise
    if base is not None:
        loaded.base_id  # noqa: B018  a name that no run has is said once, not by every figure
    labels = [(str(label), str(run_id)) for label, run_id in loaded.runs[["run", "run_id"]].to_numpy()]
    names = dict(zip([run_id for _, run_id in labels], distinct_names(labels), strict=True))
    report = Report(loaded, names, cautions=cautions(loaded.paths))
    wanted = [*_TABLES, *FIGURES]
    if not report.has_probes:
        report.left_out.append(("What changed, question by question", _NO_PROBES))
        wanted = [name for name in wanted if name in _WITHOUT_PROBES]
    for name in (n for n in wanted if only is None or n in only):
        title = TABLES[name].title if name in TABLES else FIGURES[name].title
        _try(report, title, partial(_measure if name in TABLES else _draw, report, name), tell)
    if report.has_probes:
        _try(report, "Runs against each other", partial(_pairs, report), tell)
        _try(report, "Accuracy on the probes", partial(_probe_scores, report), tell)
    report.limits = words.general_limits()
    if report.has_probes:
        _try(report, "What the probes rest on", partial(_limits, report), tell)
    _evaluations(report, examples=examples, tell=tell)
    if examples and report.has_probes:
        _try(report, "Example questions", partial(_examples, report, examples), tell)
    if not report.figures and not report.findings():
        raise InputError(f"there is nothing to report on these runs: {report.left_out[0][1]}")
    return report


def _try(report: Report, what: str, make: Callable[[], object], tell: Callable[[str], None] | None) -> None:
    """Make one part; keep the reason where the runs do not allow it."""
    try:
        make()
    except InputError as error:
        reason = without_folders(str(error), report.loaded)
        known = any(reason == why for _, why in report.left_out)
        report.left_out.append((what, reason))
        line = f"{what}: left out" + ("" if known else f": {reason}")
    else:
        line = what
    if tell is not None:
        tell(line)


def without_folders(text: str, loaded: Loaded) -> str:
    """Replace the folders of the runs by their names: a report is mailed, and paths say where it was made."""
    folders = {str(p) for path in loaded.paths for p in (path, path.absolute(), path.resolve())}
    for folder in sorted(folders, key=len, reverse=True):
        if len(Path(folder).parts) > 1:
            text = text.replace(folder, Path(folder).name)
    return text


def _measure(report: Report, name: str) -> None:
    report.frames[name] = TABLES[name].data(report.loaded)


def _draw(report: Report, name: str, frame: pd.DataFrame | None = None) -> None:
    figure = FIGURES[name]
    frame = figure.frame_of(report.loaded) if frame is None else frame
    report.frames[name] = frame
    drawn = np.asarray(figure.draw(frame), dtype=object).flat[0].figure
    width, height = (float(x) for x in drawn.get_size_inches())
    report.figures.append(Drawn(name, figure.title, figure.caption(frame), svg_of(drawn), (width, height)))


def svg_of(figure: Any) -> str:
    """Render a figure as svg with its letters as outlines: a colleague's machine need not have the font."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with style.context(), rc_context({"svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = re.sub("<!--.*?-->", "", buffer.getvalue().decode(), flags=re.DOTALL)  # each outlined text once more
    return re.sub(r"\n\s*", "\n", text[text.index("<svg") :])


def pairs_of_runs(ends: pd.DataFrame, *, without: Collection[str]) -> pd.DataFrame:
    """Compare all pairs of runs at their last steps, the later less the earlier: one row per pair.

    Columns: run_id_a, run_id_b, n_questions, difference, low, high, p_value (paired t over questions), p_holm (over
    the pairs), n_only_a, n_only_b: questions that one alone answers in more than half of its attempts, and what chance
    gives if both are equally good (expected_only_a, expected_only_b). InputError if there are not two runs.
    """
    later = ends[(ends["step"] > 0).to_numpy()]
    ids = [str(i) for i in later["run_id"].astype(object).unique() if i not in without]
    if len(ids) < 2:
        raise InputError("fewer than two runs with a probe after step 0")
    rows = []
    for b, a in combinations(ids, 2):
        both = compare_runs(later, a=a, b=b)
        both = both[both["difference"].notna()]
        (one,) = paired_difference(both).to_dict("records")
        solved = {side: both[f"rate_{side}"] > 0.5 for side in "ab"}
        expected = expected_flips(both).sum(axis=0)
        rows.append(
            {
                "run_id_a": a, "run_id_b": b, "n_questions": one["n_questions"], "difference": one["difference"],
                "low": one["low"], "high": one["high"], "p_value": one["p_value"],
                "n_only_a": int((solved["a"] & ~solved["b"]).sum()), "expected_only_a": float(expected[0]),
                "n_only_b": int((solved["b"] & ~solved["a"]).sum()), "expected_only_b": float(expected[1]),
            }
        )  # fmt: skip
    frame = pd.DataFrame(rows)
    return frame.assign(p_holm=stats.holm(frame["p_value"]))


def _pairs(report: Report) -> None:
    loaded = report.loaded
    # the frozen control stands beside every run elsewhere
    untrained = {loaded.control_id} if _trained(loaded) else {loaded.control_id, loaded.base_id}
    report.frames["pairs"] = pairs_of_runs(loaded.ends, without={i for i in untrained if i is not None})


def _trained(loaded: Loaded) -> bool:
    """Tell whether the base run has later steps of its own, and so is a run to compare."""
    return bool(((loaded.ends["run_id"] == loaded.base_id) & (loaded.ends["step"] > 0)).any())


def _probe_scores(report: Report) -> None:
    loaded = report.loaded
    try:
        draw: int | None = loaded.measure_draw
    except InputError:  # one draw: it measures all questions well, only not those it has chosen
        draw = None
    report.frames["probe_scores"] = probe_scores(loaded.probes, measure_draw=draw)


def _limits(report: Report) -> None:
    loaded = report.loaded
    kept, asked = (frame["question_id"].nunique() for frame in (loaded.probes, loaded.trajectories))
    excluded = asked - kept
    if kept < excluded:
        report.cautions.append(
            f"Only {kept:,} of {words.many(asked, 'question')} were probed in every run and at every step: all that is "
            "said here is about these."
        )
    report.limits += words.limits(loaded.probes, n_excluded=excluded, names=report.names)
    if "label_noise" in report.frames:
        report.limits += words.say_noise(report.frames["label_noise"])


def _evaluations(report: Report, *, examples: int, tell: Callable[[str], None] | None) -> None:
    """Score evaluated runs, each against the first (or the base, where it is one of them)."""
    folders = [
        reader.folder for reader in open_runs(report.loaded.paths) if reader.files("attempts", origin="benchmark")
    ]
    if not folders:
        return
    wanted = report.loaded.runs.loc[report.loaded.runs["run"] == report.loaded.base, "folder"].tolist()
    folders.sort(key=lambda folder: str(folder) not in wanted)
    _try(report, "Scores", partial(_scores, report, folders), tell)
    health = [score_health(folder) for folder in folders]
    report.frames["score_health"] = pd.concat(health, ignore_index=True)
    if len(folders) > 1:
        _try(report, "Benchmarks compared", lambda: _compare(report, folders, examples), tell)


def _scores(report: Report, folders: Sequence[Path]) -> None:
    """Score the answers that are there, also of an evaluation that is not done and has no table of scores yet."""
    parts = []
    for folder, reader in zip(folders, open_runs(folders), strict=True):
        parts.append(score_run(folder).assign(run=report.names[reader.run_id]))
    frame = scores_of_last_step(pd.concat(parts, ignore_index=True))
    report.frames["scores"] = frame
    title = FIGURES["scores"].title
    if any(what == title for what, _ in report.left_out):
        report.left_out = [one for one in report.left_out if one[0] != title]
        _draw(report, "scores", frame)


def _compare(report: Report, folders: Sequence[Path], examples: int) -> None:
    try:
        report.comparisons = compare_with_baseline(folders[0], folders[1:], origin=Origin.benchmark)
    except InputError as error:
        raise InputError(str(error).replace("; --force compares them all the same", "")) from error
    for one, folder in zip(report.comparisons, folders[1:], strict=True):
        report.cautions += [without_folders(note, report.loaded) for note in one.notes]
        report.examples += examples_of_comparison(one, (folder, folders[0]), each=examples)


def _examples(report: Report, each: int) -> None:
    loaded = report.loaded
    origin = str(loaded.trajectories["origin"].iloc[0])
    counts = report.frames.get("classes")
    for run_id, rows in loaded.classified.groupby("run_id", sort=False):
        own = None if counts is None else counts[counts["run_id"] == run_id].set_index("class")["expected"]
        folder = loaded.path_of(str(run_id))
        report.examples += examples_of_run(folder, rows, origin=origin, each=each, expected=own)
