"""Show text of a model, a data set or a teacher so that nothing in it acts: raw, or with its mathematics.

Raw text goes into a code block, which shows every character as it is. Rendered text is Markdown in which nothing of
the model's but checked mathematics is a sign.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter

import streamlit as st

LIMIT = 20_000  # characters shown at first: the browser lays out a megabyte line for seconds
MATHS_LIMIT = 2_000  # characters of one formula
LINE_LIMIT = 400  # characters between two single dollars

_MATHS = re.compile(
    rf"\$\$(?P<display>[^$]{{1,{MATHS_LIMIT}}})\$\$"
    rf"|\\\[(?P<square>.{{1,{MATHS_LIMIT}}}?)\\\]"
    rf"|\\\((?P<round>.{{1,{MATHS_LIMIT}}}?)\\\)"
    rf"|(?<![\\$\w])\$(?P<dollar>[^$\s](?:[^$\n]{{0,{LINE_LIMIT - 2}}}[^$\s])?)\$(?![\d$])",
    re.DOTALL,
)
# commands that link, load, emit HTML, define others, or move and size boxes beyond their place
_REFUSED = re.compile(
    r"\\(?:href|url|includegraphics|html\w*|[gex]?def|let|futurelet|global|long|(?:re)?newcommand|providecommand|input"
    r"|include|require|catcode|csname|endcsname|expandafter|noexpand|char|unicode|verb|rule|[mh]?kern|[mh]skip|hspace"
    r"|vspace|raisebox|raise|lower|(?:math)?[rlc]lap|smash|tag|tiny|scriptsize|large|Large|LARGE|huge|Huge"
    r"|(?:f?color|text)?color(?:box)?|fbox|bbox|class|style|cssId|loop|repeat|newenvironment)(?![A-Za-z])"
)
# a sign that what stands between two dollars is mathematics and not an amount of money
_FORMULA = re.compile(r"[\\^_={}+*/<>|]|-")
_SHORT = re.compile(r"\S{1,8}")
_REFERENCES = {ord(sign): f"&#{ord(sign)};" for sign in string.punctuation}
_NO_BREAK = "&#160;"
# Streamlit makes emoji, icons, arrows and links of finished text, references or not: an invisible sign keeps it apart
_JOINER = "\u2060"
_SHORTHAND = re.compile(
    r":(?=[\w+/-]+:)|(?<=[<>~-])(?=[-=>])|@(?=\w)|(?<=\bwww)(?=\.)|(?<=\bhttp)(?=s?:)|(?<=\bftp)(?=:)", re.I
)


def safe_markdown(text: str) -> str:
    """Write Markdown that shows `text` with its formulas drawn and everything else as it stands.

    Formulas are $$...$$, \\[...\\], \\(...\\), and $...$ within a line where it does not look like money. Those that
    are too long, hold a dollar, or use a command that could do more than set mathematics stay text. Of all other
    text each ASCII punctuation sign is a character reference, so that no Markdown, HTML or directive can form.
    """
    parts, end = [], 0
    for match in _MATHS.finditer(text):
        name = str(match.lastgroup)
        body = match.group(name)
        if not _is_formula(body, dollar=name == "dollar"):
            continue
        parts.append(escape_text(text[end : match.start()]))
        line = " ".join(body.split())
        parts.append(f"\n\n$$\n{line}\n$$\n\n" if name in ("display", "square") else f"${line}$")
        end = match.end()
    parts.append(escape_text(text[end:]))
    return "".join(parts)


def _is_formula(body: str, *, dollar: bool) -> bool:
    if not body.strip() or "$" in body or _REFUSED.search(body) or hidden_characters(body):
        return False
    pairs = (("{", "}"), ("\\left", "\\right"), ("\\begin", "\\end"))
    if any(body.count(one) != body.count(other) for one, other in pairs) or body.endswith("\\"):
        return False  # KaTeX would show its error in place of the text
    return not dollar or bool(_FORMULA.search(body)) or bool(_SHORT.fullmatch(body))


def escape_text(text: str) -> str:
    """Write text as Markdown without signs; runs of blanks and blanks that begin a line stay visible.

    What Streamlit would make an emoji, an icon, an arrow or a link of is kept apart by an invisible word joiner.
    """
    apart = _SHORTHAND.sub(lambda found: found.group() + _JOINER, text)
    escaped = apart.translate(_REFERENCES).replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    escaped = re.sub(r"(?m)^ +|  +", lambda blanks: _NO_BREAK * len(blanks.group()), escaped)
    return escaped.replace("\n", "  \n")


def hidden_characters(text: str) -> dict[str, int]:
    """Count characters that a reader cannot see or that reorder what is seen, by code point and name.

    Control characters but for tab and newline, formatting characters such as bidirectional overrides and zero-width
    signs, unassigned and private ones.
    """
    counts = Counter(c for c in text if c not in "\t\n" and not " " <= c <= "~" and unicodedata.category(c) in _HIDDEN)
    return {f"U+{ord(c):04X} {unicodedata.name(c, 'control')}": n for c, n in counts.most_common()}


_HIDDEN = ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp")


def cut(text: str, *, limit: int = LIMIT) -> tuple[str, int]:
    """Cut a long text to its beginning; also return how many characters were left out."""
    return text[:limit], max(0, len(text) - limit)


def show_text(text: str | None, *, rendered: bool, key: str, empty: str = "No text was kept.") -> None:
    """Show a text raw in a code block, or with its mathematics; of a long one the beginning, all on request.

    `key` must be unique on the page.
    """
    if text is None:
        st.caption(empty)
        return
    shown, n_left = cut(text)
    if n_left and st.toggle(f"All {len(text):,} characters (the first {LIMIT:,} are shown)", key=f"all-{key}"):
        shown = text
    if rendered:
        with st.container(border=True):
            st.markdown(safe_markdown(shown) or _NO_BREAK)
    else:
        raw_block(shown)
    hidden = hidden_characters(text)
    if hidden:
        named = ", ".join(f"{name} x {n}" for name, n in list(hidden.items())[:6])
        st.caption(f"Holds {sum(hidden.values()):,} characters that are not visible: {named}.".replace(":", "&#58;"))


def raw_block(text: str) -> None:
    """Show a code block with exactly these characters: Streamlit takes one newline off each end, so one is added."""
    st.code(f"\n{text}\n", language=None, wrap_lines=True)
