"""The rules of other graders, on the cases that their authors and users document."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from relift.grading import GRADERS, Grader, Submission
from relift.grading.papers import oat, prime, qwen
from relift.schema import Verdict


def never(gold: str, answer: str) -> bool:
    """Stand in for sympy: what the rules decide before they ask it."""
    return False


def always(gold: str, answer: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("5", "5", True),
        ("0.5", "50", True),  # a hundred times the reference
        ("50", "0.5", True),  # a hundredth
        ("10", "10.0009", True),  # within 1e-4
        ("10", "10.002", False),
        ("1,000", "1000", True),
        ("50", r"50\%", True),
        ("C", "(C)", True),
        ("(1,2)", "(1, 2.00001)", True),
        ("[1,2)", "(1,2]", True),  # it compares the ends alone
        ("5", "x=5", True),
        ("x=5", "5", True),
        (r"\frac{1}{2}", r"\dfrac12", True),
        ("5", "6", False),
    ],
)
def test_qwen(gold: str, answer: str, equal: bool) -> None:  # noqa: FBT001
    assert qwen(gold, answer, never) is equal


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("5", "5.0", True),
        ("5", r"\frac{10}{2}", False),  # a whole number has to be written as one
        (r"\frac{1}{2}", r"\frac{2}{4}", False),  # a fraction has to be reduced
        (r"\frac{1}{2}", "1/2", True),
        ("1000", "1,000", True),
        ("5", r"5\text{ cm}", True),
        ("(1,2)", "(1,2)", True),
        ("(1,2)", "[1,2]", False),
        (r"2\sqrt{3}", r"\sqrt{12}", True),  # sympy is asked
        ("2^{10}", "1024.5", False),  # and is not, for braces behind a hat
        ("a+b+c", "c+b+a", False),  # nor for more than two letters
    ],
)
def test_oat(gold: str, answer: str, equal: bool) -> None:  # noqa: FBT001
    assert oat(gold, answer, always) is equal


def test_prime_takes_either_and_a_rough_pi() -> None:
    assert prime("5", r"\frac{10}{2}", lambda g, a: True)
    assert prime("50", "0.5", never)
    assert not prime("5", "6", never)
    asked: list[str] = []

    def note(gold: str, answer: str) -> bool:
        asked.append(gold)
        return False

    prime(r"2\pi", "6.28", note)
    assert any("3.14" in gold for gold in asked)


@pytest.fixture(scope="module")
def texts() -> Iterator[list[Submission]]:
    pairs = [
        ("50", r"\boxed{0.5}"),
        (r"\frac{1}{2}", r"\boxed{\frac{2}{4}}"),
        ("5", "so it is $5$ indeed"),
        ("5", r"\boxed{4} and \boxed{5}"),
        (r"2\pi", r"\boxed{6.28}"),
        ("x+1", r"\boxed{1+x}"),
        ("5", r"\boxed{6}"),
    ]
    yield [Submission(gold, text, kind="math") for gold, text in pairs]


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("relift", [False, True, False, True, False, True, False]),
        ("math-verify", [False, True, True, None, False, True, False]),  # None: differs between versions
        ("math-verify-0.6", [False, True, True, True, False, True, False]),
        ("qwen", [True, True, True, True, False, True, False]),
        ("oat", [False, False, False, True, False, True, False]),
        ("prime", [True, True, False, True, True, True, False]),
    ],
)
def test_graders_side_by_side(texts: list[Submission], name: str, accepted: list[bool | None]) -> None:
    with Grader(grader=name, workers=1, limit_seconds=20.0) as grader:
        found = [judgement.verdict is Verdict.correct for judgement in grader.judge(texts)]
    assert [f for f, a in zip(found, accepted, strict=True) if a is not None] == [a for a in accepted if a is not None]


def test_every_grader_is_tried() -> None:
    assert set(GRADERS) == {"relift", "relift-1e-2", "math-verify", "math-verify-0.6", "qwen", "oat", "prime"}
