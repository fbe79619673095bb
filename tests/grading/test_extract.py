import time

import pytest

from relift.grading.extract import find_answer, last_box, without_thoughts
from relift.schema import Finish


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"=50\boxed{50}", "50"),
        (r"\boxed {7}", "7"),
        (r"\fbox{8}", "8"),
        (r"\boxed{1} no, \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{x=\boxed{5}}", "x=5"),
        (r"\boxed{\fbox{\boxed{5}}}", "5"),
        (r"\boxed{a\boxed{b}c\boxed{d}e}", "abcde"),
        (r"\boxed{\{1\}}", r"\{1\}"),  # escaped braces are text
        (r"\boxed{\}", None),  # ... so this box never closes
        (r"\boxed{}", ""),
        (r"\boxed{4", None),
        (r"\boxed{3} and \boxed{4", None),  # an unclosed box after it cancels it
        (r"in \boxed{ it goes: \boxed{4}", "4"),  # one before it does not
        (r"{ \boxed{4}", "4"),
        (r"} \boxed{4}", "4"),
        (r"\boxed 4", None),
        (r"boxed{4}", None),
        ("the answer is 66", None),
        ("", None),
    ],
)
def test_last_box(text: str, content: str | None) -> None:
    assert last_box(text) == content


@pytest.mark.parametrize("unit", [r"\boxed{", "{", "}", "\\", r"\boxed ", r"\boxed{1}", r"\boxed{\fbox{"])
def test_time_is_linear_in_the_length(unit: str) -> None:
    text = unit * (400_000 // len(unit)) + "}" * 200_000
    start = time.process_time()
    last_box(text)
    assert time.process_time() - start < 2.0  # a scan takes about 0.2 s; a quadratic one hours


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("no thoughts", "no thoughts"),
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),  # opened by the prompt
        ("<think>a</think>b<think>c</think>d", "d"),  # the last closing tag counts
        ("<think>a</think>b<think>c", None),  # opened anew, never closed
        ("<think>a", None),
        ("[THINK]a[/THINK]b", "b"),
        ("<think>a</think>b</think>c", "c"),
    ],
)
def test_without_thoughts(text: str, rest: str | None) -> None:
    assert without_thoughts(text) == rest


def test_thoughts_opened_by_the_prompt_have_to_be_closed() -> None:
    assert without_thoughts("so 5", opened=True) is None
    assert without_thoughts("so</think>5", opened=True) == "5"


def test_the_tags_are_an_argument() -> None:
    assert without_thoughts("<a>x</a>y", tags=[("<a>", "</a>")]) == "y"
    assert without_thoughts("<think>x", tags=[("<a>", "</a>")]) == "<think>x"


@pytest.mark.parametrize(
    ("text", "where", "content"),
    [
        (r"so \boxed{1} and then \boxed{2}", "box", "2"),
        (r"the answer is 1, or \boxed{2}", "box", "2"),  # a box before an answer line
        (r"<answer>3</answer>", "tag", "3"),
        (r"<answer>3</answer> the answer is 4", "tag", "3"),
        ("the answer is $5$.", "line", "5"),
        ("The final answer is $5$. I hope it is correct.", "line", "5"),
        ("The answer is $1$, $2$ and $3$.", "line", "1,2,3"),
        (r"The answer is $\$36$.", "line", r"\$36"),
        ("**Answer:** 3.5 because of it", "line", "3.5"),  # prose behind it
        ("The answer is 3.5 more than that", "none.no_answer", None),
        ("**Answer:** 3.5\nbecause", "line", "3.5"),
        ("The answer is 3.5. It was hard to find.", "line", "3.5"),
        ("Answer: x = 5", "line", "x = 5"),
        ("answer is $1$ or rather: the answer is $2$", "line", "2"),  # the last line counts
        ("the answer is not known to me", "none.no_answer", None),
        ("$5$", "whole", "$5$"),
        (r"\[5\]", "whole", r"\[5\]"),
        ("  17\n", "whole", "17"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "whole", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
        ("12 students", "whole", "12 students"),
        ("so we get $5$", "none.no_answer", None),  # the last formula of prose is no answer
        ("there are 5 of them", "none.no_answer", None),
        ("", "none.no_answer", None),
        (r"<think>\boxed{5}", "none.unclosed_thought", None),
        (r"<think>\boxed{5}</think>nothing more to say", "none.no_answer", None),
    ],
)
def test_find_answer(text: str, where: str, content: str | None) -> None:
    found = find_answer(text)
    assert (found.where, found.content) == (where, content)


@pytest.mark.parametrize(
    ("text", "where", "content"),
    [
        (r"\boxed{5} and", "box", "5"),  # closed before the cut
        (r"\boxed{5} \boxed{6", "none.truncated", None),
        ("$5$", "none.truncated", None),  # not the whole text, for there would have been more
        ("the answer is $5$ whi", "line", "5"),
        ("the answer is 5", "none.truncated", None),  # perhaps 57
        ("the answer is 5\nwhi", "line", "5"),
        ("<think>5", "none.truncated", None),
    ],
)
def test_find_answer_in_a_text_that_was_cut_off(text: str, where: str, content: str | None) -> None:
    found = find_answer(text, finish=Finish.length)
    assert (found.where, found.content) == (where, content)


@pytest.mark.parametrize(
    ("text", "merged"),
    [
        (r"\boxed{1}, \boxed{2} and \boxed{3}", "1,2,3"),
        (r"$\boxed{1}$ or $\boxed{2}$", "1,2"),
        (r"\boxed{1} but \boxed{2}, \boxed{3}", "2,3"),  # words part the first from the rest
        (r"\boxed{1} \text{ and } \boxed{2}", "1,2"),
    ],
)
def test_boxes_are_merged_for_lists_alone(text: str, merged: str) -> None:
    assert find_answer(text, merge_boxes=True).content == merged
    assert find_answer(text, merge_boxes=True).where == "boxes"
    assert find_answer(text).content == merged[-1] and find_answer(text).where == "box"


@pytest.mark.parametrize(
    "unit", ["answer is ", "<answer>", "</think>", "$", "$x", r"\boxed{1}, ", "the answer is $5$ "]
)
def test_finding_takes_time_in_proportion(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    start = time.process_time()
    find_answer(text, merge_boxes=True)
    assert time.process_time() - start < 2.0
