"""Write HTML that is safe by construction: all text is escaped, and what cannot be seen is made visible.

`element` is the only way to a tag. Children that are plain strings are text; only `Markup`, which `element` returns,
passes as it is. Styles come from one style sheet, which the page's policy names by its hash; nothing else is loaded.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
import unicodedata
from collections.abc import Sequence

VOID = ("meta", "img", "br")
_ODD = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # controls, formats (bidi, zero width), surrogates, unassigned
_KEPT = "\n\t"

STYLE = """
:root { color-scheme: light dark; --text: #1b1b1f; --page: #fff; --soft: #5c5f66; --line: #d9dbe0; --box: #f5f6f8;
  --good: #1b6e3c; --bad: #a3341f; --accent: #0a558c; --odd: #8a4b00; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e6ea; --page: #15171b; --soft: #a4a8b0; --line: #3a3e46;
  --box: #1f2228; --good: #6fcf97; --bad: #ff9a85; --accent: #7cc0f5; --odd: #ffc278; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 56rem; color: var(--text); background: var(--page);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem; }
p, ul { margin: .4rem 0; }
ul { padding-left: 1.2rem; }
li { margin: .25rem 0; }
a { color: var(--accent); }
nav a { margin-right: .9rem; }
.soft, figcaption, caption { color: var(--soft); font-size: .88rem; }
.caution { border-left: 4px solid var(--bad); background: var(--box); padding: .5rem .8rem; margin: .8rem 0; }
figure { margin: 1.4rem 0 2rem; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: 4px; padding: 6px; }
figcaption { margin-top: .5rem; max-width: 46rem; }
.wide { overflow-x: auto; margin: .8rem 0 1.2rem; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .25rem .7rem .25rem 0; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { font-weight: 600; }
.words { text-align: left; }
.words { white-space: normal; overflow-wrap: break-word; max-width: 20rem; }
th.words { white-space: nowrap; }
pre { background: var(--box); border: 1px solid var(--line); border-radius: 4px; padding: .5rem .7rem; margin: .3rem 0;
  white-space: pre-wrap; overflow: hidden;
  font: .84rem/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; }
.pair > div { min-width: 0; }
.example { margin: 1.2rem 0 1.8rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
.odd { color: var(--odd); border: 1px solid currentColor; border-radius: 3px; font-size: .72em; padding: 0 .2em;
  margin: 0 .1em; unicode-bidi: isolate; white-space: normal; }
@media (max-width: 40rem) { .pair { grid-template-columns: 1fr; } }
@page { margin: 1.6cm; }
@media print {
  :root { color-scheme: light; --text: #000; --page: #fff; --soft: #444; --line: #bbb; --box: #f5f5f5; --good: #14532d;
    --bad: #7f1d1d; --accent: #000; --odd: #6b3a00; font-size: 9.5pt; }
  body { max-width: none; padding: 0; font-size: 1rem; line-height: 1.4; }
  nav { display: none; }
  h2, h3 { break-after: avoid; }
  figure, tr, .caution, .pair, li { break-inside: avoid; }
  figure { margin: .8rem 0 1.2rem; }
  figure img { border: 0; padding: 0; max-height: 14cm; max-width: 85%; width: auto; }
  .wide { overflow: visible; }
  table { font-size: .78rem; }
  th, td { padding-right: .4rem; }
}
"""


class Markup(str):
    """Mark HTML that `element` made."""


def element(tag: str, *children: str | Sequence[str], **attributes: str | int | None) -> Markup:
    """Make a tag with children: Markup as it is, any other string as text. `class_` is class; None leaves one out."""
    parts = [child for item in children for child in ([item] if isinstance(item, str) else item)]
    inner = "".join(child if isinstance(child, Markup) else visible(child) for child in parts)
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(flat(str(value)))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{given}>" if tag in VOID else f"<{tag}{given}>{inner}</{tag}>")


def visible(text: str) -> Markup:
    """Escape text, each run of characters that would act without being seen as their code points."""
    parts = []
    for piece, odd in _pieces(text):
        shown = html.escape(piece)
        parts.append(f'<span class="odd">{" ".join(f"U+{ord(c):04X}" for c in piece)}</span>' if odd else shown)
    return Markup("".join(parts))


def flat(text: str) -> str:
    """Flatten text for an attribute or a title, where no tag can be: odd characters as their code points."""
    return "".join("".join(f"U+{ord(c):04X}" for c in piece) if odd else piece for piece, odd in _pieces(text))


def _pieces(text: str) -> list[tuple[str, bool]]:
    """Cut text into stretches of seen and of odd characters. Over eight stacked combining marks are odd as well."""
    found: list[tuple[str, bool]] = []
    start, marks, last = 0, 0, False
    for i, c in enumerate(text):
        kind = unicodedata.category(c)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        odd = (kind in _ODD and c not in _KEPT) or marks > 8
        if odd != last and i > start:
            found.append((text[start:i], last))
            start = i
        last = odd
    return [*found, (text[start:], last)] if text else []


def clipped(text: str, limit: int) -> tuple[str, str]:
    """Cut a long text, and say what is left out ("" if nothing)."""
    if len(text) <= limit:
        return text, ""
    return text[:limit], f"The first {limit:,} of {len(text):,} characters."


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "", words: Sequence[int] = (0,)
) -> Markup:
    """Make a table; columns of `words` are aligned left, the others hold numbers."""

    def class_of(column: int) -> str | None:
        return "words" if column in words else None

    head = element("tr", [element("th", h, class_=class_of(i), scope="col") for i, h in enumerate(headers)])
    body = [element("tr", [element("td", cell, class_=class_of(i)) for i, cell in enumerate(row)]) for row in rows]
    above = [element("caption", caption)] if caption else []
    return element(
        "div", element("table", above, element("thead", head), element("tbody", body)), class_="wide", tabindex=0
    )


def bullets(sentences: Sequence[str]) -> Markup:
    """Make a list of sentences."""
    return element("ul", [element("li", sentence) for sentence in sentences])


def image(svg: str, *, width: int, height: int, title: str) -> Markup:
    """Embed an svg as an image: in this way it can neither run nor load anything."""
    data = base64.b64encode(svg.encode()).decode()
    return element("img", src=f"data:image/svg+xml;base64,{data}", width=width, height=height, alt=title)


def page(title: str, body: Sequence[Markup]) -> str:
    """Make the whole file."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", Markup(html.escape(flat(title)))),
        element("style", Markup(STYLE)),
    )
    text = element("html", head, element("body", body), lang="en")
    return "<!DOCTYPE html>\n" + re.sub(r"(</(?:p|li|tr|h[1-3]|figure|div|table|ul|head)>)", r"\1\n", text)
