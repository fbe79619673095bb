"""Run `relift study`: base models, a sweep of learning rates, then every run, side by side; then table and report.

What is done stays done: the same command continues, with the same outcome. A run that fails is told of and left out.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from relift.demo.claimed import claim_folder
from relift.demo.experiment import base_folder, work
from relift.demo.jobs import DemoJob, JobFailed, run_jobs, start_warm
from relift.demo.methods import FULL, status_of, write_config
from relift.errors import InputError, ReliftError
from relift.inert import PlainConsole, for_terminal, write_csv
from relift.study.grid import (
    Planned,
    claim_config,
    config_of,
    planned_runs,
    resolve,
    size_of,
    swept_runs,
    used_by,
    values_of,
    write_arith,
)
from relift.study.price import Price, pilot_config, pilot_run, plan, price_of, say_plan
from relift.study.rates import chosen_factors, factors_of, sweep_table
from relift.study.report import write_report
from relift.study.spec import CONTROL, Study, read_study
from relift.trainer.recipes import build


def run_study(source: str, out: Path, *, only_plan: bool, only_report: bool, workers: int | None) -> None:
    """Make what is missing of a study under `out` and write its table, figures and report.

    `only_plan`: measure a few steps of each method and tell runs and hours; `only_report`: write from what is done.
    """
    study, out = read_study(source), out.absolute()
    console = PlainConsole(stderr=True)
    workers = workers or len(os.sched_getaffinity(0))
    if only_report and not (out / "study.json").is_file():
        raise InputError(f"{out}: no study was run there: leave --report out to run it")
    claim(study, out)
    write_arith(study, out)
    check(study, out)
    say = partial(console.print, soft_wrap=True, markup=False, highlight=False)
    if only_plan:
        planned = plan(study, out, measure_prices(study, out, console=console))
        write_csv(planned, out / "plan.csv")
        print("\n".join(say_plan(planned, study, workers=workers)))
        return
    if not only_report:
        for failed in run_all(study, out, workers=workers, console=console):
            say(f"failed, and left out: {failed}")
    made = write_report(study, out)
    print(for_terminal((out / "table.md").read_text(encoding="utf-8")))
    for line in made:
        say(line)


def claim(study: Study, out: Path) -> None:
    """Take a folder for a study of this name. InputError where it holds anything else."""
    text = json.dumps({"study": study.name})
    claim_folder(out, note="study.json", text=text, what="study", other="another study")


def check(study: Study, out: Path) -> None:
    """Refuse what any run of the study would refuse, before the first one starts."""
    for method in study.methods:
        run = Planned(method, *study.cells[0], out / "runs" / method)
        config = resolve(values_of(study, out, run), out, run)
        if "generated_tokens" in study.methods[method].budget and build(config).rl is None:
            raise InputError(
                f"methods.{method}.budget: recipe {config.recipe} samples nothing, so generated_tokens "
                "cannot limit it; give it a budget of its own"
            )
        if config.budget != type(config.budget)() and study.methods[method].budget:
            raise InputError(f"methods.{method}.budget: [run.budget] sets one too; leave one out")


def run_all(study: Study, out: Path, *, workers: int, console: Console) -> list[str]:
    """Run what is not done; return a line for each run that failed."""
    failed: list[str] = []
    jobs = ordered([*base_jobs(study, out), *sweep_jobs(study, out)], cell_jobs(study, out))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        kinds = {name: [j for j in jobs if j.name.startswith(name)] for name in ("base model", "sweep", "")}
        kinds[""] = [j for j in jobs if not j.name.startswith(("base model", "sweep"))]
        tasks = {name: bars.add_task(name or "runs", total=len(own)) for name, own in kinds.items() if own}

        def tick() -> None:
            for name, task in tasks.items():
                bars.update(task, completed=sum(job.finished for job in kinds[name]))

        run_jobs(jobs, workers=workers, tick=tick, launch=partial(start_warm, work), on_failure=_noting(failed))
    return failed


def ordered(before: Sequence[DemoJob], runs: Sequence[DemoJob]) -> list[DemoJob]:
    """Put each base model and each run of the sweep right before the first run that waits for it."""
    by_name = {job.name: job for job in before}
    listed: dict[str, DemoJob] = {}
    for run in runs:
        wanted = [by_name[name] for name in run.after if name in by_name]
        for job in (*(by_name[n] for w in wanted for n in w.after), *wanted, run):
            listed.setdefault(job.name, job)
    return list(listed.values())


def _noting(failed: list[str]) -> Callable[[JobFailed], None]:
    return lambda failure: failed.append(str(failure))


def base_jobs(study: Study, out: Path) -> list[DemoJob]:
    """List the jobs that pretrain the embedded base models."""
    jobs = []
    for name, base in study.bases.items():
        if base.arith is not None:
            size = size_of(study)
            kind = "full" if size is FULL else "quick"
            command = ["base", str(base.arith), kind, str(out / "logs" / f"base-{name}.steps")]
            made = base_folder(size, base.arith).exists
            jobs.append(DemoJob(f"base model {name}", _always(command), out / "logs" / f"base-{name}.log", done=made))
    return jobs


def _always(command: Sequence[str]) -> Callable[[], Sequence[str]]:
    return lambda: command


def _after_base(study: Study, base: str) -> tuple[str, ...]:
    return (f"base model {base}",) if study.bases[base].arith is not None else ()


def sweep_jobs(study: Study, out: Path) -> list[DemoJob]:
    """List the runs of the sweep: on development questions, each with its factor on the learning rates."""
    jobs = []
    for run in swept_runs(study, out):
        factors = {"rl": run.factor or 1.0, "sft": run.factor or 1.0}
        jobs.append(
            _job(run, out, _after_base(study, run.base), partial(config_of, study, out, run, factors=factors, used={}))
        )
    return jobs


def cell_jobs(study: Study, out: Path) -> list[DemoJob]:
    """List the runs of the comparison; each waits for its control, its learning rates and what its budget names."""
    sweeps: dict[str, list[str]] = {}
    for run in swept_runs(study, out):
        sweeps.setdefault(run.method, []).append(run.name)
    jobs = []
    for run in planned_runs(study, out):
        method = study.methods[run.method]
        waits = [*_after_base(study, run.base)]
        if run.method != CONTROL:
            waits.append(f"{run.folder.parent.name}/{CONTROL}")
            waits += [name for of in method.rates(run.method).values() for name in sweeps.get(of, [])]
            waits += [f"{run.folder.parent.name}/{of}" for of in method.budget.values() if isinstance(of, str)]
        jobs.append(_job(run, out, tuple(dict.fromkeys(waits)), partial(cell_config, study, out, run)))
    return jobs


def cell_config(study: Study, out: Path, run: Planned) -> Mapping[str, object]:
    """Return the configuration of a run, from what the runs that it waits for have shown."""
    chosen = chosen_factors(study, sweep_table(study, out))
    factors = factors_of(study, run.method, chosen)
    if None in factors.values():
        raise InputError(f"methods.{run.method}: no factor of the sweep has all its runs: its learning rate is unknown")
    named = {of for of in study.methods[run.method].budget.values() if isinstance(of, str)}
    used = {of: used_by(run.folder.parent / of) for of in named}
    return config_of(study, out, run, factors={k: v for k, v in factors.items() if v is not None}, used=used)


def _job(run: Planned, out: Path, after: tuple[str, ...], config: Callable[[], Mapping[str, object]]) -> DemoJob:
    def command() -> list[str]:
        return ["train", str(claim_config(out, run, dict(config()))), str(run.folder)]

    def done() -> bool:
        if status_of(run.folder) != "done":
            return False
        claim_config(out, run, dict(config()))  # refuses a run of other settings
        return True

    return DemoJob(run.name, command, out / "logs" / run.folder.parent.name / f"{run.folder.name}.log", after, done)


def measure_prices(study: Study, out: Path, *, console: Console) -> dict[str, Price]:
    """Train a pilot of each method, one at a time so that they do not slow each other, and read the prices."""
    run_jobs(base_jobs(study, out), workers=2, launch=partial(start_warm, work))
    prices = {}
    for method in study.methods:
        run = pilot_run(study, out, method)
        values = pilot_config(study, out, run)
        path = write_config(out / "configs" / "pilot" / f"{method}.toml", values)
        shutil.rmtree(run.folder, ignore_errors=True)
        job = DemoJob(
            f"pilot {method}", _always(["train", str(path), str(run.folder)]), out / "logs" / f"pilot-{method}.log"
        )
        began = time.monotonic()
        try:
            run_jobs([job], workers=1, launch=partial(start_warm, work))
        except ReliftError as error:
            raise InputError(f"the pilot of {method} failed: {error}") from None
        phase = bool(resolve(values, out, run).sft.phase_steps)
        prices[method] = price_of(run.folder, started=time.monotonic() - began, phase=phase)
        print(f"{method}: {prices[method].step_seconds:.2f} s a step", file=sys.stderr)
    return prices
