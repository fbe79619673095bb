"""Define the commands `relift eval`, `probe`, `topup`, `regrade` and `cross-check`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from relift.cli.formats import Json, Latex, Markdown, Quiet, one_format
from relift.cli.sampling import (
    Engine,
    EngineOptions,
    MaxTokens,
    Revision,
    SecondGrader,
    Temperature,
    Template,
    Tokenizer,
    TopP,
)
from relift.errors import InputError

LIGHTEVAL_PYTHON = Path(".venv-lighteval/bin/python")  # where `make test-lighteval` puts it
SHOWN_DIFFERENCES = 10
CROSS_CHECK_BEGINS = b"run_id,"  # the first column of its table


# Longer than 60 lines: an option takes one to three, and options in an object would have no help of their own.
def eval_(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="a checkpoint's folder, a hub id, a training RUN or RUN@STEP, a served model's name"),
    ] = None,
    benchmarks: Annotated[
        list[str] | None, typer.Option("--benchmark", "-b", metavar="NAME[,NAME...]", help="benchmarks or groups")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="preset of prompt, sampling, attempts, grader; default: relift (arith: arith)")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="attempts at each question")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="only N questions of each benchmark, always the same ones")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="run folder; default: runs/eval/MODEL-PROTOCOL-HASH")] = None,
    data: Annotated[Path | None, typer.Option(help="local copies: a folder with NAME.jsonl, or a file")] = None,
    seed: Annotated[int, typer.Option(help="seed of all random numbers")] = 0,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    template: Template = None,
    engine: Engine = "torch",
    engine_options: EngineOptions = None,
    base_url: Annotated[str | None, typer.Option(help="server of --engine openai, as http://host:port/v1")] = None,
    tokenizer: Tokenizer = None,
    revision: Revision = None,
    second_grader: SecondGrader = None,
    show: Annotated[int, typer.Option(min=0, help="print N answers at the end, with gold and verdict")] = 0,
    as_json: Json = False,  # noqa: FBT002
    markdown: Markdown = False,  # noqa: FBT002
    latex: Latex = False,  # noqa: FBT002
    list_: Annotated[bool, typer.Option("--list", help="list the benchmarks and end")] = False,  # noqa: FBT002
    pin: Annotated[
        str | None, typer.Option(metavar="NAME", help="load one benchmark and print what pins its content")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="estimate cost and power; run nothing")] = False,  # noqa: FBT002
    rate: Annotated[float | None, typer.Option(help="with --plan: tokens per second, to estimate hours")] = None,
    commit_answers: Annotated[int, typer.Option(min=1, help="commit after this many answers")] = 1024,
    commit_seconds: Annotated[float, typer.Option(min=0.0, help="commit after this many seconds at the latest")] = 30.0,
    quiet: Quiet = False,  # noqa: FBT002
    from_: Annotated[str | None, typer.Option("--from", metavar="KIND", hidden=True, help="see relift import")] = None,
) -> None:
    """Score models on benchmarks, with intervals.

    The same command again continues.
    """
    if from_ is not None:
        source, into = (models or ["FOLDER"])[0], out or "RUN"
        command = shlex.join(("relift", "import", from_, source, "--into", str(into)))
        raise InputError(f"--from {from_}: answers that are there are read by `{command}` (docs/importers.md)")
    if list_:
        from relift.benchmarks.listing import list_benchmarks, render_list

        rows = list_benchmarks()
        print(json.dumps({"benchmarks": rows}, indent=2) if as_json else render_list(rows).rstrip())
        return
    if pin is not None:
        from relift.benchmarks.listing import pin as pin_lines

        print(pin_lines(pin, data=data).rstrip())
        return
    from relift.evaluate.collect import Commits
    from relift.evaluate.command import run_eval, run_plan
    from relift.evaluate.options import EvalOptions, parse_engine_options

    format_ = one_format(as_json=as_json, markdown=markdown, latex=latex)
    options = EvalOptions(
        models=tuple(models or ()),
        benchmarks=tuple(benchmarks or ()),
        protocol=protocol,
        samples=samples,
        seed=seed,
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        template=template,
        second_grader=second_grader,
        limit=limit,
        show=show,
        engine=engine,
        engine_options=parse_engine_options(engine_options or [], engine=engine, base_url=base_url),
        revision=revision,
        tokenizer=tokenizer,
        data=data,
        out=out,
        commits=Commits(commit_answers, commit_seconds),
        quiet=quiet,
    )
    if plan:
        run_plan(options, tokens_per_second=rate, as_json=as_json)
        return
    run_eval(options, format=format_)


def probe(
    model: Annotated[str, typer.Argument(help="a checkpoint's folder, a hub id, a training RUN or RUN@STEP")],
    questions: Annotated[str, typer.Option(help=".jsonl, .parquet, or hf:owner/name/split")],
    samples: Annotated[int, typer.Option(min=1, help="attempts at each question")] = 8,
    out: Annotated[Path | None, typer.Option(help="run folder; default: runs/probe/MODEL-PROTOCOL-HASH")] = None,
    into: Annotated[Path | None, typer.Option(metavar="RUN", help="add the probe to this training run instead")] = None,
    step: Annotated[int | None, typer.Option(min=0, help="with --into: the step; default: MODEL's")] = None,
    draw: Annotated[int, typer.Option(min=0, help="with --into: number of the independent draw")] = 1,
    protocol: Annotated[
        str | None, typer.Option(help="preset of prompt and sampling; default: relift; with --into: the run's own")
    ] = None,
    seed: Annotated[int, typer.Option(help="seed of all random numbers; with --into: the run's own")] = 0,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    template: Template = None,
    engine: Engine = "torch",
    engine_options: EngineOptions = None,
    revision: Revision = None,
    quiet: Quiet = False,  # noqa: FBT002
) -> None:
    """Measure a checkpoint's accuracy on each question of a file."""
    from relift.evaluate.options import EvalOptions, parse_engine_options
    from relift.evaluate.probe import Into, run_probe

    if into is not None and out is not None:
        raise InputError("--out and --into: a probe goes to a run of its own or into one that is there, choose one")
    run_probe(
        EvalOptions(
            models=(model,),
            protocol=protocol,
            samples=samples,
            seed=seed,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            template=template,
            engine=engine,
            engine_options=parse_engine_options(engine_options or [], engine=engine),
            revision=revision,
            out=out,
            quiet=quiet,
        ),
        questions=questions,
        into=None if into is None else Into(into, step, draw),
    )


def topup(
    run: Annotated[Path, typer.Argument(help="an evaluation, a probe, or a training run (its step 0)")],
    samples: Annotated[int, typer.Option(min=1, help="attempts at each of the chosen questions")] = 64,
    undetermined: Annotated[
        bool,
        typer.Option("--undetermined", help="the questions whose reach is undetermined, not those never answered"),
    ] = False,  # noqa: FBT002
    engine: Annotated[str, typer.Option(help="the run's own engine, or a faster one")] = "torch",
    engine_options: EngineOptions = None,
    tokenizer: Tokenizer = None,
    quiet: Quiet = False,  # noqa: FBT002
) -> None:
    """Sample unsolved questions of a run more often.

    The samples are a draw of their own that enters no rate.
    """
    from relift.evaluate.options import EvalOptions, parse_engine_options
    from relift.evaluate.topup import run_topup

    options = EvalOptions(
        engine=engine,
        engine_options=parse_engine_options(engine_options or [], engine=engine),
        tokenizer=tokenizer,
        quiet=quiet,
    )
    run_topup(run, options, samples=samples, undetermined=undetermined)


def regrade(
    run: Annotated[Path, typer.Argument(help="a run whose texts were kept")],
    into: Annotated[Path, typer.Option(metavar="NEW", help="folder of the new run")],
    grader: Annotated[str | None, typer.Option(help="another grader; default: the run's own, as it is now")] = None,
    second_grader: SecondGrader = None,
) -> None:
    """Grade a run's stored answers again, into a new run.

    A table shows which verdicts changed, by rule.
    """
    from relift.evaluate.regrade import run_regrade

    run_regrade(run, into, grader=grader, second=second_grader)


def cross_check(
    run: Annotated[Path, typer.Argument(help="an evaluation whose texts were kept")],
    python: Annotated[Path, typer.Option(help="interpreter of an environment with lighteval")] = LIGHTEVAL_PYTHON,
    out: Annotated[Path | None, typer.Option(help="a row for each attempt, as CSV")] = None,
) -> None:
    """Grade a run's answers by lighteval, explain differences."""
    from relift.benchmarks.lighteval.cross_check import cross_check as check_against
    from relift.inert import write_csv
    from relift.store.folder import refuse_other_file

    if out is not None:
        refuse_other_file(
            out, begins=CROSS_CHECK_BEGINS, what="table of a cross-check"
        )  # before the answers are graded
    table = check_against(run, python=python, on_progress=lambda line: print(line, flush=True))
    differing = table[table["cause"].notna()]
    for row in differing.head(SHOWN_DIFFERENCES).to_dict("records"):
        print(f"{row['source']} {str(row['question_id'])[:8]}/{row['attempt']}: {row['cause']}: {row['detail']}")
    if len(differing) > SHOWN_DIFFERENCES:
        print(f"and {len(differing) - SHOWN_DIFFERENCES} more: --out FILE writes all")
    if out is not None:
        write_csv(table, out)
        print(f"{len(table)} attempts: {out}")
