"""Turn the rewards of a group into advantages. Numpy only; ADVANTAGES is the table of what a configuration may name.

Axes: Q questions of the step, G attempts at each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STD_EPS = 1e-6  # verl's epsilon beside the standard deviation of a group (TRL: 1e-4)

# (reward_QG, decided_QG) -> A_QG, float64. Undecided attempts leave the group and get 0; so do groups of one and groups
# of equal rewards: exactly 0, never NaN.
Advantage = Callable[[np.ndarray, np.ndarray], np.ndarray]


def less_mean(reward_QG: np.ndarray, decided_QG: np.ndarray) -> np.ndarray:
    """Subtract the mean of the group's decided attempts (Dr. GRPO, arXiv 2503.20783)."""
    n_Q = decided_QG.sum(axis=1, keepdims=True)
    reward = np.where(decided_QG, reward_QG, 0.0)
    centred = np.where(decided_QG & (n_Q > 1), reward - _mean_Q(reward_QG, decided_QG), 0.0)
    # the mean of equal numbers may differ from them by rounding
    return np.where(_flat_Q(reward_QG, decided_QG), 0.0, centred)


def over_std(reward_QG: np.ndarray, decided_QG: np.ndarray) -> np.ndarray:
    """Subtract the mean and divide by the standard deviation, ddof 1 (arXiv 2402.03300, eq. 3; verl's epsilon)."""
    centred = less_mean(reward_QG, decided_QG)
    n_Q = decided_QG.sum(axis=1, keepdims=True)
    std_Q = np.sqrt((centred**2).sum(axis=1, keepdims=True) / np.maximum(n_Q - 1, 1))
    return np.where(_flat_Q(reward_QG, decided_QG), 0.0, centred / (std_Q + STD_EPS))


def over_mean(reward_QG: np.ndarray, decided_QG: np.ndarray) -> np.ndarray:
    """Subtract the mean and divide by it (MaxRL, arXiv 2602.02710). For rewards of 0 and 1: never negative means."""
    mean_Q = _mean_Q(reward_QG, decided_QG)
    return less_mean(reward_QG, decided_QG) / np.where(mean_Q == 0, 1.0, mean_Q)


def leave_one_out(reward_QG: np.ndarray, decided_QG: np.ndarray) -> np.ndarray:
    """Subtract the mean of the *other* decided attempts (RLOO, arXiv 2402.14740): n/(n-1) times reward less mean."""
    n_Q = decided_QG.sum(axis=1, keepdims=True)
    return less_mean(reward_QG, decided_QG) * n_Q / np.maximum(n_Q - 1, 1)


ADVANTAGES: dict[str, Advantage] = {
    "mean": less_mean,
    "std": over_std,
    "over_mean": over_mean,
    "leave_one_out": leave_one_out,
}


def _mean_Q(reward_QG: np.ndarray, decided_QG: np.ndarray) -> np.ndarray:
    n_Q = decided_QG.sum(axis=1, keepdims=True)
    return np.where(decided_QG, reward_QG, 0.0).sum(axis=1, keepdims=True) / np.maximum(n_Q, 1)


def _flat_Q(reward_QG: np.ndarray, decided_QG: np.ndarray) -> np.ndarray:
    first_Q = np.take_along_axis(reward_QG, decided_QG.argmax(axis=1)[:, None], axis=1)
    reward = np.where(decided_QG, reward_QG, 0.0)
    return (~decided_QG | (reward == first_Q)).all(axis=1, keepdims=True)
