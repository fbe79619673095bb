"""Measure time and memory of the analysis on a large run, beside pandas, duckdb and polars, on one core.

Run:  python -m relift.benchmarks.speed.analysis --out FILE [--peers-python PYTHON] [--repeats 3] [--large]

The task: from attempts (12,500 questions x 100 steps x 8, a second draw at step 0, one file per step) to the bands of
the base model, the accuracy of each band at each step, and the moves between bands with their null. Every engine reads
the same files, in a process of its own on one thread, taking turns; the numbers must agree. Seconds are CPU and wall
time from the first read to the result, imports left out; memory is the peak over the bare import. Ours also resamples
the intervals (200 times) and verifies checksums, the others do neither. `trajectories` is our usual way: the same from
the table that the trainer keeps. duckdb and polars run in --peers-python, where they are installed.

Then, of ours alone: 1e7 trajectory rows (100,000 questions x 100 steps) into the cube, one more step of a live run, the
answers of one question among 100,000 texts; with --large 100 million attempts (100,000 x 125 x 8).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

N_ATTEMPTS = 8  # of big_run; the peers import nothing of ours
SIZES = {"attempts": (12_500, 100), "cube": (100_000, 100), "texts": (12_500, 1), "large": (100_000, 125)}
QUICK_SIZES = {"attempts": (60, 3), "cube": (80, 3), "texts": (60, 1), "large": (80, 4)}  # (questions, steps)
PEERS = ("pandas, everything", "pandas, four columns", "duckdb", "polars")
OURS = ("relift, attempts", "relift, trajectories")
MARK = "RELIFT "


# --- the task, by each engine: a folder to (accuracy by band and step, moves [2, 4, 4]: observed and null) ---


def by_relift(folder: Path, *, source: str) -> tuple[Any, Any]:
    """Do the task with relift.analysis, from the table `source`."""
    from relift.analysis import assign_bands, band_accuracy, band_transitions, read_counts

    counts = read_counts(folder, source=source)  # type: ignore[arg-type]
    bands = assign_bands(counts)
    curves = band_accuracy(counts, bands)["accuracy"].to_numpy().reshape(4, -1)
    moves = band_transitions(counts, bands)
    n = moves["n_from"].to_numpy()
    return curves, [moves["count"].to_numpy().reshape(4, 4), (moves["null_share"].to_numpy() * n).reshape(4, 4)]


def finish(table: Any) -> tuple[Any, Any]:
    """Do the rest of the task from counts [question, column], columns step 0 draw 0, step 0 draw 1, step 1, ..."""
    import numpy as np

    correct_QC = np.asarray(table, dtype=np.int64)
    band_QC = np.select(
        [correct_QC == 0, 16 * correct_QC < 5 * N_ATTEMPTS, 16 * correct_QC < 11 * N_ATTEMPTS], [0, 1, 2], 3
    )
    curves = np.stack([correct_QC[band_QC[:, 0] == i, 1:].mean(axis=0) / N_ATTEMPTS for i in range(4)])
    moves = [np.bincount(band_QC[:, 0] * 4 + band_QC[:, at], minlength=16).reshape(4, 4) for at in (-1, 1)]
    return curves, moves


def by_pandas(folder: Path, *, columns: list[str] | None) -> tuple[Any, Any]:
    """Do the task with pandas, reading these columns; None: all."""
    import pandas as pd

    files = sorted((folder / "attempts").glob("*.parquet"))
    if columns is None:
        rows = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    else:
        rows = pd.concat([pd.read_parquet(file, columns=columns) for file in files], ignore_index=True)
    rows["correct"] = rows["verdict"] == "correct"
    return finish(rows.groupby(["question_ix", "step", "draw"])["correct"].sum().unstack(["step", "draw"]))


def by_duckdb(folder: Path) -> tuple[Any, Any]:
    """Do the task with duckdb on one thread."""
    duckdb: Any = import_module("duckdb")
    with duckdb.connect(config={"threads": 1}) as db:
        query = (
            "select question_ix, step * 2 + draw as at, count(*) filter (verdict = 'correct') as n "
            f"from '{folder}/attempts/*.parquet' group by all"
        )
        return finish(db.sql(query).df().pivot(index="question_ix", columns="at", values="n"))


def by_polars(folder: Path) -> tuple[Any, Any]:
    """Do the task with polars, streaming."""
    pl: Any = import_module("polars")
    rows = pl.scan_parquet(f"{folder}/attempts/*.parquet")
    at = (pl.col("step").cast(pl.Int32) * 2 + pl.col("draw").cast(pl.Int32)).alias("at")
    right = (pl.col("verdict").cast(pl.String) == "correct").sum().alias("n")
    counted = rows.group_by("question_ix", at).agg(right).collect(engine="streaming")
    wide = counted.sort("at").pivot(on="at", index="question_ix", values="n").sort("question_ix")
    return finish(wide.drop("question_ix").to_numpy())


TASKS: dict[str, Callable[[Path], tuple[Any, Any]]] = {
    "relift, attempts": lambda folder: by_relift(folder, source="attempts"),
    "relift, trajectories": lambda folder: by_relift(folder, source="trajectories"),
    "pandas, everything": lambda folder: by_pandas(folder, columns=None),
    "pandas, four columns": lambda folder: by_pandas(folder, columns=["question_ix", "step", "draw", "verdict"]),
    "duckdb": by_duckdb,
    "polars": by_polars,
}


def import_bare(name: str) -> None:
    """Import the libraries that a user of the engine has imported before starting."""
    import numpy  # noqa: F401
    import pandas  # noqa: F401

    if name.startswith("relift"):
        import relift.analysis  # noqa: F401
    elif name in ("duckdb", "polars"):
        import_module(name)


def peak_mib() -> float:
    """Return the peak memory of this process since it began, in MiB.

    getrusage would also count what its parent held when it was forked.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


def measure_one(name: str, folder: Path) -> dict[str, Any]:
    """Measure one engine, in the process that was started for it."""
    import_bare(name)
    before, cpu, wall = peak_mib(), time.process_time(), time.perf_counter()
    curves, moves = TASKS[name](folder)
    seconds = {"cpu_seconds": time.process_time() - cpu, "seconds": time.perf_counter() - wall}
    digest = [round(float(curves.sum()), 6), *(int(round(float((m * m).sum()))) for m in moves)]
    return {**seconds, "peak_mib": peak_mib() - before, "bare_mib": before, "digest": digest}


def count_rows(folder: Path) -> int:
    """Count the rows of a run's table of trajectories."""
    from relift.store import RunReader

    return len(RunReader(folder).read("trajectories", columns=["question_ix"]))


def measure_reading(folders: dict[str, Path], repeats: int) -> dict[str, Any]:
    """Measure reading, ours alone, in milliseconds: the cube, a live step, the answers of one question."""
    import numpy as np

    from relift.analysis import LiveCube, read_cube, read_questions, read_responses
    from relift.store import RunReader, RunWriter

    def timed(action: Callable[[], object], n: int, *, before: Callable[[], object] = int) -> dict[str, list[float]]:
        """Time `n` calls: wall and CPU milliseconds of each; `before` is called ahead of each, untimed."""
        wall, cpu = [], []
        for _ in range(n):
            before()
            start, start_cpu = time.perf_counter(), time.process_time()
            action()
            wall.append(1e3 * (time.perf_counter() - start))
            cpu.append(1e3 * (time.process_time() - start_cpu))
        return {
            "ms": wall,
            "cpu_ms": cpu,
            "median_ms": [statistics.median(wall)],
            "median_cpu_ms": [statistics.median(cpu)],
        }

    n_questions, n_rows = len(read_questions(folders["cube"])), count_rows(folders["cube"])
    found = {f"cube of {n_rows:,} rows": timed(lambda: read_cube(folders["cube"]), repeats)}
    live = LiveCube(folders["cube"])
    live.refresh()
    cube = RunReader(folders["cube"])
    last = cube.read("trajectories", steps=[cube.committed_step or 0])

    def grow() -> None:
        step = (RunReader(folders["cube"]).committed_step or 0) + 1
        with RunWriter(folders["cube"]) as writer:
            writer.write("trajectories", last.assign(step=np.int32(step)), step=step, origin="probe", draw=0)
            writer.commit(step)

    found[f"one more step, {n_questions:,} questions"] = timed(live.refresh, 5, before=grow)
    texts = read_questions(folders["texts"])["question_id"]
    ids = iter(texts.sample(20, random_state=0))
    found[f"answers of one question of {len(texts):,}"] = timed(
        lambda: read_responses(folders["texts"], step=0, questions=[next(ids)]), 20
    )
    return found


# --- turns, and the record ---


def in_process(python: str, name: str, folder: Path) -> dict[str, Any]:
    """Measure one engine in a new process of this interpreter, on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    ours = python == sys.executable
    program = ["-m", "relift.benchmarks.speed.analysis"] if ours else [str(Path(__file__).resolve())]
    command = [python, *program, "--engine", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not lines:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix(MARK))
    return found


def compare(folder: Path, peers_python: str | None, repeats: int) -> dict[str, Any]:
    """Measure all engines in turn. Raises SystemExit where their numbers disagree."""
    names = [*OURS, *PEERS[:2], *(PEERS[2:] if peers_python else ())]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            python = peers_python if name in ("duckdb", "polars") and peers_python else sys.executable
            runs[name].append(in_process(python, name, folder))
            took = {k: round(v, 2) for k, v in runs[name][-1].items() if k != "digest"}
            print(name, took, file=sys.stderr, flush=True)
    digests = {name: took[0]["digest"] for name, took in runs.items()}
    if any(digest != digests[names[0]] for digest in digests.values()):
        raise SystemExit(f"the engines disagree: {digests}")
    measures = ("cpu_seconds", "seconds", "peak_mib", "bare_mib")
    return {name: {m: sorted(one[m] for one in took) for m in measures} for name, took in runs.items()}


def main() -> None:
    """Read the options, make the runs that are not there, measure, write."""
    parser = argparse.ArgumentParser(description="Measure the analysis of a large run beside its peers, on one core.")
    parser.add_argument("--out", type=Path, help="file for the result (JSON); without it, it is printed")
    parser.add_argument("--repeats", type=int, default=3, help="measured rounds of each engine")
    parser.add_argument("--peers-python", help="an interpreter with duckdb, polars, pandas and pyarrow")
    parser.add_argument("--data", type=Path, help="folder to make the runs in, and to find them again")
    parser.add_argument("--large", action="store_true", help="also 100 million attempts: 2 GB of disk, ten minutes")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing")
    parser.add_argument("--engine", choices=list(TASKS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(MARK + json.dumps(measure_one(options.engine, options.folder)))
        return
    # Not before it is known that this is our interpreter: the peers' one has none of this.
    from relift.benchmarks.speed.record import write_result

    with tempfile.TemporaryDirectory() as temporary:
        folders = make_runs(options.data or Path(temporary), large=options.large, quick=options.quick)
        record: dict[str, Any] = {
            "what": __doc__,
            "quick": options.quick,
            "platform": {"machine": platform.machine(), "python": platform.python_version(), "cores": os.cpu_count()},
            "load_average_before": os.getloadavg(),
            "task": compare(folders["attempts"], options.peers_python, options.repeats),
            "reading": measure_reading(folders, options.repeats),
        }
        if options.large:
            record["large"] = in_process(sys.executable, "relift, attempts", folders["large"])
        record["missing"] = {} if options.peers_python else {"duckdb, polars": "no --peers-python"}
        record["load_average_after"] = os.getloadavg()
    write_result(record, options.out)


def make_runs(data: Path, *, large: bool, quick: bool) -> dict[str, Path]:
    """Make the runs that `data` does not hold yet and return the folder of each."""
    from relift.benchmarks.speed.big_run import make_run

    folders = {name: data / name for name in SIZES}
    for name, (n_questions, n_steps) in (QUICK_SIZES if quick else SIZES).items():
        if not folders[name].exists() and (name != "large" or large):
            print("making", name, file=sys.stderr, flush=True)
            make_run(
                folders[name], n_questions=n_questions, n_steps=n_steps, attempts=name in ("attempts", "large"),
                texts=int(name == "texts"),
            )  # fmt: skip
    return folders


if __name__ == "__main__":
    main()
