"""Define the RL step that both sides of rl_step.py make: prompts, verdicts, and the cost of a step."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from relift.benchmarks.speed.random_llama import VOCAB
from relift.grading.base import Submission
from relift.grading.exact import judge
from relift.schema import Finish

LR, BETAS = 1e-6, (0.9, 0.99)
GOLD = "66"
BEYOND = "0"  # gold answer of a question that is never right
STOPS = tuple(range(1, 13))  # 12 of 259 tokens end an answer: 21.6 tokens on average if all were as likely


@dataclass(frozen=True)
class RolloutCase:
    """State how long answers are, how many there are, and how many questions are never right.

    `max_tokens`: the longest answer; `stop_ids`: tokens that end one; `n_beyond`: the first so many of the
    `n_questions` are never right; `n_samples`: answers to each question of a step.
    """

    name: str
    max_tokens: int
    stop_ids: tuple[int, ...]
    n_beyond: int = 0
    n_questions: int = 32
    n_samples: int = 8


def rollout_cases(*, quick: bool = False) -> dict[str, RolloutCase]:
    """Return the cases by name: `equal`, `group`, `rollouts`; `quick`: the same, tiny."""
    n, g, longest = (4, 2, 8) if quick else (32, 8, 96)
    cases = (
        RolloutCase("equal", longest // 3, (), n_questions=n, n_samples=g),
        RolloutCase("group", longest, STOPS, n_questions=n, n_samples=g),
        RolloutCase("rollouts", longest, STOPS, n_beyond=n // 2, n_questions=n, n_samples=g),
    )
    return {case.name: case for case in cases}


def prompts(case: RolloutCase) -> list[tuple[int, ...]]:
    """Draw the prompts of a step, 4 to 20 token ids each; none of them ends an answer."""
    rng = random.Random(0)
    return [tuple(rng.randrange(13, VOCAB) for _ in range(rng.randint(4, 20))) for _ in range(case.n_questions)]


def is_right(text: str, *, cut: bool) -> bool:
    """Do the exact grader's work, then call an answer right if its token numbers add up to an even number.

    `cut`: the answer was cut off at the limit of tokens.
    """
    judge(Submission(GOLD, text, Finish.length if cut else Finish.stop))
    return sum(int(word[1:]) for word in text.split()) % 2 == 0


@dataclass(frozen=True)
class StepCost:
    """Hold what one step cost and wrote. CPU seconds are the ones to trust on a machine that others use too."""

    wall_seconds: float
    cpu_seconds: float
    tokens: int


class Stopwatch:
    """Take wall and CPU time of this process."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin anew."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, tokens: int) -> StepCost:
        """Return the cost since the start, of a step that wrote so many tokens."""
        return StepCost(time.perf_counter() - self._wall, time.process_time() - self._cpu, tokens)
