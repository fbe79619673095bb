"""Define the commands `relift data prepare`, `relift export-questions` and `relift import`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from relift.cli.formats import Json, Quiet
from relift.cli.help import WholeLines
from relift.errors import InputError

data = typer.Typer(cls=WholeLines, help="Read other people's files as questions", rich_markup_mode=None)


@data.callback()
def _data() -> None:
    """Read other people's data sets as questions."""


@data.command("prepare")
def prepare(
    layout: Annotated[str, typer.Argument(help="luffy, openr1, verl, or jsonl for files with columns of any name")],
    source: Annotated[str, typer.Argument(help=".parquet, .jsonl, a folder of them, or hf:owner/name[:config]/split")],
    out: Annotated[Path, typer.Option(help="file of questions to write: .jsonl or .parquet")],
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="OURS=PATH", help="jsonl: where a column stands, as answer=meta.gold"),
    ] = None,
    cut: Annotated[
        list[str] | None, typer.Option("--cut", metavar="TEXT", help="instruction to cut off both ends of prompts")
    ] = None,
    benchmarks: Annotated[
        Path | None, typer.Option(help="folder with local copies of benchmarks: their questions are dropped")
    ] = None,
    near: Annotated[
        Literal["drop", "keep"], typer.Option(help="questions that differ from another in a few words alone")
    ] = "drop",
    unreadable: Annotated[
        Literal["drop", "keep"], typer.Option(help="questions whose gold answer no rule of the grader reads")
    ] = "drop",
    solutions: Annotated[int | None, typer.Option(min=0, help="most worked solutions of a question")] = None,
    dropped: Annotated[Path | None, typer.Option(help="jsonl file for the rows that are dropped, with reasons")] = None,
    as_json: Json = False,  # noqa: FBT002
    quiet: Quiet = False,  # noqa: FBT002
) -> None:
    """Make a file of questions of a published data set.

    Repeated questions, those of benchmarks and those without a usable gold answer are left out and counted.
    """
    from relift.grading import Grader
    from relift.importers.prepare import Settings, summary_json, summary_lines
    from relift.importers.prepare import prepare as prepare_data
    from relift.store.folder import refuse_run_file

    for path in (out, dropped):
        if path is not None:
            refuse_run_file(path)
    settings = Settings(
        columns=_pairs(columns or []),
        instructions=tuple(cut or ()),
        benchmarks=benchmarks,
        near=near,
        unreadable=unreadable,
        per_question=solutions,
        dropped=dropped,
    )
    shows = not quiet and sys.stderr.isatty()
    with Grader() as grader:
        counts = prepare_data(
            layout, source, out, settings=settings, grader=grader,
            tell=(lambda line: print(f"\r{line}", end="", file=sys.stderr)) if shows else lambda line: None,
        )  # fmt: skip
    if shows:
        print(file=sys.stderr)
    lines = [summary_json(counts, source=source, out=out)] if as_json else summary_lines(counts, source=source, out=out)
    for line in lines:
        print(line)


def export_questions(
    run: Annotated[Path, typer.Argument(help="a run folder")],
    out: Annotated[Path, typer.Option(help="file to write: .jsonl or .parquet")],
    select: Annotated[
        list[str] | None,
        typer.Option(
            help='"all wrong", solved, stuck, gained, Hardest, ...; "a,b": one of them; repeated: all of them'
        ),
    ] = None,
    ids: Annotated[list[str] | None, typer.Option("--id", help="only this question, by the start of its id")] = None,
    step: Annotated[int | None, typer.Option(min=0, help="attempts at this step; default: the last of each")] = None,
    origin: Annotated[
        str | None, typer.Option(help="probe, benchmark or rollout; default: the first that the run has")
    ] = None,
    layout: Annotated[str, typer.Option(help="columns as relift, verl or trl reads them")] = "relift",
) -> None:
    """Write questions of a run, chosen by what became of them.

    Worked solutions that the run has go with them. The file can be trained on by relift, verl or TRL.
    """
    from relift.importers.export import export_questions as export

    done = export(run, out, select=select or [], ids=ids or [], step=step, origin=origin, layout=layout)
    first, last = done.steps
    steps = f"step {last}" if first == last else f"the last step of each, {first} to {last}"
    print(
        f"{done.questions:,} of {done.of:,} questions, by their {done.origin}s at {steps}, with "
        f"{done.demonstrations:,} worked solutions: {out}"
    )


def import_(
    kind: Annotated[
        str,
        typer.Argument(help="lighteval, lm-eval, inspect, openai-jsonl, trl, verl, verl-validation or prime-rl"),
    ],
    source: Annotated[Path, typer.Argument(help="what it wrote; docs/importers.md has the place for each")],
    into: Annotated[Path, typer.Option("--into", "--out", metavar="RUN", help="folder of the new run")],
    questions: Annotated[
        str | None, typer.Option(help="file of questions with gold answers, where the source tells none")
    ] = None,
    reward: Annotated[str | None, typer.Option(help="reward or column that says correct or wrong")] = None,
    correct_from: Annotated[float, typer.Option(help="its value from which an answer is correct")] = 1.0,
    cut: Annotated[
        list[str] | None, typer.Option("--cut", metavar="TEXT", help="instruction to cut off both ends of prompts")
    ] = None,
    answer_kind: Annotated[str, typer.Option(help="scorer of the gold answers: math, exact or choice")] = "math",
    validation: Annotated[Path | None, typer.Option(help="verl: trainer.validation_data_dir, read as probes")] = None,
    requests: Annotated[Path | None, typer.Option(help="openai-jsonl: the requests of a batch")] = None,
) -> None:
    """Import another project's run or evaluation, graded again.

    What its source does not tell is said in run.json and above every report.
    """
    from relift.grading import Grader
    from relift.importers.kinds import import_source
    from relift.importers.lighteval import import_lighteval

    places = [pair for pair in (("--validation", validation), ("--requests", requests)) if pair[1] is not None]
    if len(places) > 1:
        raise InputError("--validation and --requests: no source has both")
    with Grader() as grader:
        if kind == "lighteval":
            import_lighteval(source, into, grader=grader)
        else:
            import_source(
                kind, source, into, grader=grader, questions=questions, reward=reward, correct_from=correct_from,
                instructions=tuple(cut or ()), answer_kind=answer_kind,
                second=(places[0][0], places[0][1]) if places and places[0][1] is not None else None,
            )  # fmt: skip
    print(f"imported: {into}  (look at it: relift report {into})")


def _pairs(texts: list[str]) -> dict[str, str]:
    """Read OURS=PATH pairs. Raises InputError."""
    pairs: dict[str, str] = {}
    for text in texts:
        ours, sign, path = text.partition("=")
        if not sign or not ours.strip() or not path.strip():
            raise InputError(f"--column {text!r}: write it as OURS=PATH, for example answer=reward_model.ground_truth")
        if ours.strip() in pairs:
            raise InputError(f"--column: {ours.strip()} is given twice")
        pairs[ours.strip()] = path.strip()
    return pairs
