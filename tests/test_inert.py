"""Texts of strangers stay texts: on a terminal, in a spreadsheet, in Markdown."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from relift.inert import (
    PlainConsole,
    PlainOutput,
    for_markdown,
    for_spreadsheet,
    for_terminal,
    sentence_for_markdown,
)


def test_commands_of_a_terminal_become_escapes_and_lines_stay_lines() -> None:
    assert for_terminal("a\tb\nc \x1b[31m \x9b \u202e \r \ud800") == "a\tb\nc \\x1b[31m \\x9b \\u202e \\r \\ud800"
    assert for_terminal("5\u00a0% \u221a2 \u5b57") == "5\u00a0% \u221a2 \u5b57"


def test_output_and_console_print_no_command() -> None:
    sink = io.BytesIO()
    out = PlainOutput(sink, encoding="utf-8")
    print("x\x1b]0;own\x07", file=out, flush=True)
    text = io.StringIO()
    PlainConsole(file=text).print("y\x1b[31m", markup=False, highlight=False)
    assert (sink.getvalue(), text.getvalue()) == (b"x\\x1b]0;own\\x07\n", "y\\x1b[31m\n")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_no_text_of_a_table_is_a_formula(text: str) -> None:
    frame = pd.DataFrame({"name": [text, "a=1"], "number": [-1.0, 2.0], "kind": pd.Categorical([text, "b"])})
    safe = for_spreadsheet(frame)
    assert safe["name"].tolist() == ["'" + text, "a=1"] and safe["kind"].tolist() == ["'" + text, "b"]
    assert safe["number"].tolist() == [-1.0, 2.0] and frame["name"].tolist() == [text, "a=1"]


def test_markdown_holds_no_tag_link_or_image() -> None:
    assert for_markdown("<b> [a](x) ![i](y) | `c`") == r"\<b\> \[a\]\(x\) \!\[i\]\(y\) \| \`c\`"
    hostile = sentence_for_markdown("<script> [a](javascript:x) ![i][r] [r]: http://e")
    assert "<" not in hostile.replace(r"\<", "") and "](" not in hostile.replace(r"\](", "")
    assert "][" not in hostile.replace(r"\][", "") and "]:" not in hostile.replace(r"\]:", "")
    assert sentence_for_markdown("+0.5 [-1.0, 2.0]\nof 3") == "+0.5 [-1.0, 2.0] of 3"  # our intervals are no links
