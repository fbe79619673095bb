"""Write texts of strangers so that a terminal, a spreadsheet or a Markdown page shows them and does nothing else."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    import pandas as pd

# Controls but line feed and tab, and characters that turn the direction of a line or are not seen.
_COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of a formula
_MARKUP = re.compile(r"[\\`*_{}\[\]<>()#+!|~&]")
_TAGS = re.compile(r"[<>`|\\]|\](?=[(\[:])")  # a link needs one of these after its text


def for_terminal(text: str) -> str:
    """Write the commands of a terminal in a text as escapes; its lines stay lines."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def for_markdown(text: str) -> str:
    """Put a text on one line of a Markdown table, every sign of markup escaped."""
    return _MARKUP.sub(r"\\\g<0>", for_terminal(" ".join(text.split())))


def sentence_for_markdown(text: str) -> str:
    """Put a sentence of ours that holds names of others on one line of Markdown: no tag, link, image or code in it."""
    return _TAGS.sub(r"\\\g<0>", for_terminal(" ".join(text.split())))


def for_spreadsheet(frame: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before every text of a frame that a spreadsheet would take for a formula."""
    safe = frame.copy(deep=False)
    for name in safe.columns:
        if safe[name].dtype.kind not in "biufcmM":
            text = safe[name].astype(object)
            risky = text.map(lambda value: isinstance(value, str) and value.startswith(_FORMULA))
            safe[name] = text.where(~risky.astype(bool), "'" + text.astype(str))
    return safe


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as CSV in UTF-8 that a spreadsheet cannot be hurt by. Raises OSError."""
    text = for_spreadsheet(frame).to_csv(index=False, float_format="%.10g", lineterminator="\n")
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


class PlainOutput(io.TextIOWrapper):
    """Write to a terminal or a pipe, with the commands of a terminal as escapes."""

    def write(self, text: str) -> int:
        """Write a text; returns its length."""
        super().write(for_terminal(text))
        return len(text)


class PlainConsole(Console):
    """Print as rich's console does; in texts handed to it the commands of a terminal are written as escapes."""

    def print(self, *objects: Any, **how: Any) -> None:
        """Print objects, see rich."""
        super().print(*(for_terminal(each) if isinstance(each, str) else each for each in objects), **how)
