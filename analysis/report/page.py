"""Write a report as one HTML file: sections, tables, figures, examples, all of it text that is escaped.

Nothing in it is a path of this machine or a time of day, so that the same runs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from relift.analysis.questions.bands import counts_of_bands
from relift.analysis.report import html as h
from relift.analysis.report import tables as t
from relift.analysis.report import words as words
from relift.analysis.report.catalogue import FIGURES
from relift.analysis.report.content import Drawn, Report, make_report
from relift.analysis.report.examples import Answer, Example
from relift.analysis.runs.figure import Section
from relift.analysis.runs.read import open_runs
from relift.errors import InputError, StoreError

FIRST = "changes"  # the figure below the first sentences
PROBLEM_LIMIT, ANSWER_LIMIT, NAME_LIMIT = 1_000, 2_000, 80  # characters that are shown


def write_report(
    runs: Sequence[Path | str],
    out: Path | str,
    *,
    base: str | None = None,
    splits: Collection[str] | None = None,
    only: Collection[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    examples: int = 2,
    control: str | None = None,
    title: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> Report:
    """Write one HTML file, which needs neither a network nor scripts, and return what it says.

    `base`, `splits`, `only`, `resamples`, `seed` as in `analyze`; `control` names the frozen run; `examples`: gained
    and lost questions shown of each run; `tell` hears a line for each part. InputError if a folder holds no run, the
    base is unknown, nothing at all can be said, or `out` is a folder; StoreError if it cannot be written.
    """
    path = Path(out)
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a file, say {path / 'report.html'}")
    report = make_report(
        runs, base=base, splits=splits, only=only, resamples=resamples, seed=seed, examples=examples, control=control,
        tell=tell,
    )  # fmt: skip
    text = render(report, title=title)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StoreError(f"{path}: cannot write: {error.strerror} (errno {error.errno})") from error
    return report


def render(report: Report, *, title: str | None = None) -> str:
    """Render the report as HTML."""
    runs = [name[:NAME_LIMIT] for name in report.names.values()]
    heading = title or f"{'What training changed' if report.has_probes else 'Benchmarks'}: {', '.join(runs)}"
    sections = [section for section in _sections(report) if section[1]]
    links = [h.element("a", name, href=f"#s{i}") for i, (name, _) in enumerate(sections)]
    body = [h.element("h1", heading), h.element("p", _subtitle(report), class_="soft")]
    body += [h.element("div", caution, class_="caution") for caution in report.cautions]
    body += [h.element("p", sentence) for sentence in report.letter()]
    body += [_figure(one) for one in report.figures if one.name == FIRST]
    body.append(h.element("nav", links))
    for i, (name, parts) in enumerate(sections):
        body.append(h.element("h2", name, id=f"s{i}"))
        body += parts
    return h.page(heading, body)


def _subtitle(report: Report) -> str:
    n = len(report.names)
    said = f"{words.many(n, 'run')}. Made by relift {version('relift')} from the runs' own tables."
    if not report.has_probes:
        return said
    try:
        base = report.names[report.loaded.base_id]
        n_questions = report.loaded.probes["question_id"].nunique()
    except InputError:
        return said
    return (
        f"{said} The base model is step 0 of {base[:NAME_LIMIT]}; {words.many(n_questions, 'question')} are compared."
    )


def _sections(report: Report) -> Iterator[tuple[str, list[h.Markup]]]:
    yield "By split, seed and check", _sceptic(report)
    yield "Findings", _findings(report)
    yield "The runs", [_runs_table(report)]
    tables = dict(_tables(report))
    for section in get_args(Section):
        drawn = [one for one in report.figures if FIGURES[one.name].section == section and one.name != FIRST]
        figures = [_figure(one) for one in drawn]
        yield section, [*tables.get(section, []), *figures]
    yield "Questions that changed", _example_parts(report)
    yield "What the numbers rest on", [h.bullets(report.limits)]
    yield "What is not here", _left_out(report)


def _sceptic(report: Report) -> list[h.Markup]:
    """Make the tables that a sceptic asks for first: splits and bands, seeds, a frozen copy, the checks, alerts."""
    frames, names = report.frames, {"step 0": "step 0", **report.names}
    parts = []
    if "difference_from_base" in frames:
        parts.append(t.difference_table(frames["difference_from_base"], names))
    if "methods" in frames and (frames["methods"]["n_seeds"] > 1).any():  # of one seed each it repeats the table above
        parts.append(t.methods_table(frames["methods"]))
    if "frozen_copy" in frames:
        parts.append(t.copy_table(frames["frozen_copy"], names))
    if "audit" in frames:
        parts.append(t.audit_table(frames["audit"], names))
    if len(frames.get("alerts", ())):
        parts.append(h.bullets([f"{row.run}: {row.sentence}" for row in frames["alerts"].itertuples()]))
    return parts


def _findings(report: Report) -> list[h.Markup]:
    parts = [h.element("p", sentence, class_="soft") for sentence in _how_to_read(report)]
    for topic, sentences in report.findings():
        parts += [h.element("h3", topic), h.bullets(sentences)]
    return parts


def _how_to_read(report: Report) -> list[str]:
    chance = " Expected without learning: what a model that never changes shows by chance." * report.has_probes
    said = [f"In brackets: 95 % intervals.{chance}"]
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
        model = reader.run.model
        named, by = model and model.name, reader.run.engine.get("name")
        cells = [report.names[row["run_id"]], row.get("recipe"), named, by, row.get("status")]
        cells += [row.get("seed"), row["committed_step"], row["run_id"]]
        rows.append([t.cell(cell) for cell in cells])
    headers = ["run", "recipe", "model", "engine", "status", "seed", "last step", "run_id"]
    kept = [i for i in range(len(headers)) if any(row[i] != "–" for row in rows)]
    return h.table([headers[i] for i in kept], [[row[i] for i in kept] for row in rows], words=range(len(headers)))


def _tables(report: Report) -> Iterator[tuple[str, list[h.Markup]]]:
    """Yield tables by section."""
    frames, names = report.frames, {"step 0": "step 0", **report.names}
    changed = []
    if "classes" in frames:
        changed.append(t.class_table(frames["classes"], names))
    yield "What changed", changed
    reach = []
    if "support_ratios" in frames:
        reach.append(t.support_table(frames["support_ratios"], names))
    if "gained_and_lost" in frames:
        reach.append(t.gained_table(frames["gained_and_lost"]))
    yield "What is within reach", reach
    if "cost" in frames and frames["cost"][list(t.COSTS)].any(axis=None):
        yield "Training", [t.cost_table(frames["cost"], names)]
    benchmarks = []
    if "scores" in frames:
        benchmarks.append(t.score_table(frames["scores"], names))
    if "score_health" in frames:
        benchmarks.append(t.health_table(frames["score_health"], names))
    yield "Benchmarks", benchmarks


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
