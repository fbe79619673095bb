"""Measure what rollouts through vLLM as our engine cost beside a bare LLM.generate.

Run:  .venv-vllm/bin/python -m relift.benchmarks.speed.rollouts --out FILE [--model FOLDER] [--rounds 6] [--quick]

Two processes, each with a vLLM of its own: one calls LLM.generate in process, the other the engine that training uses
(`rollout.engine = "vllm"`: a child process, answers as Completion). Prompts, seeds, settings and vLLM's arguments are
the same, log-probabilities of the drawn tokens included, and the tokens must come out the same. What is timed is a
call, not the start and not the publication of weights. The two take turns of half a second, each stopped with all that
it started while the other one works; who begins changes from round to round. A first call of each warms up.

Without --model a random model of a million parameters writes: seconds around a call weigh most where generating is
fast. Leave the other cores alone meanwhile.
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

from relift.benchmarks.speed.random_llama import make_model
from relift.benchmarks.speed.record import cpu_name, package_versions, write_result
from relift.benchmarks.speed.rollout_sides import ROLES, RolloutTask
from relift.benchmarks.speed.sampler_engines import VLLM_HEADS
from relift.benchmarks.speed.turns import TURN_SECONDS, Caller, take_turns

COMMAND = "python -m relift.benchmarks.speed.rollouts"


def measure(task: RolloutTask, python: Path) -> dict[str, Any]:
    """Call both so many times. Raises RuntimeError where they wrote different answers, or where one of them died."""
    environment = {
        "OMP_NUM_THREADS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "VLLM_LOGGING_LEVEL": "WARNING",
    }  # fmt: skip
    module = "relift.benchmarks.speed.rollout_sides"
    callers = []
    try:
        for role in ROLES:
            command = [str(python), "-W", "ignore", "-m", module, role, json.dumps(asdict(task))]
            callers.append(Caller(command, environment))
        hello = [caller.hear() for caller in callers]
        for caller in callers:
            caller.tell()
        calls = [caller.hear() for caller in callers]  # to warm up
        rounds = []
        for turn in range(task.rounds):
            order = callers if turn % 2 == 0 else callers[::-1]
            each = {result["role"]: result for result in take_turns(order)}
            print(each, file=sys.stderr, flush=True)
            rounds.append(each)
            calls += each.values()
    finally:
        for caller in callers:
            caller.close()
    if len({call["answers"] for call in calls if call is not None}) != 1:
        raise RuntimeError("the same prompts and seeds gave other answers")
    return {"rounds": rounds, "overhead_percent": {w: overhead(rounds, w) for w in ("seconds", "cpu_seconds")},
            "vllm": hello[0] and hello[0]["vllm"]}  # fmt: skip


def overhead(rounds: Sequence[dict[str, dict[str, Any]]], what: str) -> dict[str, Any]:
    """Compare the engine with the bare call, in per cent above it: of each round, their median, and of the sums."""
    over = [100 * (each["engine"][what] / each["bare"][what] - 1) for each in rounds]
    total = {role: sum(each[role][what] for each in rounds) for role in ROLES}
    return {"median": statistics.median(over), "of_sums": 100 * (total["engine"] / total["bare"] - 1), "rounds": over}


def main() -> None:
    """Read the options, make the model, measure, write."""
    parser = argparse.ArgumentParser(description="Measure rollouts through vLLM beside a bare LLM.generate.")
    parser.add_argument("--out", type=Path, help="file for the result (JSON); without it, it is printed")
    parser.add_argument("--model", type=Path, help="checkpoint that writes; default: a random one of a million weights")
    parser.add_argument("--rounds", type=int, default=6, help="measured calls of each process")
    parser.add_argument(
        "--vllm-python", type=Path, default=Path(sys.executable), help="interpreter with vLLM; default: this one"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        model = args.model
        if model is None:
            model = Path(name)
            make_model(heads=VLLM_HEADS).save_pretrained(model)
        sizes = {"prompts": 3, "attempts": 2, "max_tokens": 6} if args.quick else {}
        task = RolloutTask(str(model.resolve()), rounds=1 if args.quick else args.rounds, **sizes)
        result: dict[str, Any] = {"missing": f"no interpreter at {args.vllm_python}"}
        if args.vllm_python.exists():
            try:
                result = measure(task, args.vllm_python)
            except RuntimeError as error:
                result = {"missing": str(error)}
    job = {name: value for name, value in asdict(task).items() if name != "model"}
    write_result(
        {
            "what": "a call of the engine of training over a bare LLM.generate with the same prompts and settings",
            "command": COMMAND, "quick": args.quick, "job": job, "turns": f"of {TURN_SECONDS} s",
            "model": "random Llama of a million parameters" if args.model is None else args.model.name,
            "results": result, "versions": package_versions("torch", "transformers"),
            "hardware": {"cpu": cpu_name(), "cores": os.cpu_count()},
            "load_average": os.getloadavg(),
        },
        args.out,
    )  # fmt: skip


if __name__ == "__main__":
    main()
