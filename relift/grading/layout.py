r"""Layout of LaTeX: sizes, spaces, names with two spellings, environments. None of it carries a value."""

from __future__ import annotations

import re

_MATH_MARKS = (("**", "**"), ("$$", "$$"), ("$", "$"), (r"\[", r"\]"), (r"\(", r"\)"), ("`", "`"))
_SIZES = re.compile(
    r"\\(?:left|right|[bB]igg?[lrm]?|middle|displaystyle|textstyle|scriptstyle|limits|nolimits|mathstrut|nonumber|"
    r"phantom\{[^{}]*\}|color\{[^{}]*\}|label\{[^{}]*\})(?![a-zA-Z])"
)
_DOUBLED = re.compile(r"\\\\(?=(?:[dtc]?frac|sqrt|pi|text|cdot|times|left|right|pm|infty|mathrm|circ|binom|d?dots|"
                      r"ldots|cup|sin|cos|tan|ln|log|%)(?![a-zA-Z]))")  # fmt: skip
_GROUPED = re.compile(  # digits in groups of three, held together by any of the spaces that people use
    r"(?<![\w.,\\}])([1-9]\d{0,2})"
    r"((?:(?:(?:\\[,;:! ]|\\(?:thin|med|thick)space|~|,\\!|\{,\}|\{ \}|\{\\,\}|\\_|['_]) ?|[ ])\d{3})++)",
    re.ASCII,
)
_NO_DIGIT = re.compile(r"\D+", re.ASCII)
_BRACED_COMMA = re.compile(r"\{([,:.])\}")
_SPACE = re.compile(
    r"(?<!\\)\\(?:[,;:!>]|\s)|\\q?quad(?![a-zA-Z])|\\(?:thin|med|thick)space(?![a-zA-Z])|\\[hv]space\*?\{[^{}]*\}|~|\s++"
)
_BLANKS = re.compile(r"  ++")
_RENAMED = {
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\leq": r"\le", r"\geq": r"\ge",
    r"\leqslant": r"\le", r"\geqslant": r"\ge", r"\neq": r"\ne", r"\times": r"\cdot", r"\ast": r"\cdot",
    r"\lbrace": r"\{", r"\rbrace": r"\}", r"\lbrack": "[", r"\rbrack": "]", r"\lparen": "(", r"\rparen": ")",
    r"\degree": r"^\circ", r"\degrees": r"^\circ", r"\div": "/", r"\tbinom": r"\binom", r"\dbinom": r"\binom",
    r"\lvert": "|", r"\rvert": "|", r"\vert": "|", r"\mid": r"\mid", r"\emptyset": r"\varnothing",
    r"\ldots": r"\dots", r"\cdots": r"\dots", r"\dotsc": r"\dots", r"\dotsb": r"\dots",
    r"\operatorname*": r"\operatorname",
    r"\colon": ":", r"\bar": r"\overline", r"\thickapprox": r"\approx", r"\approxeq": r"\approx", r"\simeq": r"\approx",
    r"\lt": "<", r"\gt": ">", r"\%": r"\%", r"\textdollar": r"\dollar ", r"\pound": r"\pounds ",
    r"\textdegree": r"^\circ", r"\union": r"\cup", r"\infinity": r"\infty", r"\arcsec": r"\arcsec",
    r"\leftarrow": r"\leftarrow",
}  # fmt: skip
_COMMAND = re.compile(r"\\[a-zA-Z]++\*?")
_DEGREE = re.compile(r"\^ ?(?:\{ ?\\circ ?\}|\\circ(?![a-zA-Z]))")
_ANNOTATED_DEGREE = re.compile(r"\\circ ?\\(?:text|mathrm) ?\{ ?([CF]) ?\}")
_DOTS = re.compile(r"\.{3,}+")
_BEGIN = re.compile(
    r"([\[(]?) ?\\begin\{(array|cases|aligned|align\*?|gathered|gather\*?|smallmatrix)\}(?: ?\{[^{}]*\})?"
)
_END = re.compile(r"\\end\{(array|cases|aligned|align\*?|gathered|gather\*?|smallmatrix)\} ?([\])]?)")
_MATRIX = re.compile(r"\\(begin|end)\{[bBvV]?matrix\}")
_HANGING = re.compile(r"[-+*/=^_(\[{,&\\]\Z|\\(?:cdot|times|frac|left)\Z")
_LEADING = re.compile(r"[-+*/=^_)\]},&]")
_ROW = re.compile(r" ?\\\\(?:\[[^\[\]]{0,12}\])? ?")
_OUTER_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_PLAIN_NUMBER = re.compile(r"[-+]?[0-9]{1,64}(?:[./][0-9]{1,64})?")
MAX_LINES = 64


def as_lines(text: str) -> str:
    """A list that was written line by line as one with commas; other line ends are blanks."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return " ".join(lines)
    breaks = [_HANGING.search(line) or line.count("{") != line.count("}") for line in lines[:-1]]
    starts = [_LEADING.match(line) for line in lines[1:]]
    if all(_PLAIN_NUMBER.fullmatch(line) for line in lines):
        return ", ".join(lines)
    is_list = len(lines) <= MAX_LINES and "\\begin" not in text and not any(breaks) and not any(starts)
    return (", " if is_list and not text.startswith(("$$", "\\[")) else " ").join(lines)


def without_layout(text: str) -> str:
    """The text without sizes, spaces and math marks, its commands by one name each, lists of rows with commas."""
    text = _SPACE_RUN.sub(" ", text).strip()
    text = _unwrapped(text)
    text = _DOUBLED.sub(r"\\", text) if "\\begin" not in text else text
    text = _SINGLE_UPRIGHT.sub(r"\1", _SIZES.sub("", text))
    text = _GROUPED.sub(_without_groups, text)
    text = _COMMAND.sub(lambda m: _RENAMED.get(m[0], m[0]), text)
    text = (
        _BRACED_COMMA.sub(r"\1", text).replace(r"\$", r"\dollar ").replace("$", "").replace("**", "^").replace("`", "")
    )
    text = _ANNOTATED_DEGREE.sub(r"\\circ \1", text)
    text = _DEGREE.sub(r"^\\circ ", _DOTS.sub(r"\\dots ", text))
    text = _SPACE.sub(" ", _rows(text))
    return _without_braces(_BLANKS.sub(" ", text).strip())


_SINGLE_UPRIGHT = re.compile(r"\\(?:mathrm|rm|mathit|mathbf|bf|it) ?([a-zA-Z0-9])(?![a-zA-Z])")
_SPACE_RUN = re.compile(r"\s++")


def _without_groups(match: re.Match[str]) -> str:
    """Join groups of three digits; what a further digit follows is no such number."""
    if _GOES_ON.match(match.string, match.end()):
        return match[0]
    return match[1] + _NO_DIGIT.sub("", match[2])


_GOES_ON = re.compile(r"[0-9']|[.,][0-9]{3}(?![0-9])")


def _unwrapped(text: str) -> str:
    """Without the dollars or brackets around the whole."""
    for _ in range(6):
        before = text
        for opening, closing in _MATH_MARKS:
            inner = text[len(opening) : len(text) - len(closing)]
            enclosed = text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing)
            if enclosed and opening not in inner and closing not in inner:
                text = inner.strip()
        wrapper = _WRAPPED.match(text)
        if wrapper and ("\\" in text[wrapper.end() :] or not _WORDY.search(text, wrapper.end())):
            if _closing(text, wrapper.end()) == len(text) - 1:
                text = text[wrapper.end() : -1].strip()
        if text == before:
            break
    return text


_WRAPPED = re.compile(
    r"\\(?:text(?:bf|it|rm|tt|sf|normal|up)?|mbox|math(?:rm|bf|it|sf|tt|normal)|boldsymbol|bm|hbox) ?\{"
)
_WORDY = re.compile(r"[a-zA-Z]{2}")


def _rows(text: str) -> str:
    r"""Arrays in brackets as matrices; other environments, and bare `\\`, as lists."""
    if "\\begin" not in text:
        return _ROW.sub(", ", text).strip(", ") if "\\\\" in text else text
    if "matrix" in text:
        return _MATRIX.sub(r"\\\1{pmatrix}", text)
    begin, end = _BEGIN.match(text), _END.search(text)
    if begin is None or end is None or end.end() != len(text) or not text.endswith(("}", "]", ")")):
        return text
    body = text[begin.end() : end.start()]
    if begin[1] and end[2]:
        return rf"\begin{{pmatrix}}{body}\end{{pmatrix}}"
    rows = [row.replace("&", " ").strip(" ,;") for row in _ROW.split(body)]
    return ", ".join(row for row in rows if row)


def _without_braces(text: str) -> str:
    """Without braces around the whole."""
    for _ in range(8):
        if not (text.startswith("{") and _closing(text, 1) == len(text) - 1):
            break
        text = text[1:-1].strip()
    return text


def _closing(text: str, place: int) -> int:
    """Find where the brace closes that opened just before `place`; -1 where it does not."""
    level = 1
    for brace in _OUTER_BRACES.finditer(text, place):
        level += (brace[0] == "{") - (brace[0] == "}")
        if level == 0:
            return brace.start()
    return -1
