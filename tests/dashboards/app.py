"""The dashboard's app in this process: what a browser would be sent, without a browser."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import relift.dashboards

APP = Path(relift.dashboards.__file__).with_name("app.py")


def open_page(
    monkeypatch: pytest.MonkeyPatch,
    page: str,
    runs: Sequence[Path],
    *,
    query: Mapping[str, str | list[str]] | None = None,
    seconds: float = 60,
) -> AppTest:
    """The page of the dashboard of these runs, drawn once, and it alone."""
    monkeypatch.setattr(sys, "argv", ["app.py", *map(str, runs)])
    app = AppTest.from_file(str(APP), default_timeout=seconds)
    for name, value in (query or {}).items():
        app.query_params[name] = value
    if page != "overview":
        app.switch_page(f"pages/{page}.py")
    return app.run()


def text_of(app: AppTest) -> str:
    """All sentences on the page."""
    kinds = (app.title, app.subheader, app.caption, app.markdown, app.info, app.warning, app.error)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def parameter(app: AppTest, name: str) -> str:
    """A query parameter with one value."""
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]
