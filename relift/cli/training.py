"""Define the commands `relift train`, `check`, `demo` and `study`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from relift.cli.formats import Quiet

Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override one key of the configuration")
]


def train(
    config: Annotated[str, typer.Argument(help="a TOML file, or the name of a preset")],
    out: Annotated[Path | None, typer.Option("--out", help="run folder; default: runs/NAME")] = None,
    set_: Set = None,
    allow_change: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="continue although this tunable key has changed")
    ] = None,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="tell memory, tokens and time, check data and lengths; nothing is run")
    ] = False,  # noqa: FBT002
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", min=1, max=65536, help="with --dry-run: how many; default: what is enough"),
    ] = None,
    gpu_memory: Annotated[
        float, typer.Option("--gpu-memory", min=0.001, max=100000, help="with --dry-run: GiB of each GPU")
    ] = 80.0,
    quiet: Quiet = False,  # noqa: FBT002
) -> None:
    """Train a run, or continue the one in its folder."""
    from relift.trainer.command import run_dry, run_training

    if dry:
        run_dry(config, overrides=set_ or [], gpus=gpus, gpu_gib=gpu_memory)
        return
    run_training(config, out, overrides=set_ or [], allow_changes=allow_change or [], quiet=quiet)


def check(
    runs: Annotated[list[Path], typer.Argument(help="run folders, or folders that hold some")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,  # noqa: FBT002
) -> None:
    """Verify run folders: checksums, keys, counts.

    Trajectories are rebuilt from the attempts and compared; files that no commit knows are named.
    """
    from relift.store import check_run, resolve_runs

    found = resolve_runs(runs)
    for line in found.notes:
        print(line, file=sys.stderr)
    reports = {str(folder): check_run(folder) for folder in (*found.runs, *found.unreadable)}
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


def demo(
    out: Annotated[Path, typer.Option("--out", help="folder for the runs, the table and the figures")] = Path(
        "runs/demo"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="a tiny version that takes under a minute")] = False,  # noqa: FBT002
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="repeat everything with this many seeds")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,  # noqa: FBT002
) -> None:
    """Train and compare RL, SFT and ReLIFT on a CPU in minutes.

    A base model is made, then RL, SFT, ReLIFT, and SFT followed by RL are trained; a table and four figures tell what
    came out. The same command again continues.
    """
    from relift.demo.experiment import run_demo

    run_demo(out, quick=quick, seeds=seeds, as_json=as_json)


def study(
    source: Annotated[str, typer.Argument(metavar="STUDY", help="a STUDY.toml, or quick or embedded, which ship here")],
    out: Annotated[Path, typer.Option("--out", help="folder of its runs, tables, figures and report")],
    plan: Annotated[
        bool, typer.Option("--plan", help="measure a few steps of each method, tell runs and hours, and end")
    ] = False,  # noqa: FBT002
    report: Annotated[
        bool, typer.Option("--report", help="write table and report from the runs that are done; start none")
    ] = False,  # noqa: FBT002
    workers: Annotated[int | None, typer.Option(min=1, help="runs side by side; default: the cores")] = None,
) -> None:
    """Compare methods over seeds and bases, budgets being equal.

    Learning rates are chosen on development questions first; a frozen control is always there; differences are paired
    by question and seed. The same command again continues.
    """
    from relift.errors import InputError
    from relift.study.command import run_study

    if plan and report:
        raise InputError("--plan and --report: give one of them")
    run_study(source, out, only_plan=plan, only_report=report, workers=workers)
