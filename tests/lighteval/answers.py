r"""Answers made from gold answers: ways to be right, ways to be wrong, thoughts, several boxes, cut off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from relift.benchmarks.lighteval.cross_check import Cause
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
    finish: Finish = Finish.stop
    applies: Callable[[str], bool] = lambda gold: True


def _is_integer(gold: str) -> bool:
    return re.fullmatch(r"-?\d+", gold) is not None


def _has_fraction(gold: str) -> bool:
    return "\\frac{" in gold


def _is_no_list(gold: str) -> bool:
    return "," not in gold and "\\pm" not in gold


def _is_simple(gold: str) -> bool:
    """A number or a fraction: doubled or increased it is another."""
    return re.fullmatch(r"-?\d+|-?\\frac\{\d+\}\{\d+\}", gold) is not None


def _thousands(gold: str) -> str:
    return f"{int(gold):,}".replace(",", ",\\!")


RIGHT = (
    Form("boxed", lambda g: f"So the answer is $\\boxed{{{g}}}$."),
    Form("AIME line", lambda g: FULL.format(g)),
    Form("display", lambda g: f"Hence\n\\[\\boxed{{{g}}}\\]"),
    Form("double dollars", lambda g: f"Hence\n$$\\boxed{{{g}}}$$"),
    Form("bare box", lambda g: f"We get \\boxed{{{g}}}"),
    Form("box with words after", lambda g: f"We get $\\boxed{{{g}}}$, which was to be shown."),
    Form("thoughts", lambda g: f"<think>Is it $\\boxed{{987}}$? No.</think>So $\\boxed{{{g}}}$."),
    Form("ANSWER line", lambda g: f"It follows.\nANSWER: ${g}$"),
    Form("answer is", lambda g: f"It follows that the answer is ${g}$."),
    Form("final answer is", lambda g: f"Thus the final answer is ${g}$."),
    Form("dfrac", lambda g: f"$\\boxed{{{g.replace('frac', 'dfrac')}}}$", applies=_has_fraction),
    Form("tfrac", lambda g: f"$\\boxed{{{g.replace('frac', 'tfrac')}}}$", applies=_has_fraction),
    Form("spaces", lambda g: f"$\\boxed{{ {g} }}$"),
    Form("final dot in the box", lambda g: f"$\\boxed{{{g}.}}$"),
    Form("x =", lambda g: f"$\\boxed{{x = {g}}}$", applies=_is_simple),
    Form("decimal", lambda g: f"$\\boxed{{{g}.0}}$", applies=_is_integer),
    Form("leading zero", lambda g: f"$\\boxed{{0{g}}}$", applies=str.isdecimal),
    Form("thousands", lambda g: f"$\\boxed{{{_thousands(g)}}}$", applies=_is_integer),
    Form("unit", lambda g: f"$\\boxed{{{g}\\text{{ cm}}}}$", applies=_is_integer),
    Form("currency", lambda g: f"$\\boxed{{\\${g}}}$", applies=_is_integer),
    Form("fbox", lambda g: f"$\\fbox{{{g}}}$"),
    Form("box with a blank", lambda g: f"$\\boxed {{{g}}}$"),
    Form("several boxes, last right", lambda g: f"If so, $\\boxed{{987}}$. {'But ' * 40}no: $\\boxed{{{g}}}$."),
    Form("boxes side by side", lambda g: f"$\\boxed{{98765}}$, $\\boxed{{{g}}}$", applies=_is_no_list),
    Form("answer tag", lambda g: f"Done. <answer>{g}</answer>"),
)

WRONG = (
    Form("plus one", lambda g: f"$\\boxed{{{g}+1}}$", applies=_is_simple),
    Form("doubled", lambda g: f"$\\boxed{{2\\cdot {g}}}$", applies=lambda g: _is_simple(g) and g != "0"),
    Form("negative", lambda g: f"$\\boxed{{-{g}}}$", applies=lambda g: _is_simple(g) and g[0] not in "-0"),
    Form("another number", lambda g: "$\\boxed{98765}$"),
    Form("a list with it", lambda g: f"$\\boxed{{1, 2, {g}, 98765}}$", applies=_is_simple),
    Form("a word", lambda g: "$\\boxed{\\text{unknown}}$"),
    Form("several boxes, last wrong", lambda g: f"$\\boxed{{{g}}}$. {'But ' * 40}no: $\\boxed{{98765}}$."),
    Form("empty box", lambda g: "$\\boxed{}$"),
    Form("no answer", lambda g: "I do not know."),
    Form("empty", lambda g: ""),
    Form("right in the thoughts", lambda g: f"<think>$\\boxed{{{g}}}$</think>So $\\boxed{{98765}}$."),
    Form("unclosed thoughts", lambda g: f"<think>It is ${g}$"),
    Form("only named", lambda g: f"One could think of ${g}$ here, or of other values."),
    Form("cut off behind a formula", lambda g: f"So we have ${g}$", finish=Finish.length),
    Form("cut off in the box", lambda g: f"So $\\boxed{{{g}", finish=Finish.length),
)


# Forms on which lighteval 0.13.0 differs, wherever the gold makes it possible, and the cause; on all others it agrees.
DIFFER = {
    "final dot in the box": Cause.comparison,  # `7.` is no number to its fork of math-verify
    "boxes side by side": Cause.reading,  # it takes both boxes for a set, we take the last one
    "answer tag": Cause.reading,  # it knows no such tag; what it reads inside is luck
    "only named": Cause.no_answer,  # the last formula of the text is an answer to it
    "cut off behind a formula": Cause.no_answer,
    "cut off in the box": Cause.no_answer,
}


def made(golds: list[str]) -> Iterator[tuple[int, Form, str]]:
    """(index of the gold, form, text) of every form that applies."""
    for index, gold in enumerate(golds):
        for form in (*RIGHT, *WRONG):
            if form.applies(gold):
                yield index, form, form.write(gold)
