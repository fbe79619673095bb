"""Write a report as one HTML file: sections, tables, figures, examples, all of it text that is escaped.

Nothing in it is a path of this machine or a time of day, so that the same runs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from relift.analysis.questions.bands import BANDS, counts_of_bands
from relift.analysis.questions.definitions import DEFINITIONS, define
from relift.analysis.report import html as h
from relift.analysis.report import words as words
from relift.analysis.report.catalogue import FIGURES
from relift.analysis.report.content import Drawn, Report, make_report
from relift.analysis.report.examples import Answer, Example
from relift.analysis.runs.figure import Section
from relift.analysis.runs.read import open_runs
from relift.errors import InputError, StoreError

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
    title: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> Report:
    """Write one HTML file, which needs neither a network nor scripts, and return what it says.

    `base`, `splits`, `only`, `resamples`, `seed` as in `analyze`; `examples`: gained and lost questions shown of each
    run; `tell` hears a line for each part. InputError if a folder holds no run, the base is unknown, nothing at all
    can be said, or `out` is a folder; StoreError if it cannot be written.
    """
    path = Path(out)
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a file, say {path / 'report.html'}")
    report = make_report(
        runs, base=base, splits=splits, only=only, resamples=resamples, seed=seed, examples=examples, tell=tell
    )
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
    yield "Findings", _findings(report)
    yield "The runs", [_runs_table(report)]
    tables = dict(_tables(report))
    for section in get_args(Section):
        figures = [_figure(one) for one in report.figures if FIGURES[one.name].section == section]
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
    """Yield tables by section."""
    frames, names = report.frames, {"step 0": "step 0", **report.names}
    changed = []
    if "difference_from_base" in frames:
        changed.append(_difference_table(frames["difference_from_base"], names))
    if "classes" in frames:
        changed.append(_class_table(frames["classes"], names))
    yield "What changed", changed
    reach = []
    if "support_ratios" in frames:
        reach.append(_support_table(frames["support_ratios"], names))
    if "gained_and_lost" in frames:
        reach.append(_gained_table(frames["gained_and_lost"]))
    yield "What is within reach", reach
    if "cost" in frames and frames["cost"][list(_COSTS)].any(axis=None):
        yield "Training", [_cost_table(frames["cost"], names)]
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
    caption = (
        f"Questions by what became of them; in brackets {DEFINITIONS['expected without learning']}. {define(classes)}."
    )
    return h.table(["run", *classes], rows, caption=caption)


def _support_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    sets = ["kept", "gained", "lost", "neither"]
    rows = [
        [names[row["run_id"]], *(f"{row[s]} ({_cell(row[f'null_{s}'])})" for s in sets)]
        for row in frame.to_dict("records")
    ]
    meant = define(["newly solved", "no longer solved"])
    caption = f"Questions solved, base against run; in brackets the same for a model that did not change. {meant}."
    headers = ["run", "solved at both", "newly solved", "no longer solved", "solved at neither"]
    return h.table(headers, rows, caption=caption)


def _gained_table(frame: pd.DataFrame) -> h.Markup:
    counts = {
        which: frame.loc[frame[f"{which}_by"] != "", f"{which}_by"].value_counts() for which in ("gained", "lost")
    }
    rows = [[who, *(f"{counts[which].get(who, 0)}" for which in counts)] for who in _by_size(counts)]
    caption = "Questions that the base model had not solved and these runs alone did, and the reverse; of few attempts."
    return h.table(["runs", "newly solved", "no longer solved"], rows or [["none", "0", "0"]], caption=caption)


def _by_size(counts: Mapping[str, pd.Series]) -> list[str]:
    together = counts["gained"].add(counts["lost"], fill_value=0)
    return [str(who) for who in sorted(together.index, key=lambda who: (-together[who], who))]


_COSTS = {
    "rl_updates": "RL updates", "sft_updates": "SFT updates", "samples": "rollouts",
    "generated_tokens": "tokens sampled", "trained_tokens": "tokens trained on", "demonstrations": "demonstrations",
    "distinct_demonstrations": "different ones",
}  # fmt: skip


def _cost_table(frame: pd.DataFrame, names: Mapping[str, str]) -> h.Markup:
    rows = [
        [names[str(row["run_id"])], str(row["step"]), *(f"{row[cost]:,}" for cost in _COSTS)]
        for row in frame.to_dict("records")
    ]
    caption = "What the runs had used at their last checkpoint."
    return h.table(["run", "step", *_COSTS.values()], rows, caption=caption)


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
