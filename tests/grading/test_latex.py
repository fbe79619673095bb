"""One spelling for what is written in many."""

from __future__ import annotations

import time

import pytest

from relift.grading.latex import canonical


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("5", "5"),
        (" 5. ", "5"),
        ("$5$", "5"),
        (r"\[5\]", "5"),
        (r"\(5\)", "5"),
        ("**5**", "5"),
        ("{{5}}", "5"),
        (r"\text{5}", "5"),
        (r"\mathrm{\text{5}}", "5"),
        (r"\dfrac{1}{2}", r"\frac{1}{2}"),
        (r"\left( 1 , 2 \right)", "(1, 2)"),
        (r"\displaystyle 5\,", "5"),
        ("\u22125", "-5"),  # a minus sign
        ("2\u00d73", r"2\cdot3"),
        ("12\u03c0", r"12\pi"),
        ("12 pi", r"12\pi"),
        (r"\sqrt 2", r"\sqrt2"),
        (r"\pi r", r"\pi r"),  # no \pir
        ("1 2", "1 2"),  # no 12
        ("10,080", "10080"),
        (r"10,\!080", "10080"),
        ("10{,}080", "10080"),
        ("3, 500", "3, 500"),  # a list
        ("(1,234)", "(1, 234)"),  # a point
        ("7 or 987", "7, 987"),  # no 7987
        (r"1 \text{ and } 2", "1, 2"),
        ("1,000, 2,000", "1000, 2000"),
        ("4.5e33", r"4.5\cdot10^{33}"),
        ("2E-3", r"2\cdot10^{-3}"),
        ("50%", "50%"),
        (r"50\%", "50%"),
        ("50 percent", "50%"),
        (r"90^\circ", "90"),
        (r"90^{\circ}", "90"),
        ("90\u00b0", "90"),
        (r"\sin 30^\circ", r"\sin(30\cdot\pi/180)"),  # the sine of 30 is another number
        (r"\$18.90", "18.90"),
        (r"15\mbox{ cm}^2", "15"),
        ("15 cm^2", "15"),
        (r"5.4 \text{ cents}", "5.4"),
        ("12 students", "12"),
        (r"\text{no solution}", "no solution"),  # a word is no unit of nothing
        (r"\text{Evelyn}.", "Evelyn"),
        (r"\text{(B)}", "(B)"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
        (r"x \geq 2", r"x\ge2"),
        ("2**3", "2^3"),
        ("", ""),
        ("$$", ""),
    ],
)
def test_canonical(text: str, plain: str) -> None:
    assert canonical(text) == plain
    assert canonical(plain) == plain


UNITS = [
    "deg",
    "5 in ",
    r"\text{a}",
    "$",
    "{",
    "1,234,",
    "5e3",
    r"\left(",
    r"\!",
    "and ",
    "x=",
    "5%",
    "secs ",
    r"^\circ",
]


@pytest.mark.parametrize("unit", UNITS)
def test_time_is_bounded_on_the_longest_answers(unit: str) -> None:
    start = time.process_time()
    canonical(unit * (4_096 // len(unit)))
    canonical("5 " + unit * (4_096 // len(unit)) + "z")
    assert time.process_time() - start < 0.5  # measured: below 0.05
