r"""One spelling for what is written in many: LaTeX and plain text brought to a canonical string.

`canonical` throws away what carries no value (layout, dollars, units after a value, thousands separators, a final
dot) and unifies what has several names (`\dfrac`, `\leq`, unicode signs, `1.5e3`). Two texts with one canonical
string are the same answer; nothing is computed here.
"""

from __future__ import annotations

import re

_UNICODE = str.maketrans(
    {
        "\u2212": "-", "\u2010": "-", "\u2011": "-", "\u2013": "-", "\uff0d": "-", "\uff0b": "+", "\uff1d": "=",
        "\u00d7": r"\cdot ", "\u00b7": r"\cdot ", "\u22c5": r"\cdot ", "\u2217": r"\cdot ", "\u00f7": "/",
        "\u03c0": r"\pi ", "\u03b8": r"\theta ", "\u03b1": r"\alpha ", "\u03b2": r"\beta ", "\u03bb": r"\lambda ",
        "\u221e": r"\infty ", "\u00b0": r"^\circ ", "\u221a": r"\sqrt ", "\u00b1": r"\pm ", "\u2264": r"\le ",
        "\u2265": r"\ge ", "\u2260": r"\ne ", "\u222a": r"\cup ", "\u2229": r"\cap ", "\u2208": r"\in ",
        "\u2248": r"\approx ", "\u00b2": "^2", "\u00b3": "^3", "\u00bd": r"\frac{1}{2}", "\u00bc": r"\frac{1}{4}",
        "\u00be": r"\frac{3}{4}", "\uff05": "%", "\uff08": "(", "\uff09": ")", "\uff0c": ",", "\u3001": ",",
        "\u20ac": "", "\u00a3": "", "\u00a5": "", "\u20b9": "", "\u200b": "", "\ufeff": "",
    }
)  # fmt: skip

# Words that may stand behind a value without being part of it. Single letters are not here: they may be variables.
_UNITS = """
degrees? deg radians? rad units? square sq cubic cu feet foot ft inch inches in yards? yd miles? mi mph kmph kmh meters?
metres? cm mm km kilometers? kilometres? centimeters? centimetres? millimeters? nm kg mg grams? kilograms? pounds? lbs?
lb ounces? oz tons? liters? litres? ml gallons? gal seconds? secs? sec minutes? mins? min hours? hrs? hr days? weeks?
months? years? yrs? yr dollars? cents? usd euros? rupees? rs points? pts students? people persons? men women boys girls
children ways? times coins? books? cards? balls? marbles? apples? pages? hz khz mhz joules? watts? volts? amps? ohms?
newtons? pascals? kelvin celsius fahrenheit moles? mol ev kev mev gev per hour digits? integers? numbers? solutions?
pairs? sides? edges? faces? vertices triangles? squares? cubes? tiles? acres? hectares? knots?
""".split()
_UNIT = rf"(?:{'|'.join(sorted(_UNITS, key=len, reverse=True))})"
_LAST_UNIT = re.compile(rf"(?<=[\d}})\s%/])(?<![a-zA-Z]){_UNIT}(?:\s?\^\s?\{{?\s?\d\s?\}}?)?[ ./]?$", re.IGNORECASE)
MAX_UNITS = 8  # "miles per hour" has three

_PLAIN_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_MATH_MARKS = (("**", "**"), ("$$", "$$"), ("$", "$"), (r"\[", r"\]"), (r"\(", r"\)"))
_SIZES = re.compile(
    r"\\(?:left|right|[bB]igg?[lrm]?|middle|displaystyle|textstyle|limits|mathstrut|nonumber|phantom\{[^{}]*\})(?![a-zA-Z])"
)
_NEGATIVE_SPACE = re.compile(r"\\!\s*")
_SPACE = re.compile(r"(?<!\\)\\[,;:>\s]|\\q?quad(?![a-zA-Z])|\\hspace\*?\{[^{}]*\}|~|\s+")
_RENAMED = {
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\leq": r"\le", r"\geq": r"\ge",
    r"\leqslant": r"\le", r"\geqslant": r"\ge", r"\neq": r"\ne", r"\times": r"\cdot", r"\ast": r"\cdot",
    r"\lbrace": r"\{", r"\rbrace": r"\}", r"\lbrack": "[", r"\rbrack": "]", r"\lparen": "(", r"\rparen": ")",
    r"\degree": r"^\circ", r"\div": "/", r"\tbinom": r"\binom", r"\dbinom": r"\binom", r"\choose": r"\choose",
    r"\lvert": "|", r"\rvert": "|", r"\vert": "|", r"\bmatrix": r"\bmatrix", r"\emptyset": r"\varnothing",
    r"\ldots": r"\dots", r"\cdots": r"\dots", r"\operatorname*": r"\operatorname",
}  # fmt: skip
_COMMAND = re.compile(r"\\[a-zA-Z]+\*?")
_DEGREE = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![a-zA-Z]))")
_PERCENT = re.compile(r"\\%|(?<![a-zA-Z])(?:percent|percentage|pct)(?![a-zA-Z])", re.IGNORECASE)
_WRAPPER = r"\\(?:text|mbox|mathrm|textbf|mathbf|textit|mathit|textrm|textnormal|operatorname|mathsf|boldsymbol|bm)"
_TEXT = re.compile(_WRAPPER + r"\s*\{([^{}]*)\}")
_TRAILING_TEXT = re.compile(_WRAPPER + r"\s*\{[^{}]*\}(?:\s*\^\s*\{?\s*\d\s*\}?)?[\s.]*$")
_TEXT_START = re.compile(_WRAPPER + r"\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_MATHEMATICS = re.compile(r"[\d\\]")
_AND = re.compile(r",?\s*(?:\\text\s*\{\s*(?:and|or)\s*\}|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z]))\s*")
_THOUSANDS = re.compile(r"(?<![\d.,_])[1-9]\d{0,2}(?:,\d{3})+(?!\d|,\d)")
_SCIENTIFIC = re.compile(r"(?<![\w.\\}])(\d+\.?\d*|\.\d+)\s*[eE]\s*([+-]?)0*(\d{1,4})(?![\w.])")
_BARE = re.compile(r"(?<![a-zA-Z\\])(pi|infinity|inf|sqrt|sin|cos|tan|ln|log|exp)(?![a-zA-Z])")
_BARE_NAMES = {"inf": "infty", "infinity": "infty"}
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
_LIST_MARKS = re.compile(r"[(\[]|\\\{")
_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|\d+(?:\.\d*)?|\.\d+|[^\s]", re.DOTALL)
_LETTER = re.compile(r"[a-zA-Z]")


def canonical(text: str) -> str:
    """The canonical string of an answer or a gold answer; "" for one without content."""
    text = text.strip()
    if _PLAIN_NUMBER.fullmatch(text):
        return text
    text = _unwrapped(text.translate(_UNICODE).strip())
    text = _NEGATIVE_SPACE.sub("", _SIZES.sub("", text))
    text = _COMMAND.sub(lambda m: _RENAMED.get(m[0], m[0]), text)
    text = text.replace("{,}", ",").replace(r"\$", "").replace("$", "").replace("**", "^")
    text = _DEGREE.sub(r"^\\circ ", _SPACE.sub(" ", text)).strip()
    text = _PERCENT.sub("%", _AND.sub(", ", text))
    text = _values_of_text(text.rstrip(" .,;:"))
    text = _ending(text)
    text = _SCIENTIFIC.sub(_power_of_ten, text)
    text = _BARE.sub(lambda m: rf"\{_BARE_NAMES.get(m[1], m[1])} ", text)
    if not _LIST_MARKS.search(text):
        text = _THOUSANDS.sub(lambda m: m[0].replace(",", ""), text)
    return _joined(text)


def word_of(plain: str) -> str | None:
    """The word that a canonical string is, lower case; None for one with anything but letters in it."""
    return plain.lower() if len(plain) > 1 and plain.isalpha() and plain.isascii() else None


def _unwrapped(text: str) -> str:
    """Without the dollars or brackets around the whole."""
    changed = True
    while changed:
        changed = False
        for opening, closing in _MATH_MARKS:
            inner = text[len(opening) : len(text) - len(closing)]
            enclosed = text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing)
            if enclosed and opening not in inner and closing not in inner:
                text, changed = inner.strip(), True
    return text


def _values_of_text(text: str) -> str:
    r"""`\text{…}` gone where it is a unit behind a value, unwrapped where it is the answer or a number or letter."""
    while True:
        whole = _TEXT_START.match(text)
        if whole is None or _closing(text, whole.end()) != len(text) - 1:
            break
        text = text[whole.end() : -1].strip()
    while text.startswith("{") and _closing(text, 1) == len(text) - 1:
        text = text[1:-1].strip()
    rest = _TRAILING_TEXT.sub("", text).strip()
    if rest and rest[-1] not in "+-=*/^_,({\\":
        text = rest
    return _TEXT.sub(lambda m: m[1].strip() if re.fullmatch(r"\s*(?:[\d.,/ -]+|[a-zA-Z])\s*", m[1]) else m[0], text)


def _closing(text: str, place: int) -> int:
    """Where the brace closes that opened just before `place`; -1 where it does not."""
    level = 1
    for brace in _BRACE.finditer(text, place):
        level += (brace[0] == "{") - (brace[0] == "}")
        if level == 0:
            return brace.start()
    return -1


def _ending(text: str) -> str:
    """Without degrees, units and punctuation at the end."""
    for _ in range(MAX_UNITS):
        shorter = text.rstrip(" .,;:")
        if not _TRIGONOMETRY.search(shorter):
            shorter = shorter.removesuffix(r"^\circ").rstrip()
        unit = _LAST_UNIT.search(shorter)
        if unit and _MATHEMATICS.search(shorter, 0, unit.start()):
            shorter = shorter[: unit.start()].rstrip()
        shorter = shorter.removesuffix("\\")
        if shorter == text or not shorter:
            return shorter
        text = shorter
    return text


def _power_of_ten(match: re.Match[str]) -> str:
    return rf"{match[1]}\cdot 10^{{{match[2].replace('+', '')}{match[3]}}}"


def _joined(text: str) -> str:
    """Tokens without the blanks between them, but for those that keep two tokens apart."""
    parts: list[str] = []
    before = ""
    for token in _TOKEN.finditer(text):
        piece = token[0]
        if piece == "*":
            piece = r"\cdot"
        if (before[:1] == "\\" and before[-1:].isalpha() and _LETTER.match(piece)) or (
            piece[0].isdigit() and (before[-1:].isdigit() or before == ",")  # "7, 987" is no number
        ):
            parts.append(" ")
        parts.append(piece)
        before = piece
    return "".join(parts)
