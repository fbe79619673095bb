"""The exact scorer: gold answers that are numbers, compared as exact fractions. Nothing is evaluated or rounded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Self

from relift.grading.base import Judgement, Submission, no_answer_rule
from relift.grading.caps import MAX_ANSWER_CHARACTERS, MAX_DIGITS, MAX_TEXT_CHARACTERS
from relift.grading.caps import too_long as _too_large
from relift.grading.extract import THINKING_TAGS, TagPairs, last_box, without_thoughts
from relift.schema import Finish, Verdict

_NUMBER = re.compile(r"([+-]?[0-9]+(?:\.[0-9]*)?|[+-]?\.[0-9]+)(?:/([0-9]+))?")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?")
_SPACING = re.compile(r"\\[,;:! ]|\s+")


def normalise_answer(text: str) -> str:
    """The text that is compared: spacing, dollars, a final dot and thousands separators gone, one kind of minus.

    Lone surrogates, which no file can hold, become U+FFFD.
    """
    plain = _SPACING.sub("", text).replace("\u2212", "-").replace("$", "").replace("{,}", ",").removesuffix(".")
    if _THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    return plain if plain.isascii() else plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def as_number(plain: str) -> Fraction | None:
    """The exact value of an integer, a terminating decimal or a quotient of one by an integer; None for others."""
    match = _NUMBER.fullmatch(plain)
    if match is None:
        return None
    denominator = int(match[2] or 1)
    return Fraction(match[1]) / denominator if denominator else None


def judge(submission: Submission, *, tags: TagPairs = THINKING_TAGS) -> Judgement:
    """The verdict on one answer, and the rule that decided (WHERE.RULE).

    box.text     the box holds the gold's text, or no number at all
    box.number   both are numbers: equal or not, exactly
    none.no_answer, none.truncated, none.refused    no closed box, by whether the answer was cut off: wrong, and decided
    none.unclosed_thought    thoughts that never end: wrong
    none.gold_unreadable, none.too_large, box.too_large    undecided
    """
    if len(submission.text) > MAX_TEXT_CHARACTERS or _too_large(submission.gold):
        return Judgement(Verdict.undecided, "none.too_large")
    gold = normalise_answer(submission.gold)
    gold_value = as_number(gold)
    if gold_value is None:
        return Judgement(Verdict.undecided, "none.gold_unreadable")
    rest = without_thoughts(submission.text, tags=tags, opened=submission.opened)
    if rest is None:
        return Judgement(Verdict.wrong, no_answer_rule(submission.finish, ended="none.unclosed_thought"))
    content = last_box(rest)
    if content is not None and _too_large(content):
        return Judgement(Verdict.undecided, "box.too_large")
    answer = normalise_answer(content or "")
    if not answer:
        finish = submission.finish if content is None else Finish.stop
        return Judgement(Verdict.wrong, no_answer_rule(finish, ended="none.no_answer"))
    if answer == gold:
        return Judgement(Verdict.correct, "box.text", str(gold_value))
    value = as_number(answer)
    if value is None:
        return Judgement(Verdict.wrong, "box.text", answer)
    return Judgement(Verdict.correct if value == gold_value else Verdict.wrong, "box.number", str(value))


class ExactScorer:
    """Grades numbers in this process; every text gets a verdict, none raises."""

    name = "exact"

    def __init__(self, *, tags: TagPairs = THINKING_TAGS) -> None:
        self._tags = tuple(tags)

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        return [judge(s, tags=self._tags) for s in submissions]

    def describe(self) -> dict[str, object]:
        return {
            "name": self.name,
            "version": 2,
            "max_text_characters": MAX_TEXT_CHARACTERS,
            "max_answer_characters": MAX_ANSWER_CHARACTERS,
            "max_digits": MAX_DIGITS,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None
