r"""Unicode in answers: signs, Greek letters, digits above and below the line, roots and fractions, as LaTeX has them.

Superscripts are exponents and never digits of the number before them: 2⁹⁹ is `2^{99}`, where a compatibility
normalisation of Unicode (NFKC) would make it 299.
"""

from __future__ import annotations

import re
import unicodedata

_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩϕϵ",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
        "omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega phi epsilon".split(),
        strict=True,
    )
)
_SIGNS = {
    "\u230a": r"\lfloor ", "\u230b": r"\rfloor ", "\u2308": r"\lceil ", "\u2309": r"\rceil ", "\ufe63": "-",
    "\u2212": "-", "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u00d7": r"\cdot ", "\u00b7": r"\cdot ",
    "\u22c5": r"\cdot ", "\u2217": r"\cdot ", "\u2022": r"\cdot ", "\u00f7": "/", "\u2044": "/", "\u2215": "/",
    "\u221e": r"\infty ",
    "\u00b0": r"^\circ ", "\u2103": r"^\circ C", "\u2109": r"^\circ F", "\u00b1": r"\pm ", "\u2213": r"\mp ",
    "\u2264": r"\le ", "\u2265": r"\ge ", "\u2a7d": r"\le ", "\u2a7e": r"\ge ", "\u2260": r"\ne ", "\u222a": r"\cup ",
    "\u2229": r"\cap ", "\u2208": r"\in ", "\u2248": r"\approx ", "\u2245": r"\approx ", "\u2205": r"\varnothing ",
    "\u2211": r"\sum ", "\u220f": r"\prod ", "\u222b": r"\int ", "\u2026": r"\dots ", "\u22ef": r"\dots ",
    "\u2220": r"\angle ", "\u211d": r"\mathbb{R}", "\u2124": r"\mathbb{Z}", "\u2115": r"\mathbb{N}",
    "\u2236": ":", "\u2192": r"\to ", "\u21d2": r"\Rightarrow ", "\u3001": ",", "\u3002": ".", "\u2032": "'",
    "\u2019": "'", "\u20ac": r"\euro ", "\u00a3": r"\pounds ", "\u00a5": r"\yen ", "\u20b9": r"\rupee ",
    "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "", "\ufeff": "", "\u2061": "", "\u2062": "", "\u2063": ",",
    # spaces that keep groups of digits together: TeX's tilde is one, and is read as one
    "\u00a0": "~", "\u2007": "~", "\u2008": "~", "\u2009": "~", "\u200a": "~", "\u202f": "~", "\u205f": "~",
}  # fmt: skip
_FULL_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}
_TABLE = str.maketrans({**_SIGNS, **{sign: rf"\{name} " for sign, name in _GREEK.items()}}) | _FULL_WIDTH

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣʸᵃᵇᵏᵐᵗ", "0123456789+-=()nixyabkmt", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙᵢⱼₖₘₓ", "0123456789+-()nijkmx", strict=True))
_ABOVE, _BELOW = "".join(map(re.escape, _SUPERSCRIPTS)), "".join(map(re.escape, _SUBSCRIPTS))
_STACKED = re.compile(rf"(?<![{_ABOVE}])([{_ABOVE}]++)[\u2044/]([{_BELOW}]++)")
_RAISED = re.compile(rf"[{_ABOVE}]+")
_LOWERED = re.compile(rf"[{_BELOW}]+")
_ROOT = re.compile(r"([\u221a\u221b\u221c])[ ~]?(?:(\d++(?:\.\d++)?|[a-zA-Z](?![a-zA-Z]))|(?=\())?", re.ASCII)
_SLASHED = re.compile(r"(?<![\d\u221a\u221b\u221c])(\d++)\u2044(\d++)", re.ASCII)
_OVERLINED = re.compile(r"(?:\d\u0305)+", re.ASCII)
_DOTTED = re.compile(r"(\d)\u0307", re.ASCII)
_STYLED = re.compile("[\U0001d400-\U0001d7ff]")
_INDEX = {"\u221a": r"\sqrt", "\u221b": r"\sqrt[3]", "\u221c": r"\sqrt[4]"}


def plain_signs(text: str) -> str:
    """Write the Unicode signs of a text in LaTeX and ASCII; what has no such form stays."""
    if text.isascii():
        return text
    text = _STYLED.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text)
    text = _OVERLINED.sub(lambda m: rf"\overline{{{m[0].replace(chr(0x305), '')}}}", text)
    text = _DOTTED.sub(r"\\dot{\1}", text)
    text = _STACKED.sub(lambda m: rf"\frac{{{_down(m[1])}}}{{{_up(m[2])}}}", text)
    text = _RAISED.sub(lambda m: f"^{{{_down(m[0])}}}", text)
    text = _LOWERED.sub(lambda m: f"_{{{_up(m[0])}}}", text)
    text = _SLASHED.sub(r"\\frac{\1}{\2}", text)
    text = "".join(_vulgar(character) for character in text)
    text = _ROOT.sub(lambda m: _INDEX[m[1]] + (f"{{{m[2]}}}" if m[2] else " "), text)
    return text.translate(_TABLE)


def _down(text: str) -> str:
    return "".join(_SUPERSCRIPTS[character] for character in text)


def _up(text: str) -> str:
    return "".join(_SUBSCRIPTS[character] for character in text)


def _vulgar(character: str) -> str:
    """Write ¾ and its kin as a fraction."""
    if not ("\u00bc" <= character <= "\u00be" or "\u2150" <= character <= "\u215e"):
        return character
    over, _, under = unicodedata.normalize("NFKC", character).partition("\u2044")
    return rf"\frac{{{over}}}{{{under}}}"
