"""Check what is certain without sympy, by which rule, and what is left to it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relift.grading.compare import decide
from relift.grading.decisions import Decision, yes
from relift.grading.latex import canonical, spell
from relift.grading.math import storable
from relift.grading.spelled import judge


def verdict(gold: str, answer: str, tolerance: Fraction | None = None) -> tuple[bool | None, str] | None:
    decision = judge(spell(gold), spell(answer), tolerance=tolerance)
    return None if decision is None else (decision.equal, decision.rule)


SAME = [
    # gold, answer, rule
    (r"\frac{1}{2}", r"\dfrac{1}{2}", "text"),
    ("x=5", "x = 5", "text"),
    (r"\text{east}", "East", "text"),
    ("5", r"x_1 = \text{5}", "text"),
    (r"\text{(B)}", r"x=\text{(B)}", "text"),
    ("5", "5.0", "number"),
    ("0.5", "1/2", "number"),
    (".35625", r"\frac{57}{160}", "number"),
    ("2^{10}", "1024", "number"),
    (r"1\frac{4}{5}", "9/5", "number"),  # mixed: 1 + 4/5
    (r"-1\frac{4}{5}", "-1.8", "number"),  # -(1 + 4/5)
    (r"\sqrt[3]{8}", "2", "number"),
    ("3!", "6", "number"),
    (r"\binom{5}{2}", "10", "number"),
    ("4500", r"4.5\times 10^3", "number"),
    ("1500", "1.5e3", "number"),
    ("x=5", "5", "text"),
    ("5", "x=2+3=5", "number"),
    (r"\pi", "3.141593", "approx"),  # off by 3.5e-7 <= 1e-6
    (r"\frac{1}{3}", "0.333333", "approx"),  # off by 1/3 * 1e-6 = 1e-6 * |g|
    (r"\frac{2}{3}", "0.666666", "approx"),  # off by 2/3 * 1e-6
    (r"\sqrt{50}", "7.0710678", "approx"),
    ("50%", "0.5", "percent"),
    ("50%", "50", "percent"),
    ("50", "50%", "percent"),
    ("0.5", "50%", "percent"),
    ("33.3%", "33.3", "percent"),
    ("-3", "-3%", "percent"),
    ("2516_8", "2516", "base"),
    ("2516_8", "2516_{8}", "base"),
    (r"2\sqrt{3}", r"\sqrt{12}", "value"),
    (r"11\sqrt2", r"\frac{22}{\sqrt 2}", "value"),
    (r"\sqrt{51}", "sqrt(51)", "value"),
    (r"\log_2 8", "3", "value"),
    ("6+9i", "9i+6", "value"),
    ("(1+i)^2", "2i", "value"),
    ("x^2+2x+1", "(x+1)^2", "value"),
    ("2k", "k+k", "value"),
    (r"2\sin x\cos x", r"\sin 2x", "value"),
    (r"\cot x", r"\frac{1}{\tan x}", "value"),
    ("y=2x+3", "2x+3", "text"),
    ("(2,\\infty)", "x>2", "relation"),
    ("x>2", "2<x", "relation"),
    ("3 1/2", "7/2", "number"),
    (r"\emptyset", r"\text{no solution}", "words"),
    ("y=2x+3", "2y=4x+6", "value"),
    ("5x-7y+11z+4=0", "7y-5x=11z+4", "value"),
    ("3, 5, 7", "7, 5 and 3", "list"),
    (r"\{1\pm\sqrt{5},-2\}", r"-2, 1-\sqrt5, 1+\sqrt5", "list"),
    (r"1 \pm \sqrt{19}", r"1+\sqrt{19}, 1-\sqrt{19}", "list"),
    ("1, 2, 2", "2, 1", "list"),  # a set
    ("(1,2)", r"\left(\frac{2}{2}, 2.0\right)", "list"),
    (r"(-\infty, 2) \cup (3, \infty)", r"(3,\infty)\cup(-\infty,2)", "list"),
    (r"x \in [-2,7]", "[-2.0, 7]", "list"),
    (r"\begin{pmatrix} 1/5 \\ -18/5 \end{pmatrix}", r"\begin{bmatrix} 0.2 \\ -3.6 \end{bmatrix}", "list"),
]  # fmt: skip
OTHER = [
    ("5", "6", "number"),
    ("5", "-5", "number"),
    ("0.5", "0.5000001", "number"),  # two terminating decimals are compared exactly
    ("0.0000672", "0.0000674", "number"),
    (r"6.7\times10^{-27}", r"1.7\times10^{-27}", "number"),
    ("1.5", "15/11", "approx"),
    (r"12\pi", "37.699", "approx"),
    (r"\frac{1}{30}", "0.033333", "approx"),  # off by 3.3e-7 > 1e-6 / 30
    ("50", "0.5%", "percent"),
    ("50%", "5000", "percent"),
    ("52_8", "52_9", "base"),
    (r"\frac{355}{113}", r"\pi", "value"),  # neither is rounded, and they are not equal
    ("90", r"\frac{\pi}{2}", "value"),
    ("x^5", "x^4", "value"),
    ("6", "6x", "value"),
    ("x+1", "y+1", "value"),
    ("y=2x+3", "y=2x-3", "value"),
    ("3, 5, 7", "3, 5", "list"),
    ("7", "7, 987", "list"),
    ("(15,-29)", "(8,-2)", "list"),
    ("(1,2)", "(1,2,0)", "list"),
    ("[1,2)", "[1,2]", "list"),
    ("5", "(5,1)", "list"),
    ("5", r"\text{none}", "text"),
    ("5", "x>5", "text"),
    (r"\text{even}", r"\text{odd}", "text"),
]  # fmt: skip
LEFT = [
    ("(1,2)", "1,2"),  # math-verify compares lists with tuples
    ("f(x)", "g(x)"),
    ("1/2x", "x/2"),  # read in two ways
    ("6", "6m"),  # a unit, or a variable
    ("(-8)^{1/3}", "-2"),
    (r"\log 100", "2"),
    ("10^{10^{10}}", "5"),
]


@pytest.mark.parametrize(("gold", "answer", "rule"), SAME)
def test_the_same(gold: str, answer: str, rule: str) -> None:
    assert verdict(gold, answer) == (True, rule)


@pytest.mark.parametrize(("gold", "answer", "rule"), OTHER)
def test_another(gold: str, answer: str, rule: str) -> None:
    assert verdict(gold, answer) == (False, rule)


@pytest.mark.parametrize(("gold", "answer"), LEFT)
def test_what_is_not_certain_is_left_to_sympy(gold: str, answer: str) -> None:
    assert verdict(gold, answer) is None


OPEN = [
    # gold, answer, rule: nobody else is asked
    ("x=5", "y=5", "names"),
    ("3R^2", "3r^2", "letters"),
    ("E", "e", "letters"),
    ("0.28", r"0.28\%", "percent"),
    (r"\ln(x^2)", r"2\ln x", "domain"),
    ("12 students", "12 marbles", "unit"),
    ("a_{n+1}=2a_n", "a_n=2a_{n-1}", "recurrence"),
    ("10", "2x=10", "chain"),
    ("1,2,\\ldots,n", "1,2,3,\\ldots,n", "dots"),
    ("5", r"\text{approximately }5", "words"),
]


@pytest.mark.parametrize(("gold", "answer", "rule"), OPEN)
def test_what_two_people_would_judge_differently_stays_undecided(gold: str, answer: str, rule: str) -> None:
    assert verdict(gold, answer) == (None, rule)


def test_a_tolerance_takes_the_place_of_exactness() -> None:
    percent = Fraction(1, 100)
    assert verdict("100", "101", percent) == (True, "approx")  # off by 1 = 1 % of 100
    assert verdict("100", "101.01", percent) == (False, "approx")
    assert verdict("4.5e33", r"4.52\times10^{33}", percent) == (True, "approx")
    assert verdict(r"12\pi", "37.7", percent) == (True, "approx")


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6), st.integers(0, 8))
def test_fractions_equal_their_exact_decimals_and_no_neighbour(numerator: int, denominator: int, digits: int) -> None:
    fraction = rf"\frac{{{numerator}}}{{{denominator}}}"
    value = Fraction(numerator, denominator)
    scaled = value * 10**digits
    if scaled.denominator == 1:  # terminates within these digits
        text = f"{numerator / denominator:.{digits}f}" if abs(scaled) < 2**53 else None
        if text is not None and Fraction(text) == value:
            assert verdict(fraction, text) in ((True, "number"), (True, "text"))
    assert verdict(fraction, rf"\frac{{{numerator + 1}}}{{{denominator}}}") == (False, "number")
    assert verdict(fraction, rf"\frac{{{2 * numerator}}}{{{2 * denominator}}}") == (True, "number")


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9))
def test_polynomials_are_compared_as_functions(a: int, b: int, c: int, n: int) -> None:
    """(x+a)(x+b) = x^2 + (a+b)x + ab, and with c != 0 added it is another one."""
    product, expanded = f"(x+{a})(x+{b})".replace("+-", "-"), f"x^2+{a + b}x+{a * b}".replace("+-", "-")
    assert verdict(product, expanded) == (True, "value")
    other = verdict(product, f"{expanded}+{c}".replace("+-", "-"))
    assert other is not None and other[0] == (c == 0)
    assert verdict(f"{n}({product})", f"{n * 1}({expanded})") is not None


PIECES = st.sampled_from(
    r"""\frac \sqrt { } ( ) [ ] 1 2 12 3.5 .5 x y i e pi \pi + - ^ _ = , % \% \ $ \text{ cm ! / * ** \cdot \pm \left(
    \right) \{ \} and \cup \infty \begin{pmatrix} \end{pmatrix} & \\ \sin \log_ \binom 1,234 5e3 | . ; : '
    ^\circ""".split()
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES | st.text(max_size=2), max_size=12).map("".join), st.lists(PIECES, max_size=8).map(" ".join))
def test_every_text_is_compared_or_left_and_equal_to_itself(a: str, b: str) -> None:
    one, other = canonical(a), canonical(b)
    decision = decide(one, other)
    assert decision is None or isinstance(decision, Decision)
    assert decide(one, one) == yes("text")
    storable(one).encode()  # a lone surrogate would raise


@pytest.mark.parametrize(
    ("plain", "stored"),
    [("1/2", "1/2"), (r"\frac{2}{4}", "1/2"), ("0.50", "1/2"), (r"2\sqrt{3}", r"2\sqrt{3}"), ("(1, 2)", "(1, 2)")],
)
def test_the_stored_answer_is_a_value_where_there_is_one(plain: str, stored: str) -> None:
    assert storable(plain) == stored
