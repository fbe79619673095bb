"""Gold answers as data sets spell them, brought into the form that graders read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from relift.grading import caps
from relift.grading.choice import letter_of_gold
from relift.grading.compare import tree_of
from relift.grading.damage import repaired
from relift.grading.exact import as_number, normalise_answer
from relift.grading.latex import Spelling, spell
from relift.grading.trees import Apply, Group
from relift.grading.words import MAX_PROSE

_FORMULAS = re.compile(r"\$([^$]++)\$[\s.]*+(?:(?:,|;|and|or)\s*+)?")
_NUMPY = re.compile(r"\bnp\.(?:(arc(?:sin|cos|tan)|sin|cos|tan|exp|sqrt|log|pi)\b)")
_DOT_BEFORE_SLASH = re.compile(r"(\d)\.(?=\s*/)")
_SCIENTIFIC = re.compile(r"(?<![\w.\\}])([-+]?+(?:\d++(?:\.\d*+)?+|\.\d++))[eE] ?+([+-]?+)0*+(\d{1,4})(?![\w.])")
_WHOLE_NUMBER = re.compile(r"([-+]?+)(\d++)(?:\.0++)?+", re.ASCII)
_WORD = re.compile(r"(?<![\\\w{])[A-Za-z]{2,}\b")
SOLUTION_WORDS = 25  # a final answer has fewer words of prose; formulas and commands of LaTeX are not counted


@dataclass(frozen=True)
class Gold:
    """A gold answer: its LaTeX for math-verify, its canonical string, whether it is a list without order."""

    latex: str
    spelling: Spelling
    is_list: bool

    @property
    def is_prose(self) -> bool:
        """Whether it is a sentence, or damaged, so that nothing but the same text can equal it."""
        words = self.spelling.words
        return self.spelling.is_damaged or (words is not None and len(words.telling) > MAX_PROSE)

    @property
    def plain(self) -> str:
        """Its canonical string; "" for one without content."""
        return self.spelling.plain


def normalise_gold(text: str) -> str:
    r"""The gold answer in one spelling: a LaTeX expression without dollars. Idempotent.

    `$1$, $2$` is `1,2`; `142.0` is `142`; `025` is `25`; `4.5e33` is `4.5\times 10^{33}`; `-1./3` is `-1/3`;
    `np.arcsin(x)` is `\arcsin(x)`; a dot behind the closing dollar is gone. What is over the caps stays as it is.
    """
    if caps.too_long(text):
        return text
    while True:
        repaired = _repaired(" ".join(text.split()))
        if repaired == text:
            return text
        text = repaired


def _repaired(text: str) -> str:
    formulas = _FORMULAS.findall(text)
    if formulas and not _FORMULAS.sub("", text).strip():
        text = ",".join(formula.strip() for formula in formulas)
    text = text.strip().removesuffix("$.").strip("$ ") if text.count("$") in (1, 2) and "\\$" not in text else text
    text = _NUMPY.sub(lambda m: rf"\{'ln' if m[1] == 'log' else m[1]}", text)
    text = _DOT_BEFORE_SLASH.sub(r"\1", text)
    text = _SCIENTIFIC.sub(lambda m: rf"{m[1]}\times 10^{{{m[2].replace('+', '')}{m[3]}}}", text)
    number = _WHOLE_NUMBER.fullmatch(text)
    if number:
        text = number[1] + (number[2].lstrip("0") or "0")
    return text


@lru_cache(maxsize=50_000)
def read_gold(text: str) -> Gold:
    """The gold answer of a question, ready to be compared; one over the caps has no content."""
    if caps.too_long(text):
        return Gold("", Spelling(""), is_list=False)
    latex = normalise_gold(repaired(text))
    spelling = spell(latex)
    plain = spelling.plain
    tree = tree_of(plain)
    unordered = isinstance(tree, Group) and (tree.opening, tree.closing) in (("", ""), ("{", "}"))
    signs = isinstance(tree, Apply) and r"\pm" in plain
    return Gold(latex, spelling, (unordered and isinstance(tree, Group) and len(tree.elements) > 1) or signs)


def gold_problem(gold: str, kind: str) -> str | None:
    """Say in a few words what makes a gold answer unusable; None for one that is not known to be unusable.

    Costs microseconds: whether math-verify reads a gold of kind math says `Grader.unreadable_golds` alone.
    """
    if not gold.strip():
        return "is empty"
    if caps.too_long(gold):
        return "is too long"
    if kind == "exact" and as_number(normalise_answer(gold)) is None:
        return "is no number"
    if kind == "choice" and letter_of_gold(gold) is None:
        return "is no letter from A to Z"
    if kind == "math" and not read_gold(gold).plain:
        return "has no content"
    return None


def solution_in(gold: str) -> str | None:
    """Tell what makes a gold a whole worked solution; None for a final answer.

    Equality with a solution means nothing, so a load refuses such golds: the layout must reduce them. Looked for are
    GSM8K's `####`, a box, and prose of SOLUTION_WORDS words.
    """
    for mark in ("####", r"\boxed", r"\fbox"):
        if mark in gold:
            return f"it contains {mark}"
    n_words = len(_WORD.findall(gold))
    return f"it has {n_words} words" if n_words >= SOLUTION_WORDS else None
