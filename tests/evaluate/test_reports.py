"""The table of public reports names tests that exist."""

from __future__ import annotations

import re

from tests.repository import ROOT

NAMED = re.compile(r"`(?:(tests/[\w/]+\.py))?::(test_\w+)`")


def test_every_test_that_the_table_names_is_there() -> None:
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    rows = text.partition("## Public reports")[2].splitlines()
    missing, n_named = [], 0
    for row in rows:
        path = ""
        for file, name in NAMED.findall(row):
            path = file or path
            n_named += 1
            if f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8"):
                missing.append(f"{path}::{name}")
    assert missing == [] and n_named > 30
