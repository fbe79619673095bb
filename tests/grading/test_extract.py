import time

import pytest

from relift.grading.extract import last_box


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
