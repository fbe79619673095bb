"""Repair damaged escapes in what a model wrote (relift.data.escapes), and say which control characters are left.

What is left of control characters cannot be read by rule.
"""

from __future__ import annotations

import re

from relift.data.escapes import repaired_escapes

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def repaired(text: str) -> str:
    """Put back the commands that lost their backslash and first letter; the text itself where none did."""
    return repaired_escapes(text)[0]


def is_damaged(text: str) -> bool:
    """Say whether a text holds control characters other than white space."""
    return _CONTROL.search(text) is not None
