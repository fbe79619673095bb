"""How fast and how small the analysis is on a big run, beside pandas, duckdb and polars, on one core.

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

N_ATTEMPTS = 8
STEPS = 100
SIZES = {"attempts": (12_500, STEPS), "cube": (100_000, STEPS), "large": (100_000, 125)}
PEERS = ("pandas, everything", "pandas, four columns", "duckdb", "polars")
OURS = ("relift, attempts", "relift, trajectories")
MARK = "RELIFT "


# --- the run: synthetic, through the run's own writer ---


def make_run(folder: Path, *, n_questions: int, n_steps: int, attempts: bool, texts: int = 0) -> None:
    """Probes of `n_questions` at `n_steps` steps, two draws at step 0, of a model that learns a little.

    `texts`: of every how many steps the answers' texts are kept, 40 words each; 0: none.
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from relift.run_record import RunRecord
    from relift.schema import RunStatus, question_id_of
    from relift.store import RunWriter

    rng = np.random.default_rng(0)
    rate_Q = np.where(rng.random(n_questions) < 0.15, 0, rng.beta(0.45, 0.9, n_questions))
    ix_Q = np.arange(n_questions, dtype=np.int32)
    problems = [f"question {i}: what is {i} and {i * 7 % 1000}, added and halved?" for i in range(n_questions)]
    questions = {
        "question_id": [question_id_of(p) for p in problems], "question_ix": ix_Q, "source": "synthetic",
        "split": "probe", "problem": problems, "answer": "0", "answer_kind": "exact", "prompt_tokens": 9,
        "has_demo": False,
    }  # fmt: skip

    def worded(codes: np.ndarray, words: list[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes), words)

    def constant(word: str, n: int) -> pa.Array:
        return worded(np.zeros(n, np.int32), [word])

    with RunWriter(folder) as writer:
        writer.start(
            RunRecord(run_id="big", name="rl", seed=0, status=RunStatus.done), config_toml="",
            questions=pd.DataFrame(questions), demonstrations=None,
        )  # fmt: skip
        for step in range(n_steps):
            for draw in (0, 1) if step == 0 else (0,):
                rate = rate_Q + (1 - rate_Q) * (rate_Q > 0) * 0.3 * step / n_steps
                ix_N = np.repeat(ix_Q, N_ATTEMPTS)
                right_N = rng.random(len(ix_N)) < rate[ix_N]
                n, attempt_N = len(ix_N), np.tile(np.arange(N_ATTEMPTS, dtype=np.int32), n_questions)
                if attempts:
                    table = {
                        "question_ix": ix_N, "attempt": attempt_N,
                        "verdict": worded(right_N.astype(np.int32), ["wrong", "correct"]),
                        "verdict_rule": constant("box.number", n), "reward": right_N.astype(np.float32),
                        "finish": constant("stop", n), "n_tokens": rng.integers(20, 3000, n).astype(np.int32),
                        "answer": pa.array(np.where(right_N, "0", "1")),
                        "mean_entropy": rng.random(n).astype(np.float32),
                        "used_in_update": np.zeros(n, bool), "policy_version": np.full(n, step, np.int32),
                        "decoding_id": constant("probe", n), "seed": rng.integers(0, 2**62, n),
                    }  # fmt: skip
                    writer.write("attempts", pa.table(table), step=step, origin="probe", draw=draw)
                if texts and step % texts == 0 and draw == 0:
                    words = rng.integers(0, 10**9, (n, 40)).astype("U9")
                    text = {"response_id": np.arange(n), "question_ix": ix_N, "attempt": attempt_N}
                    body = [" ".join(row) for row in words.tolist()]
                    writer.write("responses", pa.table({**text, "text": body}), step=step, origin="probe", draw=draw)
                counts = np.bincount(ix_N[right_N], minlength=n_questions).astype(np.int16)
                rows = {
                    "question_ix": ix_Q, "n_attempts": N_ATTEMPTS, "n_correct": counts, "n_undecided": 0,
                    "n_truncated": 0, "n_distinct_answers": 2, "mean_tokens": rng.random(n_questions) * 1000,
                    "mean_tokens_correct": rng.random(n_questions) * 1000, "mean_entropy": rng.random(n_questions),
                    "rl_exposures": 0, "sft_exposures": 0, "in_buffer": False,
                }  # fmt: skip
                writer.write("trajectories", pd.DataFrame(rows), step=step, origin="probe", draw=draw)
            writer.commit(step)


# --- the task, by each engine: a folder to (accuracy by band and step, moves [2, 4, 4]: observed and null) ---


def by_relift(folder: Path, *, source: str) -> tuple[Any, Any]:
    from relift.analysis import assign_bands, band_accuracy, band_transitions, read_counts

    counts = read_counts(folder, source=source)  # type: ignore[arg-type]
    bands = assign_bands(counts)
    curves = band_accuracy(counts, bands)["accuracy"].to_numpy().reshape(4, -1)
    moves = band_transitions(counts, bands)
    n = moves["n_from"].to_numpy()
    return curves, [moves["count"].to_numpy().reshape(4, 4), (moves["null_share"].to_numpy() * n).reshape(4, 4)]


def finish(table: Any) -> tuple[Any, Any]:
    """The rest of the task from counts [question, column], columns step 0 draw 0, step 0 draw 1, step 1, ..."""
    import numpy as np

    correct_QC = np.asarray(table, dtype=np.int64)
    band_QC = np.select(
        [correct_QC == 0, 16 * correct_QC < 5 * N_ATTEMPTS, 16 * correct_QC < 11 * N_ATTEMPTS], [0, 1, 2], 3
    )
    curves = np.stack([correct_QC[band_QC[:, 0] == i, 1:].mean(axis=0) / N_ATTEMPTS for i in range(4)])
    moves = [np.bincount(band_QC[:, 0] * 4 + band_QC[:, at], minlength=16).reshape(4, 4) for at in (-1, 1)]
    return curves, moves


def by_pandas(folder: Path, *, columns: list[str] | None) -> tuple[Any, Any]:
    import pandas as pd

    files = sorted((folder / "attempts").glob("*.parquet"))
    if columns is None:
        rows = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    else:
        rows = pd.concat([pd.read_parquet(file, columns=columns) for file in files], ignore_index=True)
    rows["correct"] = rows["verdict"] == "correct"
    return finish(rows.groupby(["question_ix", "step", "draw"])["correct"].sum().unstack(["step", "draw"]))


def by_duckdb(folder: Path) -> tuple[Any, Any]:
    duckdb: Any = import_module("duckdb")
    with duckdb.connect(config={"threads": 1}) as db:
        query = (
            "select question_ix, step * 2 + draw as at, count(*) filter (verdict = 'correct') as n "
            f"from '{folder}/attempts/*.parquet' group by all"
        )
        return finish(db.sql(query).df().pivot(index="question_ix", columns="at", values="n"))


def by_polars(folder: Path) -> tuple[Any, Any]:
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
    """What the engine's user would have imported before starting."""
    import numpy  # noqa: F401
    import pandas  # noqa: F401

    if name.startswith("relift"):
        import relift.analysis  # noqa: F401
    elif name in ("duckdb", "polars"):
        import_module(name)


def peak_mib() -> float:
    """Of this process since it began; getrusage would also count what its parent held when it was forked."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


def measure_one(name: str, folder: Path) -> dict[str, Any]:
    """In the process that was started for it."""
    import_bare(name)
    before, cpu, wall = peak_mib(), time.process_time(), time.perf_counter()
    curves, moves = TASKS[name](folder)
    seconds = {"cpu_seconds": time.process_time() - cpu, "seconds": time.perf_counter() - wall}
    digest = [round(float(curves.sum()), 6), *(int(round(float((m * m).sum()))) for m in moves)]
    return {**seconds, "peak_mib": peak_mib() - before, "bare_mib": before, "digest": digest}


def measure_reading(folders: dict[str, Path], repeats: int) -> dict[str, Any]:
    """Ours alone: the cube, a live step, the answers of one question, in milliseconds."""
    import numpy as np

    from relift.analysis import LiveCube, read_cube, read_questions, read_responses
    from relift.store import RunReader, RunWriter

    def timed(action: Callable[[], object], n: int, *, before: Callable[[], object] = int) -> dict[str, list[float]]:
        """Wall and CPU milliseconds of each call, in order; `before` is called ahead of each, untimed."""
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

    found = {"cube of 1e7 rows": timed(lambda: read_cube(folders["cube"]), repeats)}
    live = LiveCube(folders["cube"])
    live.refresh()
    last = RunReader(folders["cube"]).read("trajectories", steps=[STEPS - 1])

    def grow() -> None:
        step = (RunReader(folders["cube"]).committed_step or 0) + 1
        with RunWriter(folders["cube"]) as writer:
            writer.write("trajectories", last.assign(step=np.int32(step)), step=step, origin="probe", draw=0)
            writer.commit(step)

    found["one more step, 100,000 questions"] = timed(live.refresh, 5, before=grow)
    ids = iter(read_questions(folders["texts"])["question_id"].sample(20, random_state=0))
    found["answers of one question of 12,500"] = timed(
        lambda: read_responses(folders["texts"], step=0, questions=[next(ids)]), 20
    )
    return found


# --- turns, and the record ---


def in_process(python: str, name: str, folder: Path) -> dict[str, Any]:
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
    names = [*OURS, *PEERS[:2], *(PEERS[2:] if peers_python else ())]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            python = peers_python if name in ("duckdb", "polars") and peers_python else sys.executable
            runs[name].append(in_process(python, name, folder))
            print(name, {k: round(v, 2) for k, v in runs[name][-1].items() if k != "digest"}, flush=True)
    digests = {name: took[0]["digest"] for name, took in runs.items()}
    if any(digest != digests[names[0]] for digest in digests.values()):
        raise SystemExit(f"the engines disagree: {digests}")
    measures = ("cpu_seconds", "seconds", "peak_mib", "bare_mib")
    return {name: {m: sorted(one[m] for one in took) for m in measures} for name, took in runs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers-python", help="an interpreter with duckdb, polars, pandas and pyarrow")
    parser.add_argument("--data", type=Path, help="folder to make the runs in, and to find them again")
    parser.add_argument("--large", action="store_true", help="also 100 million attempts: 2 GB of disk, ten minutes")
    parser.add_argument("--engine", choices=list(TASKS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(MARK + json.dumps(measure_one(options.engine, options.folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        data = options.data or Path(temporary)
        folders = {name: data / name for name in ("attempts", "cube", "texts", "large")}
        for name, (n_questions, n_steps) in {**SIZES, "texts": (12_500, 1)}.items():
            if not folders[name].exists() and (name != "large" or options.large):
                print("making", name, flush=True)
                make_run(
                    folders[name], n_questions=n_questions, n_steps=n_steps, attempts=name in ("attempts", "large"),
                    texts=int(name == "texts"),
                )  # fmt: skip
        record = {
            "what": __doc__,
            "platform": {"machine": platform.machine(), "python": platform.python_version(), "cores": os.cpu_count()},
            "load_average_before": os.getloadavg(),
            "task": compare(folders["attempts"], options.peers_python, options.repeats),
            "reading": measure_reading(folders, options.repeats),
        }
        if options.large:
            record["large"] = in_process(sys.executable, "relift, attempts", folders["large"])
        record["load_average_after"] = os.getloadavg()
    text = json.dumps(record, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
