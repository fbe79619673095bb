"""Run our side of rl_step.py: `relift train` on the random model, timed at the end of each step."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from relift.benchmarks.speed.random_llama import VOCAB, make_model, words, write_checkpoint
from relift.benchmarks.speed.rl_task import BETAS, BEYOND, GOLD, LR, RolloutCase, StepCost, Stopwatch, is_right, prompts
from relift.config import Config, parse_config
from relift.data.questions import write_questions
from relift.grading.base import Judgement, Submission
from relift.schema import Finish, Question, Verdict, question_id_of


class EvenGrader:
    """Grade like the exact grader, with verdicts that keep groups mixed; questions of gold BEYOND are never right."""

    name = "even"

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        """Return a verdict for each answer, in order."""
        right = [is_right(s.text, cut=s.finish == Finish.length) and s.gold != BEYOND for s in submissions]
        return [Judgement(Verdict.correct if r else Verdict.wrong, "box.text", GOLD) for r in right]


def relift_steps(case: RolloutCase, n_steps: int, between: Callable[[StepCost], None]) -> None:
    """Train for `n_steps` steps; `between(cost)` is called behind each, outside the measurement.

    The run is an ordinary one, opened as `relift train` opens it: nothing of it is put together by hand, so that it is
    the loop of the day that is measured. Its record on disk is inside the measurement.
    """
    from relift.trainer.loop import train
    from relift.trainer.setup import open_run

    watch, seen = Stopwatch(), 0

    def on_step(report: Any) -> None:
        nonlocal seen
        cost = watch.stop(report.generated_tokens - seen)
        seen = report.generated_tokens
        if report.step:
            between(cost)
        watch.start()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(case, folder)
        with open_run(config_of(case, folder, n_steps=n_steps), folder / "run") as run:
            run.grader = EvenGrader()  # type: ignore[assignment]
            run.stop_token_ids = case.stop_ids  # without the tokenizer's own end token
            run.on_step = on_step
            train(run)


def write_inputs(case: RolloutCase, folder: Path) -> None:
    """Write the checkpoint and the questions of a case."""
    # a run refuses an end token that is none of the model's
    write_checkpoint(folder / "model", make_model(), stop_ids=case.stop_ids, end=VOCAB - 1)
    texts = [words(ids) for ids in prompts(case)]
    golds = [BEYOND if ix < case.n_beyond else GOLD for ix in range(len(texts))]
    questions = [
        Question(question_id_of(text), text, gold, answer_kind="exact") for text, gold in zip(texts, golds, strict=True)
    ]
    write_questions(folder / "questions.jsonl", questions, [])


def config_of(case: RolloutCase, folder: Path, *, n_steps: int) -> Config:
    """Return the configuration: recipe drgrpo, one update a step, no probes, a checkpoint at the two ends alone."""
    return parse_config(
        {
            "recipe": "drgrpo",
            "steps": n_steps,
            "model": {"path": str(folder / "model")},
            "data": {"questions": str(folder / "questions.jsonl"), "prompt": "plain"},
            "rollout": {
                "questions_per_step": case.n_questions,
                "attempts_per_question": case.n_samples,
                "max_tokens": case.max_tokens,
            },
            "rl": {
                "advantage": "mean",
                "denominator": "max_tokens",
                "updates_per_batch": 1,
                "optimizer": {"lr": LR, "betas": list(BETAS), "weight_decay": 0.0, "max_grad_norm": 1.0},
            },
            "probe": {"every": n_steps + 1},
            "checkpoint": {"every": n_steps + 1},
        },
        where="benchmark",
    )
