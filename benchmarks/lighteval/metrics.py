"""Offer our grader as metrics of lighteval: the mean of the decided verdicts, and the share that was left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from lighteval.metrics.metrics_sample import SampleLevelComputation, SamplingMetric
from lighteval.metrics.utils.metric_utils import SampleLevelMetric
from lighteval.models.model_output import ModelResponse
from lighteval.tasks.requests import Doc, SamplingMethod

from relift.benchmarks.lighteval.questions import question_of
from relift.grading import Grader, Submission
from relift.grading.extract import TagPairs
from relift.schema import Finish, Verdict


def make_metrics(n: int, *, grader: str, tags: TagPairs) -> list[SampleLevelMetric]:
    """Make the metrics of the first n answers: correct of those decided, undecided, without a final answer.

    All are shares. `TASK@n=8` on lighteval's command line changes n. `grader`: a name of relift.grading.GRADERS;
    `tags`: marks of thoughts.

    A question without a decided answer has no value (NaN): it leaves the mean, and lighteval prints no error bar.
    """
    return [
        _metric("relift_avg@n", CorrectShare(n, grader=grader, tags=tags), higher_is_better=True),
        _metric("relift_undecided@n", RuleShare(n, _is_undecided), higher_is_better=False),
        _metric("relift_unanswered@n", RuleShare(n, _is_unanswered), higher_is_better=False),
    ]


def _metric(name: str, computation: SampleLevelComputation, *, higher_is_better: bool) -> SampleLevelMetric:
    return SampleLevelMetric(
        metric_name=name,
        sample_level_fn=computation,
        category=SamplingMethod.GENERATIVE,
        corpus_level_fn=mean_of_decided,
        higher_is_better=higher_is_better,
        batched_compute=True,  # one call for all questions, so that the grader's processes share them
    )


def mean_of_decided(values: Sequence[float]) -> float:
    """Average the questions with a value; NaN when none has one. lighteval reads the kind of error off the name."""
    decided = [value for value in values if not np.isnan(value)]
    return float(np.mean(decided)) if decided else float("nan")


class _OfAnswers(SamplingMetric, SampleLevelComputation):
    """Base metrics of the first n answers to each question; tells lighteval how many to ask for."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def num_samples(self) -> int:
        """Tell lighteval how many answers to ask for."""
        return self.n


class CorrectShare(_OfAnswers):
    """Grade the answers, with thoughts, by our rules; verdicts and rules go into `doc.specific` for the log."""

    def __init__(self, n: int, *, grader: str, tags: TagPairs) -> None:
        super().__init__(n)
        self.grader, self.tags = grader, tags

    def compute(self, responses: list[ModelResponse], docs: list[Doc], **_: Any) -> list[float]:
        """Return the share of the decided answers that is correct; NaN where none is decided."""
        submissions = [
            submission for pair in zip(docs, responses, strict=True) for submission in self._submitted(*pair)
        ]
        with Grader(grader=self.grader, tags=self.tags) as grader:
            judged = iter(grader.judge(submissions))
        values = []
        for doc, response in zip(docs, responses, strict=True):
            mine = [next(judged) for _ in response.text[: self.n]]
            doc.specific = {
                **(doc.specific or {}),
                "verdicts": [str(j.verdict) for j in mine],
                "verdict_rules": [j.rule for j in mine],
            }
            decided = [j.verdict is Verdict.correct for j in mine if j.verdict is not Verdict.undecided]
            values.append(float(np.mean(decided)) if decided else float("nan"))
        return values

    def _submitted(self, doc: Doc, response: ModelResponse) -> list[Submission]:
        question = question_of(doc.specific or {})
        return [
            Submission(
                question.answer, text, finish, kind=question.answer_kind, options=question.options, opened=opened
            )
            for text, finish, opened in zip(
                response.text[: self.n], finishes(doc, response), thoughts_opened(response), strict=False
            )
        ]


class RuleShare(_OfAnswers):
    """Measure the share of answers whose verdict `CorrectShare`, which stands before it, reached by such a rule."""

    def __init__(self, n: int, holds: Callable[[str, str], bool]) -> None:
        super().__init__(n)
        self.holds = holds

    def compute(self, responses: list[ModelResponse], docs: list[Doc], **_: Any) -> list[float]:
        """Return the share of the answers with such a rule."""
        return [self._share(doc.specific or {}) for doc in docs]

    def _share(self, said: dict[str, Any]) -> float:
        pairs = list(zip(said["verdicts"], said["verdict_rules"], strict=True))
        return float(np.mean([self.holds(*pair) for pair in pairs])) if pairs else float("nan")


def _is_undecided(verdict: str, rule: str) -> bool:
    return verdict == Verdict.undecided


def _is_unanswered(verdict: str, rule: str) -> bool:
    return rule.startswith("none.") and verdict == Verdict.wrong


def finishes(doc: Doc, response: ModelResponse) -> list[Finish]:
    """Tell why each answer ended.

    Our model says so; of others it is told from the number of tokens, where they give it: an answer as long as it may
    be was cut off.
    """
    told = getattr(response, "finishes", None)
    if told:
        return [Finish(finish) for finish in told]
    lengths = [len(tokens) for tokens in response.output_tokens] or [0] * len(response.text)
    limit = doc.generation_size
    return [Finish.length if limit and n >= limit else Finish.stop for n in lengths]


def thoughts_opened(response: ModelResponse) -> list[bool]:
    """Tell whether the prompt had opened the thoughts; other models than ours do not say."""
    return [bool(getattr(response, "thoughts_opened", False))] * len(response.text)
