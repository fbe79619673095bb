r"""Refuse what is too large to be handed to sympy. No gold answer of the benchmarks comes near.

Lengths of texts, candidates and digit runs are those of inspect_ai's grader (its scorer/_math.py); nesting, lists,
exponents and the rest follow from what hung for longer than ten seconds when it was tried (docs/grading.md).
"""

from __future__ import annotations

import re

MAX_TEXT_CHARACTERS = 1_000_000
MAX_ANSWER_CHARACTERS = 4_096
MAX_DIGITS = 256  # in one run
MAX_NESTING = 16
MAX_CELLS = 256  # of matrices
MAX_ELEMENTS = 64  # separated by commas
MAX_EXPONENT_DIGITS = 4
MAX_ARGUMENT = 1_000  # of factorials and binomials

_DIGIT_RUN = re.compile(rf"[0-9]{{{MAX_DIGITS + 1}}}")
_BRACKET = re.compile(r"\\[{}]|[(\[{}\])]")
# Of a text without blanks, so that none of them meets the same characters twice (tests/grading/test_linear.py)
_LONG_EXPONENT = re.compile(rf"\^\{{?+[-+]?+\(?+[0-9]{{{MAX_EXPONENT_DIGITS + 1}}}")
_TOWER = re.compile(r"\^[({]*+[-+]?+[0-9][0-9})]*+\^")  # a number with an exponent, inside an exponent
_FACTORIAL = re.compile(r"(?<![0-9])([0-9]++)[)}\]]*+!")
_BINOMIAL = re.compile(r"\\[dt]?binom\{?+([0-9]++)|(?<![0-9])([0-9]++)\}?+\\choose")
_GREAT_OPERATOR = re.compile(r"\\(?:i{0,3}int|oint|sum|prod|lim|coprod|bigcup|bigcap)(?![a-zA-Z])")


def too_long(text: str) -> bool:
    """Say whether an answer is over the length cap, or has a run of digits over its own."""
    return len(text) > MAX_ANSWER_CHARACTERS or _DIGIT_RUN.search(text) is not None


def too_large(answer: str, *, gold: str) -> bool:
    """Say whether an answer is over a cap. Integrals, sums and products are allowed if the gold answer has one."""
    if too_long(answer):
        return True
    answer = "".join(answer.split())
    level = deepest = 0
    for bracket in _BRACKET.finditer(answer):
        level += 1 if bracket[0][-1] in "([{" else -1
        deepest = max(deepest, level)
    return (
        deepest > MAX_NESTING
        or ("matrix" in answer and answer.count("&") + answer.count(r"\\") >= MAX_CELLS)
        or answer.count(",") + answer.count(";") + answer.count(r"\cup") >= MAX_ELEMENTS
        or _LONG_EXPONENT.search(answer) is not None
        or _TOWER.search(answer) is not None
        or any(int(match[1]) > MAX_ARGUMENT for match in _FACTORIAL.finditer(answer))
        or any(int(match[1] or match[2]) > MAX_ARGUMENT for match in _BINOMIAL.finditer(answer))
        or (_GREAT_OPERATOR.search(answer) is not None and _GREAT_OPERATOR.search(gold) is None)
    )


def describe() -> dict[str, int]:
    """Name the caps, for run.json."""
    return {
        "max_text_characters": MAX_TEXT_CHARACTERS,
        "max_answer_characters": MAX_ANSWER_CHARACTERS,
        "max_digits": MAX_DIGITS,
        "max_nesting": MAX_NESTING,
        "max_cells": MAX_CELLS,
        "max_elements": MAX_ELEMENTS,
        "max_exponent_digits": MAX_EXPONENT_DIGITS,
        "max_argument": MAX_ARGUMENT,
    }
