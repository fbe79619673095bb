"""Adding a page is one file and one line: docs/add-a-page.md is done as it says, in a copy."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import relift.dashboards
from relift.dashboards import pages
from relift.dashboards.pages import Page
from tests.dashboards.app import text_of
from tests.synthetic import write_run

DOCUMENT = Path(__file__).parents[2] / "docs" / "add-a-page.md"


def test_the_page_of_the_document_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, line = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (name,) = re.findall(r"`dashboards/pages/(\w+)\.py`:", DOCUMENT.read_text())
    words = re.fullmatch(r'Page\("(\w+)", "(\w+)", "(.*)"\)\n', line)
    assert words is not None and words[1] == name
    source = Path(relift.dashboards.__file__).parent
    copied = shutil.copytree(source, tmp_path / "dashboards", ignore=shutil.ignore_patterns("__pycache__"))
    (copied / "pages" / f"{name}.py").write_text(file)
    monkeypatch.setattr(pages, "PAGES", (*pages.PAGES, Page(*words.groups())))
    write_run(tmp_path / "rl", n_questions=12, n_steps=4, learn=0.5, seed=1, probe_every=4)
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path / "rl")])
    app = AppTest.from_file(str(copied / "app.py"), default_timeout=60).switch_page(f"pages/{name}.py").run()
    assert not app.exception, app.exception[0].value
    assert app.title[0].value == words[2]
    assert words[3] in text_of(app)
    assert len(app.get("vega_lite_chart")) == 1
