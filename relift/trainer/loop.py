"""Train: plan, sample and grade, update, record, step after step. It knows no algorithm and runs on numpy alone.

What a step asks and trains on is the recipe's business (recipes/), which demonstrations wait the buffer's (demos.py),
how a gradient is made the learner's, what is written down the record's (record.py). setup.py builds a Run from a
configuration; finish.py has what happens around the updates.
"""

from __future__ import annotations

import time

from relift.trainer.finish import Done, Interrupted, finish, start_with_base
from relift.trainer.run import Run
from relift.trainer.sampling import answer

__all__ = ["Interrupted", "train"]


def train(run: Run) -> None:
    """Go from the first missing step to the last. Every step ends committed and can be taken up again.

    Raises Interrupted when a stop was asked for, GuardStop when a guard of the configuration stops the run.
    """
    if run.step is None:
        start_with_base(run)
    for step in run.steps():
        began = time.monotonic()
        answers = answer(run, step, run.recipe.plan(step))  # none in a step of fine-tuning alone
        done: Done = []
        for update in run.recipe.updates(step, answers):  # each made when the one before has been taken
            run.learner.forward_backward(update)
            done.append((update, run.learner.optim_step(update.optimizer, run_steps=step.number - 1)))
        finish(run, step, answers, done, began=began)
