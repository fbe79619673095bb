r"""Answers made from gold answers: twenty ways to be right, as many to be wrong, cut off, undecided, several boxes.

Each is (name of the form, text, finish, whether it should be correct; None: nothing is said of it).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from relift.schema import Finish

FULL = (
    "Let us see. First $x=3$, so $x^2 = 9$.\n\nAdding up gives what is asked. "
    "Therefore, the final answer is: $\\boxed{{{}}}$. I hope it is correct"
)


@dataclass(frozen=True)
class Form:
    """A way to write an answer. `applies`: to which golds."""

    name: str
    write: Callable[[str], str]
    right: bool | None
    finish: Finish = Finish.stop
    applies: Callable[[str], bool] = lambda gold: True


def _is_integer(gold: str) -> bool:
    return re.fullmatch(r"-?\d+", gold) is not None


def _has_fraction(gold: str) -> bool:
    return "\\frac{" in gold


def _is_simple(gold: str) -> bool:
    """A number or a fraction: doubled or increased it is another."""
    return re.fullmatch(r"-?\d+|-?\\frac\{\d+\}\{\d+\}", gold) is not None


def _thousands(gold: str) -> str:
    return f"{int(gold):,}".replace(",", ",\\!")


RIGHT = (
    Form("boxed", lambda g: f"So the answer is $\\boxed{{{g}}}$.", True),
    Form("AIME line", lambda g: FULL.format(g), True),
    Form("display", lambda g: f"Hence\n\\[\\boxed{{{g}}}\\]", True),
    Form("double dollars", lambda g: f"Hence\n$$\\boxed{{{g}}}$$", True),
    Form("bare box", lambda g: f"We get \\boxed{{{g}}}", True),
    Form("box with words after", lambda g: f"We get $\\boxed{{{g}}}$, which was to be shown.", True),
    Form("thoughts", lambda g: f"<think>Is it $\\boxed{{987}}$? No.</think>So $\\boxed{{{g}}}$.", True),
    Form("ANSWER line", lambda g: f"It follows.\nANSWER: ${g}$", True),
    Form("answer is", lambda g: f"It follows that the answer is ${g}$.", True),
    Form("final answer is", lambda g: f"Thus the final answer is ${g}$.", True),
    Form("dfrac", lambda g: f"$\\boxed{{{g.replace('frac', 'dfrac')}}}$", True, applies=_has_fraction),
    Form("tfrac", lambda g: f"$\\boxed{{{g.replace('frac', 'tfrac')}}}$", True, applies=_has_fraction),
    Form("spaces", lambda g: f"$\\boxed{{ {g} }}$", True),
    Form("final dot in the box", lambda g: f"$\\boxed{{{g}.}}$", True),
    Form("x =", lambda g: f"$\\boxed{{x = {g}}}$", True, applies=_is_simple),
    Form("decimal", lambda g: f"$\\boxed{{{g}.0}}$", True, applies=_is_integer),
    Form("leading zero", lambda g: f"$\\boxed{{0{g}}}$", True, applies=str.isdecimal),
    Form("thousands", lambda g: f"$\\boxed{{{_thousands(g)}}}$", True, applies=_is_integer),
    Form("unit", lambda g: f"$\\boxed{{{g}\\text{{ cm}}}}$", True, applies=_is_integer),
    Form("currency", lambda g: f"$\\boxed{{\\${g}}}$", True, applies=_is_integer),
    Form("fbox", lambda g: f"$\\fbox{{{g}}}$", True),
    Form("box with a blank", lambda g: f"$\\boxed {{{g}}}$", True),
    Form("several boxes, last right", lambda g: f"If so, $\\boxed{{987}}$. {'But ' * 40}no: $\\boxed{{{g}}}$.", True),
    Form("answer tag", lambda g: f"Done. <answer>{g}</answer>", True),
)

WRONG = (
    Form("plus one", lambda g: f"$\\boxed{{{g}+1}}$", False, applies=_is_simple),
    Form("doubled", lambda g: f"$\\boxed{{2\\cdot {g}}}$", False, applies=lambda g: _is_simple(g) and g != "0"),
    Form("negative", lambda g: f"$\\boxed{{-{g}}}$", False, applies=lambda g: _is_simple(g) and g[0] not in "-0"),
    Form("another number", lambda g: "$\\boxed{98765}$", False),
    Form("a list with it", lambda g: f"$\\boxed{{1, 2, {g}, 98765}}$", False, applies=_is_simple),
    Form("a word", lambda g: "$\\boxed{\\text{unknown}}$", False),
    Form("several boxes, last wrong", lambda g: f"$\\boxed{{{g}}}$. {'But ' * 40}no: $\\boxed{{98765}}$.", False),
    Form("empty box", lambda g: "$\\boxed{}$", False),
    Form("no answer", lambda g: "I do not know.", False),
    Form("empty", lambda g: "", False),
    Form("right in the thoughts", lambda g: f"<think>$\\boxed{{{g}}}$</think>So $\\boxed{{98765}}$.", False),
    Form("unclosed thoughts", lambda g: f"<think>It is ${g}$", False),
    Form("only named", lambda g: f"One could think of ${g}$ here, or of other values.", False),
    Form("cut off behind a formula", lambda g: f"So we have ${g}$", False, Finish.length),
    Form("cut off in the box", lambda g: f"So $\\boxed{{{g}", False, Finish.length),
    Form("boxes side by side", lambda g: f"$\\boxed{{98765}}$, $\\boxed{{{g}}}$", None),
)


def made(golds: list[str]) -> Iterator[tuple[int, Form, str]]:
    """(index of the gold, form, text) of every form that applies."""
    for index, gold in enumerate(golds):
        for form in (*RIGHT, *WRONG):
            if form.applies(gold):
                yield index, form, form.write(gold)
