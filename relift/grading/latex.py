r"""One spelling for what is written in many: LaTeX and plain text brought to a canonical string.

`spell` throws away what carries no value (layout, dollars, thousands separators, a final dot), unifies what has
several names (`\dfrac`, `\leq`, unicode signs, `1.5e3`, words for numbers), and takes units and words apart from the
formula. Two texts with one canonical string are the same answer; nothing is computed here. Each step is one pass over
the text (tests/grading/test_linear.py), which is no longer than caps.MAX_ANSWER_CHARACTERS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from relift.grading.damage import is_damaged, repaired
from relift.grading.idioms import compound, rewritten, unit_vectors
from relift.grading.layout import as_lines, without_layout
from relift.grading.reader import PLAIN_NUMBER
from relift.grading.signs import plain_signs
from relift.grading.units import Unit, read_unit
from relift.grading.words import (
    MARK,
    SCALES,
    Worded,
    number_phrase,
    number_word,
    read_words,
    unmarked,
    without_quantifier,
)


@dataclass(frozen=True)
class Spelling:
    """An answer in one spelling.

    `plain`: the canonical string, without a unit. `unit`: the unit that stood behind it. `words`: the words in it and
    the formulas between them, None where there are none. `other`: the same with bare letters behind a value read as
    units (`5 m`), where that is possible. `is_damaged`: it holds control characters.
    """

    plain: str
    unit: Unit | None = None
    words: Worded | None = None
    other: Spelling | None = None
    is_damaged: bool = False


_WRAPPER = r"\\(?:text(?:bf|it|rm|tt|sf|normal|up)?|mbox|math(?:rm|bf|it|sf|tt|normal)|operatorname|boldsymbol|bm|hbox)"
_TEXT = re.compile(_WRAPPER + r" ?\{([^{}]*)\}")
_TEXT_WORD = re.compile(r"(?<![a-zA-Z])[a-zA-Z][a-zA-Z']*+")
_KNOWN_FUNCTIONS = frozenset("sin cos tan cot sec csc arcsin arccos arctan ln exp log sinh cosh tanh gcd lcm".split())
_MARKED_PERCENT = re.compile(
    rf"(?:\\%|(?<![a-zA-Z{MARK}\\]){MARK}?(?:percent|percentage|pct|per {MARK}?cent)\.?(?![a-zA-Z]))", re.I
)
_SCALE = re.compile(rf"(?<=[0-9}}]) ?{MARK}?({'|'.join(SCALES)})s?(?![a-zA-Z])", re.IGNORECASE)
_SQUARED = re.compile(rf"(?:(?<![a-zA-Z{MARK}\\])([a-zA-Z])|(?<=([0-9)}}]))) ?{MARK}?(squared|cubed)(?![a-zA-Z])")
_AND = re.compile(rf",? ?(?<![a-zA-Z\\{MARK}]){MARK}?(?:and|or)(?![a-zA-Z]) ?")
_RATIO_TO = re.compile(rf"(?<=[0-9]) {MARK}?to (?=[0-9])")
_CLOCK_HALF = re.compile(rf"(?<=[0-9]) ?{MARK}?([ap])\.?[ ~]?{MARK}?m\.?(?![a-zA-Z])", re.IGNORECASE)
_ORDINAL = re.compile(rf"(?<=[0-9]) ?\^?\{{? ?{MARK}?(?:st|nd|rd|th)(?![a-zA-Z])\}}?")
_THOUSANDS = re.compile(r"(?<![\d.,_^{])[1-9]\d{0,2}(?:,\d{3})++(?!\d|,\d)", re.ASCII)
_INDIAN = re.compile(r"(?<![\d.,_^{])[1-9]\d?(?:,\d{2}(?=,))++,\d{3}(?!\d|,\d)", re.ASCII)
_POINTS = re.compile(r"(?<![\d.,_^{])[1-9]\d{0,2}(?:\.\d{3}){2,}+(?!\d|\.\d)", re.ASCII)
_SCIENTIFIC = re.compile(r"(?<![\w.\\}])(\d++(?:\.\d*+)?|\.\d++) ?[eE] ?([+-]?)0*+(\d{1,4})(?![\w.])", re.ASCII)
_POINT = re.compile(r"(?<![0-9])\.(?=[0-9]*+\\(?:overline|dot)(?![a-zA-Z]))")
_IN_BASE = re.compile(
    rf"(?<=[0-9A-F)]) ?(?:,|_|\(|\{{| )*+{MARK}?(?:in )?{MARK}?base[- ]?\{{?"
    rf"(?:_|\()?([0-9]{{1,2}}|{MARK}?[a-z]++)[)}}]*+"
)
_WORD_BASE = re.compile(rf"(?<=[0-9)])_\{{? ?{MARK}?([a-z]{{3,}}+) ?\}}?")
_BARE = re.compile(r"(?<![a-zA-Z\\])(pi|infinity|inf|infty|sqrt|sin|cos|tan|cot|sec|csc|ln|log|exp)(?![a-zA-Z])")
_BARE_NAMES = {"inf": "infty", "infinity": "infty"}
_BARE_ROOT = re.compile(r"(?<![a-zA-Z\\])sqrt ?(\d++|[a-z](?![a-z]))", re.ASCII)
_BARE_EXPONENT = re.compile(r"\^ ?(-?\d{2,}+|-\d|-[a-z])", re.ASCII)
_NEGATIVE_EXPONENT = re.compile(r"\^ ?(-\d++)", re.ASCII)  # in TeX the sign alone would be raised; nobody means that
_LEADING_WORD = re.compile(rf"\A{MARK}?(?:therefore|thus|hence|finally)[,:]? (?=\S)", re.IGNORECASE)
_CURRENCY = re.compile(rf"\A{MARK}?(USD|EUR|GBP|INR|JPY) ?(?=[0-9])", re.IGNORECASE)
_CURRENCIES = {"usd": "dollar", "eur": "euro", "gbp": "pounds", "inr": "rupee", "jpy": "yen"}
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
_DEGREES = re.compile(r"(?<![\d.])(\d++(?:\.\d++)?|\.\d++) ?\^\\circ", re.ASCII)
_LIST_MARKS = re.compile(r"[(\[]|\\\{")
_MONEY = re.compile(r"\\(dollar|euro|pounds|yen|rupee) ?")
_MONEY_NAMES = {"dollar": "dollar", "euro": "euro", "pounds": "gbp", "yen": "yen", "rupee": "rupee"}
_TAIL = re.compile(
    rf"\^\\circ(?: ?{MARK}?[CF](?![a-zA-Z]))?|\^ ?\{{ ?-?\d ?\}}|\^ ?\d|{MARK}?[a-zA-Z]++|[ ./]|\\cdot|-"
)
_VALUE_END = frozenset("0123456789})]")
_TOKEN = re.compile(r"\\[a-zA-Z]++|\\.|\d++(?:\.\d*+)?|\.\d++|\S", re.DOTALL | re.ASCII)
_LETTER = re.compile(r"[a-zA-Z]")
_UNIT_ENDS = frozenset("mgshlLVANKWJn")  # last letters of units of one letter, and of "in"
MAX_TAIL = 14  # pieces of a unit


def canonical(text: str) -> str:
    """The canonical string of an answer or a gold answer; "" for one without content."""
    return spell(text).plain


@lru_cache(maxsize=20_000)
def spell(text: str) -> Spelling:
    """Bring an answer or a gold answer to one spelling; `plain` is "" for one without content."""
    text = text.strip()
    if PLAIN_NUMBER.fullmatch(text):
        return Spelling(text)
    is_plain_text = "\\" not in text
    text = plain_signs(repaired(text))
    damaged = is_damaged(text)
    text = without_layout(as_lines(text.replace(MARK, "")))
    text = rewritten(_flat(unit_vectors(text)))
    several = compound(text.strip(" .")) if text[:1].isdigit() or text[:1] == MARK or text[:1].isalpha() else None
    if several is not None:
        return Spelling(several[0], several[1], None, None, damaged)
    if text[:1] == MARK or text[:1].isalpha():
        text = _LEADING_WORD.sub("", _CURRENCY.sub(lambda m: rf"\{_CURRENCIES[m[1].lower()]} ", text))
    text = _numbers(_AND.sub(", ", text), is_plain_text=is_plain_text)
    text = _trimmed(text)
    if text[:1] == MARK or text[:1].isalpha():
        text = number_phrase(text) or text
    first = _finished(text, damaged=damaged, sure=False)
    if text[-1:] not in _UNIT_ENDS and "^" not in text[-5:]:
        return first
    other = _finished(text, damaged=damaged, sure=True)
    if other.unit == first.unit:
        return first
    return Spelling(first.plain, first.unit, first.words, other, damaged)


def _flat(text: str) -> str:
    """Without \\text and its kin: their words marked, functions given their command, all else as it stood."""
    for _ in range(4):
        flat = _TEXT.sub(_content, text)
        if flat == text:
            break
        text = flat
    return _BLANKS.sub(" ", text)


_BLANKS = re.compile(r"  ++")


def _content(match: re.Match[str]) -> str:
    inner = match[1].replace(MARK, "")
    if inner.strip() in _KNOWN_FUNCTIONS:
        return rf"\{inner.strip()} "
    if len(inner.strip()) == 1 or "\\" in inner:
        return inner if not match[0].startswith((r"\text", r"\mathrm", r"\mbox", r"\hbox")) else _mark(inner)
    if match[0].startswith((r"\mathbf", r"\boldsymbol", r"\bm", r"\mathit")) and len(inner) < 3:
        return inner
    return _mark(inner)


def _mark(inner: str) -> str:
    if "\\" in inner:
        return inner
    return _TEXT_WORD.sub(lambda m: MARK + m[0], inner)


def _numbers(text: str, *, is_plain_text: bool) -> str:
    """Numbers in one form: percent, million, squared, powers of ten, separators of thousands."""
    text = _MARKED_PERCENT.sub("%", text)
    text = _SCALE.sub(lambda m: rf"\cdot {SCALES[m[1].lower()]} ", text)
    text = _SQUARED.sub(lambda m: f"{m[1] or ''}^{2 if m[3] == 'squared' else 3}", text)
    text = _RATIO_TO.sub(":", text)
    text = _WORD_BASE.sub(_base, _IN_BASE.sub(_base, text))
    text = _POINT.sub("0.", text)
    text = _CLOCK_HALF.sub(lambda m: f" {MARK}{m[1].lower()}m", text)
    text = _ORDINAL.sub("", text)
    text = _SCIENTIFIC.sub(_power_of_ten, text)
    text = (_BARE_EXPONENT if is_plain_text else _NEGATIVE_EXPONENT).sub(r"^{\1}", text)
    text = _BARE_ROOT.sub(r"\\sqrt{\1}", text)
    text = _BARE.sub(lambda m: rf"\{_BARE_NAMES.get(m[1], m[1])} ", text)
    if not _LIST_MARKS.search(text):
        for pattern in (_THOUSANDS, _INDIAN):
            text = pattern.sub(lambda m: m[0].replace(",", ""), text)
    return _POINTS.sub(lambda m: m[0].replace(".", ""), text)


def _base(match: re.Match[str]) -> str:
    """Write `2516 base eight` as 2516_{8}; what names no base stays."""
    base = match[1] if match[1].isdigit() else number_word(match[1])
    return match[0] if base is None else f"_{{{base}}}"


def _power_of_ten(match: re.Match[str]) -> str:
    return rf"{match[1]}\cdot 10^{{{match[2].replace('+', '')}{match[3]}}}"


def _finished(text: str, *, damaged: bool, sure: bool) -> Spelling:
    """The spelling of a prepared text: its money sign and unit split off, its words taken apart, blanks gone."""
    money = _MONEY.search(text)
    if money:
        text = _MONEY.sub("", text).strip()
    if _TRIGONOMETRY.search(text):
        text = _DEGREES.sub(r"(\1\\cdot \\pi /180)", text)
        rest, tail = text, ""
    else:
        rest, tail = _without_unit(text, sure=sure)
    unit = read_unit(f"{_MONEY_NAMES[money[1]]} {tail}".strip() if money else tail) if money or tail else None
    if money and unit is None:
        unit = read_unit(_MONEY_NAMES[money[1]])
    rest = _trimmed(without_quantifier(rest))
    words = read_words(rest)
    return Spelling(_trimmed(_joined(unmarked(rest))), unit, words, None, damaged)


def _trimmed(text: str) -> str:
    """Without punctuation around it; the point of .5 stays."""
    return text.strip(" ,;:").rstrip(" .,;:")


def _without_unit(text: str, *, sure: bool) -> tuple[str, str]:
    """(text without the unit at its end, the unit as it stood or ""); in a list, without that unit everywhere."""
    pieces = list(_TAIL.finditer(text, max(0, len(text) - 120)))
    start = len(text)
    begins: list[int] = []
    for piece in reversed(pieces[-MAX_TAIL:]):
        if piece.end() != start:
            break
        start = piece.start()
        begins.append(start)
    for begin in reversed(begins):
        head = text[:begin].rstrip(" ")
        tail = text[begin:].strip()
        if not tail or tail[0] in "./-^" and not tail.startswith(r"^\circ") or not head:
            continue
        if (
            head[-1] not in _VALUE_END
            and not head.endswith(("%", r"\pi"))
            and not (tail[0] == MARK and _ONE_LETTER.search(head))
        ):
            continue
        plain = unmarked(tail).replace(r"^\circ", r"\circ")
        lengths = [len(m[0]) for m in _LETTER_RUN.finditer(tail)]
        # 5 km/h, and 5 m/s with a blank before it, are no products and quotients of variables
        rate = "/" in tail and (max(lengths, default=0) > 1 or text[begin - 1 : begin] == " " or tail != text[begin:])
        bare = 1 in lengths and not rate
        if read_unit(plain, sure=sure or not bare) is not None:
            for spelled in (tail, unmarked(tail)):
                head = head.replace(f" {spelled},", ",") if "," in head else head
            return head, plain
    return text, ""


_ONE_LETTER = re.compile(rf"(?:\A|[^a-zA-Z{MARK}])[a-zA-Z]\Z")
_LETTER_RUN = re.compile(rf"(?<![a-zA-Z{MARK}\\])[a-zA-Z]++")


def _joined(text: str) -> str:
    """Tokens without the blanks between them, but for those that keep two tokens apart."""
    parts: list[str] = []
    before = ""
    end = 0
    for token in _TOKEN.finditer(text):
        piece = token[0]
        if piece == "*":
            piece = r"\cdot"
        is_letter = _LETTER.match(piece) is not None
        if (
            (before[:1] == "\\" and before[-1:].isalpha() and is_letter)
            or (
                piece[0].isdigit() and (before == "," or before[-1:].isdigit() and token.start() > end)  # 7, 987; 3 1/2
            )
            or (is_letter and before[-1:].isalpha() and before[:1] != "\\" and token.start() > end and len(before) == 1)
        ):
            parts.append(" ")
        parts.append(piece)
        before = piece
        end = token.end()
    return "".join(parts)
