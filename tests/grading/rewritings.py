"""Gold answers rewritten: in ways that leave the answer right, and in ways that make it wrong.

A rewriting gives the text of a response, or None for golds it does not suit.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Rewriting = Callable[[str], str | None]

# of every kind that the benchmarks have
GOLDS = [
    "0", "7", "-41", "142.0", "025", "1997", "10,\\!080", "58,500", "3.21", ".35625", r"\frac{14}{3}", r"\frac 59",
    r"\frac9{19}", r"1\frac{4}{5}", r"-\frac{3}{8}", r"3\sqrt{13}", r"11\sqrt2", r"\frac{3\sqrt{3}}{4}", r"12\pi",
    r"\frac{20000}{\pi}", "6+9i", "1 - 12i", "x=5", "2k", "8n^2 + 4n + 1", "(a+5)(b+2)", "y = 2x + 3",
    "5x - 7y + 11z + 4 = 0", "(15,-29)", r"\left( 3, \frac{\pi}{2} \right)", "(6,31,-1)", "3, 5, 7", "-2,1",
    r"\{1\pm\sqrt{5},-2\}", r"3 \pm 2 \sqrt{2}", "(3,4]", r"(-\infty, 2) \cup (3, \infty)", r"x \in [-2,7]",
    r"\begin{pmatrix} 1/5 \\ -18/5 \end{pmatrix}", "2516_8", "90^\\circ", r"\$18.90", r"5.4 \text{ cents}",
    r"15\mbox{ cm}^2", r"\text{(C)}", r"\text{Evelyn}", r"\text{even}", r"\cot x",
]  # fmt: skip


def whole_number(gold: str) -> int | None:
    return int(float(gold)) if re.fullmatch(r"-?\d+(\.0)?", gold) else None


def box(content: str) -> str:
    return rf"\boxed{{{content}}}"


def of_number(make: Callable[[int], str | None]) -> Rewriting:
    """A rewriting for whole numbers alone."""

    def rewrite(gold: str) -> str | None:
        n = whole_number(gold)
        made = None if n is None else make(n)
        return None if made is None else box(made)

    return rewrite


RIGHT: dict[str, Rewriting] = {
    "boxed": box,
    "boxed in dollars": lambda g: f"${box(g)}$",
    "boxed in a sentence": lambda g: f"Therefore, the answer is ${box(g)}$.",
    "boxed in a display": lambda g: f"\\[\n{box(g)}\n\\]",
    "dollars": lambda g: f"${g}$",
    "double dollars": lambda g: f"$${g}$$",
    "display": lambda g: rf"\[{g}\]",
    "answer is": lambda g: f"The answer is ${g}$.",
    "final answer": lambda g: f"The final answer is ${g}$. I hope it is correct.",
    "Answer:": lambda g: f"Answer: ${g}$",
    "answer tag": lambda g: f"<answer>${g}$</answer>",
    "left and right": lambda g: box(re.sub(r"(?<!left)(?<!right)([()])", lambda m: rf"\{'left' if m[1] == '(' else 'right'}{m[1]}", g)) if r"\left" not in g and "(" in g and ")" in g else None,  # noqa: E501
    "dfrac": lambda g: box(g.replace(r"\frac", r"\dfrac")),
    "spaces": lambda g: box(f" {g} "),
    "displaystyle": lambda g: box(rf"\displaystyle {g}"),
    "written twice": lambda g: f"So {box(g)}. Indeed, checking it again, we find {box(g)}",
    "wrong box far before": lambda g: f"I thought {box('987')} but a careful look at all that I did shows {box(g)}",
    "g.0": lambda g: box(f"{g}.0") if whole_number(g) is not None and "." not in g else None,
    "0g": lambda g: box(f"0{g}") if (whole_number(g) or 0) > 0 else None,
    "unit": of_number(lambda n: rf"{n} \text{{ cm}}"),
    "currency": of_number(lambda n: rf"\${n}"),
    "thousands": of_number(lambda n: f"{n:,}"),
    "fraction": of_number(lambda n: rf"\frac{{{3 * n}}}{{3}}"),
    "sum": of_number(lambda n: f"{n - 7}+7"),
    "minus sign": lambda g: box(g.replace("-", "\u2212")) if "-" in g else None,
    "x=": lambda g: box(f"x={g}") if not re.search(r"=|\\in|text|,\\!|,\d{3}", g) else None,
}  # fmt: skip

# The same, where the plain loop over math-verify 0.9.0 refuses some or all, with the reason to differ.
RIGHT_TO_US: dict[str, tuple[Rewriting, str]] = {
    "bare": (lambda g: g, "a whole text that is one expression is its own answer"),
    "fbox": (lambda g: rf"\fbox{{{g}}}", r"\fbox is a box"),
    "boxed space": (lambda g: rf"\boxed {{{g}}}", "a blank before the brace changes nothing"),
    "dot": (lambda g: box(f"{g}."), "a final dot is no part of the answer"),
    "text": (lambda g: box(rf"\text{{{g}}}"), r"\text around an answer changes nothing"),
    "thin space": (lambda g: box(rf"{g}\,"), "space is no part of the answer"),
    "braces": (lambda g: box(f"{{{g}}}"), "braces are no part of the answer"),
    "percent": (of_number(lambda n: rf"{n}\%"), "p% is p or p/100, whatever p"),
    "x=thousands": (lambda g: box(f"x={g}") if re.search(r",\\!|,\d{3}", g) else None, "separators after x= too"),
    "x=word": (lambda g: box(f"x={g}") if "text" in g else None, "an assignment of a word"),
    "thoughts": (lambda g: rf"<think>maybe {box('123456')}</think> {box(g)}", "thoughts are no answer"),
    "wrong box shortly before": (lambda g: f"Not {box('987')} but {box(g)}", "the last box counts"),
}

WRONG: dict[str, Rewriting] = {
    "g+1": lambda g: box(f"{g}+1"),
    "1,2,g,3": lambda g: box(f"1,2,{g},3"),
    "g or 987": lambda g: box(rf"{g} \text{{ or }} 987"),
    "another number": lambda g: box("987654"),
    "a word": lambda g: box(r"\text{none}"),
    "a variable": lambda g: box("u"),
    "a set": lambda g: box(r"\{11,13,17\}"),
    "a function": lambda g: box(r"\sin 17 x"),
    "no answer": lambda g: "I cannot solve this problem.",
    "empty box": lambda g: box(""),
    "right box far before": lambda g: (
        f"First I thought {box(g)} but a careful look at all that I did shows {box('987')}."
    ),
    "2g": of_number(lambda n: f"2({n})" if n else None),
    "-g": of_number(lambda n: str(-n) if n else None),
    "n+1": of_number(lambda n: str(n + 1)),
    "10n": of_number(lambda n: str(10 * n) if n else None),
    "n.5": of_number(lambda n: f"{n}.5"),
    "n.001": of_number(lambda n: f"{n}.001"),
    "nx": of_number(lambda n: f"{n}x" if n else None),
    "1/n": of_number(lambda n: rf"\frac{{1}}{{{n}}}" if abs(n) > 1 else None),
    "root of n": of_number(lambda n: rf"\sqrt{{{n}}}" if n > 1 else None),
    "n pi": of_number(lambda n: rf"{n}\pi" if n else None),
    "(n,1)": of_number(lambda n: f"({n},1)"),
    "[n,oo)": of_number(lambda n: rf"[{n},\infty)"),
    "x>n": of_number(lambda n: f"x>{n}"),
}

# What math-verify 0.9.0 accepts and we do not: no final answer was given, or it was cut off.
WRONG_TO_US: dict[str, tuple[Rewriting, str]] = {
    "formula in prose": (lambda g: f"so we get ${g}$ in this case", "the last formula of prose is no answer"),
}
