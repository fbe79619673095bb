"""Define the commands `relift compare`, `analyze`, `report` and `dashboard`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from relift.cli.formats import Json, Latex, Markdown, one_format


def _sound_runs(paths: list[Path]) -> list[Path]:
    """Find the runs that are meant, and say on standard error what is left out."""
    from relift.store import resolve_runs

    found = resolve_runs(paths)
    for line in found.lines():
        print(line, file=sys.stderr)
    return found.sound()


def compare(
    baseline: Annotated[str, typer.Argument(help="a run folder, or RUN@STEP: what the others are compared with")],
    others: Annotated[list[str], typer.Argument(metavar="RUN...", help="run folders, or RUN@STEP")],
    step: Annotated[
        int | None, typer.Option(help="of training runs: the probes at this step; default: the last")
    ] = None,
    origin: Annotated[
        str | None, typer.Option(help="benchmark or probe; default: benchmark where there is any")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="also where more than the model differs")] = False,  # noqa: FBT002
    flips: Annotated[int, typer.Option(min=0, help="flipped questions to list")] = 10,
    as_json: Json = False,  # noqa: FBT002
    markdown: Markdown = False,  # noqa: FBT002
    latex: Latex = False,  # noqa: FBT002
) -> None:
    """Compare runs on the same questions, with intervals.

    Differences are paired by question; the questions that flipped are listed. Two training runs are two checkpoints:
    name several seeds of both methods to compare these.
    """
    from relift.analysis.scores.over_seeds import compare_over_seeds
    from relift.analysis.scores.paired import compare_with_baseline
    from relift.analysis.scores.paired_table import render_comparisons
    from relift.analysis.scores.sides import parse_side

    runs = [parse_side(text, step=step) for text in (baseline, *others)]
    comparisons = compare_with_baseline(
        runs[0][0], [run for run, _ in runs[1:]], steps=[at for _, at in runs], origin=origin, force=force
    )
    format_ = one_format(as_json=as_json, markdown=markdown, latex=latex)
    methods = compare_over_seeds([run for run, _ in runs], steps=[at for _, at in runs], origin=origin, force=force)
    print(render_comparisons(comparisons, over_seeds=methods, format=format_, flips=flips))


def analyze(
    runs: Annotated[list[Path], typer.Argument(help="run folders, or folders that hold some; running ones too")],
    out: Annotated[Path, typer.Option("--out", help="folder for figures/, tables/ and index.md")] = Path("analysis"),
    base: Annotated[
        str | None, typer.Option("--base", help="run whose step 0 assigns the bands; default: the one called base")
    ] = None,
    control: Annotated[
        str | None,
        typer.Option("--control", help="run that was probed and never trained; default: the one called frozen"),
    ] = None,
    split: Annotated[list[str] | None, typer.Option("--split", help="only questions of this split")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="only this figure or table, by its name")] = None,
    resamples: Annotated[int, typer.Option("--resamples", min=20, help="bootstrap resamples of the intervals")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="of the resampling")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="print the result alone")] = False,  # noqa: FBT002
) -> None:
    """Draw figures and write tables of what training changed.

    index.md also names what could not be made from these runs, and why.
    """
    from relift.analysis.report.analyze import analyze as run_analysis
    from relift.store.folder import refuse_run_file

    refuse_run_file(out / "index.md")
    runs = _sound_runs(runs)
    tell = None if quiet else lambda line: print(line, flush=True)
    result = run_analysis(
        runs, out, base=base, splits=split, only=only, resamples=resamples, seed=seed, control=control, tell=tell
    )
    counts = {kind: sum(one.kind == kind for one in result.made) for kind in ("figure", "table")}
    print(f"{counts['figure']} figures, {counts['table']} tables, {len(result.left_out)} left out: {out / 'index.md'}")


def report(
    runs: Annotated[list[Path], typer.Argument(help="run folders, or folders that hold some; running ones too")],
    out: Annotated[Path, typer.Option("--out", help="the HTML file")] = Path("report.html"),
    base: Annotated[
        str | None, typer.Option("--base", help="run whose step 0 assigns the bands; default: the one called base")
    ] = None,
    split: Annotated[list[str] | None, typer.Option("--split", help="only questions of this split")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="only this figure or table, by its name")] = None,
    control: Annotated[
        str | None,
        typer.Option("--control", help="the frozen run, probed and never trained; default: the one called frozen"),
    ] = None,
    audit: Annotated[bool, typer.Option("--audit", help="print the seven checks of each run too")] = False,  # noqa: FBT002
    as_json: Json = False,  # noqa: FBT002
    title: Annotated[str | None, typer.Option("--title", help="heading; default: the names of the runs")] = None,
    examples: Annotated[int, typer.Option("--examples", min=0, help="gained and lost questions to show, per run")] = 2,
    resamples: Annotated[int, typer.Option("--resamples", min=20, help="bootstrap resamples of the intervals")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="of the resampling")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="print the result alone")] = False,  # noqa: FBT002
) -> None:
    """Write one HTML file on what training changed.

    It holds sentences with intervals, figures and example questions, and can be mailed.
    """
    from relift.analysis.report.facts import audit_lines, report_json
    from relift.analysis.report.page import write_report
    from relift.store.folder import refuse_other_file

    refuse_other_file(out, begins=b"<!doctype html", what="HTML page")
    runs = _sound_runs(runs)
    made = write_report(
        runs, out, base=base, splits=split, only=only, title=title, examples=examples, resamples=resamples, seed=seed,
        control=control, tell=None if quiet or as_json else lambda line: print(line, flush=True),
    )  # fmt: skip
    if as_json:
        print(report_json(made))
        return
    for line in audit_lines(made) if audit else ():
        print(line)
    print(f"{len(made.figures)} figures, {len(made.examples)} example questions: {out}")


def dashboard(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders, or folders that hold some")],
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="default: the first free one from 8501")] = None,
    host: Annotated[str, typer.Option(help="address to listen on; beyond this machine needs --unsafe-no-auth")] = (
        "127.0.0.1"
    ),
    unsafe_no_auth: Annotated[
        bool, typer.Option("--unsafe-no-auth", help="let whoever reaches --host read the runs, without a password")
    ] = False,  # noqa: FBT002
) -> None:
    """Show runs in a browser: curves, questions, answers."""
    from relift.dashboards.launch import run_dashboard

    run_dashboard(runs, port=port, host=host, unsafe_no_auth=unsafe_no_auth)
