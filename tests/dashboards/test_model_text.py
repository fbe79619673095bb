"""Text of models: raw text is exact, rendered text holds no sign but checked mathematics."""

from __future__ import annotations

import html
import re
import string
import time

import pytest

from relift.dashboards.model_text import LIMIT, cut, escape_text, hidden_characters, safe_markdown
from relift.dashboards.reading import difference_markdown
from tests.dashboards.hostile import HOSTILE

FORMULA = re.compile(r"\n\n\$\$\n.*?\n\$\$\n\n|\$[^$\n]+\$", re.DOTALL)


def without_formulas(markdown: str) -> str:
    return FORMULA.sub("", markdown)


def shown_exactly(markdown: str) -> str:
    """Give what Streamlit's own replacements see: text with its references resolved."""
    return html.unescape(markdown)


def shown(markdown: str) -> str:
    """The text that Markdown without signs shows: references resolved, hard breaks as newlines."""
    return html.unescape(markdown.replace("  \n", "\n")).replace("\xa0", " ").replace("\u2060", "")


def test_there_are_enough_hostile_texts() -> None:
    assert len(HOSTILE) >= 50


@pytest.mark.parametrize("name", HOSTILE)
def test_rendered_text_has_no_sign_of_markdown_or_html(name: str) -> None:
    markdown = safe_markdown(cut(HOSTILE[name])[0])
    rest = re.sub(r"&#\d+;", "", without_formulas(markdown))
    assert not re.search(r":[\w/+-]+:|->|<-|>=|https?:|www\.", shown_exactly(without_formulas(markdown)))
    assert not set(rest) & set(string.punctuation)  # what is left is letters, digits and blanks


@pytest.mark.parametrize("name", HOSTILE)
def test_escaped_text_reads_as_it_was_written(name: str) -> None:
    text = cut(HOSTILE[name])[0]
    if name == "control":  # HTML has no reference for a NUL; raw text shows it
        text = text.replace("\x00", "")
    expected = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    assert shown(escape_text(text)) == expected


@pytest.mark.parametrize("name", ["href", "includegraphics", "html in maths", "definitions", "boxes", "broken maths"])
def test_commands_that_do_more_than_mathematics_stay_text(name: str) -> None:
    assert safe_markdown(HOSTILE[name]) == escape_text(HOSTILE[name])


def test_mathematics_is_kept_as_it_is() -> None:
    # \(x^2\) and $a+b$ within the line, \[...\] and $$...$$ as lines of their own
    markdown = safe_markdown(HOSTILE["maths"])
    assert "$x^2$" in markdown
    assert "$a+b$" in markdown
    assert "\n\n$$\ny = \\frac{1}{2}\n$$\n\n" in markdown
    assert "\n\n$$\nz_1\n$$\n\n" in markdown


@pytest.mark.parametrize(
    ("text", "is_formula"),
    [
        ("$5 and then $10", False),  # a blank before the closing dollar
        ("from $5 to 7$", False),  # no operator, and no single short token
        ("$x$ is", True),
        ("$ x $", False),
        ("cost $3-$5", False),  # a digit follows
        ("a$b+c$", False),  # a letter before the dollar
        (r"\$5+3$", False),
    ],
)  # fmt: skip
def test_dollars_of_money_stay_text(text: str, is_formula: bool) -> None:  # noqa: FBT001
    assert ("$" in re.sub(r"&#\d+;", "", safe_markdown(text))) is is_formula


def test_long_texts_take_little_time() -> None:
    begin = time.perf_counter()
    for name in ("long line", "many lines", "many openings"):
        safe_markdown(cut(HOSTILE[name])[0])
        hidden_characters(HOSTILE[name])
    assert time.perf_counter() - begin < 5  # some .5 s; a pattern that goes back over all openings takes minutes


def test_cut_says_what_is_left_out() -> None:
    text, n_left = cut(HOSTILE["long line"])
    assert len(text) == LIMIT
    assert n_left == 1_000_000 - LIMIT


def test_hidden_characters_are_named_and_counted() -> None:
    found = hidden_characters(HOSTILE["bidi"])
    assert found == {
        "U+202E RIGHT-TO-LEFT OVERRIDE": 1, "U+202C POP DIRECTIONAL FORMATTING": 1,
        "U+2066 LEFT-TO-RIGHT ISOLATE": 1, "U+2069 POP DIRECTIONAL ISOLATE": 1,
    }  # fmt: skip
    assert hidden_characters(HOSTILE["ansi"])["U+001B control"] == 5
    assert hidden_characters("plain\ttext\n with ümlauts and 数") == {}


@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in ("long line", "many lines", "many openings")])
def test_marked_differences_hold_no_sign_but_their_own(name: str) -> None:
    markdown = difference_markdown([(HOSTILE[name], False), ("same", True)], colour="green")
    rest = re.sub(r"&#\d+;", "", markdown).replace(":green-background[", "").replace("]", "")
    assert not set(rest) & set(string.punctuation)
