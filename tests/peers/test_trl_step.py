"""Two optimizer steps on one batch of rollouts are TRL's: same losses, gradient norms and weights.

TRL 1.16 lives in an environment of its own: RELIFT_TRL_PYTHON, else .venv-trl/bin/python at the repository's root.
Both sides start from the same checkpoint and the same rollouts, in files; the second step has ratios off 1, some
of them clipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from relift.learner.learner import Learner
from relift.learner.losses import cispo, gspo, ppo_clip
from relift.learner.optim import OptimizerSpec
from relift.learner.update import Component, Loss, Term, TrainSequence, Update
from relift.schema import UpdateKind
from relift.trainer.norms import NORMS, Counts
from tests.learner.tiny import VOCABULARY, constant, tiny_model

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("RELIFT_TRL_PYTHON", ROOT / ".venv-trl/bin/python"))
STEPS, MAX_TOKENS, N_QUESTIONS, N_SAMPLES = 2, 12, 4, 4
CLIP = {"epsilon": 0.2, "epsilon_high": 0.28}
SPEC = OptimizerSpec(lr=5e-3, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.0, max_grad_norm=0.3)

# Ours: loss, norm, advantage over the standard deviation. TRL's: loss_type and what goes with it.
CASES: dict[str, tuple[Loss, str, bool, dict[str, Any]]] = {
    "grpo": (
        ppo_clip(0.2, 0.28), "sequences", True,
        {"loss_type": "grpo", "scale_rewards": "group", **CLIP},
    ),
    "dr_grpo": (
        ppo_clip(0.2, 0.28), "max_tokens", False, {"loss_type": "dr_grpo", "scale_rewards": "none", **CLIP},
    ),
    "dapo": (ppo_clip(0.2, 0.28), "tokens", True, {"loss_type": "dapo", "scale_rewards": "group", **CLIP}),
    "cispo": (
        cispo(1.1), "tokens", True,  # TRL's bound of the ratio is epsilon_high itself
        {"loss_type": "cispo", "scale_rewards": "group", "epsilon_high": 1.1},
    ),
    "gspo": (
        gspo(0.02, 0.03), "sequences", True,
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "scale_rewards": "group",
         "epsilon": 0.02, "epsilon_high": 0.03},
    ),
}  # fmt: skip


def make_rollouts() -> list[dict[str, Any]]:
    """Groups of mixed rewards, and one of equal rewards, which counts in the denominators."""
    rng = np.random.default_rng(0)
    out = []
    for q in range(N_QUESTIONS):
        rewards = [1.0] * N_SAMPLES if q == 2 else [1.0, 0.0, 0.0, float(q % 2)]
        out.append(
            {
                "prompt_ids": rng.integers(3, VOCABULARY, rng.integers(2, 7)).tolist(),
                "completions": [
                    rng.integers(3, VOCABULARY, rng.integers(1, MAX_TOKENS + 1)).tolist() for _ in range(N_SAMPLES)
                ],
                "rewards": rewards,
            }
        )
    return out


ROLLOUTS = make_rollouts()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything TRL computed, in one run of its interpreter."""
    if not PYTHON.exists():
        pytest.skip(f"no TRL: {PYTHON} is missing; make an environment with torch==2.13.0 and trl==1.16.0")
    folder = tmp_path_factory.mktemp("trl")
    tiny_model().save_pretrained(folder / "model")
    job = {
        "rollouts": ROLLOUTS, "n_samples": N_SAMPLES, "micro_batches": 2, "steps": STEPS, "max_tokens": MAX_TOKENS,
        "temperature": 0.9, "lr": SPEC.lr, "betas": SPEC.betas, "eps": SPEC.eps, "max_grad_norm": SPEC.max_grad_norm,
        "cases": {name: options for name, (*_, options) in CASES.items()},
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    done = subprocess.run(
        [PYTHON, Path(__file__).with_name("trl_step.py"), folder],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def our_steps(name: str) -> tuple[list[Any], dict[str, torch.Tensor]]:
    loss, norm, over_std, _ = CASES[name]
    rows = []
    for rollout in ROLLOUTS:
        reward = np.array(rollout["rewards"])
        advantage_G = reward - reward.mean()
        if over_std:
            advantage_G = advantage_G / (reward.std(ddof=1) + 1e-4)  # TRL's epsilon
        for ids, a in zip(rollout["completions"], advantage_G, strict=True):
            columns = constant(float(a), len(ids))
            rows.append(TrainSequence(tuple(rollout["prompt_ids"]), np.array(ids, np.int32), columns))
    length_S = np.array([len(r.completion_ids_T) for r in rows])
    counts = Counts(length_S, np.repeat(np.arange(N_QUESTIONS), N_SAMPLES), N_QUESTIONS, MAX_TOKENS)
    learner = Learner(tiny_model(), {"rl": SPEC}, token_budget=70)
    old = learner.score(rows, temperature=0.9)
    with_old = tuple(r.with_column("old", old_T) for r, old_T in zip(rows, old, strict=True))
    component = Component("rl", with_old, (Term(loss, *NORMS[norm](counts)),), temperature=0.9)
    stats = []
    for _ in range(STEPS):
        learner.forward_backward(Update(UpdateKind.rl, "rl", (component,)))
        stats.append(learner.optim_step("rl"))
    return stats, {n: p.detach() for n, p in learner.model.named_parameters()}


@pytest.mark.peers
@pytest.mark.parametrize("name", CASES)
def test_steps_are_trls(name: str, folder: Path) -> None:
    theirs = load_file(folder / f"{name}.safetensors")
    logs = json.loads((folder / f"{name}.json").read_text())
    stats, ours = our_steps(name)
    for mine, log in zip(stats, logs, strict=True):
        assert mine.grad_norm == pytest.approx(log["grad_norm"], rel=1e-4)
        assert mine.loss == pytest.approx(log["loss"], abs=2e-4)  # TRL logs four digits
    if name != "cispo":
        assert 0 < stats[1].clip_fraction < 1
    start = {n: p.detach() for n, p in tiny_model().named_parameters()}
    moved = sum((theirs[n] - start[n]).double().square().sum().item() for n in start) ** 0.5
    apart = sum((theirs[n] - ours[n]).double().square().sum().item() for n in start) ** 0.5
    assert moved > 0.05
    assert apart < 1e-5 * moved  # 2e-6 was measured
