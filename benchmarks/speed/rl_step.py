"""Measure an RL step, beside TRL's GRPOTrainer with transformers' generate, on one core.

Run:  python -m relift.benchmarks.speed.rl_step --out FILE [--trl-python .venv-trl/bin/python] [--repeats 5]

A step: 32 questions, 8 answers to each, graded, one AdamW step. Three cases on one random model of the size of the
embedded experiment: `equal`, every answer has exactly 32 tokens; `group`, answers end at random after about 20 tokens,
96 at the most, as rollouts do; `rollouts`, the same with half of the groups without signal, about as many as in the
embedded experiment: our learner leaves them out of the forward pass, which changes no gradient. Our side is the
whole training loop, its record on disk included; TRL logs and saves nothing. The two take turns, step by step, on the
same core; each waits while the other works. Where TRL is missing, our side is measured alone and the result says so.

A random model answers nothing right, and a group without a right answer is no work for our learner. So both sides grade
with the exact grader and then call an answer right when its token numbers add up to an even number: nearly all groups
are mixed, and every answer is trained on. In `rollouts` the first half of the questions is never right.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict
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
from relift.benchmarks.speed.rl_step_relift import relift_steps
from relift.benchmarks.speed.rl_step_trl import TrlPeer
from relift.benchmarks.speed.rl_task import RolloutCase, StepCost, rollout_cases

COMMAND = "python -m relift.benchmarks.speed.rl_step"


def compare(
    case: RolloutCase, trl_python: Path | None, repeats: int, *, micro_batches: int, quick: bool
) -> dict[str, Any]:
    """Measure steps of both sides in turn (`trl_python` None: of ours alone).

    The first two steps of each side warm up; our last one ends with a checkpoint. All three are left out.
    """
    ours: list[StepCost] = []
    theirs: list[StepCost] = []
    peer = None if trl_python is None else TrlPeer(trl_python, case, micro_batches=micro_batches, quick=quick)

    def turn(cost: StepCost) -> None:
        ours.append(cost)
        if peer is not None:
            theirs.append(peer.step())

    try:
        relift_steps(case, repeats + 3, turn)
    finally:
        if peer is not None:
            peer.close()
    result: dict[str, Any] = {"relift": summary(ours[2:-1])}
    if peer is not None:
        result |= {"trl": summary(theirs[2:-1]), "trl_versions": peer.versions, **ratios(ours[2:-1], theirs[2:-1])}
    return result


def summary(costs: Sequence[StepCost]) -> dict[str, Any]:
    """Return the steps of one side and their medians."""
    medians = {name: statistics.median(asdict(cost)[name] for cost in costs) for name in asdict(costs[0])}
    return {"steps": [asdict(cost) for cost in costs], **medians}


def ratios(ours: Sequence[StepCost], theirs: Sequence[StepCost]) -> dict[str, dict[str, float]]:
    """Compare rates of tokens of steps that stood beside each other, so that both met the same machine."""
    found = {}
    for clock in ("wall_seconds", "cpu_seconds"):
        each = [
            (a.tokens / getattr(a, clock)) / (b.tokens / getattr(b, clock)) for a, b in zip(ours, theirs, strict=True)
        ]
        found[f"ratio_{clock}"] = {"median": statistics.median(each), "min": min(each), "max": max(each)}
    return found


def measure(trl_python: Path, repeats: int, *, micro_batches: int, quick: bool) -> dict[str, Any]:
    """Measure all cases on one core and describe the conditions."""
    import transformers

    pin_to_one_core()
    transformers.logging.set_verbosity_error()
    cases = rollout_cases(quick=quick)
    peer = trl_python if trl_python.exists() else None
    each = next(iter(cases.values()))
    return {
        "what": f"RL steps of {each.n_questions} questions x {each.n_samples} answers; medians over steps in turn",
        "command": COMMAND,
        "quick": quick,
        "repeats": repeats,
        "model": {"layout": "llama", "parameters": make_model().num_parameters(), "weights": "random"},
        "cases": {c.name: {"max_tokens": c.max_tokens, "stop_tokens": len(c.stop_ids)} for c in cases.values()},
        "equal": "start weights, prompts, answers a prompt, max_tokens, stop tokens, temperature 1, loss dr_grpo, "
        "advantage r - mean, AdamW (lr, betas, no weight decay, clip at 1), verdicts and the grader's work, float32, "
        "one core, one thread; no old log-probabilities and no KL term on either side",
        "not_equal": "relift writes attempts, answers, trajectories and updates to disk, with checksums and a commit, "
        "and reports entropy and log-probabilities of every answer; TRL logs and saves nothing. Random numbers "
        "differ, so lengths in `group` differ a little: rates count the tokens each side wrote. "
        f"TRL trains in {micro_batches} micro-batch(es) of padded rows",
        "results": {
            c.name: compare(c, peer, repeats, micro_batches=micro_batches, quick=quick) for c in cases.values()
        },
        "missing": {} if peer else {"trl": f"no interpreter at {trl_python} (torch==2.13.0, trl==1.16.0)"},
        "limit": {"matmul_1024_gflops": matmul_gflops(1024, 1024, 1024, rounds=1 if quick else 10)},
        "versions": package_versions("torch", "transformers"),
        "hardware": one_core_hardware(),
    }


def main() -> None:
    """Read the options, measure, write."""
    parser = argparse.ArgumentParser(description="Measure an RL step beside TRL's, on one core.")
    parser.add_argument("--out", type=Path, help="file for the result (JSON); without it, it is printed")
    parser.add_argument("--repeats", type=int, default=5, help="measured steps of each side and case")
    parser.add_argument(
        "--trl-python",
        type=Path,
        default=Path(os.environ.get("RELIFT_TRL_PYTHON", ".venv-trl/bin/python")),
        help="interpreter with TRL; where it is missing, our side is measured alone",
    )
    parser.add_argument("--trl-micro-batches", type=int, default=1, help="parts in which TRL trains on a step")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing")
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in the child
    result = measure(args.trl_python, args.repeats, micro_batches=args.trl_micro_batches, quick=args.quick)
    write_result(result, args.out)


if __name__ == "__main__":
    main()
