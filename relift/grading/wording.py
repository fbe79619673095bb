"""Answers with words against each other, and against formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from relift.grading.decisions import Decision, no, unsure, yes
from relift.grading.words import Worded, number_word

if TYPE_CHECKING:
    from relift.grading.latex import Spelling

Same = Callable[[str, str], Decision | None]  # how two formulas are compared
MAX_UNKNOWN = 2  # words beside a formula that need not be known: nouns of what is counted
_NOTHING = frozenset(
    (
        "no solution",
        "no solutions",
        "no real solution",
        "no real solutions",
        "empty set",
        "emptyset",
        "none exist",
        "no such number",
        "does not exist",
        "none",
        "no values",
    )  # fmt: skip
)
_EMPTY = (r"\varnothing", r"\{\}")


def same_wording(gold: Spelling, answer: Spelling, *, same: Same) -> Decision | None:
    """Compare two answers of which at least one has words in it. None says: ask math-verify, and believe its no."""
    g, a = gold.words, answer.words
    if _calculates(a) and not _calculates(g):
        return no("words")  # a sum or power of something with words
    if _is_list(answer.plain, a) and "," not in gold.plain:
        return no("list")
    if g is None and a is not None:
        return _sentence_for(gold.plain, a, same)
    if g is not None and a is None:
        return _for_sentence(g, answer.plain, same)
    assert g is not None and a is not None
    if not g.formulas and not a.formulas:
        return _only_words(g, a)
    return _words_and_formulas(g, a, same)


def _calculates(worded: Worded | None) -> bool:
    """Say whether a formula goes on behind a word with a sign: `15 cm^2+1`."""
    return worded is not None and any(
        text[:1] in "+*/^-" and place and worded.pieces[place - 1][0] == "word"
        for place, (kind, text) in enumerate(worded.pieces)
        if kind == "formula"
    )


def _is_list(plain: str, worded: Worded | None) -> bool:
    """Say whether an answer with words is a list of short elements, and no sentence with commas."""
    parts = plain.split(",")
    n_words = len(worded.words) if worded else 0
    return len(parts) > 1 and n_words <= len(parts) and len(worded.pieces if worded else ()) >= 2


def _sentence_for(gold: str, answer: Worded, same: Same) -> Decision | None:
    """Compare a formula with a sentence: the sentence has to commit itself to one formula and change nothing."""
    if not answer.formulas:
        if gold in _EMPTY and _phrase(answer) in _NOTHING:
            return yes("words")
        if any(number_word(word) is not None for word in answer.words):
            return unsure("words")  # two squared, one half, six apples
        return no("text") if gold[-1:].isdigit() or gold in _EMPTY else None
    formula = answer.committed()
    decision = same(gold, formula) if formula is not None else None
    if decision is not None and decision.equal is False:
        return no(decision.rule)
    if answer.denying:
        return no("words")
    if answer.changing or len(answer.telling) > MAX_UNKNOWN or decision is None:
        return unsure("words")
    return decision


def _for_sentence(gold: Worded, answer: str, same: Same) -> Decision | None:
    """Compare a gold answer with words with a bare formula."""
    if not gold.formulas:
        if answer in _EMPTY and _phrase(gold) in _NOTHING:
            return yes("words")
        if len(gold.telling) == 1 and len(gold.words) == 1:
            return no("text") if answer[-1:].isdigit() else None
        return no("text") if answer[-1:].isdigit() and _phrase(gold) in _NOTHING else None
    formula = gold.committed()
    decision = same(formula, answer) if formula is not None else None
    if decision is not None and decision.equal is False and not gold.changing:
        return no(decision.rule)
    if decision is not None and decision.equal and not gold.changing and len(gold.telling) <= MAX_UNKNOWN:
        return decision
    return unsure("words")


def _only_words(gold: Worded, answer: Worded) -> Decision | None:
    g, a = _core(gold), _core(answer)
    if _phrase(gold) in _NOTHING or _phrase(answer) in _NOTHING:
        return Decision(_phrase(gold) in _NOTHING and _phrase(answer) in _NOTHING, "words")
    if g == a:
        return yes("text")
    if answer.denying != gold.denying:
        return no("words")
    if len(g) == len(a) == 1:
        return no("text")
    return Decision(False if not set(g) & set(a) else None, "words")


def _words_and_formulas(gold: Worded, answer: Worded, same: Same) -> Decision | None:
    if len(gold.formulas) != len(answer.formulas):
        return unsure("words")
    decisions = [same(g, a) if g != a else yes("text") for g, a in zip(gold.formulas, answer.formulas, strict=True)]
    if any(decision is not None and decision.equal is False for decision in decisions):
        return no("words")
    g, a = sorted(_core(gold)), sorted(_core(answer))
    if g == a:
        return yes("words") if all(d is not None and d.equal for d in decisions) else None
    differing = set(g) ^ set(a)
    return Decision(False if len(g) == len(a) and len(differing) == 2 else None, "words")


def _core(worded: Worded) -> tuple[str, ...]:
    """The words that tell something; all of them where none does."""
    return worded.telling or worded.words


def _phrase(worded: Worded) -> str:
    words = [word for word in worded.words if word not in ("there", "is", "are", "the", "an", "a", "has", "have", "it")]
    return " ".join(words)
