"""Mathematics: answers that may be any expression. In this process what is certain, in workers what takes sympy."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Self

from relift.grading import caps
from relift.grading.base import Judgement, Submission
from relift.grading.compare import tree_of
from relift.grading.decisions import Decision
from relift.grading.extract import THINKING_TAGS, TagPairs, find_answer
from relift.grading.golds import Gold, read_gold
from relift.grading.latex import spell
from relift.grading.numbers import number_of
from relift.grading.pool import Outcome, Pair, Pool
from relift.grading.reader import PLAIN_NUMBER
from relift.grading.spelled import judge as judge_spellings
from relift.grading.trees import Apply, Name, Number
from relift.grading.vetoes import veto
from relift.schema import Verdict

VERSION = 4  # of the rules; a change of any verdict raises it
REMEMBERED = 200_000  # outcomes of the workers
LIBRARIES = ("math-verify", "latex2sympy2_extended", "sympy", "mpmath")

_VERDICTS = {"correct": Verdict.correct, "wrong": Verdict.wrong, "undecided": Verdict.undecided}
_BY_EQUALITY = {True: Verdict.correct, False: Verdict.wrong, None: Verdict.undecided}
_SPACES = re.compile(r"\s+")


class MathScorer:
    """Judges by the pipeline of docs/grading.md. `tolerance`: numbers agree within this share of the gold value."""

    def __init__(
        self,
        *,
        workers: int = 1,
        limit_seconds: float = 2.0,
        tolerance: Fraction | None = None,
        tags: TagPairs = THINKING_TAGS,
    ) -> None:
        self.name = "relift" if tolerance is None else f"relift-{float(tolerance):g}"
        self._tolerance = tolerance
        self._tags = tuple(tags)
        self._pool = Pool(workers=workers, limit_seconds=limit_seconds)
        self._outcomes: dict[Pair, Outcome] = {}
        self._decided: dict[tuple[str, str, str], Judgement | _Open] = {}  # by gold, where, content

    def judge(self, submissions: Sequence[Submission]) -> list[Judgement]:
        judged: list[Judgement | _Open] = [self._judge_here(submission) for submission in submissions]
        pairs = list(dict.fromkeys(item.pair for item in judged if isinstance(item, _Open)))
        outcomes = self._judge_there(pairs)
        return [item.judgement(outcomes[item.pair]) if isinstance(item, _Open) else item for item in judged]

    def _judge_here(self, submission: Submission) -> Judgement | _Open:
        """The verdict where it is certain without sympy, else what the workers have to compare."""
        if len(submission.text) > caps.MAX_TEXT_CHARACTERS:
            return Judgement(Verdict.undecided, "none.too_large")
        gold = read_gold(submission.gold)
        if not gold.plain:
            return Judgement(Verdict.undecided, "none.gold_unreadable")
        found = find_answer(
            submission.text,
            finish=submission.finish,
            opened=submission.opened,
            tags=self._tags,
            merge_boxes=gold.is_list,
        )
        if found.content is None:
            return Judgement(Verdict.wrong, found.where)
        if caps.too_long(found.content):
            return Judgement(Verdict.undecided, f"{found.where}.too_large")
        key = submission.gold, found.where, found.content
        if key not in self._decided:
            if len(self._decided) >= REMEMBERED:
                self._decided.clear()
            self._decided[key] = self._compare(gold, found.where, found.content)
        return self._decided[key]

    def _compare(self, gold: Gold, where: str, content: str) -> Judgement | _Open:
        spelled = spell(content)
        if not spelled.plain:
            return Judgement(Verdict.wrong, "none.no_answer")
        decision: Decision | None
        try:
            answer = storable(spelled.plain)
            decision = judge_spellings(gold.spelling, spelled, tolerance=self._tolerance)
        except (RecursionError, ArithmeticError, ValueError):  # one strange answer must not take the others with it
            answer, decision = None, None
        if gold.is_prose and not (decision is not None and decision.equal and decision.rule == "text"):
            return Judgement(Verdict.undecided, f"{where}.gold_unreadable", answer)
        if decision is not None:
            return Judgement(_BY_EQUALITY[decision.equal], f"{where}.{decision.rule}", answer)
        if caps.too_large(content, gold=gold.latex):
            return Judgement(Verdict.undecided, f"{where}.too_large", answer)
        return _Open(_pair(gold, content, spelled.plain), where, answer, veto(gold.spelling, spelled))

    def _judge_there(self, pairs: Sequence[Pair]) -> dict[Pair, Outcome]:
        known = {pair: self._outcomes[pair] for pair in pairs if pair in self._outcomes}
        new = [pair for pair in pairs if pair not in known]
        for pair, outcome in zip(new, self._pool.judge(new), strict=True):
            known[pair] = outcome
            if outcome.verdict != "undecided":  # a time limit may hit once and not again
                self._outcomes[pair] = outcome
        while len(self._outcomes) > REMEMBERED:
            self._outcomes.pop(next(iter(self._outcomes)))
        return known

    def prepare(self, golds: Iterable[str]) -> None:
        """Start the workers and let them read the golds that may need them; returns at once."""
        read = [read_gold(gold) for gold in dict.fromkeys(golds)]
        self._pool.prepare([formula(gold.latex) for gold in read if not _plain_number(gold.plain)])

    def unreadable(self, golds: Sequence[str]) -> list[bool]:
        """Say of each gold answer whether math-verify and this grader both fail to read it, or it is a sentence."""
        read = [read_gold(gold) for gold in golds]
        unclear = [gold for gold in read if gold.plain and not gold.is_prose and tree_of(gold.plain) is None]
        outcomes = dict(
            zip(unclear, self._pool.judge([Pair(formula(g.latex), (), "gold") for g in unclear]), strict=True)
        )
        return [not g.plain or g.is_prose or (g in outcomes and outcomes[g].reason == "gold_unreadable") for g in read]

    def describe(self) -> dict[str, object]:
        return {
            "name": self.name,
            "version": VERSION,
            "tolerance": None if self._tolerance is None else float(self._tolerance),
            "limit_seconds": self._pool.limit_seconds,
            "thinking_tags": [list(pair) for pair in self._tags],
            **library_versions(),
            **caps.describe(),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.close()


class _Open:
    """A submission that waits for a worker's outcome; `veto`: why its yes would not count."""

    def __init__(self, pair: Pair, where: str, answer: str | None, veto: str | None = None) -> None:
        self.pair, self._where, self._answer, self._veto = pair, where, answer, veto

    def judgement(self, outcome: Outcome) -> Judgement:
        """Make the judgement that the outcome leads to."""
        if outcome.verdict == "correct" and self._veto is not None:
            return Judgement(Verdict.undecided, f"{self._where}.{self._veto}", self._answer)
        rule = outcome.reason if outcome.verdict == "undecided" else "sympy"
        return Judgement(_VERDICTS[outcome.verdict], f"{self._where}.{rule}", self._answer)


def formula(text: str) -> str:
    r"""A LaTeX expression as math-verify wants it: in dollars, or in a box if it holds dollars itself."""
    text = _SPACES.sub(" ", text).strip()
    return f"${text}$" if "$" not in text else rf"\boxed{{{text}}}"


def _pair(gold: Gold, content: str, plain: str) -> Pair:
    """Gold and answer for the workers: the answer as it was written and, where that differs, its canonical string."""
    written = formula(content.strip().strip("$"))
    other = formula(plain)
    same = _SPACES.sub("", written) == _SPACES.sub("", other)
    return Pair(formula(gold.latex), (written,) if same else (written, other))


def storable(plain: str) -> str:
    """The normalised answer of the record: a number by its value, else the canonical string. Lone surrogates go."""
    if PLAIN_NUMBER.fullmatch(plain):
        return str(Fraction(plain))
    tree = tree_of(plain)
    value = number_of(tree) if isinstance(tree, (Number, Name, Apply)) else None
    if isinstance(value, Fraction) and max(value.numerator.bit_length(), value.denominator.bit_length()) < 1_000:
        return str(value)
    return plain if plain.isascii() else plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _plain_number(plain: str) -> bool:
    return isinstance(tree_of(plain), Number)


def library_versions() -> dict[str, str]:
    """Installed versions of what a verdict may rest on."""
    return {name.replace("-", "_"): importlib.metadata.version(name) for name in LIBRARIES}
