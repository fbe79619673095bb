import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relift.errors import InputError
from relift.grading import Submission, make_scorer
from relift.grading.exact import ExactScorer, judge
from relift.schema import Finish, Verdict

CORRECT, WRONG, UNDECIDED = Verdict.correct, Verdict.wrong, Verdict.undecided


@pytest.mark.parametrize(
    ("gold", "text", "verdict", "rule", "answer"),
    [
        ("66", r"=66\boxed{66}", CORRECT, "box.text", "66"),
        ("66", r"\boxed{76}", WRONG, "box.number", "76"),
        ("66", r"\boxed{ 66. }", CORRECT, "box.text", "66"),
        ("66", r"\boxed{66.0}", CORRECT, "box.number", "66"),
        ("66", r"\boxed{066}", CORRECT, "box.number", "66"),
        ("66", r"\boxed{+66}", CORRECT, "box.number", "66"),
        ("66", r"\boxed{$66$}", CORRECT, "box.text", "66"),
        ("-5", "\\boxed{\u22125}", CORRECT, "box.text", "-5"),
        ("1234", r"\boxed{1,234}", CORRECT, "box.text", "1234"),
        ("1234", r"\boxed{1{,}234}", CORRECT, "box.text", "1234"),
        ("12", r"\boxed{1,2}", WRONG, "box.text", "1,2"),  # a list, not thousands
        ("0.5", r"\boxed{1/2}", CORRECT, "box.number", "1/2"),
        ("0.5", r"\boxed{.5}", CORRECT, "box.number", "1/2"),
        ("0.5", r"\boxed{0.5000001}", WRONG, "box.number", "5000001/10000000"),  # nothing is rounded
        ("66", r"\boxed{66/0}", WRONG, "box.text", "66/0"),
        ("66", r"\boxed{x=66}", WRONG, "box.text", "x=66"),
        ("66", r"\boxed{6}6}", WRONG, "box.number", "6"),
        (
            "66",
            "\\boxed{\u0666\u0666}",
            WRONG,
            "box.text",
            "\u0666\u0666",
        ),  # other scripts' digits
        ("66", "\\boxed{\ud800}", WRONG, "box.text", "\ufffd"),
        ("66", "66", WRONG, "none.no_answer", None),
        ("66", r"\boxed{}", WRONG, "none.no_answer", None),
        ("", r"\boxed{66}", UNDECIDED, "none.gold_unreadable", None),
        ("sixty-six", r"\boxed{66}", UNDECIDED, "none.gold_unreadable", None),
        ("1/0", r"\boxed{1/0}", UNDECIDED, "none.gold_unreadable", None),
    ],
)
def test_judge(gold: str, text: str, verdict: Verdict, rule: str, answer: str | None) -> None:
    judgement = judge(Submission(gold, text))
    assert (judgement.verdict, judgement.rule, judgement.answer) == (verdict, rule, answer)


def test_cut_off_without_an_answer_is_wrong_and_decided() -> None:
    assert judge(Submission("66", "47+24=", Finish.length)).rule == "none.truncated"
    assert judge(Submission("66", "47+24=", Finish.length)).verdict == WRONG
    assert judge(Submission("66", r"\boxed{66} and", Finish.length)).verdict == CORRECT  # closed before the cut
    assert judge(Submission("66", r"\boxed{66} \boxed{7", Finish.length)).rule == "none.truncated"
    assert judge(Submission("66", r"\boxed{} so", Finish.length)).rule == "none.no_answer"  # it had answered: nothing


@pytest.mark.parametrize(
    ("text", "gold", "rule"),
    [
        (r"\boxed{" + "1" * 256 + "}", "66", "box.number"),
        (r"\boxed{" + "1" * 257 + "}", "66", "box.too_large"),
        (r"\boxed{" + "x" * 4_096 + "}", "66", "box.text"),
        (r"\boxed{" + "x" * 4_097 + "}", "66", "box.too_large"),
        (r"\boxed{66}" + " " * (1_000_000 - 10), "66", "box.text"),
        (r"\boxed{66}" + " " * (1_000_001 - 10), "66", "none.too_large"),
        (r"\boxed{66}", "1" * 257, "none.too_large"),
    ],
)
def test_caps(text: str, gold: str, rule: str) -> None:
    judgement = judge(Submission(gold, text))
    assert judgement.rule == rule
    assert (judgement.verdict == UNDECIDED) == rule.endswith("too_large")


PIECES = st.sampled_from(
    [r"\boxed{", r"\fbox {", "{", "}", "\\", "66", "1,000", ".", "/", "-", "$", "\x00", "\ud800", "\n"]
)


@settings(max_examples=300, deadline=None)
@given(gold=st.text(max_size=6), text=st.lists(PIECES | st.text(max_size=4), max_size=12).map("".join))
def test_every_text_gets_a_verdict_and_a_storable_answer(gold: str, text: str) -> None:
    for finish in Finish:
        judgement = judge(Submission(gold, text, finish))
        where, _, rule = judgement.rule.partition(".")
        assert where in ("box", "none") and rule
        (judgement.answer or "").encode()  # a lone surrogate would raise


@given(st.integers(-(10**20), 10**20))
def test_a_gold_answer_is_correct_by_itself(gold: int) -> None:
    assert judge(Submission(str(gold), rf"so \boxed{{{gold:,}}}.")).verdict == CORRECT
    assert judge(Submission(str(gold), rf"so \boxed{{{gold + 1}}}.")).verdict == WRONG


def test_judge_keeps_the_order_and_describes_itself() -> None:
    with make_scorer("exact") as grader:
        rows = [Submission(str(i % 3), r"\boxed{1}") for i in range(7)]
        assert [j.verdict == CORRECT for j in grader.judge(rows)] == [i % 3 == 1 for i in range(7)]
        assert grader.describe()["name"] == "exact"
        assert isinstance(grader, ExactScorer)


def test_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown answer_kind 'exakt'.*nearest: exact"):
        make_scorer("exakt")
