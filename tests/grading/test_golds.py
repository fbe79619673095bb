"""Gold answers as data sets spell them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relift.grading import gold_problem, normalise_gold
from relift.grading.caps import too_large
from relift.grading.golds import read_gold
from tests.grading.real_golds import real_golds


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("142.0", "142"),
        ("-4.0", "-4"),
        ("025", "25"),
        ("0", "0"),
        ("0.0", "0"),
        ("3.50", "3.50"),
        ("x=5", "x=5"),
        ("$5$.", "5"),
        ("$5$", "5"),
        ("$1$, $2$", "1,2"),
        (r"$\frac{1}{2}$ and $3$", r"\frac{1}{2},3"),
        (r"\$18.90", r"\$18.90"),
        ("4.5e33", r"4.5\times 10^{33}"),
        ("6.7E-27", r"6.7\times 10^{-27}"),
        ("-1./3", "-1/3"),
        ("np.arcsin(10/13)", r"\arcsin(10/13)"),
        ("2516_8", "2516_8"),
        ("  a\n b ", "a b"),
    ],
)
def test_normalise_gold(text: str, normal: str) -> None:
    assert normalise_gold(text) == normal
    assert normalise_gold(normal) == normal


@given(st.text(st.sampled_from("$1.0e-x=,/ and\\frac{}()np")))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise_gold(normalise_gold(text)) == normalise_gold(text)


@pytest.mark.parametrize(
    ("text", "is_list"),
    [("1,2", True), (r"\{1,2\}", True), (r"1 \pm \sqrt{2}", True), ("(1,2)", False), ("12", False), ("10,080", False)],
)
def test_lists_without_order(text: str, is_list: bool) -> None:  # noqa: FBT001
    assert read_gold(text).is_list == is_list


@pytest.mark.parametrize(
    ("gold", "kind", "problem"),
    [
        ("", "math", "is empty"),
        (" ", "exact", "is empty"),
        ("$$", "math", "has no content"),
        ("9" * 257, "math", "is too long"),
        ("x" * 4_097, "math", "is too long"),
        ("five", "exact", "is no number"),
        ("AB", "choice", "is no letter from A to Z"),
        ("(C)", "choice", None),
        ("66", "exact", None),
        (r"\text{Evelyn}", "math", None),
    ],
)
def test_gold_problem(gold: str, kind: str, problem: str | None) -> None:
    assert gold_problem(gold, kind) == problem


def test_no_real_gold_is_refused_or_over_a_cap() -> None:
    for gold in real_golds():
        assert gold_problem(gold, "math") is None
        assert not too_large(gold, gold="")
