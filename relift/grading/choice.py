"""Multiple choice: the letter that an answer commits itself to. Never sympy, where `E` and `I` are constants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Self

from relift.grading.base import CUT, Judgement, Submission, no_answer_rule
from relift.grading.caps import MAX_TEXT_CHARACTERS
from relift.grading.damage import repaired
from relift.grading.extract import THINKING_TAGS, TagPairs, last_box, last_tag, without_thoughts
from relift.grading.latex import spell
from relift.grading.spelled import judge as judge_spellings
from relift.schema import Finish, Verdict

VERSION = 2  # of the rules; a change of any verdict raises it
LETTERS = "ABCDEFGHIJ"
MAX_LINE = 2_000  # characters of a line behind a cue, or of a box, that are read
MAX_CUES = 8  # the last ones of a text

# "the answer is", "Answer:", "correct option is", "**Answer**:"; what follows is read to the end of the line
_CUE = re.compile(
    r"(?:\b(?:answer|option|choice)\b(?:\*\*|__)?+\s*+(?:is|:|：|=|would be|must be)(?:\*\*|__)?+\s*+:?+"
    r"|(?:答案|正确选项|故选|应选|因此选|所以选|选项|Ответ|Respuesta|Réponse|Antwort|Risposta|Resposta|답|答え|正解)"
    r"(?:\*\*|__)?+\s*+(?:是|为|為|:|：|は|es|est|ist)?+(?:\*\*|__)?+\s*+:?+"
    r"|\bI (?:choose|select|pick)\b)"
    r"(?:\s*+(?:option|choice|选项)\b)?+",
    re.IGNORECASE,
)
# "(C) is the correct answer", "option C is correct"
_REVERSED = re.compile(
    r"(?:\b(?:option|choice|answer)\s++[(*]{0,3}([A-J])[)*]{0,3}|[(*]{1,3}([A-J])[)*]{1,3}|(?<![\w'])([B-HJ]))"
    r"\s++is\s++(?:the\s++)?(?:(?:correct|right|best)(?:\s++(?:answer|option|choice))?|answer)\b",
)
_WRAPPERS = re.compile(
    r"\\(?:text(?:bf|it|rm|tt)?|math(?:rm|bf|it|sf)|boxed|fbox|mbox)\s*+\{|\\[()\[\],;:! ]|[${}*_`~]"
)
_LABEL = re.compile(
    r"[^\w\\]{0,8}(?:(?:option|choice|answer)\s*+:?+\s*+)?+[(\[]?([A-Z])(?:[)\]][.:]?|[.:：、]| ?[-–—](?= ?\w\w))"
    r"(?=\s|\Z|[^\x00-\x7f]|(?<=[)\]:])\S)",
    re.IGNORECASE,
)
_ALONE = re.compile(
    r"[^\w\\]{0,8}(?:(?:option|choice|answer|选项)\s*+:?+\s*+)?+[(\[（]?([A-Z])[^\w]{0,8}", re.IGNORECASE
)
_SEVERAL = re.compile(r"(?:[(\[]?[A-J][)\]]?(?:\s|[,;/&+.]|\band\b|\bor\b|\\text)*+){2,26}")
_STANDING = re.compile(r"(?<![\w\\'])([A-J])(?![\w'])")
_BRACKETED = re.compile(r"[(\[（]([A-J])[)\]）]|\*\*\(?([A-J])\)?\.?\*\*")
# "A" and "I" are words too: behind a cue, outside brackets, they are letters only before one of these
_ENDS_LETTER = re.compile(r"\s*+(?:\Z|[.,:;)\]*!?\n。，-]|(?:because|since|as|which|with|for|and|or)\b)")
_WORD = re.compile(r"\w")
_SENTENCE_END = re.compile(r"(?<=[^A-J.(\s*])\.\s|(?<=[)\]*])\.\s")
_LINE_IS_DONE = re.compile(r"[.)\]*。]\Z|\.\s")
_LETTERS_IN_WORDS = frozenset("AI")


def letter_of_gold(gold: str, options: Sequence[str] = ()) -> str | None:
    """Read the letter of a gold answer: "C", "(c)", "C.", or the text of one option; None for anything else."""
    plain = _plain(gold)
    alone = _ALONE.fullmatch(plain)
    if alone:
        return alone[1].upper()
    label = _LABEL.match(plain)
    if label and not options:
        return label[1].upper() if label[1].isupper() else None
    return _option(gold, options) or (label[1] if label and label[1].isupper() else None)


def judge(submission: Submission, *, tags: TagPairs = THINKING_TAGS) -> Judgement:
    """Judge one answer. Rules: box, tag, line or whole with `choice` (a letter was found, or the text of exactly one
    option) or `ambiguous_choice` (two letters: wrong); none with no_answer, truncated, refused, unclosed_thought
    (wrong), too_large, gold_unreadable (undecided)."""
    cut = submission.finish in CUT
    if len(submission.text) > MAX_TEXT_CHARACTERS:
        return Judgement(Verdict.undecided, "none.too_large")
    gold = letter_of_gold(submission.gold[:MAX_LINE], submission.options)
    if gold is None:
        return Judgement(Verdict.undecided, "none.gold_unreadable")
    rest = without_thoughts(submission.text, tags=tags, opened=submission.opened)
    if rest is None:
        return Judgement(Verdict.wrong, no_answer_rule(submission.finish, ended="none.unclosed_thought"))
    where, letters = _letters_in(repaired(rest), submission.options, cut=cut)
    if not letters:
        finish = submission.finish if where == "none" else Finish.stop
        return Judgement(Verdict.wrong, no_answer_rule(finish, ended="none.no_answer"))
    if len(letters) > 1:
        return Judgement(Verdict.wrong, f"{where}.ambiguous_choice", ",".join(sorted(letters)))
    (letter,) = letters
    return Judgement(Verdict.correct if letter == gold else Verdict.wrong, f"{where}.choice", letter)


def _letters_in(text: str, options: Sequence[str], *, cut: bool) -> tuple[str, set[str]]:
    """Find where the final answer stands, and the letters in it. A box without a letter, a formula, is passed over."""
    for where, content in (("box", last_box(text)), ("tag", last_tag(text))):
        letters = _letters_of(content, options) if content is not None and len(content) <= MAX_LINE else set()
        if letters:
            return where, letters
    for start, kind in reversed(_cues(text)):
        line = text[start : start + MAX_LINE].lstrip("\n\r ").partition("\n")
        if cut and not line[1] and not _LINE_IS_DONE.search(line[0].rstrip()):
            continue  # the line was being written
        letters = {kind} if kind else _letters_behind_cue(line[0], options)
        if letters:
            return "line", letters
    if not cut:
        letters = _whole(text.strip(), options)
        if letters:
            return "whole", letters
    return "none", set()


def _cues(text: str) -> list[tuple[int, str]]:
    """Places behind the last cues, in order; with the letter where it stood before its cue."""
    places = [(m.end(), "") for m in _CUE.finditer(text)][-MAX_CUES:]
    places += [(m.end(), m[1] or m[2] or m[3]) for m in _REVERSED.finditer(text)][-MAX_CUES:]
    return sorted(places)


def _whole(text: str, options: Sequence[str]) -> set[str]:
    """Letters of a text that is nothing but an answer, or whose last line is nothing but a letter."""
    last = text[-MAX_LINE:].rpartition("\n")[2].strip()
    if last != text:
        plain = _plain(last)
        letter = _ALONE.fullmatch(plain)
        marked = letter and (letter[1].isupper() and (last != letter[1] or letter[1] not in _LETTERS_IN_WORDS))
        return {letter[1]} if letter and marked else set()
    plain = _plain(text)
    letters = _letters_of(text, options) if _ALONE.fullmatch(plain) or _LABEL.match(plain) else set()
    option = _option(text, options)
    letters = letters or ({option} if option else set())
    return letters if plain.strip("(). ") != "I" else set()  # a bare I may be a pronoun


def _letters_of(content: str, options: Sequence[str]) -> set[str]:
    """Letters of a box or a tag: its label ("C. text"), else the only letter, else the text of one option."""
    plain = _plain(content)
    alone = _ALONE.fullmatch(plain)
    if alone:
        return {alone[1].upper()}
    if _SEVERAL.fullmatch(plain):
        return set(_STANDING.findall(plain))
    label = _LABEL.match(plain)
    option = _option(content, options)
    if option:
        return {option}
    if label:
        return {label[1].upper()}
    words = plain.split(" ", 2)
    if (
        len(words) > 1
        and words[0] in LETTERS
        and words[0] not in _LETTERS_IN_WORDS
        and _option(plain[2:], options) == words[0]
    ):
        return {words[0]}
    return set()


def _letters_behind_cue(line: str, options: Sequence[str]) -> set[str]:
    """Letters of an answer line: marked ones (brackets, bold) before bare ones; to the end of the first sentence."""
    sentence = _SENTENCE_END.split(line, maxsplit=1)[0]
    marked = {first or second for first, second in _BRACKETED.findall(sentence)}
    if marked:
        return marked
    plain = _plain(sentence)
    alone = _ALONE.fullmatch(plain)
    if alone:
        return {alone[1].upper()}
    option = _option(sentence.rstrip(". "), options)
    if option:
        return {option}
    label = _LABEL.match(plain)
    if label and label[1].isupper():
        return {label[1]}
    found = [m for m in _STANDING.finditer(plain) if m[1] not in "AI" or _ENDS_LETTER.match(plain, m.end())]
    first = found[0].start() if found else len(plain)
    if _WORD.search(plain[:first]):
        return set()  # prose before the letter: the cue does not lead to it
    return {m[1] for m in found}


def _plain(text: str) -> str:
    return " ".join(_WRAPPERS.sub(" ", text).split()).strip(" ")


def _option(plain: str, options: Sequence[str]) -> str | None:
    """The letter of the one option with this text, in words or as a formula; None where none or several have it."""
    if not options or not plain:
        return None
    for is_same in (_same_text, _same_value):
        same = [place for place, option in enumerate(options[: len(LETTERS)]) if is_same(option, plain)]
        if len(same) == 1:
            return LETTERS[same[0]]
    return None


def _comparable(text: str) -> str:
    return _plain(text).lower().rstrip(".")


def _same_text(option: str, text: str) -> bool:
    return bool(_comparable(text)) and _comparable(option) == _comparable(text)


def _same_value(option: str, text: str) -> bool:
    decision = judge_spellings(spell(option[:MAX_LINE]), spell(text[:MAX_LINE]))
    return decision is not None and decision.equal is True


class ChoiceScorer:
    """Read letters in this process; every text gets a verdict."""

    name = "choice"

    def __init__(self, *, tags: TagPairs = THINKING_TAGS) -> None:
        self._tags = tuple(tags)

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        """Judge every submission, in order."""
        return [judge(s, tags=self._tags) for s in submissions]

    def describe(self) -> dict[str, object]:
        """Name the rules' version and the tags, for run.json."""
        return {"name": self.name, "version": VERSION, "thinking_tags": [list(pair) for pair in self._tags]}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None
