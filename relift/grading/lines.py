r"""Answer lines: "The answer is 5.", "**Answer:** $5$", "#### 5", and their kin in other languages."""

from __future__ import annotations

import re
from collections import deque

from relift.grading.latex import spell
from relift.grading.words import number_phrase

MAX_LINE = 1_000  # characters of an answer line that are read

_IS = (
    r"(?:(?:is|are|(?:would|must|will|should)\s++be|es|est|ist|è|é|będzie)(?![^\W\d_])(?:\s++(?:equal\s++to|given\s++by|simply|just|exactly|therefore|thus))?+"
    r"|:|：|=|は|是|为|為)"
)
_ASCII_CUES = ("answer", "respuesta", "antwort", "risposta", "resposta", "cevap")
_MARKS = r"(?:\*\*|__|`)?+"
CUE = re.compile(
    rf"(?:\banswer(?:\s++to\s++(?:this|the|our)\s++(?:problem|question))?+|答案|答え|解答|正解|Ответ|Respuesta|Réponse|"
    rf"réponse|Antwort|Risposta|Resposta|Odpowiedź|Cevap|답|उत्तर|الإجابة|الجواب){_MARKS}\s*+{_IS}\s*+:?+\s*+{_MARKS}\s*+"
    rf"|\bfinal\s++answer{_MARKS}[ \t]*+[.:]?+{_MARKS}[ \t]*+\n\s*+{_MARKS}"
    r"|答[：:]\s*+",
    re.IGNORECASE,
)
_MATH = re.compile(
    r"\$\$((?:[^$\\]|\\.)++)\$\$|\\\[((?:[^\\]|\\[^\]])++)\\\]|\$((?:[^$\\]|\\.)++)\$|\\\(((?:[^\\]|\\[^)])++)\\\)|`([^`\n]++)`",
    re.DOTALL,
)
_SENTENCE_END = re.compile(r"\.(?=\s|\Z)|[\r\n。]|\*\*|__")
_SEPARATORS = re.compile(r"(?:\s|[,;]|\\text\s*+\{\s*+(?:and|or)\s*+\}|\b(?:and|or)\b)*+")
_COMMAND = re.compile(r"\\[a-zA-Z]++")
_GROUP = re.compile(r"\\(?:begin|end|text|mbox|mathrm|textbf|textit|mathbf|operatorname)\s*+\{[^{}]*+\}")
_WORD = re.compile(r"[^\W\d_]{2,}+")
_LONG_WORD = re.compile(r"[^\W\d_]{3,}+")
_NO_PROSE = frozenset("and or pi sqrt sin cos tan cot sec csc log ln exp inf infinity".split())
_VALUE_BEFORE_PROSE = re.compile(
    r"([-+]?(?:\\?\$)?\d[\d,]*+(?:\.\d++)?+(?:/\d++)?+(?:\\?%)?+(?: (?:cm|m|km|kg|g|degrees|dollars|cents|units|hours|"
    r"minutes|days|years|feet|inches|miles|square (?:feet|inches|units|cm|meters)))?+)"
    r"(?:,? (?:because|since|as|which|due|thanks|where|so that)|,? (?:not|and not|rather than)|[,;] (?:so|and so|thus))"
    r"(?![a-zA-Z])"
    r"|([-+]?\d[\d,]*+(?:\.\d++)?+)(?: ?[—–]| \((?=[a-zA-Z]{2}))",
    re.IGNORECASE,
)


def answer_line(text: str, *, cut: bool) -> str | None:
    """Find what follows the last answer cue. `cut`: the text was cut off, so what runs to its end is unfinished."""
    cues = deque(CUE.finditer(text), maxlen=1) if _may_have_cue(text) else None
    cue = cues[0] if cues else None
    if cue is None:
        return None if cut else _hashes(text)
    rest = text[cue.end() : cue.end() + MAX_LINE]
    formulas = _formulas(rest)
    if formulas:
        return ",".join(formulas)
    end = _SENTENCE_END.search(rest)
    if end is None and (cut or len(rest) == MAX_LINE):
        return None
    line = (rest[: end.start()] if end else rest).strip()
    if not line:
        return None
    line = line.replace("$", r"\$").replace(r"\\$", r"\$").strip("`").strip()
    value = _VALUE_BEFORE_PROSE.match(line)
    if value and value[1]:
        return value[1]
    if is_expression(line):
        return line
    return value[2] if value else None


def _may_have_cue(text: str) -> bool:
    """Say whether it is worth looking for a cue: most texts in ASCII without "answer" have none."""
    lower = text.lower()
    return not text.isascii() or any(word in lower for word in _ASCII_CUES)


def _formulas(rest: str) -> list[str]:
    """The formulas at the start of a line: several with separators between them are one list. Money is none."""
    found: list[str] = []
    formula = _MATH.match(rest)
    while formula is not None:
        inner = next(group for group in formula.groups() if group is not None)
        if formula[3] is not None and _is_money(inner, rest[formula.end() : formula.end() + 1]):
            return []
        found.append(inner)
        between = _SEPARATORS.match(rest, formula.end())
        formula = _MATH.match(rest, between.end()) if between and between[0].strip() else None
    return found


def _is_money(inner: str, after: str) -> bool:
    """Say whether what stands between two dollar signs is prose or half an expression between two sums of money."""
    if not inner[:1].isdigit():
        return False
    if after.isdigit() or inner[-1:].isspace():
        return inner.strip()[-1:] in "+-=*/,;(" or _has_prose(inner)
    return _has_prose(inner) and "\\" not in inner


def _has_prose(inner: str) -> bool:
    return any(word.lower() not in _NO_PROSE for word in _LONG_WORD.findall(_COMMAND.sub(" ", inner)))


def _hashes(text: str) -> str | None:
    """The value behind #### in the last line of a text, as GSM8K's solutions end."""
    last = text[-MAX_LINE:].rstrip().rpartition("\n")[2]
    if not last.startswith("####"):
        return None
    line = last.lstrip("#").strip().removesuffix(".")
    return line if is_expression(line) else None


def is_expression(text: str) -> bool:
    """Say whether a text is one expression and no prose: one line, at most one word beside units and commands."""
    if (
        not text
        or "\n" in text.strip("$[]\\ \n")
        or any(name in text for name in (r"\boxed", r"\fbox", r"\beginboxed"))
    ):
        return False
    plain = _COMMAND.sub(" ", _GROUP.sub(" ", text))
    words = [word for word in _WORD.findall(plain) if word.lower() not in _NO_PROSE]
    if len(words) <= 1 or number_phrase(text) is not None:
        return True
    return len(text) <= 120 and text[:1] in "0123456789\\-+" and spell(text).words is None
