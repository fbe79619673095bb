import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from relift.arith.corpus import CorpusSpec, Text, draw_text, results_with_slips
from relift.arith.world import Chain, Term, is_shown_in_pretraining, parse_chain

SPEC = CorpusSpec()
FAITHFUL = replace(SPEC, slip_carry=0.0, slip_borrow=0.0, slip_plus=0.0, slip_minus=0.0)


def texts(spec: CorpusSpec, n: int, *, terms: tuple[int, ...] = (1, 2, 3, 4, 5, 6)) -> list[Text]:
    rng = np.random.default_rng(0)
    return [draw_text(rng, spec, terms=terms) for _ in range(n)]


def kind_of(text: Text) -> str:
    return {"n": "sequence"}.get(text.problem[0], {":": "careful", "=": "short"}.get(text.completion[0], "?"))


def test_the_kinds_stand_in_their_proportions() -> None:
    counts = Counter(kind_of(t) for t in texts(SPEC, 4_000))
    for kind, weight in (("short", 0.63), ("careful", 0.22), ("sequence", 0.12)):
        share = weight / 0.97  # sd below .008
        assert counts[kind] / 4_000 == pytest.approx(share, abs=0.025)
    assert {kind_of(t) for t in texts(replace(SPEC, careful=0.0), 500)} == {"short", "sequence"}


def test_nothing_that_is_held_out_and_no_product_is_shown() -> None:
    for text in texts(SPEC, 1_000):
        assert is_shown_in_pretraining(text.problem) and "*" not in text.problem + text.completion


def test_without_slips_every_text_is_right() -> None:
    for text in texts(FAITHFUL, 1_000):
        box = int(text.completion.removesuffix("}").rpartition("{")[2])
        if kind_of(text) == "sequence":
            first, second, third = (int(x) for x in re.findall(r"\d+", text.problem))
            assert box == 2 * third - second and text.completion.startswith(f"{third - second:+d}=")
            assert third - second == second - first
        else:
            assert box == parse_chain(text.problem).total


def test_the_short_style_rewrites_what_is_left() -> None:
    text = next(t for t in texts(FAITHFUL, 1_000, terms=(2,)) if kind_of(t) == "short")
    chain = parse_chain(text.problem)
    middle = chain.start + chain.terms[0].value
    assert text.completion == f"={middle}{chain.terms[1]}={chain.total}\\boxed{{{chain.total}}}"


@pytest.mark.parametrize(
    ("start", "value", "scale", "rate", "off"),
    [
        (47, 8, 1.0, 0.30, -10),  # 7+8: a carry, forgotten
        (47, 8, 0.5, 0.15, -10),
        (42, 8, 1.0, 0.30, -10),  # 2+8: a carry, just
        (45, -5, 1.0, 0.04, -10),  # 5-5: just no borrow
        (52, -5, 1.0, 0.45, 10),  # 2-5: a borrow, forgotten
        (41, 8, 1.0, 0.02, 10),  # one carried where there is none
        (48, -5, 1.0, 0.04, -10),
        (91, 8, 1.0, 0.00, 10),  # 109 would leave the world
    ],
)
def test_slips_have_their_rates(start: int, value: int, scale: float, rate: float, off: int) -> None:
    chain = Chain(start, (Term(1 if value > 0 else -1, 1, abs(value)),))
    rng = np.random.default_rng(0)
    results = Counter(results_with_slips(rng, SPEC, chain, scale=scale)[0] for _ in range(4_000))
    assert set(results) <= {start + value, start + value + off}
    assert results[start + value + off] / 4_000 == pytest.approx(rate, abs=0.025)  # sd at most .008


def test_a_slip_is_carried_on_and_never_leaves_the_world() -> None:
    always = replace(SPEC, slip_carry=1.0, slip_borrow=1.0, slip_plus=1.0, slip_minus=1.0)
    rng = np.random.default_rng(0)
    # 47+8 slips to 45; 45-5 has no borrow and slips by -10 to 30.
    assert results_with_slips(rng, always, Chain(47, (Term(1, 1, 8), Term(-1, 1, 5))), scale=1.0) == [45, 30]
    # 17+8 would slip to 15, from where -9 leads to 6: not made; 25-9 slips to 26.
    assert results_with_slips(rng, always, Chain(17, (Term(1, 1, 8), Term(-1, 1, 9))), scale=1.0) == [25, 26]
