"""A page of another local server reads no run, though Streamlit lets it connect."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from relift.dashboards.own_page import is_own_page


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        (None, True),
        ("http://127.0.0.1:8501", True),
        ("http://127.0.0.1:8502", False),
        ("http://127.0.0.1", False),
        ("http://localhost:8501", False),
        ("http://evil.example:8501", False),
        ("null", False),
    ],
)
def test_a_page_is_its_own_by_host_and_port(origin: str | None, own: bool) -> None:  # noqa: FBT001
    headers = {"Host": "127.0.0.1:8501"} | ({} if origin is None else {"Origin": origin})
    assert is_own_page(headers) is own


def test_another_page_is_shown_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"Host": "127.0.0.1:8501", "Origin": "http://127.0.0.1:9"}
    monkeypatch.setattr(type(st.context), "headers", property(lambda context: headers))
    shown = AppTest.from_file(str(Path("dashboards/app.py").absolute()), default_timeout=60).run()
    assert [e.value for e in shown.error] == [
        "This page came from another server; open the address that relift dashboard printed."
    ]
    assert len(shown.main) == 1
