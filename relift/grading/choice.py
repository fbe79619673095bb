"""Multiple choice: the letter that an answer commits itself to. Never sympy, where `E` and `I` are constants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Self

from relift.grading.base import Judgement, Submission
from relift.grading.caps import MAX_TEXT_CHARACTERS
from relift.grading.extract import THINKING_TAGS, TagPairs, last_box, last_tag, without_thoughts
from relift.schema import Finish, Verdict

LETTERS = "ABCDEFGHIJ"

# "the answer is", "Answer:", "correct option is", "**Answer**:"; what follows is read to the end of the line
_CUE = re.compile(
    r"\b(?:answer|option|choice)\b(?:\*\*|__)?\s*(?:is|:|=|would be|must be)(?:\*\*|__)?\s*:?"
    r"(?:\s*(?:option|choice)\b)?",
    re.IGNORECASE,
)
_WRAPPERS = re.compile(r"\\(?:text|mathrm|textbf|mathbf|boxed|fbox|mathit|textit)\s*\{|\\[()\[\],;:! ]|[${}*_`]")
_LABEL = re.compile(r"\W*(?:(?:option|choice|answer)\s*:?\s*)?[(\[]?([A-Z])(?:[)\]][.:]?|[.:])(?=\s|$)", re.IGNORECASE)
_ALONE = re.compile(r"\W*([A-Z])\W*", re.IGNORECASE)
_STANDING = re.compile(r"(?<![\w\\'])([A-J])(?![\w'])")
_BRACKETED = re.compile(r"[(\[]([A-J])[)\]]|\*\*\(?([A-J])\)?\.?\*\*")
# "A" and "I" are words too: behind a cue, outside brackets, they are letters only before one of these
_ENDS_LETTER = re.compile(r"\s*(?:$|[.,:;)\]*!?\n-]|(?:because|since|as|which|with|for|and|or)\b)")


def letter_of_gold(gold: str, options: Sequence[str] = ()) -> str | None:
    """The letter of a gold answer: "C", "(c)", "C.", or the text of one option; None for anything else."""
    plain = _WRAPPERS.sub("", gold)
    alone = _ALONE.fullmatch(plain)
    if alone:
        return alone[1].upper()
    return _option(plain, options)


def judge(submission: Submission, *, tags: TagPairs = THINKING_TAGS) -> Judgement:
    """The verdict on one answer. Rules: box, tag, line or whole with `choice` (a letter was found, or the text of
    exactly one option) or `ambiguous_choice` (two letters: wrong); none with no_answer, truncated, unclosed_thought
    (wrong), too_large, gold_unreadable (undecided)."""
    cut = submission.finish == Finish.length
    if len(submission.text) > MAX_TEXT_CHARACTERS:
        return Judgement(Verdict.undecided, "none.too_large")
    gold = letter_of_gold(submission.gold, submission.options)
    if gold is None:
        return Judgement(Verdict.undecided, "none.gold_unreadable")
    rest = without_thoughts(submission.text, tags=tags, opened=submission.opened)
    if rest is None:
        return Judgement(Verdict.wrong, "none.truncated" if cut else "none.unclosed_thought")
    where, letters = _letters_in(rest, submission.options, cut=cut)
    if not letters:
        return Judgement(Verdict.wrong, "none.truncated" if cut and where == "none" else "none.no_answer")
    if len(letters) > 1:
        return Judgement(Verdict.wrong, f"{where}.ambiguous_choice", ",".join(sorted(letters)))
    (letter,) = letters
    return Judgement(Verdict.correct if letter == gold else Verdict.wrong, f"{where}.choice", letter)


def _letters_in(text: str, options: Sequence[str], *, cut: bool) -> tuple[str, set[str]]:
    """Where the final answer stands, and the letters in it."""
    for where, content in (("box", last_box(text)), ("tag", last_tag(text))):
        if content is not None:
            return where, _letters_of(content, options)
    for cue in reversed(list(_CUE.finditer(text))):
        line = text[cue.end() :].lstrip("\n\r ").split("\n", 1)
        if cut and len(line) == 1 and not re.search(r"[.)\]*]\s*$|\.\s", line[0]):
            continue  # the line was being written
        letters = _letters_behind_cue(line[0], options)
        if letters:
            return "line", letters
    if not cut and "\n" not in text.strip():
        plain = _WRAPPERS.sub("", text).strip()
        letters = _letters_of(text, options) if _ALONE.fullmatch(plain) or _LABEL.match(plain) else set()
        option = _option(plain, options)
        letters = letters or ({option} if option else set())
        if letters and plain.strip("(). ") != "I":  # a bare I may be a pronoun
            return "whole", letters
    return "none", set()


def _letters_of(content: str, options: Sequence[str]) -> set[str]:
    """Letters of a box or a tag: its label ("C. text"), else the only letter, else the text of one option."""
    plain = _WRAPPERS.sub("", content).strip()
    label = _LABEL.match(plain) or _ALONE.fullmatch(plain)
    if label and not _STANDING.search(re.sub(r"^\W*(?:and|or|,)", "", plain[label.end() :][:6])):
        return {label[1].upper()}
    option = _option(plain, options)
    if option:
        return {option}
    return set(_STANDING.findall(plain))


def _letters_behind_cue(line: str, options: Sequence[str]) -> set[str]:
    """Letters of an answer line: marked ones (brackets, bold) before bare ones; to the end of the first sentence."""
    sentence = re.split(r"(?<=[^A-J.(\s*])\.\s|(?<=[)\]*])\.\s", line, maxsplit=1)[0]
    marked = {first or second for first, second in _BRACKETED.findall(sentence)}
    if marked:
        return marked
    plain = _WRAPPERS.sub("", sentence).strip()
    alone = _ALONE.fullmatch(plain)
    if alone:
        return {alone[1].upper()}
    option = _option(plain.rstrip("."), options)
    if option:
        return {option}
    label = _LABEL.match(plain)
    if label and label[1].isupper():
        return {label[1]}
    found = [m for m in _STANDING.finditer(plain) if m[1] not in "AI" or _ENDS_LETTER.match(plain, m.end())]
    first = found[0].start() if found else len(plain)
    if re.search(r"\w", plain[:first]):
        return set()  # prose before the letter: the cue does not lead to it
    return {m[1] for m in found}


def _option(plain: str, options: Sequence[str]) -> str | None:
    """The letter of the one option with this text; None when it is none's, or several have it."""
    text = _comparable(plain)
    same = [place for place, option in enumerate(options[: len(LETTERS)]) if text and _comparable(option) == text]
    return LETTERS[same[0]] if len(same) == 1 else None


def _comparable(text: str) -> str:
    return " ".join(_WRAPPERS.sub("", text).lower().split()).rstrip(".")


class ChoiceScorer:
    """Reads letters in this process; every text gets a verdict."""

    name = "choice"

    def __init__(self, *, tags: TagPairs = THINKING_TAGS) -> None:
        self._tags = tuple(tags)

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        return [judge(s, tags=self._tags) for s in submissions]

    def describe(self) -> dict[str, object]:
        return {"name": self.name, "version": 1, "thinking_tags": [list(pair) for pair in self._tags]}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None
