"""Asking and grading: seeds that depend on names alone, and a grader that may fail without calling anything wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from relift.engines.tokens import Completion, Request, Sampling
from relift.errors import GuardStop
from relift.grading import Grader, Judgement, Submission
from relift.grading.exact import ExactScorer
from relift.schema import Finish, Origin, Verdict, seed_of
from relift.trainer.answers import Answers
from relift.trainer.run import Run
from relift.trainer.sampling import ask
from relift.trainer.step import plain_request
from tests.trainer.scripted import items, scripted_run, tokens

SAMPLING = Sampling(max_tokens=99, stop_token_ids=(0,))
CONFIG = {"recipe": "grpo", "seed": 7, "rollout": {"questions_per_step": 4}}


@contextmanager
def a_run(folder: Path, **parts: Any) -> Iterator[Run]:
    run = scripted_run(folder, CONFIG, **parts)
    run.step = 0
    try:
        yield run
    finally:
        run.record.writer.close()


def asked(run: Run, ixs: Sequence[int] = (0, 1, 2, 3), *, n: int = 5, **place: Any) -> Answers:
    where: dict[str, Any] = {"origin": Origin.rollout, "draw": 0, "step": 3} | place
    return ask(run, [plain_request(run.train_items[ix], n=n) for ix in ixs], SAMPLING, **where)


def seeds(run: Run, **options: Any) -> dict[tuple[int, int], int]:
    """Seed of each attempt that was asked for, by (question, attempt)."""
    answers = asked(run, **options)
    return {
        (ix, g): c.seed
        for ix, row in zip(answers.question_ix_Q.tolist(), answers.completions_QG, strict=True)
        for g, c in enumerate(row)
    }


def test_a_seed_depends_on_what_names_the_attempt_and_nothing_else(tmp_path: Path) -> None:
    with a_run(tmp_path / "run") as run:
        base = seeds(run)
        question_id = run.train_items[2].question.question_id
        assert base[2, 4] == seed_of(7, "rollout", 0, 3, question_id, 4)
        assert seeds(run, ixs=(3, 1, 2, 0)) == base  # not on the order
        assert seeds(run, ixs=(2,)) == {key: base[key] for key in base if key[0] == 2}  # nor on the other questions
        assert seeds(run, n=2) == {key: base[key] for key in base if key[1] < 2}  # nor on the number of attempts
        others = [base, seeds(run, step=4), seeds(run, draw=1), seeds(run, origin=Origin.probe)]
        run.config = run.config.model_copy(update={"seed": 8})
        others.append(seeds(run))
        assert len({seed for each in others for seed in each.values()}) == 5 * 20


def test_answers_line_up(tmp_path: Path) -> None:
    """Question i has i right answers of 5, asked in another order."""
    with a_run(tmp_path / "run", n_right=lambda ix, version: ix) as run:
        run.step = 12
        answers = asked(run, ixs=(3, 0, 2))
    assert answers.question_ix_Q.tolist() == [3, 0, 2]
    assert answers.counts.n_correct_Q.tolist() == [3, 0, 2] and answers.counts.n_decided_Q.tolist() == [5, 5, 5]
    assert answers.reward_QG.tolist() == [[1, 1, 1, 0, 0], [0] * 5, [1, 1, 0, 0, 0]]
    assert answers.texts_QG[0][2:4] == [r"\boxed{4}", r"hm \boxed{-4}"]
    assert answers.prompt_ids_QG[1] == (items(1)[0].prompt_ids,) * 5
    assert answers.version == 12
    assert answers.accuracy_of(3) == pytest.approx(5 / 15)
    assert answers.accuracy_of(1) == pytest.approx(3 / 5)  # of the first questions alone


class Broken(ExactScorer):
    """Does something else instead of grading."""

    name = "broken"

    def __init__(self, instead: Callable[[Sequence[Submission]], Any]) -> None:
        self.instead = instead

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        return self.instead(submissions)  # type: ignore[no-any-return]


def crash(submissions: Sequence[Submission]) -> list[Judgement]:
    raise RuntimeError("the worker died")


def right(submissions: Sequence[Submission]) -> list[Judgement]:
    return [Judgement(Verdict.correct, "test") for _ in submissions]


@pytest.mark.parametrize(
    ("instead", "words"),
    [
        (crash, "RuntimeError('the worker died')"),
        (lambda submissions: right(submissions)[1:], "19 verdicts"),
        (lambda submissions: right(submissions) * 2, "40 verdicts"),
        (lambda submissions: None, "TypeError"),
    ],
)
def test_a_grader_that_fails_makes_undecided_and_stops(
    tmp_path: Path, instead: Callable[[Sequence[Submission]], Any], words: str
) -> None:
    warnings: list[str] = []
    with a_run(tmp_path / "run", grader=Broken(instead), warn=warnings.append) as run:
        with pytest.raises(GuardStop) as caught:
            asked(run)
    assert "grader broken failed on 20 answers, which stay undecided" in warnings[0] and words in warnings[0]
    assert str(caught.value).startswith("step 3, rollout: 100.0% of the verdicts are undecided (none.crash 20)")
    assert "guard.max_undecided = 0.2" in str(caught.value) and "\n" not in str(caught.value)


def first_undecided(n: int) -> Broken:
    """The first n of all submissions are undecided, the others correct."""
    return Broken(
        lambda submissions: [
            Judgement(Verdict.undecided, "test.timeout") if i < n else Judgement(Verdict.correct, "test")
            for i in range(len(submissions))
        ]
    )


@pytest.mark.parametrize(
    ("n", "limit", "stops"),
    [
        (4, 0.2, False),  # 4 of 20 is the limit, not above it
        (5, 0.2, True),
        (6, 0.3, False),  # 1 - 14/20 would be .30000000000000004
        (7, 0.3, True),
        (20, 1.0, False),
    ],
)
def test_share_of_undecided(tmp_path: Path, n: int, limit: float, stops: bool) -> None:  # noqa: FBT001
    warnings: list[str] = []
    with a_run(tmp_path / "run", grader=first_undecided(n), warn=warnings.append) as run:
        run.config = run.config.model_copy(
            update={"guard": run.config.guard.model_copy(update={"max_undecided": limit})}
        )
        if stops:
            with pytest.raises(GuardStop):
                asked(run)
            return
        answers = asked(run)
    assert warnings == [f"step 3, rollout: {n / 20:.1%} of the verdicts are undecided (test.timeout {n})"]
    assert (~answers.decided_QG).sum() == n
    assert not (answers.decided_QG & (answers.reward_QG == 0)).any()  # none of them became wrong
    assert answers.accuracy_of(4) == (None if n == 20 else 1.0)


def test_few_undecided_are_not_worth_a_line(tmp_path: Path) -> None:
    """1 of 4 x 13 = 52 is 1.9 %; of 4 x 12 = 48 it is 2.1 %."""
    warnings: list[str] = []
    with a_run(tmp_path / "run", grader=first_undecided(1), warn=warnings.append) as run:
        asked(run, n=13)
        assert warnings == []
        asked(run, n=12)
        assert len(warnings) == 1


def test_kinds_are_graded_by_their_own_graders(tmp_path: Path) -> None:
    """Questions 1 and 3 are of another kind; a third kind's grader, which would fail, has nothing to do."""
    sizes: dict[str, int] = {}

    def count(kind: str) -> Callable[[Sequence[Submission]], list[Judgement]]:
        def grade(submissions: Sequence[Submission]) -> list[Judgement]:
            sizes[kind] = len(submissions)
            return [Judgement(Verdict.correct, kind) for _ in submissions]

        return grade

    with a_run(tmp_path / "run") as run:
        kinds = {"exact": Broken(count("exact")), "choice": Broken(count("choice")), "math": Broken(crash)}
        run.grader = Grader(scorers=kinds)
        run.train_items = [
            replace(item, question=replace(item.question, answer_kind="choice")) if item.question_ix % 2 else item
            for item in run.train_items
        ]
        answers = asked(run, n=2)
    assert sizes == {"exact": 4, "choice": 4}
    assert [[j.rule for j in row] for row in answers.judgements_QG] == [["exact"] * 2, ["choice"] * 2] * 2


def test_questions_of_kind_math_are_graded_like_exact_ones(tmp_path: Path) -> None:
    """The scripted answers are whole numbers, so both kinds agree; without an answer that needs them, no workers."""
    verdicts = []
    for kind in ("exact", "math"):
        with a_run(tmp_path / kind, n_right=lambda ix, version: ix) as run:
            run.train_items = [
                replace(item, question=replace(item.question, answer_kind=kind)) for item in run.train_items
            ]
            answers = asked(run, n=5)
        verdicts.append([[(j.verdict, j.answer) for j in row] for row in answers.judgements_QG])
    assert verdicts[0] == verdicts[1]
    assert {verdict for row in verdicts[0] for verdict, _ in row} == {Verdict.correct, Verdict.wrong}


def test_thoughts_opened_by_the_prompt_are_graded_as_in_evaluation(tmp_path: Path) -> None:
    """A box inside thoughts that never close is no answer, in training as in evaluation; behind them it is one."""
    from relift.benchmarks.benchmark import Benchmark, Protocol
    from relift.benchmarks.prompting import render_prompt
    from relift.trainer.configuration import load_config
    from relift.trainer.inputs import make_items
    from tests.test_prompts import make_tokenizer

    template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]<think>\n"
    tokenizer = make_tokenizer(tmp_path / "tokenizer", chat_template=template)
    question = replace(items(1)[0].question, answer="5")
    config = load_config("relift", overrides=["rollout.max_tokens=64", "data.prompt=chat"])
    model_config = SimpleNamespace(max_position_embeddings=1024)
    model_config.get_text_config = lambda: model_config
    (item,) = make_items(config, [question], tokenizer, model_config, ix_of={}, name="q", skipped={})
    evaluated = render_prompt(
        question,
        protocol=Protocol("p", SAMPLING, template="chat"),
        benchmark=Benchmark("b", "b", "exact", 1),
        tokenizer=tokenizer,
    )
    assert item.prompt_ids == evaluated.token_ids and item.thoughts_opened and evaluated.thoughts_opened
    texts = [r"maybe \boxed{5}?", r"maybe \boxed{4}? no</think>\boxed{5}", r"so</think>\boxed{4}"]
    with a_run(tmp_path / "run") as run:
        run.engine = Fixed(texts)
        (trained,) = ask(run, [plain_request(item, n=3)], SAMPLING, origin=Origin.rollout, draw=0, step=1).judgements_QG
        submissions = [Submission("5", text, opened=evaluated.thoughts_opened) for text in texts]
        assert list(trained) == run.grader.judge(submissions)
    assert [j.verdict for j in trained] == [Verdict.wrong, Verdict.correct, Verdict.wrong]
    assert trained[0].rule == "none.unclosed_thought"


class Fixed:
    """An engine that answers every request with these texts, as code points."""

    policy_version = 0

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Completion]]:
        return [
            [
                Completion(tokens(text), np.zeros(len(text) + 1, np.float32), Finish.stop, 0.0, seed)
                for text, seed in zip(self.texts, request.seeds, strict=True)
            ]
            for request in requests
        ]
