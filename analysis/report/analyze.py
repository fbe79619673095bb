"""Make every figure and table that the runs allow (`relift analyze`), and a sentence for each they do not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from relift.analysis.report.catalogue import FIGURES, TABLES
from relift.analysis.report.loaded import Loaded, load
from relift.analysis.runs.cautions import cautions
from relift.analysis.style import FORMATS, save_figure
from relift.errors import InputError
from relift.inert import for_markdown, sentence_for_markdown, write_csv


@dataclass(frozen=True)
class Made:
    """Hold a figure or a table: its frame, its caption ("" of a table), its files."""

    name: str
    title: str
    kind: str  # figure or table
    frame: pd.DataFrame
    caption: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class LeftOut:
    """Name what these runs do not allow, and why, in one line."""

    name: str
    title: str
    reason: str


@dataclass(frozen=True)
class Analysis:
    """Hold what was made of which runs."""

    loaded: Loaded
    made: tuple[Made, ...]
    left_out: tuple[LeftOut, ...]
    cautions: tuple[str, ...]  # what makes these runs hard to compare


def analyze(
    runs: Sequence[Path | str],
    out: Path | str,
    *,
    base: str | None = None,
    splits: Collection[str] | None = None,
    only: Collection[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    formats: Sequence[str] = FORMATS,
    control: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> Analysis:
    """Write figures/ (each with its csv), tables/ (csv) and index.md, which shows the png, under `out`.

    `base`: the run whose step 0 assigns the bands (see `Loaded.base_id`); `splits`: questions of these alone; `only`:
    names of figures and tables; `control`: the frozen run (see `Loaded.control_id`); `formats` of figures, of FORMATS;
    `tell` hears a line for each. What the runs do not allow is left out with its reason. InputError if a folder holds
    no run, a name in `only` is unknown, or nothing at all can be made.
    """
    unknown = sorted(set(only or ()) - set(FIGURES) - set(TABLES))
    if unknown:
        raise InputError(f"no figure or table {', '.join(unknown)}; there are {', '.join([*FIGURES, *TABLES])}")
    loaded = load(runs, base=base, splits=splits, resamples=resamples, seed=seed, control=control)
    if control is not None:
        loaded.control_id  # noqa: B018  a name that no run has is said once, not by every figure
    if base is not None:
        loaded.base_id  # noqa: B018  a name that no run has is said once, not by every figure
    out, made, left_out = Path(out), [], []
    out.mkdir(parents=True, exist_ok=True)  # before the work
    wanted = [*TABLES, *FIGURES] if only is None else [n for n in (*TABLES, *FIGURES) if n in set(only)]
    for name in wanted:
        title = TABLES[name].title if name in TABLES else FIGURES[name].title
        try:
            one = _make_table(loaded, name, out) if name in TABLES else _make_figure(loaded, name, out, formats)
        except InputError as error:
            left_out.append(LeftOut(name, title, str(error)))
            _say(tell, f"{name}: left out: {error}")
        else:
            made.append(one)
            _say(tell, f"{name}: {title}")
    if not any(one.name != "runs" for one in made):
        raise InputError(
            f"nothing can be made of these runs: {left_out[0].reason if left_out else 'nothing asked for'}"
        )
    warned = tuple(cautions(loaded.paths))
    for caution in warned:
        _say(tell, f"caution: {caution}")
    result = Analysis(loaded, tuple(made), tuple(left_out), warned)
    (out / "index.md").write_text(index_of(result), encoding="utf-8")
    return result


def _say(tell: Callable[[str], None] | None, line: str) -> None:
    if tell is not None:
        tell(line)


def _make_table(loaded: Loaded, name: str, out: Path) -> Made:
    frame = TABLES[name].data(loaded)
    folder = out / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    write_csv(frame, path)
    return Made(name, TABLES[name].title, "table", frame, "", (path,))


def _make_figure(loaded: Loaded, name: str, out: Path, formats: Sequence[str]) -> Made:
    figure = FIGURES[name]
    frame = figure.frame_of(loaded)
    axes = np.asarray(figure.draw(frame), dtype=object).flat[0]
    files = save_figure(axes.figure, out / "figures", name, frame, formats=formats)
    return Made(name, figure.title, "figure", frame, figure.caption(frame), tuple(files))


def index_of(result: Analysis) -> str:
    """Write index.md: the runs, the figures with their captions, the tables, and what was left out."""
    runs = result.loaded.runs
    lines = ["# Analysis", "", "| run | run_id | recipe | seed | status | step |", "|---|---|---|---|---|---|"]
    for row in runs.to_dict("records"):
        cells = [row.get(key) for key in ("run", "run_id", "recipe", "seed", "status", "committed_step")]
        lines.append("| " + " | ".join("–" if pd.isna(cell) else for_markdown(str(cell)) for cell in cells) + " |")
    try:
        base = runs.loc[runs["run_id"] == result.loaded.base_id, "run"].iloc[0]
        n = result.loaded.probes["question_id"].nunique()
        lines += [
            "",
            f"Bands by step 0 of {for_markdown(str(base))}. {n:,} questions, probed in every run and at every step.",
        ]
    except InputError:
        pass
    for caution in result.cautions:
        lines += ["", f"**{for_markdown(caution)}**"]
    for one in result.made:
        if one.kind == "figure":
            lines += [
                "",
                f"## {one.title}",
                "",
                f"![{one.title}](figures/{one.name}.png)",
                "",
                sentence_for_markdown(one.caption),
            ]
    lines += ["", "## Tables", ""]
    lines += [f"- [{one.title}](tables/{one.name}.csv)" for one in result.made if one.kind == "table"]
    if result.left_out:
        lines += ["", "## Left out", ""]
        lines += [f"- {one.title} ({one.name}): {sentence_for_markdown(one.reason)}" for one in result.left_out]
    return "\n".join(lines) + "\n"
