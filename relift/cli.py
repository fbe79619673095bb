"""The command line: one command, subcommands. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from typer.exceptions import Abort, TyperException

from relift.errors import InputError, ReliftError

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    name="relift",
    help="What did training change, question by question?",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override one key of the configuration")
]

EngineOption = Annotated[
    list[str] | None, typer.Option("--engine-option", metavar="KEY=VALUE", help="see docs/evaluation.md")
]


@app.callback()
def _relift(context: typer.Context) -> None:
    """What did training change, question by question?"""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="a TOML file, or the name of a preset")],
    out: Annotated[Path | None, typer.Option("--out", help="run folder; default: runs/NAME")] = None,
    set_: Set = None,
    allow_change: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="resume although this tunable field has changed")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress display")] = False,  # noqa: FBT002
) -> None:
    """Train one run; started again with the same folder it continues."""
    from relift.trainer.command import run_training

    run_training(config, out, overrides=set_ or [], allow_changes=allow_change or [], quiet=quiet)


@app.command()
def check(
    runs: Annotated[list[Path], typer.Argument(help="run folders")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,  # noqa: FBT002
) -> None:
    """Verify run folders: checksums, keys, counts, orphans; trajectories rebuilt from attempts."""
    from relift.store import check_run

    reports = {str(folder): check_run(folder) for folder in runs}
    if as_json:
        print(json.dumps({k: {"problems": r.problems, "summary": r.summary} for k, r in reports.items()}, indent=2))
    else:
        for folder, report in reports.items():
            for row in report.summary:
                print(f"{folder}: {row['table']}: {row['files']} files, {row['rows']:,} rows, {row['bytes']:,} bytes")
            for problem in report.problems:
                print(f"{folder}: PROBLEM {problem}")
            n = len(report.problems)
            print(f"{folder}: {f'{n} problem' + 's' * (n > 1) if n else 'ok'}")
    if any(r.problems for r in reports.values()):
        raise typer.Exit(5)


@app.command("eval")
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
    out: Annotated[Path | None, typer.Option(help="run folder; default: runs/eval/MODEL-PROTOCOL-HASH")] = None,
    data: Annotated[Path | None, typer.Option(help="local copies: a folder with NAME.jsonl, or a file")] = None,
    seed: Annotated[int, typer.Option(help="of all random numbers")] = 0,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="longest answer, in tokens")] = None,
    temperature: Annotated[float | None, typer.Option(min=0.0, help="0 is greedy")] = None,
    top_p: Annotated[float | None, typer.Option(help="nucleus, above 0 and up to 1")] = None,
    template: Annotated[str | None, typer.Option(help="prompt template: chat, boxed or plain")] = None,
    engine: Annotated[str, typer.Option(help="torch, vllm, openai or replay")] = "torch",
    engine_options: EngineOption = None,
    base_url: Annotated[str | None, typer.Option(help="of --engine openai: http://host:port/v1")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="tokenizer of a served model: a folder or hub id")] = None,
    revision: Annotated[str | None, typer.Option(help="of a model on the hub")] = None,
    second_grader: Annotated[str | None, typer.Option(help="compare verdicts with another grader's")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,  # noqa: FBT002
    markdown: Annotated[bool, typer.Option("--markdown", help="the table as Markdown")] = False,  # noqa: FBT002
    latex: Annotated[bool, typer.Option("--latex", help="the table as LaTeX")] = False,  # noqa: FBT002
    list_: Annotated[bool, typer.Option("--list", help="list the benchmarks and end")] = False,  # noqa: FBT002
    pin: Annotated[str | None, typer.Option(metavar="NAME", help="load one benchmark, print what pins it")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="cost and power beforehand; runs nothing")] = False,  # noqa: FBT002
    rate: Annotated[float | None, typer.Option(help="of --plan: tokens per second, for hours")] = None,
    commit_answers: Annotated[int, typer.Option(min=1, help="answers that are committed at once")] = 1024,
    commit_seconds: Annotated[float, typer.Option(min=0.0, help="seconds after which they are at last")] = 30.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress display")] = False,  # noqa: FBT002
) -> None:
    """Benchmark scores with their intervals; started again with the same command it continues."""
    if list_:
        from relift.benchmarks.listing import list_benchmarks, render_list

        rows = list_benchmarks()
        print(json.dumps({"benchmarks": rows}, indent=2) if as_json else render_list(rows).rstrip())
        return
    if pin is not None:
        from relift.benchmarks.listing import pin as pin_lines

        print(pin_lines(pin, data=data).rstrip())
        return
    from relift.analysis.score_table import render_scores, scored_run
    from relift.analysis.scores import score_run
    from relift.evaluate.command import run_eval, run_plan
    from relift.evaluate.options import EvalOptions, parse_engine_options
    from relift.evaluate.run import Commits

    formats: dict[Literal["json", "markdown", "latex"], bool] = {"json": as_json, "markdown": markdown, "latex": latex}
    chosen = [name for name, on in formats.items() if on]
    if len(chosen) > 1:
        raise InputError(f"--{chosen[0]} and --{chosen[1]}: choose one")
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
        engine=engine,
        engine_options=parse_engine_options(engine_options or [], base_url=base_url),
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
    run_eval(
        options,
        score=score_run,
        render=lambda folders: render_scores(
            [scored_run(folder) for folder in folders], format=chosen[0] if chosen else "terminal"
        ),
    )


@app.command()
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
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,  # noqa: FBT002
    markdown: Annotated[bool, typer.Option("--markdown", help="tables as Markdown")] = False,  # noqa: FBT002
    latex: Annotated[bool, typer.Option("--latex", help="tables as LaTeX")] = False,  # noqa: FBT002
) -> None:
    """Differences of runs on the same questions, paired, with intervals and the questions that flipped."""
    from relift.analysis.paired_scores import compare_with_baseline
    from relift.analysis.paired_table import render_comparisons
    from relift.analysis.score_sides import parse_side

    runs = [parse_side(text, step=step) for text in (baseline, *others)]
    comparisons = compare_with_baseline(
        runs[0][0], [run for run, _ in runs[1:]], steps=[at for _, at in runs], origin=origin, force=force
    )
    formats: dict[Literal["json", "markdown", "latex"], bool] = {"json": as_json, "markdown": markdown, "latex": latex}
    chosen = [name for name, on in formats.items() if on]
    if len(chosen) > 1:
        raise InputError(f"--{chosen[0]} and --{chosen[1]}: choose one")
    print(render_comparisons(comparisons, format=chosen[0] if chosen else "terminal", flips=flips))


@app.command()
def analyze(
    runs: Annotated[list[Path], typer.Argument(help="run folders: training, evaluation, imported; running ones too")],
    out: Annotated[Path, typer.Option("--out", help="folder for figures/, tables/ and index.md")] = Path("analysis"),
    base: Annotated[
        str | None, typer.Option("--base", help="run whose step 0 assigns the bands; default: the one called base")
    ] = None,
    split: Annotated[list[str] | None, typer.Option("--split", help="only questions of this split")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="only this figure or table, by its name")] = None,
    resamples: Annotated[int, typer.Option("--resamples", min=20, help="bootstrap resamples of the intervals")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="of the resampling")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="print the result alone")] = False,  # noqa: FBT002
) -> None:
    """Figures and tables of what training changed, question by question, and what the runs do not allow."""
    from relift.analysis.analyze import analyze as run_analysis

    tell = None if quiet else lambda line: print(line, flush=True)
    result = run_analysis(runs, out, base=base, splits=split, only=only, resamples=resamples, seed=seed, tell=tell)
    counts = {kind: sum(one.kind == kind for one in result.made) for kind in ("figure", "table")}
    print(f"{counts['figure']} figures, {counts['table']} tables, {len(result.left_out)} left out: {out / 'index.md'}")


@app.command()
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
    """Look at runs in a browser: curves, the questions behind them, their answers."""
    from relift.dashboards.launch import run_dashboard

    run_dashboard(runs, port=port, host=host, unsafe_no_auth=unsafe_no_auth)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="run folders: training, evaluation, imported; running ones too")],
    out: Annotated[Path, typer.Option("--out", help="the HTML file")] = Path("report.html"),
    base: Annotated[
        str | None, typer.Option("--base", help="run whose step 0 assigns the bands; default: the one called base")
    ] = None,
    split: Annotated[list[str] | None, typer.Option("--split", help="only questions of this split")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="only this figure or table, by its name")] = None,
    title: Annotated[str | None, typer.Option("--title", help="heading; default: the names of the runs")] = None,
    examples: Annotated[int, typer.Option("--examples", min=0, help="gained and lost questions to show, per run")] = 2,
    resamples: Annotated[int, typer.Option("--resamples", min=20, help="bootstrap resamples of the intervals")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="of the resampling")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="print the result alone")] = False,  # noqa: FBT002
) -> None:
    """One HTML file to mail: what training changed, in words with intervals, figures and example questions."""
    from relift.analysis.report import write_report

    made = write_report(
        runs, out, base=base, splits=split, only=only, title=title, examples=examples, resamples=resamples, seed=seed,
        tell=None if quiet else lambda line: print(line, flush=True),
    )  # fmt: skip
    print(f"{len(made.figures)} figures, {len(made.examples)} example questions: {out}")


@app.command()
def probe(
    model: Annotated[str, typer.Argument(help="a checkpoint's folder, a hub id, a training RUN or RUN@STEP")],
    questions: Annotated[str, typer.Option(help=".jsonl, .parquet, or hf:owner/name/split")],
    samples: Annotated[int, typer.Option(min=1, help="attempts at each question")] = 8,
    out: Annotated[Path | None, typer.Option(help="run folder; default: runs/probe/MODEL-PROTOCOL-HASH")] = None,
    into: Annotated[Path | None, typer.Option(metavar="RUN", help="add it to this training run instead")] = None,
    step: Annotated[int | None, typer.Option(min=0, help="of --into: the step; default: MODEL's")] = None,
    draw: Annotated[int, typer.Option(min=0, help="of --into: which independent draw")] = 1,
    protocol: Annotated[
        str | None, typer.Option(help="preset of prompt and sampling; default: relift; of --into: the run's own")
    ] = None,
    seed: Annotated[int, typer.Option(help="of all random numbers; of --into: the run's own")] = 0,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="longest answer, in tokens")] = None,
    temperature: Annotated[float | None, typer.Option(min=0.0, help="0 is greedy")] = None,
    top_p: Annotated[float | None, typer.Option(help="nucleus, above 0 and up to 1")] = None,
    template: Annotated[str | None, typer.Option(help="prompt template: chat, boxed or plain")] = None,
    engine: Annotated[str, typer.Option(help="torch, vllm, openai or replay")] = "torch",
    engine_options: EngineOption = None,
    revision: Annotated[str | None, typer.Option(help="of a model on the hub")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress display")] = False,  # noqa: FBT002
) -> None:
    """Accuracy of a checkpoint on each question of a file, as a run or added to one."""
    from relift.analysis.score_table import render_scores, scored_run
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
            engine_options=parse_engine_options(engine_options or []),
            revision=revision,
            out=out,
            quiet=quiet,
        ),
        questions=questions,
        into=None if into is None else Into(into, step, draw),
        render=lambda folder: render_scores([scored_run(folder, origin="probe")]),
    )


@app.command()
def topup(
    run: Annotated[Path, typer.Argument(help="an evaluation, a probe, or a training run (its step 0)")],
    samples: Annotated[int, typer.Option(min=1, help="attempts at each of the chosen questions")] = 64,
    zero: Annotated[bool, typer.Option("--zero", help="the questions never answered correctly (default)")] = False,  # noqa: FBT002
    undetermined: Annotated[
        bool, typer.Option("--undetermined", help="the questions whose reach is undetermined")
    ] = False,  # noqa: FBT002
    engine: Annotated[str, typer.Option(help="the run's own engine, or a faster one")] = "torch",
    engine_options: EngineOption = None,
    tokenizer: Annotated[str | None, typer.Option(help="tokenizer of a served model: a folder or hub id")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress display")] = False,  # noqa: FBT002
) -> None:
    """More samples for the questions at zero, as a draw of their own that enters no rate."""
    from relift.evaluate.options import EvalOptions, parse_engine_options
    from relift.evaluate.topup import run_topup

    if zero and undetermined:
        raise InputError("--zero and --undetermined: choose one")
    options = EvalOptions(
        engine=engine,
        engine_options=parse_engine_options(engine_options or []),
        tokenizer=tokenizer,
        quiet=quiet,
    )
    run_topup(run, options, samples=samples, undetermined=_undetermined if undetermined else None)


def _undetermined(counts: pd.DataFrame) -> list[str]:
    from relift.analysis import fit_prior, reach, top_up

    step = int(counts["step"].iloc[0])
    return [str(q) for q in top_up(reach(counts, fit_prior(counts, step=step), step=step))["question_id"]]


@app.command()
def regrade(
    run: Annotated[Path, typer.Argument(help="a run whose texts were kept")],
    into: Annotated[Path, typer.Option(metavar="NEW", help="folder of the new run")],
    grader: Annotated[str | None, typer.Option(help="another grader; default: the run's own, as it is now")] = None,
    second_grader: Annotated[str | None, typer.Option(help="compare verdicts with another grader's")] = None,
) -> None:
    """Verdicts again from stored texts, as a new run, and a table of what changed by rule."""
    from relift.analysis.scores import score_run
    from relift.evaluate.regrade import run_regrade

    run_regrade(run, into, grader=grader, second=second_grader, score=score_run)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="folder for the runs, the table and the figures")] = Path(
        "runs/demo"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="a smoke version of under a minute")] = False,  # noqa: FBT002
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="repeat the whole with so many seeds")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,  # noqa: FBT002
) -> None:
    """The whole story on a CPU: a base model, RL, SFT, ReLIFT, SFT then RL, a table and four figures."""
    from relift.arith.demo import run_demo

    run_demo(out, quick=quick, seeds=seeds, as_json=as_json)


def main() -> NoReturn:
    """Entry point: errors for people are one line on standard error, with their exit status."""
    try:
        status = app(standalone_mode=False)
        if status == 130:  # what typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
    except TyperException as error:  # a mistyped option or command
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "relift"
        print(f"{where}: {message.rstrip('.')} (see: {where} --help)", file=sys.stderr)
        status = 2
    except ReliftError as error:
        print(f"relift: {' '.join(str(error).split())}", file=sys.stderr)
        status = error.exit_status
    except (KeyboardInterrupt, Abort):
        print("relift: interrupted; start the same command again to continue", file=sys.stderr)
        status = 130
    sys.exit(status or 0)


if __name__ == "__main__":
    main()
