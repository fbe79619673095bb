r"""Equality rules that published results rest on, rebuilt here from their descriptions and documented cases.

They are not ours: they accept what we refuse and the other way round (docs/grading.md has a table). They are offered
as `--second-grader` and to `relift regrade --grader`, so that a score of a paper can be told apart from one of another
grader. Sources of the rules: QwenLM/Qwen2.5-Math evaluation/grader.py (numbers within 1e-4, a hundredth and a hundred
times the reference accepted), sail-sg/understand-r1-zero math_grader.py (texts after normalisation, then sympy with
guards; fractions have to be reduced, whole numbers written as such), PRIME-RL/PRIME eval/utils/grader.py and
prime_math (the latter's rules first, then the former's, with pi also as 3.14).

All this runs in the workers. Where those projects hand text to sympy's parse_expr, which evaluates it, math-verify's
parser reads it here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isclose

Symbolic = Callable[[str, str], bool]  # whether two texts are one expression to sympy

CLOSE = 1e-4  # relative, of Qwen's numbers and PRIME's
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"-?\d+(?:\.0*)?", re.ASCII)
_FRACTION = re.compile(r"-?\d+/-?\d+|-?\\frac\{-?\d+\}\{-?\d+\}", re.ASCII)
_BRACKETS = re.compile(r"[\[(].+[\])]", re.DOTALL)
_WRAPPED_TEXT = re.compile(r"\\text\{(.+?)\}")
_UNITS = re.compile(
    r"(?<![a-z])(?:degrees?|cm|centimeters?|meters?|miles?|seconds?|minutes?|hours?|days?|weeks?|months?|years?|feet|foot|"
    r"inch(?:es)?|yards?|points?|square|cubic|units?|dollars?|cents?|mph|km)(?![a-z])(?:\^\d+)?",
    re.IGNORECASE,
)
_BARE_FRACTION = re.compile(r"\\[dt]?frac\s*(\w|\{[^{}]*\})\s*(\w|\{[^{}]*\})")
_SLASH = re.compile(r"(?<![\w}])(-?\d+)/(\d+)(?![\w{])", re.ASCII)
_ROOT = re.compile(r"\\sqrt\s*(\w)")
_NAMED = re.compile(r"[a-zA-Z]{1,2}\s*=")
_TOWER = re.compile(r"\^[0-9]+\^|\^[0-9][0-9]+", re.ASCII)
_LETTERS = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])")
_CHOICES = re.compile(r"\b[A-E]\b")


def qwen(gold: str, answer: str, symbolic: Symbolic) -> bool:
    """Compare by the rules of Qwen2.5-Math's evaluation: references times 1/100, 1 and 100, within 1e-4."""
    return _loosely_equal(_stripped(answer), _stripped(gold), symbolic)


def oat(gold: str, answer: str, symbolic: Symbolic) -> bool:
    """Compare by the rules of OAT's math grader: normalised texts, then sympy where neither side is a plain number."""
    if _stripped(gold) == _stripped(answer):
        return True
    g, a = _normalised(gold), _normalised(answer)
    if g == a:
        return True
    if not a:
        return False
    golds, answers = _elements(g), _elements(a)
    if len(golds) > 1 and (g[0] != a[0] or g[-1] != a[-1] or len(golds) != len(answers)):
        return False
    if len(golds) != len(answers):
        return False
    return all(_guarded(x, y, symbolic) for x, y in zip(golds, answers, strict=True))


def prime(gold: str, answer: str, symbolic: Symbolic) -> bool:
    """Compare by PRIME's rules: OAT's kind of texts first, then Qwen's kind of numbers, with pi also as 3.14."""
    if oat(gold, answer, symbolic):
        return True
    if r"\pi" not in gold and r"\pi" not in answer:
        return qwen(gold, answer, symbolic)
    return any(
        qwen(gold.replace(r"\pi", value), answer.replace(r"\pi", value), symbolic)
        for value in (r"\pi", "(3.14)", "*3.14")
    )


RULES: Mapping[str, Callable[[str, str, Symbolic], bool]] = {"qwen": qwen, "oat": oat, "prime": prime}


def _loosely_equal(answer: str, gold: str, symbolic: Symbolic, *, depth: int = 0) -> bool:
    if answer.lower() == gold.lower():
        return True
    if gold in "ABCDE" and len(gold) == 1:
        letters = _CHOICES.findall(answer.upper())
        if letters and letters[-1] == gold:
            return True
    a, g = _value(answer), _value(gold)
    if a is not None and g is not None:
        return any(isclose(a, reference, rel_tol=CLOSE) for reference in (g / 100, g, g * 100))
    if not answer or depth > 3:
        return False
    bare = [_without(side, "{}()[]") for side in (answer, gold)]
    if bare[0].lower() == bare[1].lower() and answer[:1] + gold[:1] not in ("([", "[("):
        return True
    if _BRACKETS.fullmatch(answer) and _BRACKETS.fullmatch(gold):
        sides = answer[1:-1].split(","), gold[1:-1].split(",")
        if len(sides[0]) == len(sides[1]) > 1:
            pairs = zip(*sides, strict=True)
            return all(_loosely_equal(a.strip(), g.strip(), symbolic, depth=depth + 1) for a, g in pairs)
    for one, other in ((answer, gold), (gold, answer)):
        named = _NAMED.match(one)
        if named and one.count("=") == 1 and "=" not in other:
            rest = one[named.end() :].strip()
            return _loosely_equal(rest, other, symbolic, depth=depth + 1)
    return symbolic(gold, answer)


def _guarded(gold: str, answer: str, symbolic: Symbolic) -> bool:
    if gold == answer:
        return True
    if _FRACTION.fullmatch(gold) and _FRACTION.fullmatch(answer):
        return False  # a fraction has to be reduced as the reference is
    if _INTEGER.fullmatch(gold) is not None and _INTEGER.fullmatch(answer) is None:
        return False  # a whole number has to be written as one
    expression = f"{gold} {answer}"
    if (
        len(set(_LETTERS.findall(expression))) > 2
        or _TOWER.search(expression)
        or "^{" in expression
        or "^(" in expression
    ):
        return False
    return symbolic(gold, answer)


def _elements(text: str) -> list[str]:
    if len(text) > 2 and text[0] in "([" and text[-1] in ")]" and "," in text:
        return [element.strip() for element in text[1:-1].split(",")]
    return [text]


def _value(text: str) -> float | None:
    """The number that a text is, with separators of thousands and a percent sign."""
    text = text.replace(",", "")
    percent = text.endswith("%")
    text = text.removesuffix("%").removesuffix("\\")
    if not _NUMBER.fullmatch(text):
        return None
    return float(text) / (100 if percent else 1)


def _without(text: str, characters: str) -> str:
    return text.translate(str.maketrans("", "", characters))


def _stripped(text: str) -> str:
    """The spelling that these graders share: layout, dollars, degrees, units in \\text gone, fractions with braces."""
    text = text.strip().rstrip(".").replace("\n", "").replace("\\!", "").replace("\\,", "").replace("\\ ", "")
    for gone in ("\\left", "\\right", "\\$", "$", "^{\\circ}", "^\\circ", "\\displaystyle"):
        text = text.replace(gone, "")
    text = (
        text.replace("\\%", "%")
        .replace("\\dfrac", "\\frac")
        .replace("\\tfrac", "\\frac")
        .replace("\\{", "{")
        .replace("\\}", "}")
    )
    whole = _WRAPPED_TEXT.fullmatch(text)
    text = whole[1] if whole else _WRAPPED_TEXT.sub("", text)
    text = _BARE_FRACTION.sub(lambda m: rf"\frac{{{m[1].strip('{}')}}}{{{m[2].strip('{}')}}}", text)
    text = _SLASH.sub(r"\\frac{\1}{\2}", _ROOT.sub(r"\\sqrt{\1}", text))
    text = text.replace(" ", "")
    text = f"0{text}" if text.startswith(".") else text
    named = _NAMED.match(text)
    return text[named.end() :] if named and text.count("=") == 1 else text


def _normalised(text: str) -> str:
    """OAT's further spelling: words of units gone, percent signs gone, whole decimals whole, lower case."""
    text = _UNITS.sub("", _WRAPPED_TEXT.sub(r"\1", text))
    text = _stripped(text).replace("%", "").replace("\\cdot", "*").replace("\\times", "*").strip()
    if _NUMBER.fullmatch(text.replace(",", "")):
        text = text.replace(",", "")
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.lower()
