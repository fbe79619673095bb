"""One grader for every kind of answer: dispatch, failing scorers, second graders, what goes to run.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from relift.errors import InputError
from relift.grading import GRADERS, SCORERS, Grader, Judgement, Submission
from relift.grading.exact import ExactScorer
from relift.schema import Verdict

CORRECT, WRONG, UNDECIDED = Verdict.correct, Verdict.wrong, Verdict.undecided


class Scripted(ExactScorer):
    name = "scripted"

    def __init__(self, act: Callable[[Sequence[Submission]], Any]) -> None:
        self.act = act
        self.closed = 0

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        return self.act(submissions)

    def __exit__(self, *exc: object) -> None:
        self.closed += 1


def crash(submissions: Sequence[Submission]) -> None:
    raise OSError("broken pipe")


def test_kinds_go_to_their_scorers_and_the_order_is_kept() -> None:
    rows = [
        Submission("66", r"\boxed{66}"),
        Submission("C", r"\boxed{C}", kind="choice"),
        Submission("E", r"\boxed{e}", kind="choice"),
        Submission("0.5", r"\boxed{\frac{1}{2}}", kind="math"),
        Submission("0.5", r"\boxed{\frac{1}{2}}", kind="exact"),  # which reads numbers alone
    ]
    with Grader() as grader:
        judged = grader.judge(rows)
    assert [j.rule for j in judged] == ["box.text", "box.choice", "box.choice", "box.number", "box.text"]
    assert [j.verdict for j in judged] == [CORRECT, CORRECT, CORRECT, CORRECT, WRONG]


def test_pairs() -> None:
    with Grader() as grader:
        assert grader.grade([("5", r"\boxed{5.0}"), ("5", r"\boxed{6}"), ("5", "no idea")]) == [CORRECT, WRONG, WRONG]
        assert grader.grade([]) == []
    with Grader(kind="choice") as grader:
        assert grader.grade([("C", "The answer is (C).")]) == [CORRECT]


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (crash, "OSError('broken pipe')"),
        (lambda rows: [Judgement(CORRECT, "x")], "1 verdicts"),
        (lambda rows: None, "TypeError"),
    ],
)
def test_whatever_a_scorer_does_undecided_is_never_wrong(act: Callable[..., Any], words: str) -> None:
    lines: list[str] = []
    grader = Grader(scorers={"odd": Scripted(act)}, warn=lines.append)
    judged = grader.judge(
        [Submission("1", "a", kind="odd"), Submission("66", r"\boxed{66}"), Submission("1", "b", kind="odd")]
    )
    assert [j.verdict for j in judged] == [UNDECIDED, CORRECT, UNDECIDED]
    assert judged[0].rule == "none.crash"
    assert len(lines) == 1 and "grader scripted failed on 2 answers, which stay undecided" in lines[0]
    assert words in lines[0]


def test_the_second_grader_agrees_or_not() -> None:
    rows = [
        Submission("5", r"\boxed{5}", kind="math"),
        Submission("0.5", r"\boxed{0.5000001}", kind="math"),  # ours is exact, math-verify rounds to six decimals
        Submission("5", r"\fbox{5}", kind="math"),  # math-verify finds nothing
        Submission("", r"\boxed{5}", kind="math"),  # undecided
        Submission("66", r"\boxed{66}"),  # another kind
    ]
    with Grader(second="math-verify", workers=1) as grader:
        judged = grader.judge(rows)
        assert grader.agrees(rows, judged)[:1] + grader.agrees(rows, judged)[3:] == [True, None, None]
        assert grader.agrees(rows, judged)[1] is False
        assert "math-verify" in str(grader.describe()["second"])
    with Grader() as grader:
        assert grader.agrees(rows, judged) == [None] * 5


def test_the_physicists_view() -> None:
    rows = [Submission("4.5e33", rf"\boxed{{{a}}}", kind="math") for a in (r"4.52\times10^{33}", "4.6e33")]
    with Grader(second="relift-1e-2") as grader:  # off by 0.4 % and by 2.2 %
        judged = grader.judge(rows)
        assert [j.verdict for j in judged] == [WRONG, WRONG]
        assert grader.agrees(rows, judged) == [False, True]
    with Grader(grader="relift-1e-2") as grader:
        assert [j.verdict for j in grader.judge(rows)] == [CORRECT, WRONG]


def test_math_verify_as_it_comes() -> None:
    """It takes the last formula of prose, which is no answer to us."""
    with Grader(grader="math-verify", workers=1) as grader:
        assert grader.grade([("5", "so it is $5$ indeed"), ("5", "so $6$"), ("5", "<think>$5$</think>$6$")]) == [
            CORRECT, WRONG, WRONG,
        ]  # fmt: skip
        assert grader.judge([Submission("5", "$5$", kind="math")])[0].rule == "text.sympy"


def test_closing_reaches_every_scorer_and_work_goes_on_after_it() -> None:
    scripted = Scripted(lambda rows: [Judgement(CORRECT, "x")] * len(rows))
    with Grader(scorers={"odd": scripted}) as grader:
        grader.judge([Submission("1", "a", kind="odd")])
    assert scripted.closed == 1
    golds = ["5", r"\frac{", "x>2", "", r"\text{Evelyn}"]
    assert grader.unreadable_golds(golds) == [False, True, False, True, False]
    grader.close()


def test_description_is_json_and_names_versions() -> None:
    described = json.loads(json.dumps(Grader().describe()))
    assert set(SCORERS) == set(described)
    assert {"math_verify", "latex2sympy2_extended", "sympy", "limit_seconds", "max_nesting"} <= set(described["math"])
    assert described["math"]["name"] == "relift"
    for name in GRADERS:
        assert Grader(grader=name).describe()["math"]["name"].startswith(name.split("-1e")[0])  # type: ignore[index]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Grader(grader="relfit"), "unknown grader 'relfit'.*nearest: relift"),
        (lambda: Grader(second="math_verify"), "unknown grader 'math_verify'.*nearest: math-verify"),
        (lambda: Grader(kind="maths"), "unknown answer_kind 'maths'.*nearest: math"),
        (lambda: Grader().judge([Submission("1", "a", kind="maths")]), "unknown answer_kind 'maths'"),
    ],
)
def test_unknown_names_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()
