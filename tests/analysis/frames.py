"""Hand-made trajectory frames, and the simulated frozen model of the selection-noise tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray


def trajectories(
    n_correct: Sequence[int] | NDArray[np.int64],
    *,
    run: str = "base",
    step: int = 0,
    draw: int = 0,
    n_attempts: ArrayLike = 8,
    n_undecided: ArrayLike = 0,
    questions: Sequence[str] | None = None,
    origin: str = "probe",
    mean_tokens: ArrayLike = 10.0,
    mean_tokens_correct: ArrayLike = 10.0,
    mean_entropy: ArrayLike = 0.5,
    n_truncated: ArrayLike = 0,
) -> pd.DataFrame:
    """Rows of one probe; questions are called q0, q1, ... unless named."""
    n = len(n_correct)
    return pd.DataFrame(
        {
            "run_id": f"{run}-1", "run": run, "origin": origin, "draw": draw, "step": step,
            "question_ix": np.arange(n), "question_id": questions or [f"q{i}" for i in range(n)],
            "n_attempts": np.broadcast_to(n_attempts, n).astype(np.int16),
            "n_correct": np.asarray(n_correct).astype(np.int16),
            "n_undecided": np.broadcast_to(n_undecided, n).astype(np.int16),
            "n_truncated": np.broadcast_to(n_truncated, n).astype(np.int16),
            "mean_tokens": np.broadcast_to(mean_tokens, n).astype(np.float32),
            "mean_tokens_correct": np.broadcast_to(mean_tokens_correct, n).astype(np.float32),
            "mean_entropy": np.broadcast_to(mean_entropy, n).astype(np.float32),
        }
    )  # fmt: skip


def frozen_rates(n_questions: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """p = 0 with probability .15, else Beta(.45, .9): the simulated base model of the design."""
    return np.where(rng.random(n_questions) < 0.15, 0.0, rng.beta(0.45, 0.9, n_questions))


def frozen_run(n_questions: int, rng: np.random.Generator, *, n_attempts: int = 8) -> pd.DataFrame:
    """Draws 0 and 1 at step 0 and a probe at step 10 of a model that never learns."""
    rate_Q = frozen_rates(n_questions, rng)
    probes = [(0, 0), (0, 1), (10, 0)]
    return pd.concat(
        [
            trajectories(rng.binomial(n_attempts, rate_Q), step=step, draw=draw, n_attempts=n_attempts)
            for step, draw in probes
        ],
        ignore_index=True,
    )
