"""Run `relift demo`: base model, RL, SFT, ReLIFT and SFT then RL on a CPU, then the table and the figures.

Every run is an ordinary run folder, trained by `relift train` in a process of its own, as many side by side as there
are cores; what is done stays done, so a second start continues.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from relift.demo.base_model import base_key, cached_base
from relift.demo.jobs import MEMORY, DemoJob, run_jobs, start_warm
from relift.demo.methods import CONTROL, FULL, QUICK, Size, config_of, status_of, write_config, write_data
from relift.demo.story import tell
from relift.errors import InputError
from relift.inert import PlainConsole
from relift.store import RunReader

ORDER = (
    "base",
    "sft_rl",
    "relift",
    "rl",
    "sft",
    CONTROL,
    "sft_matched",
)  # the longest first, so that the cores end together


def run_demo(out: Path, *, quick: bool, seeds: int, as_json: bool) -> None:
    """Make what is missing under `out` and tell the story. `as_json`: print one JSON object and nothing else."""
    began = time.monotonic()
    size = QUICK if quick else FULL
    out = out.absolute()
    claim(out, size)
    console = PlainConsole(stderr=True)
    jobs: list[DemoJob] = []
    folders = {seed: out / f"seed-{seed}" for seed in range(1, 1 + seeds)}
    for seed, folder in folders.items():
        if not (folder / "data" / "train.jsonl").exists():
            write_data(folder / "data", size, seed=seed)
        jobs += jobs_of(folder, size, seed=seed)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    ) as bars:
        tick = watch(bars, folders, size)
        run_jobs(jobs, workers=len(os.sched_getaffinity(0)), tick=tick, launch=partial(start_warm, work))
    story = tell(out, list(folders.values()), size)
    for seed in folders:
        unlearned = lessons_not_learned(base_folder(size, seed))
        if unlearned and not quick:
            console.print(
                f"note: the base model of seed {seed} ended {unlearned} of its lessons before they were learned"
            )
    story["seconds"] = round(time.monotonic() - began, 1)
    story["peak_memory_mib_per_process"] = max(
        int(file.read_text()) for folder in folders.values() for file in (folder / "logs").glob(f"*{MEMORY}")
    )
    (out / "results.json").write_text(json.dumps(story, indent=2, allow_nan=False) + "\n")
    if as_json:
        print(json.dumps(story, allow_nan=False))
        return
    PlainConsole().print((out / "table.md").read_text(), markup=False, highlight=False, soft_wrap=True)
    first = next(iter(folders.values()))
    example = str(first / "relift")
    for line in (
        f"{story['seconds']:.0f} s. Figures: {out / 'figures'}; numbers: {out / 'results.json'}",
        f"Look at it: relift dashboard {first}",
        f"Audit it against the frozen copy: relift report {first} --audit --quiet --out {out / 'report.html'}",
        f"or: relift report {first}/*, or in Python: relift.analysis.read_trajectories({example!r})",
    ):
        console.print(line, soft_wrap=True, markup=False)  # whole lines: a command is there to be copied


def claim(out: Path, size: Size) -> None:
    """Take the folder for an experiment of this size. Raises InputError where it holds anything else."""
    note = out / "demo.json"
    text = json.dumps({"size": repr(size)})
    if note.exists() and note.read_text() != text:
        raise InputError(
            f"{out} holds a demo of another size or version: choose another folder with --out, or remove it"
        )
    if not note.exists() and out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty and holds no demo: choose another folder with --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        note.write_text(text)
    except OSError as error:
        raise InputError(f"{out}: cannot write there: {error.strerror}; choose another folder with --out") from None


def cache_folder() -> Path:
    """Return the folder of base models between demos: $XDG_CACHE_HOME/relift, by default ~/.cache/relift."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relift"


def lessons_not_learned(base: Path) -> int:
    """Count phases of the curriculum that ran into their limit of steps: such a base knows less than others."""
    return sum(lesson["learned"] is False for lesson in json.loads((base / "base.json").read_text())["lessons"])


def base_folder(size: Size, seed: int) -> Path:
    """Return the folder of the cached base model of this size and seed, made or not."""
    return cache_folder() / f"arith-base-{base_key(size.base, seed=seed)[:16]}"


def jobs_of(folder: Path, size: Size, *, seed: int) -> list[DemoJob]:
    """List the jobs of one seed: the base model and the seven runs."""
    base = base_folder(size, seed)
    made = DemoJob(
        f"base model {seed}",
        lambda: ["base", str(seed), "quick" if size is QUICK else "full", str(progress_file(folder))],
        folder / "logs" / "base_model.log",
        done=base.exists,
    )
    return [made, *(run_job(method, folder, size, seed=seed, base=base, after=made.name) for method in ORDER)]


def run_job(method: str, folder: Path, size: Size, *, seed: int, base: Path, after: str) -> DemoJob:
    """Plan one run. All wait for the probes of the base; SFT matched also for ReLIFT's number of demonstrations."""
    run = folder / method
    waits = {"base": (after,), "sft_matched": (f"{folder.name}/base", f"{folder.name}/relift")}
    return DemoJob(
        f"{folder.name}/{method}",
        lambda: train_command(method, folder, size, seed=seed, base=base),
        folder / "logs" / f"{method}.log",
        after=waits.get(method, (f"{folder.name}/base",)),
        done=lambda: status_of(run) == "done",
    )


def train_command(method: str, folder: Path, size: Size, *, seed: int, base: Path) -> list[str]:
    """Write the configuration of a run and return the command that trains it."""
    matched = 0
    if method == "sft_matched":
        used = int(RunReader(folder / "relift").read("checkpoints")["demonstrations"].max())
        matched = max(1, round(used / size.batch))
    config = config_of(method, size, seed=seed, base=base, folder=folder, matched_steps=matched)
    path = write_config(folder / "configs" / f"{method}.toml", config)
    return ["train", str(path), str(folder / method)]


def progress_file(folder: Path) -> Path:
    """Return the file in which the making of a base model notes its progress."""
    return folder / "logs" / "base_model.steps"


def watch(bars: Progress, folders: dict[int, Path], size: Size) -> Callable[[], None]:
    """Draw a bar for each process, read from what it has committed."""
    tasks: dict[tuple[int, str], TaskID] = {}
    single = len(folders) == 1
    for seed in folders:
        for name in ("base model", *ORDER):
            tasks[seed, name] = bars.add_task(name if single else f"{seed} {name}", total=None, start=False)
    return partial(_draw, bars, folders, size, tasks)


def _draw(bars: Progress, folders: dict[int, Path], size: Size, tasks: dict[tuple[int, str], TaskID]) -> None:
    for (seed, name), task in tasks.items():
        if name == "base model":
            total: int | None = size.base.steps
            done = _read_number(progress_file(folders[seed]))
            done = size.base.steps if base_folder(size, seed).exists() else done
        else:
            done, total = _progress_of(folders[seed], name, size)
        if done is not None:
            bars.start_task(task)
            bars.update(task, completed=done, total=total)
            if total is not None and done >= total:
                bars.stop_task(task)


def _progress_of(folder: Path, method: str, size: Size) -> tuple[int | None, int | None]:
    commits = sorted((folder / method / "commits").glob("step-??????.json"))
    if not commits:
        return None, None
    config = folder / "configs" / f"{method}.toml"
    total = next((int(line[8:]) for line in config.read_text().splitlines() if line.startswith("steps = ")), None)
    return int(commits[-1].stem[5:]) + 1, None if total is None else total + 1  # step 0 is a step of work too


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def work(command: list[str]) -> None:
    """Do one job in its own process: "base SEED SIZE FILE" makes a base model, "train CONFIG FOLDER" trains a run."""
    import torch

    from relift.trainer.command import run_training

    torch.set_num_threads(1)
    if command[0] == "train":
        run_training(command[1], Path(command[2]), overrides=[], allow_changes=[], quiet=True)
        return
    _, seed, size, progress = command

    def note(done: int, total: int, loss: float) -> None:
        if done % 10 == 0 or done == total:
            Path(progress).write_text(str(done))

    cached_base(cache_folder(), seed=int(seed), spec=(QUICK if size == "quick" else FULL).base, on_progress=note)
