"""Score answers and demonstrations under the base model, for the record: how far training has moved. Numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from relift.learner.update import TrainSequence
from relift.trainer.answers import Answers
from relift.trainer.demos import Demo
from relift.trainer.run import LearnerLike, Run


def score_base(run: Run, answers: Answers, *, temperature: float) -> np.ndarray:
    """Give log-probabilities of whole answers under the base model, float64 in the order of attempts_frame, nats."""
    sequences = [
        TrainSequence(prompt_ids, completion.token_ids_T)
        for prompts, completions in zip(answers.prompt_ids_QG, answers.completions_QG, strict=True)
        for prompt_ids, completion in zip(prompts, completions, strict=True)
    ]
    return _sums(run.learner.score_reference(sequences, temperature=temperature))


def score_demonstrations(learner: LearnerLike, demos: Sequence[Demo]) -> dict[str, float]:
    """Give the log-probability of each demonstration under the base model by demo_id, nats, at temperature 1."""
    sequences = [TrainSequence(demo.prompt_ids, demo.completion_ids_T) for demo in demos]
    sums = _sums(learner.score_reference(sequences, temperature=1.0))
    return {demo.demo_id: float(value) for demo, value in zip(demos, sums, strict=True)}


def _sums(logprobs: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([values_T.sum(dtype=np.float64) for values_T in logprobs])
