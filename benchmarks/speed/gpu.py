"""Measure what one GPU does with a model of Qwen2.5-1.5B's shape and random weights, within twelve minutes.

Run:  python -m relift.benchmarks.speed.gpu --out FILE [--minutes 12] [--trl-python .venv-trl/bin/python] [--quick]

Five parts, in this order, each only if its share of the minutes is left; the file is written after each:
`learner`  tokens a second and share of the GPU's peak (recomputed layers are no useful work) on sequences of 8,192
           tokens, and the peak of memory beside what the dry run says;
`sampler`  tokens a second of the torch sampler in bfloat16;
`step`     one whole step of `relift train`, recipe drgrpo: 64 questions, 8 answers of 1,024 tokens each;
`relift`   one whole step of recipe relift at the same sizes: RL, then fine-tuning on 16 demonstrations of 1,024 tokens
           with an optimizer of its own;
`trl`      questions, answers and lengths of `step` with TRL's GRPOTrainer and transformers' generate on the same GPU.
`--quick` runs all parts on a tiny model, on a CPU too: it shows that the script runs and measures nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from relift.benchmarks.speed.gpu_task import GPUTask, HashGrader, config_of, shape_config, task_of, write_inputs
from relift.benchmarks.speed.record import cpu_name, package_versions, write_result

COMMAND = "python -m relift.benchmarks.speed.gpu"
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # FLOP/s in bfloat16, dense: NVIDIA's data sheets
LEAST_SECONDS = {"learner": 60, "sampler": 60, "step": 240, "relift": 150, "trl": 180}  # that a part is begun with


@dataclass(frozen=True)
class Device:
    """Name the device, and say what it may do at most; None where that is not known (a CPU)."""

    kind: str
    name: str
    peak_flops: float | None
    total_bytes: int | None


def device() -> Device:
    """Describe the GPU, or the CPU where there is none."""
    import torch

    if not torch.cuda.is_available():
        return Device("cpu", cpu_name(), None, None)
    name = torch.cuda.get_device_name()
    peak = next((flops for known, flops in PEAKS.items() if known in name), None)
    return Device("cuda", name, peak, torch.cuda.get_device_properties(0).total_memory)


def measure_learner(task: GPUTask, on: Device) -> dict[str, Any]:
    """Time forward, backward and step on full sequences; compare the peak of memory with the dry run's."""
    import numpy as np
    import torch
    from transformers import AutoModelForCausalLM

    from relift.learner.activations import kept_by
    from relift.learner.learner import Learner
    from relift.learner.losses import sft
    from relift.learner.optim import OptimizerSpec
    from relift.learner.update import Component, Term, TrainSequence, Update
    from relift.schema import UpdateKind
    from relift.trainer.dry_run_memory import Load, chunk_of, parts_of, shape_of
    from relift.trainer.dry_run_time import forward_flops

    model_config = shape_config(task)
    torch.manual_seed(0)
    with torch.device(on.kind):
        model = AutoModelForCausalLM.from_config(model_config)
    learner = Learner(
        model, {"rl": OptimizerSpec(lr=1e-6)}, token_budget=task.length, device=on.kind, checkpoint_activations=True,
        compute=torch.bfloat16,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    rows = rng.integers(0, model_config.vocab_size, (task.sequences, task.length + 1)).astype(np.int32)
    sequences = tuple(TrainSequence(tuple(row[:8].tolist()), row[8:]) for row in rows)
    n_tokens = task.sequences * task.length
    update = Update(UpdateKind.sft, "rl", (Component("demo", sequences, (Term(sft(), float(n_tokens)),)),))
    seconds = []
    for _ in range(task.repeats + 1):  # the first one warms up
        begin = time.perf_counter()
        learner.forward_backward(update)
        learner.optim_step("rl")  # reads the norm: the GPU is done
        seconds.append(time.perf_counter() - begin)
    shape, best = shape_of(model_config), min(seconds[1:])
    useful = 3 * forward_flops(shape, n_tokens, length=task.length)
    config = config_of(task, Path())
    load = Load(task.length, task.prompt_tokens, task.max_tokens)
    kept = kept_by(model_config, dtype=torch.bfloat16, n_tokens=task.length, head_chunk=chunk_of(config))
    parts = parts_of(config, shape, load, optimizers=("rl",), kept=kept, gpus=1, gpu_bytes=on.total_bytes or 0)
    said = sum(p.n_bytes for p in parts if p.phase != "sampling" and not p.name.startswith("sampler"))
    return {
        "parameters": shape.n_parameters,
        "tokens": n_tokens,
        "seconds": seconds[1:],
        "tokens_per_second": n_tokens / best,
        "flops_per_second": useful / best,
        "mfu": None if on.peak_flops is None else useful / best / on.peak_flops,
        "peak_bytes": torch.cuda.max_memory_allocated() if on.kind == "cuda" else None,
        "dry_run_bytes": said,
        "dry_run_parts": {p.name: p.n_bytes for p in parts},
    }


def measure_sampler(task: GPUTask, on: Device) -> dict[str, Any]:
    """Time the torch sampler on full batches of answers that nothing ends."""
    import torch
    from transformers import AutoModelForCausalLM

    from relift.engines.tokens import Request, Sampling
    from relift.engines.torch_sampler import TorchSampler

    torch.manual_seed(0)
    with torch.device(on.kind):
        model = AutoModelForCausalLM.from_config(shape_config(task), dtype=torch.bfloat16)
    sampler = TorchSampler(model, batch_rows=task.batch_rows, copied=False)
    each = max(1, task.batch_rows // 8)
    requests = [Request(tuple(range(q + 1, q + 33)), tuple(range(8))) for q in range(each)]
    sampler.generate(requests[:1], Sampling(max_tokens=2))  # warms up
    begin = time.perf_counter()
    answers = sampler.generate(requests, Sampling(max_tokens=task.sampled))
    seconds = time.perf_counter() - begin
    n_tokens = sum(len(a.token_ids_T) for row in answers for a in row)
    return {"rows": task.batch_rows, "tokens": n_tokens, "seconds": seconds, "tokens_per_second": n_tokens / seconds}


def measure_step(task: GPUTask, folder: Path, *, recipe: str = "drgrpo") -> dict[str, Any]:
    """Time the last step of a run that is opened as `relift train` opens it, its record on disk included."""
    from relift.store import RunReader
    from relift.trainer.loop import train
    from relift.trainer.setup import open_run

    ends: list[float] = []
    tokens: list[int] = []
    with open_run(config_of(task, folder, recipe=recipe), folder / f"run-{recipe}") as run:
        run.grader = HashGrader()  # type: ignore[assignment]
        run.stop_token_ids = ()  # answers are as long as they may be, on both sides
        run.save = lambda run, kind: None  # 25 GB of weights and moments that nobody reads

        def on_step(report: Any) -> None:
            ends.append(time.perf_counter())
            tokens.append(report.generated_tokens)

        run.on_step = on_step
        train(run)
    updates = RunReader(folder / f"run-{recipe}").read("updates")
    last = updates[updates["step"] == task.steps]
    return {
        "seconds": ends[-1] - ends[-2],
        "tokens": tokens[-1] - tokens[-2],
        "updates": last["kind"].tolist(),
        "update_seconds": last["seconds"].tolist(),
        "trained_tokens": last["n_tokens"].tolist(),
    }


def measure_trl(folder: Path, trl_python: Path, *, quick: bool, seconds_left: float) -> dict[str, Any]:
    """Let a process with TRL make the same steps on the same folder."""
    if not trl_python.exists():
        return {"missing": f"no interpreter at {trl_python} (torch==2.13.0, trl==1.16.0)"}
    command = [str(trl_python), "-m", "relift.benchmarks.speed.gpu_trl", str(folder), *(["quick"] if quick else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds_left)
    except subprocess.TimeoutExpired:
        return {"missing": f"not done within the {seconds_left:.0f} s that were left"}
    if done.returncode:
        return {"missing": f"ended with {done.returncode}: {done.stderr.strip()[-300:]}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(*, quick: bool, minutes: float, trl_python: Path, write: Callable[[dict[str, Any]], None]) -> None:
    """Run the parts for which there is time, and write the result after each."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    task, on, end = task_of(quick=quick), device(), time.monotonic() + 60 * minutes
    if on.kind == "cpu" and not quick:
        raise SystemExit("gpu: there is no GPU here; --quick runs every part on a tiny model, on a CPU too")
    result: dict[str, Any] = {
        "what": "a model of Qwen2.5-1.5B's shape with random weights on one device", "command": COMMAND,
        "quick": quick, "device": asdict(on), "task": asdict(task), "results": {},
        "versions": package_versions("torch", "transformers"),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "learner": lambda: measure_learner(task, on),
            "sampler": lambda: measure_sampler(task, on),
            "step": lambda: measure_step(task, folder),
            "relift": lambda: measure_step(task, folder, recipe="relift"),
            "trl": lambda: measure_trl(folder, trl_python, quick=quick, seconds_left=end - time.monotonic()),
        }
        for part, run in parts.items():
            left, begin = end - time.monotonic(), time.monotonic()
            if not quick and left < LEAST_SECONDS[part]:
                result["results"][part] = {"missing": f"{left:.0f} s were left"}
                write(result)
                continue
            if part == "step":
                write_inputs(task, folder, on.kind)
            result["results"][part] = {**run(), "part_seconds": time.monotonic() - begin}
            write(result)
            gc.collect()  # what the part before left on the GPU
            if on.kind == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(description="Measure learner, sampler and a whole step on one GPU.")
    parser.add_argument("--out", type=Path, help="file for the result (JSON); without it, it is printed")
    parser.add_argument("--minutes", type=float, default=12.0, help="parts that do not fit in are left out")
    parser.add_argument(
        "--trl-python",
        type=Path,
        default=Path(os.environ.get("RELIFT_TRL_PYTHON", ".venv-trl/bin/python")),
        help="interpreter with TRL; where it is missing, our side is measured alone",
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, on a CPU too: shows that it runs")
    args = parser.parse_args()
    last: list[dict[str, Any]] = []

    def write(result: dict[str, Any]) -> None:
        last[:] = [result]
        if args.out is not None:
            write_result(result, args.out)

    measure(quick=args.quick, minutes=args.minutes, trl_python=args.trl_python, write=write)
    if args.out is None:
        write_result(last[0], None)


if __name__ == "__main__":
    main()
