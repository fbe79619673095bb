r"""Rewrite answers that have a form of their own: several units together, binomials of calculators, remainders,
residues, times in words, sets by a condition, unit vectors, functions of plain text.

`rewritten` gives the text in the spelling that the rest of the grader reads; `compound` reads a value given in several
units ("1 hour 30 minutes"). Both take a text whose words from \\text groups are marked (relift.grading.latex).
"""

from __future__ import annotations

import re
from fractions import Fraction

from relift.grading.units import Unit, read_unit
from relift.grading.words import MARK, number_word

MAX_PARTS = 4  # units of one value: days, hours, minutes, seconds

_M = f"{MARK}?"
_PART = re.compile(
    rf"([0-9]++(?:\.[0-9]++)?|{_M}[a-z]{{3,9}}+(?:-[a-z]{{3,5}}+)?)(?: |-)?{_M}([a-zA-Z]{{1,12}}+)\.?", re.ASCII
)
_BETWEEN = re.compile(rf",? ?(?:{_M}and )? ?{_M}", re.ASCII)
_DEGREES = re.compile(
    r"""([0-9]{1,4}+)\^?\{?\\circ ?\}? ?([0-9]{1,2}+(?:\.[0-9]{1,9}+)?)'(?!')"""
    r"""(?: ?([0-9]{1,2}+(?:\.[0-9]{1,9}+)?)(?:''|"))?"""
)
_FEET = re.compile(r"""([0-9]{1,4}+)' ?([0-9]{1,2}+(?:\.[0-9]{1,4}+)?)(?:''|")""")

_CHOSEN = re.compile(r"(?:\{ ?\}|\A|(?<=[+\-*/=(,]))[_^]\{?([0-9]{1,4}+)\}? ?([CP])_\{?([0-9]{1,4}+)\}?")
_REMAINDER = re.compile(
    rf"([0-9]{{1,18}}+),?(?: ?{_M}R ?| {_M}r(?:em(?:ainder)?)?\.? ?"
    rf"| (?:{_M}with (?:{_M}a )?)?{_M}remainder (?:{_M}of )?)([0-9]{{1,18}}+)"
)
_RESIDUE = re.compile(
    rf"(?:([a-z]) ?\\equiv ?)?(-?[0-9]{{1,18}}+) ?\(?(?:\\(?:pmod|bmod|mod)|{_M}mod) ?\{{?([0-9]{{1,18}}+)\}}?\)?"
)
_HALF_DAY = re.compile(rf"(?:12(?::00)? ?)?{_M}(noon|midnight|midday)", re.IGNORECASE)
_SAID = re.compile(rf"{_M}(yes|no|true|false)[.!]?", re.IGNORECASE)
_ABSENT = re.compile(
    rf"{_M}(?:the )?{_M}(?:limit )?{_M}(?:dne|d\.n\.e\.|(?:does {_M}not|doesn't) {_M}exist)\.?", re.IGNORECASE
)
_EVERY = re.compile(
    rf"{_M}(?:the )?{_M}(?:set )?{_M}(?:of )?{_M}(?:(?:all|any|every) )?{_M}(?:the )?{_M}"
    rf"(?:(reals)|real {_M}(?:numbers?|values?)(?: {_M}of [a-z])?|(integers?))",
    re.IGNORECASE,
)
_SET = re.compile(r"\\\{ ?(?:[a-hl-z](?<![mn])|[a-z](?= ?\\in))(?: ?\\in ?\\mathbb ?\{?R\}?)? ?(?:\\mid|\\vert|\||:) ?")
_RELATION = re.compile(r"[<>=]|\\(?:leq?|geq?|neq?|lt|gt)(?![a-zA-Z])")
_VECTOR = re.compile(
    r"(?:([+-]?) ?((?:[0-9]++(?:\.[0-9]++)?|\\frac\{-?[0-9]++\}\{[0-9]++\}|\\sqrt\{[0-9]++\})?) ?(?:\\cdot)? ?"
    r"\\(?:mathbf|hat|vec|boldsymbol|bm|widehat) ?\{?\\?([ijk])(?:math)?\}?) ?"
)
_LOGARITHMS = re.compile(r"\\frac\{\\log ?(\{?[^{}\\_]{1,20}+\}?)\}\{\\log ?(\{?[^{}\\_]{1,20}+\}?)\}")
_PLAIN_CALL = re.compile(r"(?<![a-zA-Z\\])(cbrt|abs|floor|ceil)\(([^()]++)\)")
_CALLS = {"cbrt": r"\sqrt[3]{%s}", "abs": "|%s|", "floor": r"\lfloor %s\rfloor", "ceil": r"\lceil %s\rceil"}
_TIMES = re.compile(r"(?<=[0-9]) ?[xX] ?(?=10 ?\^)")
_UNIT_QUOTIENT = re.compile(
    rf"\\frac\{{ ?{MARK}([a-zA-Z]{{1,12}}+) ?\}}\{{ ?{MARK}([a-zA-Z]{{1,12}}+) ?((?:\^\{{?[0-9]\}}?)?) ?\}}"
)
_FRENCH = re.compile(r"\](-?[^\[\](),]{1,60}+,[^\[\](),]{1,60}+)([\[\]])")
_OPTION = re.compile(r"([A-J])\)")
_MAPS = re.compile(r"([a-z]) ?: ?([a-z]) ?\\(?:mapsto|to) ?")
_TEMPERATURE = re.compile(rf"(?<=[0-9]) ?{_M}degrees? {_M}(fahrenheit|celsius)", re.IGNORECASE)
_ANGLES = re.compile(r"\\[lr]angle(?![a-zA-Z])")
_SHORT_SCALE = re.compile(r"([0-9]{1,18}+(?:\.[0-9]{1,9}+)?)([kKMB])")
_SHORT_SCALES = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9}
_CHOOSE = re.compile(r"([CP])\(([0-9]{1,4}+), ?([0-9]{1,4}+)\)|([0-9]{1,4}+)([CP])([0-9]{1,4}+)")
_CAPITAL = re.compile(r"(?<![a-zA-Z\\])[A-Z]|(?<=[A-Z])[A-Z]")
_CONSTANT = re.compile(r"\+(?:[cKk]|C_\{?[0-9]\}?|C')\Z")


def rewritten(text: str) -> str:
    """Rewrite the forms above, each where it is the whole text or stands for itself within it."""
    if text[:1] in (MARK, "1") or text[:1].isalpha():
        text = _in_words(text)
    if "R" in text or "r" in text:
        remainder = _REMAINDER.fullmatch(text)
        if remainder:
            return f"({remainder[1]}, {remainder[2]})"  # quotient and remainder, in this order
    if "mod" in text:
        text = _residue(text)
    option, interval = _OPTION.fullmatch(text), _FRENCH.fullmatch(text)
    if option:
        return option[1]
    if interval:
        return f"({interval[1]}{']' if interval[2] == ']' else ')'}"  # ]0,1[ is (0,1)
    if "<=" in text or ">=" in text:
        text = text.replace("<=", r"\le ").replace(">=", r"\ge ")
    if "egree" in text:
        text = _TEMPERATURE.sub(lambda match: rf"^\circ {match[1][0].upper()}", text)
    maps = _MAPS.match(text)
    if maps:
        text = f"{maps[1]}({maps[2]})={text[maps.end() :]}"
    if text.startswith(r"\{"):
        text = _condition(text)
    if r"\frac{\log" in text:
        text = _LOGARITHMS.sub(r"\\frac{\\ln \1}{\\ln \2}", text)
    if "(" in text:
        text = _PLAIN_CALL.sub(lambda match: _CALLS[match[1]] % match[2], text)
    if "C" in text or "P" in text:
        text = _CHOSEN.sub(lambda match: _count(match[2], match[1], match[3]), text)
    if MARK in text:
        text = _UNIT_QUOTIENT.sub(rf"{MARK}\1/{MARK}\2\3", text)
    if r"\langle" in text:
        text = _ANGLES.sub(lambda match: "(" if match[0] == r"\langle" else ")", text)
    return _TIMES.sub(r"\\cdot ", text)


def _in_words(text: str) -> str:
    """Rewrite what is said in words alone: noon, YES, DNE, all real numbers."""
    half = _HALF_DAY.fullmatch(text)
    if half:
        return f"12:00 {MARK}{'am' if half[1].lower() == 'midnight' else 'pm'}"
    said = _SAID.fullmatch(text)
    if said:
        return MARK + said[1].lower()
    if _ABSENT.fullmatch(text):
        return f"{MARK}does {MARK}not {MARK}exist"
    every = _EVERY.fullmatch(text)
    if every:
        return r"\mathbb{Z}" if every[2] else r"\mathbb{R}"
    return text


def _residue(text: str) -> str:
    """Write a residue class by its least member that is not negative, without the name before it."""
    match = _RESIDUE.fullmatch(text)
    if match is None or int(match[3]) == 0:
        return text
    return rf"{int(match[2]) % int(match[3])}\pmod{{{int(match[3])}}}"


def _condition(text: str) -> str:
    r"""Write a set of real numbers by its condition: \{x \mid 0<x<1\} is 0<x<1."""
    match = _SET.match(text) if text.endswith(r"\}") else None
    condition = text[match.end() : -2] if match else ""
    return text if not _RELATION.search(condition) or r"\in" in condition or r"\{" in condition else condition


def _count(kind: str, n: str, k: str) -> str:
    r"""Write a number of choices or arrangements: \binom{n}{k}, or n!/(n-k)!."""
    if kind == "C" or int(k) > int(n):
        return rf"\binom{{{n}}}{{{k}}}"
    return rf"\frac{{{n}!}}{{{int(n) - int(k)}!}}"


def unit_vectors(text: str) -> str:
    r"""Write 3\mathbf{i}-\mathbf{j} as (3,-1), and with k in three dimensions; other texts stay."""
    if not any(name in text for name in (r"\mathbf", r"\hat", r"\vec", r"\boldsymbol", r"\bm", r"\widehat")):
        return text
    parts: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _VECTOR.match(text, place)
        if match is None or match[3] in parts or (place and not match[1]):
            return text
        parts[match[3]] = ("-" if match[1] == "-" else "") + (match[2] or "1")
        place = match.end()
    if not parts:
        return text
    return "(" + ", ".join(parts.get(axis, "0") for axis in ("ijk" if "k" in parts else "ij")) + ")"


def compound(text: str) -> tuple[str, Unit] | None:
    """Read a value given in two to four units of one kind, largest first, or in words: its number in the last one,
    and that unit."""
    angle, height = _DEGREES.fullmatch(text), _FEET.fullmatch(text)
    if angle:
        return _total(
            [(Fraction(angle[1]), "degrees", 3600), (Fraction(angle[2]), "", 60), (Fraction(angle[3] or 0), "", 1)]
        )
    if height:
        return _total([(Fraction(height[1]), "inches", 12), (Fraction(height[2]), "", 1)], over=1)
    parts: list[tuple[Fraction, str]] = []
    place = 0
    while place < len(text):
        match = _PART.match(text, place)
        value = None if match is None else _value(match[1])
        if match is None or value is None or len(parts) == MAX_PARTS:
            return None
        parts.append((value, match[2]))
        place = match.end()
        between = _BETWEEN.match(text, place)
        assert between is not None  # it matches nothing as well
        if between.end() < len(text):
            place = between.end()
    return _sum(parts) if len(parts) > 1 or (parts and not text.removeprefix(MARK)[0].isdigit()) else None


def _value(text: str) -> Fraction | None:
    if text[0].isdigit():
        return Fraction(text)
    word = number_word(text)
    return None if word is None else Fraction(word)


def _total(parts: list[tuple[Fraction, str, int]], *, over: int = 3600) -> tuple[str, Unit] | None:
    unit = read_unit(parts[0][1])
    total = sum((value * size for value, _, size in parts), Fraction(0)) / over
    return None if unit is None else (_written(total), unit)


def _sum(parts: list[tuple[Fraction, str]]) -> tuple[str, Unit] | None:
    """Add values in units of one dimension whose sizes fall from part to part; None for others."""
    names = {name for _, name in parts}
    minutes = names & {"h", "s", "hr", "hrs", "sec"}  # then m is none of metres
    units = [read_unit("min" if name == "m" and minutes else name) for _, name in parts]
    known = [unit for unit in units if unit is not None]
    if len(known) == len(parts) == 1:
        return _written(parts[0][0]), known[0]  # seven apples
    if len(known) < len(parts) or any(len(unit.dimensions) != 1 or unit.nouns for unit in known):
        return None
    sizes = [unit.size for unit in known]
    if (
        len({unit.dimensions for unit in known}) > 1
        or sizes != sorted(sizes, reverse=True)
        or len(set(sizes)) < len(sizes)
    ):
        return None
    total = sum((value * size for (value, _), size in zip(parts, sizes, strict=True)), Fraction(0)) / sizes[-1]
    return _written(total), known[-1]


def _written(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def beside_a_number(plain: str) -> str | None:
    """Read a canonical string as it is meant where a number is asked: C(5,2) and 5C2 as counts, 45k and 1.2M as
    numbers; None for other texts."""
    scaled = _SHORT_SCALE.fullmatch(plain)
    if scaled:
        return _written(Fraction(scaled[1]) * _SHORT_SCALES[scaled[2]])
    chosen = _CHOOSE.fullmatch(plain)
    if chosen:
        return _count(chosen[1] or chosen[5], chosen[2] or chosen[4], chosen[3] or chosen[6])
    return None


def with_constant_of(gold: str, answer: str) -> str:
    """Name the answer's constant of integration as the gold does, which ends in +C; other answers stay."""
    alone = gold.endswith("+C") and len(_CAPITAL.findall(gold)) == 1  # A+B+C are three names
    match = _CONSTANT.search(answer) if alone else None
    if match is None or answer.count(match[0][1]) > 1:
        return answer
    return answer[: match.start()] + "+C"
