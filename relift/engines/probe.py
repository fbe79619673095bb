"""Tell whether an engine answers with the weights that were published: fixed tokens, scored by engine and learner."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from relift.errors import ReliftError

PROBE_TOKENS = 24
# Largest mean difference, nats a token, between the engine's log-probabilities of the probe and the learner's. Two
# correct implementations in half precision differ by .03 to .05 on average; a head that stayed behind, by .7 and more.
_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.15, "float16": 0.15}

Score = Callable[[Sequence[int]], np.ndarray]  # log-probability, at temperature 1, of every token but the first


def probe_tokens(vocab: int, max_context: int | None) -> tuple[int, ...]:
    """Choose fixed tokens of the vocabulary, whose log-probabilities tell one version of the weights from another."""
    n = min(PROBE_TOKENS, (max_context or PROBE_TOKENS + 1) - 1)
    rng = np.random.Generator(np.random.Philox(key=vocab))
    return tuple(rng.integers(0, vocab, n).tolist())


def compare_probe(got: np.ndarray, expected: np.ndarray, *, tolerance: float, version: int) -> None:
    """Raise ReliftError when the engine's log-probabilities of the probe are not those of the published weights."""
    off = float(np.abs(got - expected).mean())
    if not off <= tolerance:
        raise ReliftError(
            f"the engine does not answer with version {version} of the weights: its log-probabilities of a fixed text "
            f"differ from the learner's by {off:.2g} nats a token (allowed: {tolerance:g}); use rollout.engine = "
            '"torch", and report the model'
        )


def tolerance_of(dtype: str) -> float:
    """Give the largest mean difference, nats a token, at which an engine of this dtype agrees with the learner."""
    return _TOLERANCE[dtype]
