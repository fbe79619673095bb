"""Words in answers: which carry no value, which change it, and what stands between them.

`\\boxed{There are 12 ways}` is 12; `at least 12` is not, and `odd n` is not `even n`. Words that are not known to be
harmless leave a pair undecided.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MARK = "\ue000"  # before a word that stood in a \\text group
MAX_PROSE = 3  # words of a gold answer that are not known; one with more cannot be read by rule

NUMBERS = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split()
    )
} | {
    word: 10 * value
    for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
}
SCALES = {"hundred": "100", "thousand": "10^{3}", "million": "10^{6}", "billion": "10^{9}", "trillion": "10^{12}",
          "dozen": "12"}  # fmt: skip

_COMMITTING = frozenset("is are equals be obtain get answer".split())
_DENYING = frozenset(
    """
    not never least most more less greater fewer smaller bigger than above below over under between beyond except wrong
    incorrect impossible invalid false neither nor cannot
    """.split()
)
# They change what the formula beside them means, or say that it is not the answer
_CHANGING = frozenset(
    """
    not no never non least most more less greater fewer smaller larger bigger than above below over under between beyond
    except without wrong incorrect impossible invalid false neither nor either unknown undefined cannot can't isn't
    approximately about around nearly roughly almost approx twice thrice double triple half halves third thirds quarter
    quarters tenth tenths hundredth hundredths thousandths fifth fifths sixth eighth square cube squared cubed root
    negative minus plus times divided inverse reciprocal factorial modulo mod choose next previous if unless only-if
    maybe perhaps possibly infinitely up down remainder percent hundred thousand million billion dozen base even odd
    prime composite or otherwise guess unsure difference product ratio increase decrease opposite
    """.split()
)
# They introduce a formula or say of what it is the value
_HARMLESS = frozenset(
    """
    the a an so therefore thus hence then final answer answers solution solutions result value values is are equals
    equal to be of for all every each any real there we get have has obtain find it its this that exactly total number
    sum area volume length angle probability minimum maximum largest smallest least-common in as and which with both
    yes indeed finally correct required desired expression equation function ways way he she they his her their will
    needs need costs cost price distance speed time height width radius diameter perimeter measure degree degrees
    expected common average mean median remaining numbers integer integers where when at on by from per
    """.split()
)
_QUANTIFIED = re.compile(
    rf"(?:{MARK}?for )?{MARK}?(?:for|all|every|each|any)(?: {MARK}?(?:all|every|each|any|real|positive|natural|whole|"
    rf"nonnegative|integers?|reals?|numbers?|values?|of|in|the))* ?"
)
_WORD = re.compile(rf"(?<![a-zA-Z\\{MARK}])(?:{MARK}[a-zA-Z][a-zA-Z']++|[a-zA-Z]{{3,}}+)")
_ARTICLE = re.compile(
    rf"(?<![a-zA-Z\\{MARK}]){MARK}?(?:a|an|is|of|no|to|[Ii]t|so|[Ww]e|he|by|or|if|up|in|at|as|on|be)(?![a-zA-Z])"
)
_NAME_OF_FUNCTION = frozenset("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log exp sqrt inf lim max "
                              "min gcd lcm det mod deg dim ker arg".split())  # fmt: skip
_ENVIRONMENT = re.compile(r"\\(?:begin|end|mathbb|mathcal|mathfrak)\{[a-zA-Z]*\*?\}")
_MATHEMATICS = re.compile(r"[0-9a-zA-Z]")
_EDGES = " ,.;:!?"
_ASSIGNMENT = re.compile(r"[a-zA-Z](?:_\w)? ?=")


@dataclass(frozen=True)
class Worded:
    """An answer in pieces: each a word (lower case) or a formula, in order."""

    pieces: tuple[tuple[str, str], ...]  # ("word" or "formula", text)

    @property
    def words(self) -> tuple[str, ...]:
        """The words in order."""
        return tuple(text for kind, text in self.pieces if kind == "word")

    @property
    def formulas(self) -> tuple[str, ...]:
        """The formulas in order."""
        return tuple(text for kind, text in self.pieces if kind == "formula")

    @property
    def denying(self) -> frozenset[str]:
        """Words that say: not this value."""
        return _DENYING.intersection(self.words)

    @property
    def changing(self) -> frozenset[str]:
        """Words that give the formula beside them another meaning."""
        return _CHANGING.intersection(self.words)

    @property
    def telling(self) -> tuple[str, ...]:
        """Words that are not known to carry nothing."""
        return tuple(word for word in self.words if word not in _HARMLESS)

    def committed(self) -> str | None:
        """The one formula that the words commit themselves to; None where that is not clear."""
        formulas = self.formulas
        if len(formulas) == 1:
            return formulas[0]
        if len(formulas) < 2 or self.pieces[-1][0] != "formula":
            return None
        before = self.pieces[-2]
        return formulas[-1] if before[0] == "word" and before[1] in _COMMITTING else None


def unmarked(text: str) -> str:
    """The text without the marks of words from \\text groups."""
    return text.replace(MARK, "")


def read_words(text: str) -> Worded | None:
    """Take words and formulas of a marked text apart; None for a text without words."""
    plain = _ENVIRONMENT.sub(lambda m: " " * len(m[0]), text)
    spans = [m.span() for m in _WORD.finditer(plain) if _is_word(m[0])]
    if not spans:
        return None
    spans = sorted({*spans, *(m.span() for m in _ARTICLE.finditer(plain))})
    pieces: list[tuple[str, str]] = []
    place = 0
    for start, end in (*spans, (len(text), len(text))):
        between = _trimmed(unmarked(text[place:start]))
        if start < end and _ASSIGNMENT.fullmatch(between):
            between = ""  # x= before a word
        between = _trimmed(between.strip("= "))
        if _MATHEMATICS.search(between):
            pieces.append(("formula", between))
        if start < end:
            pieces.append(("word", unmarked(text[start:end]).lower()))
        place = end
    return Worded(tuple(pieces))


def _trimmed(text: str) -> str:
    """Without punctuation around it; the point of .5 stays."""
    return text.strip(_EDGES.replace(".", "")).rstrip(_EDGES)


def _is_word(run: str) -> bool:
    """Say whether a run of letters is a word: marked, or long, or a known one; ABC are points, xyz is a product."""
    if run.startswith(MARK):
        return True
    lower = run.lower()
    if lower in _NAME_OF_FUNCTION or run.isupper() and len(run) <= 4 and lower not in _CHANGING:
        return False
    return len(run) > 3 or lower in _CHANGING or lower in _HARMLESS or lower in _SHORT


_SHORT = frozenset("yes one two six ten red day all him her who why how our out off new old few now".split())


def without_quantifier(text: str) -> str:
    """Cut a universal qualifier off the end: `f(x)=2x+1 for all x` is `f(x)=2x+1`; other qualifiers stay."""
    place = max(text.rfind(f"{mark}{word} ") for mark in ("", MARK) for word in ("for", "where"))
    if place <= 0:
        return text
    match = _QUANTIFIED.match(text, place)
    head = text[:place].rstrip(_EDGES)
    if head and _CONSTANT.fullmatch(unmarked(text[place:]).strip(_EDGES)):
        return head
    if match is None or not head:
        return text
    rest = unmarked(text[match.end() :]).strip(_EDGES)
    if len(match[0].split()) < 2 or not _is_domain(rest):
        return text
    return head


_ANY = r"(?:(?:some|any|every|all|an?|arbitrary|real) ){0,4}(?:constants?|reals?|numbers?)"
_CONSTANT = re.compile(
    rf"(?:for|where) {_ANY} [a-zA-Z](?:, ?[a-zA-Z])?|where [a-zA-Z](?: and [a-zA-Z])? (?:is|are) {_ANY}"
)


def domain_of(plain: str) -> tuple[str, str] | None:
    r"""Split a canonical string into the formula and the domain behind it, `n^2+1` and `n\in\mathbb{N}`, where the
    formula holds the domain's variable; None for other texts."""
    match = _MEMBER.search(plain)
    if match is None or match.start() < 1:
        return None
    head = plain[: match.start()].rstrip(",; ")
    name, closed = match[1][0], match[0].startswith("(") == match[0].endswith(")")
    return (head, match[1]) if closed and name in head and head != name and not _RELATION.search(head) else None


_MEMBER = re.compile(r"[,;(]([a-zA-Z](?:\\in ?\\mathbb ?\{?[RNZCQ]\}?(?:\^?\{?[+*]\}?)?|\\ne ?-?[0-9]{1,9}))\)?\Z")
_RELATION = re.compile(r"[<>|]|\\(?:le|ge|ne|in|mid|equiv)(?![a-zA-Z])")


def _is_domain(rest: str) -> bool:
    """Say whether what follows "for all" only names variables and the numbers they stand for."""
    return len(rest) <= 24 and _DOMAIN.fullmatch(rest) is not None


_DOMAIN = re.compile(
    r"(?:real |positive |natural |whole )*(?:[a-zA-Z](?:_\d)?(?:, ?[a-zA-Z])*)?"
    r"(?: ?\\in ?\\mathbb\{?[RNZCQ]\}?(?:\^?\+)?| in R)?(?: ?(?:integers?|reals?|numbers?))?"
)


def number_phrase(text: str) -> str | None:
    """Write "negative forty", "minus 40", "a dozen", "three quarters" or "one half" as a number; None for others."""
    parts = unmarked(text).lower().strip(_EDGES).replace("-", " ").split() if len(text) < 60 else []
    sign = "-" if parts[:1] in (["negative"], ["minus"]) else ""
    rest = parts[1:] if sign else parts
    if not rest:
        return None
    if rest[-1].endswith("%"):
        value = number_word(" ".join([*rest[:-1], rest[-1].rstrip("\\%")]))
        return None if value is None else f"{sign}{value}%"
    if sign and len(rest) == 1 and _DIGITS.fullmatch(rest[0]):
        return sign + rest[0]
    if rest in (["a", "dozen"], ["one", "dozen"], ["dozen"]):
        return f"{sign}12"
    under = _PARTS.get(rest[-1].removesuffix("s")) or (2 if rest[-1] == "halves" else None)
    alone = rest[:-1] in (["a"], ["an"]) or rest == ["half"]
    over = 1 if alone else number_word(" ".join(rest[:-1]))
    if under is not None and over:
        return rf"{sign}\frac{{{over}}}{{{under}}}"
    scale = _POWERS.get(rest[-1])
    value = number_word(" ".join(rest[:-1] if scale else rest))
    value = 1 if scale and rest[:-1] in ([], ["a"]) else value
    return None if value is None else f"{sign}{value * (scale or 1)}"


_DIGITS = re.compile(r"[0-9]{1,64}(?:\.[0-9]{1,64})?")
_POWERS = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_PARTS = {
    name: value
    for value, name in enumerate("half third quarter fifth sixth seventh eighth ninth tenth".split(), start=2)
} | {"fourth": 4, "hundredth": 100, "thousandth": 1000}


def number_word(text: str) -> int | None:
    """The value of "seven" or "twenty-one"; None for other texts."""
    parts = unmarked(text).lower().replace("-", " ").split()
    if len(parts) == 1:
        return NUMBERS.get(parts[0])
    if len(parts) == 2 and NUMBERS.get(parts[0], 0) >= 20 and 1 <= NUMBERS.get(parts[1], 0) <= 9:
        return NUMBERS[parts[0]] + NUMBERS[parts[1]]
    return None
