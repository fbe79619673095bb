"""HPT (arXiv 2509.04419; github.com/TsinghuaC3I/Unify-Post-Training): a question is trained by RL or by fine-tuning.

A question with no correct answer is trained on its demonstration and its rollouts are dropped; every other by RL; both
parts in one step of one optimizer. With Q the questions of the update, of which a demonstration counts like a group:

    RL:           L = -1/Q sum_q 1/(n L_max) sum_t r A,  A = reward - mean
    fine-tuning:  L = -w/(n Q) sum_q 1/|y| sum_t log pi(y_t)

Their code sums RL over the tokens of a micro-batch / 8192, divided by no number of sequences
(verl/trainer/ppo/core_algos.py:316), and averages a demonstration over its own tokens (mix_src/mix_actor.py:135-165):
one demonstration against one *rollout*, w = 1 for 7B and 0.3 for 1.5B. The 1/n restores that, n = 8. Their gradient is
64 times ours (64 sequences per process, summed), so their limit of 80 on its norm is 80/64 = 1.25 here; derived from
those lines, not run.

Departures: denominators are exact over the whole update, where theirs depend on how demonstrations fall into
micro-batches (two in one count half each); the entropy bonus stands under the RL denominator, theirs is a mean over
tokens.
"""

from __future__ import annotations

from collections.abc import Iterator

from relift.learner.update import Update
from relift.schema import UpdateKind
from relift.trainer.answers import Answers
from relift.trainer.components import rl_components, sft_component
from relift.trainer.recipe import Demonstrations, Method, Recipe
from relift.trainer.step import Step

DEFAULTS = {
    "rl": {
        "loss": "ratio",
        "advantage": "mean",
        "denominator": "questions_max_tokens",
        "entropy_weight": 0.001,
        "optimizer": {"lr": 5e-6, "skip_grad_norm": 80 / 64},
    },
    "sft": {"loss": "sft", "denominator": "questions", "loss_scale": 1.0 / 8, "moments": "shared"},
}


def updates(recipe: Recipe, step: Step, answers: Answers) -> Iterator[Update]:
    """Train the questions that qualify on their demonstrations, the others by RL, in the same update."""
    assert recipe.rl is not None and recipe.sft is not None
    demo_of = step.buffer.train_now(step.number, answers.counts)
    q_of = {int(ix): q for q, ix in enumerate(answers.question_ix_Q)}
    demos = {q_of[ix]: demo for ix, demo in demo_of.items()}
    for questions, rl in rl_components(recipe.rl, step, answers, leave_out=demos):
        own = [demos[int(q)] for q in questions if int(q) in demos]
        parts = [] if rl is None else [rl]
        parts += [sft_component(recipe.sft, own, n_questions=len(questions))] if own else []
        kind = UpdateKind.mixed if len(parts) == 2 else UpdateKind.sft if own else UpdateKind.rl
        if parts:
            yield Update(kind, recipe.sft.optimizer, tuple(parts))


METHOD = Method(DEFAULTS, updates, demonstrations=Demonstrations.at_once)
