"""Find questions that stand in a file twice, nearly twice, or in a benchmark.

Memory grows with the number of questions, not with their worked solutions: about a kilobyte for each.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LONGEST, SHORTEST = 13, 8  # words of a sequence, fewer for shorter questions: Brown et al. 2020 (GPT-3), appendix C
# Contests have phrases of 13 words and more ("where m and n are relatively prime positive integers. Find m + n"): of 83
# AMC questions 10 share one with AIME, but no more than 9 % of one question's. So a question counts as a benchmark's
# when it has this share of its sequences.
SHARE = 0.2
NEAR = 0.7  # least share of common word pairs of two questions with the same numbers, signs and gold
SKETCH = 64  # word pairs kept of a question: all of most questions
KEYS = 4  # of these, the smallest, under which a question is looked up

_LAYOUT = re.compile(r"\\(?:left|right|displaystyle|[,;:! ()\[\]])|[$~{}]|(?<=\\)[dt](?=frac)")
_TOKEN = re.compile(r"\\[A-Za-z]+|\d+(?:\.\d+)?|[^\W\d_]+|[-+*/=<>^_|()\[\]%!]")
_WORD = re.compile(r"\w+")
_LETTERS = re.compile(r"[^\W\d_]+")


def tokens_of(text: str) -> list[str]:
    """Split a question into words, numbers, commands and signs, without what only sets it (case, dollars, spacing)."""
    return _TOKEN.findall(_LAYOUT.sub(" ", unicodedata.normalize("NFKC", text)).replace("\\ frac", "\\frac").casefold())


def _hash(parts: Sequence[str]) -> int:
    return int.from_bytes(hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True)
class Repeat:
    """An earlier question that a question repeats. `kind`: exact, or near. `same_gold`: its gold answer is the same."""

    where: str
    kind: str
    same_gold: bool


class Seen:
    """Remember questions by their tokens, to find the ones that come again."""

    def __init__(self) -> None:
        self._exact: dict[int, tuple[int, int]] = {}  # tokens -> (number of the question, gold)
        self._near: dict[int, int | list[int]] = {}  # signs, gold and one word pair -> number or numbers
        self._sketches: list[bytes] = []
        self._where: list[str] = []

    def find(self, problem: str, gold: str) -> Repeat | None:
        """Find an earlier question that this one repeats; None if it is new.

        exact: the same tokens. near: the same numbers and signs in the same order, the same gold answer, and at least
        NEAR of the word pairs of both in common (of more than SKETCH pairs, those with the smallest hashes).
        """
        tokens, answer = tokens_of(problem), _hash(tokens_of(gold))
        same = self._exact.get(_hash(tokens))
        if same is not None:
            return Repeat(self._where[same[0]], "exact", same[1] == answer)
        sketch = _sketch(tokens)
        for number in dict.fromkeys(n for key in _keys(tokens, answer, sketch) for n in self._numbers(key)):
            if _alike(sketch, np.frombuffer(self._sketches[number], np.uint32)) >= NEAR:
                return Repeat(self._where[number], "near", same_gold=True)
        return None

    def add(self, problem: str, gold: str, *, where: str) -> None:
        """Remember a question, and where it stands."""
        tokens, answer = tokens_of(problem), _hash(tokens_of(gold))
        number, sketch = len(self._where), _sketch(tokens)
        self._exact.setdefault(_hash(tokens), (number, answer))
        for key in _keys(tokens, answer, sketch):
            there = self._numbers(key)
            self._near[key] = [*there, number] if there else number
        self._sketches.append(sketch.tobytes())
        self._where.append(where)

    def _numbers(self, key: int) -> list[int]:
        found = self._near.get(key, [])
        return [found] if isinstance(found, int) else found


def _sketch(tokens: Sequence[str]) -> np.ndarray:
    """Hash the pairs of neighbouring words, the smallest SKETCH of them, sorted."""
    words = [t for t in tokens if _LETTERS.fullmatch(t)]
    pairs = {_hash(pair) >> 32 for pair in zip(words, words[1:], strict=False)} or {_hash(words) >> 32}
    return np.array(sorted(pairs)[:SKETCH], dtype=np.uint32)


def _keys(tokens: Sequence[str], answer: int, sketch: np.ndarray) -> Iterator[int]:
    signs = _hash([t for t in tokens if not _LETTERS.fullmatch(t)])
    return (signs ^ answer ^ int(pair) for pair in sketch[:KEYS])


def _alike(a: np.ndarray, b: np.ndarray) -> float:
    """Estimate the share of common word pairs; exact where both have fewer than SKETCH."""
    union = np.union1d(a, b)
    if len(a) == SKETCH or len(b) == SKETCH:
        union = union[:SKETCH]
    return float(np.isin(union, np.intersect1d(a, b)).sum() / len(union))


@dataclass(frozen=True)
class Overlap:
    """The benchmark question that a question shares words with.

    `share`: of that question's word sequences, from 0 to 1; 1 where all of it is the same.
    """

    benchmark: str
    share: float


class Benchmarks:
    """Hold the questions that must not be trained on, by their word sequences.

    `questions`: problems by the benchmark's name.
    """

    def __init__(self, questions: Mapping[str, Iterable[str]]) -> None:
        self.sizes: dict[str, int] = {}
        self._whole: dict[int, str] = {}  # by all of their tokens
        self._of_gram: dict[int, list[int]] = {}  # word sequence -> numbers of questions
        self._names: list[str] = []
        self._n_grams: list[int] = []
        self._lengths: set[int] = set()
        for name, problems in questions.items():
            self.sizes[name] = 0
            for problem in problems:
                self.sizes[name] += 1
                key = _hash(tokens_of(problem))
                if key in self._whole:  # of two benchmarks
                    continue
                self._whole[key] = name
                words = _words(problem)
                length = max(SHORTEST, min(LONGEST, len(words)))
                grams = set(_grams(words, length))
                self._lengths |= {length} if grams else set()
                for gram in grams:
                    self._of_gram.setdefault(gram, []).append(len(self._names))
                self._names.append(name)
                self._n_grams.append(len(grams))

    def overlap(self, problem: str) -> Overlap | None:
        """Find the benchmark question of which this question has the largest share of sequences of LONGEST words.

        None where it has not one. A benchmark question of fewer words is looked for whole; one of fewer than SHORTEST
        is found where the two questions have the same tokens.
        """
        name = self._whole.get(_hash(tokens_of(problem)))
        if name is not None:
            return Overlap(name, 1.0)
        words = _words(problem)
        grams = {gram for length in self._lengths for gram in _grams(words, length)}
        common = Counter(number for gram in grams for number in self._of_gram.get(gram, ()))
        if not common:
            return None
        share, number = max((n / self._n_grams[number], -number) for number, n in common.items())
        return Overlap(self._names[-number], share)


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _grams(words: Sequence[str], length: int) -> Iterator[int]:
    return (_hash(words[at : at + length]) for at in range(len(words) - length + 1))
