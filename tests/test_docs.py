"""The documents: generated pages are current, links lead somewhere, the Makefile has what they name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.repository import ROOT, docs_script

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_schema_page_is_current() -> None:
    page = (ROOT / "docs" / "schema.md").read_text(encoding="utf-8")
    assert page == docs_script("make_schema").schema_markdown(), "run `make schema`"


def test_the_table_of_recipes_is_current() -> None:
    script = docs_script("make_recipes")
    assert script.table() in (ROOT / "docs" / "method.md").read_text(encoding="utf-8"), "run docs/make_recipes.py"


def test_schema_page_has_every_column_once_per_table() -> None:
    from relift.schema import TABLES

    sections = docs_script("make_schema").schema_markdown().split("\n## ")
    for table in TABLES.values():
        (section,) = (part for part in sections if part.startswith(f"{table.name}\n"))
        listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
        assert listed == [column.name for column in table.columns]


def link_targets(text: str) -> list[str]:
    """Relative targets of Markdown links and images, comments and code left out, anchors cut off."""
    text = FENCE.sub("", COMMENT.sub("", text))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:", target)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    missing = [t for t in link_targets(page.read_text(encoding="utf-8")) if t and not (page.parent / t).exists()]
    assert missing == []


def test_links_are_found() -> None:
    text = "[a](x.md) ![b](i/b.png) [c](https://example.org) <!-- [d](d.md) --> [e](y.md#part) [f](#here)"
    assert link_targets(text) == ["x.md", "i/b.png", "y.md", ""]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_blocks_parse(page: Path) -> None:
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            ast.parse(block)


def test_make_targets_that_documents_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {
        target
        for page in PAGES
        for target in re.findall(r"(?:`|^)make ([a-z][a-z-]*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named and sorted(named - targets) == []
