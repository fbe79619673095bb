"""`relift report`: one self-contained HTML file about runs, to mail to somebody: findings in words, figures, examples.

Everything is made here and in report_words, report_examples and report_html from the frames of the catalogue; nothing
in it is a path of this machine or a time of day, so that the same runs give the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relift import stats
from relift.analysis import report_html as h
from relift.analysis import report_words as words
from relift.analysis import style
from relift.analysis.bands import BANDS, counts_of_bands
from relift.analysis.catalogue import FIGURES, TABLES
from relift.analysis.cautions import cautions
from relift.analysis.compare import compare_runs, paired_difference
from relift.analysis.demos import probe_scores
from relift.analysis.forest import scores_of_last_step
from relift.analysis.loaded import Loaded, load
from relift.analysis.paired_scores import Comparison, compare_with_baseline, expected_flips
from relift.analysis.read import open_runs
from relift.analysis.report_examples import Answer, Example, examples_of_comparison, examples_of_run
from relift.analysis.score_table import distinct_names
from relift.analysis.scores import score_health
from relift.errors import InputError, StoreError
from relift.schema import Origin

PROBLEM_LIMIT, ANSWER_LIMIT, NAME_LIMIT = 1_000, 2_000, 80  # characters that are shown

# Figures of the catalogue by section; those that are named nowhere come last, so that a new one is not forgotten.
SECTIONS: dict[str, tuple[str, ...]] = {
    "What changed": (
        "f01_band_accuracy", "f03_transitions", "f10_questions", "f08_turnover", "f08_retention", "f11_data_map",
    ),
    "What is within reach": (
        "f06_pass_at_k", "f06_sampling_gap", "f07_support", "f07_solved_by", "f16_cover", "f17_reach",
        "f17_reach_accuracy",
    ),
    "Benchmarks": ("f05_scores",),
    "Training": (
        "f04_dynamics", "f09_demonstrations", "f14_buffer", "f15_after_training", "f18_group_signal",
        "f02_band_lengths", "f19_length_accuracy",
    ),
}  # fmt: skip
_LIGHT_TABLES = (
    "bands",
    "difference_from_base",
    "crossover",
    "support",
    "classes",
    "grader_health",
)  # that the report shows


@dataclass(frozen=True)
class Drawn:
    """A figure as svg with its caption."""

    name: str
    title: str
    caption: str
    svg: str
    inches: tuple[float, float]


@dataclass
class Report:
    """What a report says, before it is written: frames by the names of the catalogue, and what could not be made."""

    loaded: Loaded
    names: Mapping[str, str]  # of run_id
    frames: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: list[Drawn] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)  # (what, why)

    def findings(self) -> list[tuple[str, list[str]]]:
        """(topic, sentences) of everything that was measured."""
        found = words.findings(self.frames, self.names)
        for one in self.comparisons:
            found.append((f"{one.a} against {one.b}", words.say_comparison(one.a, one.b, one.frame)))
        return found


def write_report(
    runs: Sequence[Path | str],
    out: Path | str,
    *,
    base: str | None = None,
    splits: Collection[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    examples: int = 2,
    title: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> Report:
    """Write one HTML file, which needs neither a network nor scripts, and return what it says.

    `base`, `splits`, `resamples`, `seed` as in `analyze`; `examples`: gained and lost questions shown of each run;
    `tell` hears a line for each part. InputError if a folder holds no run, the base is unknown, nothing at all can be
    said, or `out` is a folder; StoreError if it cannot be written.
    """
    path = Path(out)
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a file, say {path / 'report.html'}")
    report = make_report(runs, base=base, splits=splits, resamples=resamples, seed=seed, examples=examples, tell=tell)
    text = render(report, title=title)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StoreError(f"{path}: cannot write: {error.strerror} (errno {error.errno})") from error
    return report


def make_report(
    runs: Sequence[Path | str],
    *,
    base: str | None = None,
    splits: Collection[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    examples: int = 2,
    tell: Callable[[str], None] | None = None,
) -> Report:
    """Measure and draw everything that the runs allow. Arguments and errors as `write_report`."""
    loaded = load(runs, base=base, splits=splits, resamples=resamples, seed=seed)
    if base is not None:
        loaded.base_id  # noqa: B018  a name that no run has is said once, not by every figure
    labels = [(str(label), str(run_id)) for label, run_id in loaded.runs[["run", "run_id"]].to_numpy()]
    names = dict(zip([run_id for _, run_id in labels], distinct_names(labels), strict=True))
    report = Report(loaded, names, cautions=cautions(loaded.paths))
    for name in (*_LIGHT_TABLES, *(n for group in SECTIONS.values() for n in group), *_others()):
        title = TABLES[name][0] if name in TABLES else FIGURES[name].title
        _try(report, title, partial(_measure if name in TABLES else _draw, report, name), tell)
    _try(report, "Runs against each other", lambda: _pairs(report), tell)
    _try(report, "Accuracy on the probes", lambda: _probe_scores(report), tell)
    if "difference_from_base" not in report.frames:
        _try(report, "Each run less the base, all questions", partial(_overall, report), tell)
    report.limits = words.general_limits()
    _try(report, "What the probes rest on", lambda: _limits(report), tell)
    _evaluations(report, examples=examples, tell=tell)
    if examples:
        _try(report, "Example questions", lambda: _examples(report, examples), tell)
    if not report.frames and not report.comparisons:
        raise InputError(f"there is nothing to report on these runs: {report.left_out[0][1]}")
    return report


def _others() -> list[str]:
    placed = {name for names in SECTIONS.values() for name in names}
    return [name for name in FIGURES if name not in placed]


def _try(report: Report, what: str, make: Callable[[], object], tell: Callable[[str], None] | None) -> None:
    """Run one part; what the runs do not allow is kept with its reason."""
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
    """The text with the folders of the runs as their names: a report is mailed, and paths are nobody's business."""
    folders = {str(p) for path in loaded.paths for p in (path, path.absolute(), path.resolve())}
    for folder in sorted(folders, key=len, reverse=True):
        if len(Path(folder).parts) > 1:
            text = text.replace(folder, Path(folder).name)
    return text


def _measure(report: Report, name: str) -> None:
    report.frames[name] = TABLES[name][1](report.loaded)


def _draw(report: Report, name: str) -> None:
    figure = FIGURES[name]
    frame = figure.data(report.loaded)
    report.frames[name] = frame
    drawn = np.asarray(figure.draw(frame), dtype=object).flat[0].figure
    width, height = (float(x) for x in drawn.get_size_inches())
    report.figures.append(Drawn(name, figure.title, figure.caption(frame), svg_of(drawn), (width, height)))


def svg_of(figure: Any) -> str:
    """A figure as svg with its letters as outlines: a colleague's machine need not have the font."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with style.context(), rc_context({"svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue().decode()
    return re.sub(r"\n\s*", "\n", text[text.index("<svg") :])


def pairs_of_runs(ends: pd.DataFrame, *, without: str) -> pd.DataFrame:
    """One row per pair of runs at their last steps, the base `without` left out: the later less the earlier.

    Columns: run_id_a, run_id_b, n_questions, difference, low, high, p_value (paired t over questions), p_holm (over
    the pairs), n_only_a, n_only_b: questions that one alone answers in more than half of its attempts, and what chance
    gives if both are equally good (expected_only_a, expected_only_b). InputError if there are not two runs.
    """
    later = ends[(ends["step"] > 0).to_numpy()]
    ids = [str(i) for i in later["run_id"].astype(object).unique() if i != without]
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
    report.frames["pairs"] = pairs_of_runs(loaded.ends, without="" if _trained(loaded) else loaded.base_id)


def _overall(report: Report) -> None:
    """Each run less the base where bands cannot be measured: for all questions, which nobody chose, one draw will do."""
    loaded = report.loaded
    ends, base = loaded.compared, loaded.compared_base_id
    others = ends.loc[(ends["run_id"] != base) & (ends["step"] > 0), ["run_id", "run"]].drop_duplicates()
    if others.empty:
        raise InputError("no run has a probe at a step after 0")
    parts = [
        paired_difference(compare_runs(ends, a=run_id, b=base)).assign(run_id=run_id, run=run)
        for run_id, run in others.to_numpy()
    ]
    report.frames["difference_from_base"] = pd.concat(parts, ignore_index=True)


def _trained(loaded: Loaded) -> bool:
    """Whether the base run has later steps of its own, and so is a run to compare."""
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
    excluded = loaded.trajectories["question_id"].nunique() - loaded.probes["question_id"].nunique()
    report.limits += words.limits(loaded.probes, n_excluded=excluded, names=report.names)


def _evaluations(report: Report, *, examples: int, tell: Callable[[str], None] | None) -> None:
    """Scores of evaluated runs, each against the first (or the base, where it is one of them)."""
    folders = [
        reader.folder for reader in open_runs(report.loaded.paths) if reader.files("attempts", origin="benchmark")
    ]
    if not folders:
        return
    wanted = report.loaded.runs.loc[report.loaded.runs["run"] == report.loaded.base, "folder"].tolist()
    folders.sort(key=lambda folder: str(folder) not in wanted)
    _try(report, "Scores", lambda: report.frames.update(scores=scores_of_last_step(report.loaded.scores)), tell)
    health = [score_health(folder) for folder in folders]
    report.frames["score_health"] = pd.concat(health, ignore_index=True)
    if len(folders) > 1:
        _try(report, "Benchmarks compared", lambda: _compare(report, folders, examples), tell)


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


def render(report: Report, *, title: str | None = None) -> str:
    """The report as HTML."""
    runs = [name[:NAME_LIMIT] for name in report.names.values()]
    heading = title or f"What training changed: {', '.join(runs)}"
    sections = [section for section in _sections(report) if section[1]]
    links = [h.element("a", name, href=f"#s{i}") for i, (name, _) in enumerate(sections)]
    body = [h.element("h1", heading), h.element("p", _subtitle(report), class_="soft")]
    body += [h.element("div", caution, class_="caution") for caution in report.cautions]
    body.append(h.element("nav", links))
    for i, (name, parts) in enumerate(sections):
        body.append(h.element("h2", name, id=f"s{i}"))
        body += parts
    return h.page(heading, body)


def _subtitle(report: Report) -> str:
    n = len(report.names)
    said = f"{words.many(n, 'run')}. Made by relift {version('relift')} from the runs' own tables."
    try:
        base = report.names[report.loaded.base_id]
        n_questions = report.loaded.probes["question_id"].nunique()
    except InputError:
        return said
    return (
        f"{said} The base model is step 0 of {base[:NAME_LIMIT]}; {words.many(n_questions, 'question')} are compared."
    )


def _sections(report: Report) -> Iterator[tuple[str, list[h.Markup]]]:
    yield "Findings", _findings(report)
    yield "The runs", [_runs_table(report)]
    tables = dict(_tables(report))
    for section, names in [*SECTIONS.items(), ("More", tuple(_others()))]:
        figures = [_figure(one) for one in report.figures if one.name in names]
        yield section, [*tables.get(section, []), *figures]
    yield "Questions that changed", _example_parts(report)
    yield "What the numbers rest on", [h.bullets(report.limits)]
    yield "What is not here", _left_out(report)


def _findings(report: Report) -> list[h.Markup]:
    parts = [h.element("p", sentence, class_="soft") for sentence in _how_to_read(report)]
    for topic, sentences in report.findings():
        parts += [h.element("h3", topic), h.bullets(sentences)]
    return parts


def _how_to_read(report: Report) -> list[str]:
    said = ["In brackets: 95 % intervals. Expected without learning: what a model that never changes shows by chance."]
    if "bands" in report.frames:
        counts = report.frames["bands"]["n_attempts"]
        n = int(counts.iloc[0])
        if (counts == n).all():
            bands = ", ".join(f"{band} {right}" for band, right in counts_of_bands(n).items())
            said.append(f"Bands by how many of {n} attempts of the base model were right in one draw: {bands}.")
    return said


def _figure(one: Drawn) -> h.Markup:
    scale = 96 * (1.45 if one.inches[0] > 4 else 1.3)
    image = h.image(one.svg, width=round(one.inches[0] * scale), height=round(one.inches[1] * scale), title=one.title)
    caption = h.element("figcaption", h.element("strong", f"{one.title}."), f" {one.caption}")
    return h.element("figure", image, caption, id=one.name)


def _runs_table(report: Report) -> h.Markup:
    rows = []
    for row, reader in zip(report.loaded.runs.to_dict("records"), open_runs(report.loaded.paths), strict=True):
        model, engine = reader.run_json.get("model"), reader.run_json.get("engine")
        named = model.get("name") if isinstance(model, dict) else None
        by = engine.get("name") if isinstance(engine, dict) else engine
        cells = [report.names[row["run_id"]], row.get("recipe"), named, by, row.get("status")]
        cells += [row.get("seed"), row["committed_step"], row["run_id"]]
        rows.append([_cell(cell) for cell in cells])
    headers = ["run", "recipe", "model", "engine", "status", "seed", "last step", "run_id"]
    kept = [i for i in range(len(headers)) if any(row[i] != "–" for row in rows)]
    return h.table([headers[i] for i in kept], [[row[i] for i in kept] for row in rows], words=range(len(headers)))


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)[:NAME_LIMIT]


def _tables(report: Report) -> Iterator[tuple[str, list[h.Markup]]]:
    """Tables by section."""
    frames, names = report.frames, {"step 0": "step 0", **report.names}
    changed = []
    if "difference_from_base" in frames:
        changed.append(_difference_table(frames["difference_from_base"], names))
    if "classes" in frames:
        changed.append(_class_table(frames["classes"], names))
    yield "What changed", changed
    if "support" in frames:
        yield "What is within reach", [_support_table(frames["support"], names)]
    benchmarks = []
    if "scores" in frames:
        benchmarks.append(_score_table(frames["scores"], names))
    if "score_health" in frames:
        benchmarks.append(_health_table(frames["score_health"], names))
    yield "Benchmarks", benchmarks


def _difference_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    groups = [g for g in ("all", *BANDS) if g in set(frame["group"])]
    rows = []
    for run_id, own in frame.groupby("run_id", sort=False):
        by_group = {row["group"]: row for row in own.to_dict("records")}
        cells = [
            f"{words.signed(100 * by_group[g]['difference'])} "
            f"{words.interval(by_group[g]['low'], by_group[g]['high'], scale=100)}"
            if g in by_group
            else "–"
            for g in groups
        ]
        rows.append([names[str(run_id)], *cells])
    counts = frame.drop_duplicates("group").set_index("group")["n_questions"]
    headers = ["run less base", *(f"{g} ({counts[g]})" for g in groups)]
    return h.table(headers, rows, caption="Accuracy, difference in points with 95 % interval, paired by question.")


def _class_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    classes = list(dict.fromkeys(frame["class"]))
    rows = []
    for run_id, own in frame.groupby("run_id", sort=False):
        by_class = {row["class"]: row for row in own.to_dict("records")}
        cells = [f"{by_class[c]['found']} ({by_class[c]['expected']:.1f})" for c in classes]
        rows.append([names[str(run_id)], *cells])
    caption = "Questions by what became of them; in brackets the number expected without learning."
    return h.table(["run", *classes], rows, caption=caption)


def _support_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    sets = ["kept", "gained", "lost", "neither"]
    rows = [
        [names[row["run_id"]], *(f"{row[s]} ({_cell(row[f'null_{s}'])})" for s in sets)]
        for row in frame.to_dict("records")
    ]
    caption = "Questions solved at least once, base against run; in brackets the same for a model that did not change."
    return h.table(["run", *sets], rows, caption=caption)


def _score_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    rows = [
        [
            names[str(row["run_id"])], str(row["benchmark"]), f"{row['metric']}@{row['parameter']:g}",
            f"{row['n_questions']:,}",
            f"{100 * row['value']:.1f} {words.interval(row['ci_low'], row['ci_high'], scale=100)}",
        ]
        for row in frame.to_dict("records")
    ]  # fmt: skip
    caption = "Scores in percent with 95 % intervals, for questions like these."
    return h.table(["run", "benchmark", "score", "questions", "value"], rows, caption=caption, words=(0, 1))


def _health_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    rows = [
        [
            names[str(row["run_id"])], str(row["benchmark"]), f"{row['n_attempts']:,}",
            words.percent(row["n_undecided"] / row["n_attempts"]),
            words.percent(row["n_truncated"] / row["n_attempts"]),
            f"{100 * row['bound_low']:.1f} to {100 * row['bound_high']:.1f}", f"{100 * row['bound_budget']:.1f}",
        ]
        for row in frame.to_dict("records")
        if row["n_attempts"]
    ]  # fmt: skip
    headers = ["run", "benchmark", "attempts", "undecided", "cut off", "were they judged", "had all been finished"]
    caption = "What undecided and cut-off answers could move the score to, in percent."
    return h.table(headers, rows, caption=caption, words=(0, 1))


def _example_parts(report: Report) -> list[h.Markup]:
    parts: list[h.Markup] = []
    groups: dict[tuple[str, str], list[Example]] = {}
    for example in report.examples:
        groups.setdefault((example.run_id, example.change), []).append(example)
    if groups:
        parts.append(h.element("p", "The surest changes of each kind, so extreme by choice.", class_="soft"))
    for (run_id, change), examples in groups.items():
        one = examples[0]
        expected = f"; {one.expected:.1f} expected without learning" if one.expected is not None else ""
        name = report.names[run_id][:NAME_LIMIT]
        parts.append(h.element("h3", f"{name}, {change}: {len(examples)} of {one.found} found{expected}"))
        parts += [_example(example) for example in examples]
    return parts


def _example(example: Example) -> h.Markup:
    problem, rest = h.clipped(example.problem, PROBLEM_LIMIT)
    about = f"Gold answer: {h.clipped(example.gold, 200)[0]}. Question {example.question_id}. {rest}"
    return h.element(
        "div",
        h.element("pre", problem, dir="auto"),
        h.element("p", about, class_="soft"),
        h.element("div", _answer(example.before), _answer(example.after), class_="pair"),
        class_="example",
    )


def _answer(answer: Answer) -> h.Markup:
    said = f"{answer.where}: {answer.n_correct} of {answer.n_decided} right"
    if answer.verdict is None:
        return h.element("div", h.element("p", said), h.element("p", "No such answer in this draw.", class_="soft"))
    mark = h.element("span", answer.verdict, class_="good" if answer.verdict == "correct" else "bad")
    final = "no final answer" if answer.final is None else f"final answer {h.clipped(answer.final, 200)[0]}"
    if answer.text is None:
        body, rest = h.element("p", "Its text was not kept.", class_="soft"), ""
    else:
        text, rest = h.clipped(answer.text, ANSWER_LIMIT)
        body = h.element("pre", text, dir="auto")
    remark = [h.element("p", rest, class_="soft")] if rest else []
    return h.element("div", h.element("p", f"{said}. One that is ", mark, f", {final}:"), body, remark)


def _left_out(report: Report) -> list[h.Markup]:
    by_reason: dict[str, list[str]] = {}
    for what, why in report.left_out:
        by_reason.setdefault(why, []).append(what)
    said = []
    for why, whats in by_reason.items():
        more = f" and {len(whats) - 4} more" if len(whats) > 5 else ""
        said.append(f"{'; '.join(whats[:4] if more else whats)}{more}: {why}.")
    return [h.bullets(said)] if said else []
