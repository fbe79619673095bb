"""The server makes the Overview's frames before anyone asks, and pages then find them."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

import altair as alt
import pandas as pd
import pytest

from relift.dashboards import overview_frames, warm
from relift.dashboards.charts.common import NEUTRAL
from relift.dashboards.frames import Ready
from relift.dashboards.runs import Choice, survey
from relift.dashboards.warm import warm_up
from relift.errors import InputError
from tests.synthetic import write_run


def test_frames_of_the_overview_are_there_after_warming_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "rl", n_questions=8, n_steps=2, probe_every=2, learn=0.4, seed=1)
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path)])
    warm_up()

    def refuse(*_: object) -> None:
        raise InputError("made once more")

    monkeypatch.setattr(overview_frames, "difference_of", refuse)
    monkeypatch.setattr(overview_frames, "alerts", refuse)
    choice = Choice(survey())
    assert isinstance(overview_frames.change(choice), Ready)
    assert isinstance(overview_frames.compute("alerts", choice, refuse), Ready)  # type: ignore[arg-type]


def test_a_terminal_is_told_nothing_of_the_thread_that_warms_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Streamlit's caches warn of a thread without a visitor; other threads without one are still told of."""
    from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx

    started: list[threading.Thread] = []
    logger = logging.getLogger(warm.WARNS)
    monkeypatch.setattr(logger, "filters", [])
    monkeypatch.setattr(logger, "propagate", True)
    with monkeypatch.context() as alone:
        alone.setattr(threading.Thread, "start", lambda thread: started.append(thread))
        warm.begin()
    for name, told in ((warm.THREAD, False), ("another", True)):
        thread = threading.Thread(target=get_script_run_ctx, name=name)
        with caplog.at_level(logging.WARNING, logger=warm.WARNS):
            thread.start()
            thread.join()
        assert bool(caplog.records) == told
    assert [thread.name for thread in started] == [warm.THREAD]


def test_nothing_to_show_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path)])
    warm_up()


def test_rows_of_charts_are_those_that_altair_makes_itself() -> None:
    frame = pd.DataFrame(
        {
            "number": [0.5, float("nan"), float("inf")], "count": [1, 2, 3], "yes": [True, False, True],
            "text": ["a", None, "c"], "kind": pd.Categorical(["x", "y", "x"]),
            "maybe": pd.array([1, None, 3], dtype="Int64"),
        }
    )  # fmt: skip
    made = {}
    for name in ("relift", "default"):
        with alt.data_transformers.enable(name):
            spec = alt.Chart(frame).mark_point(color=NEUTRAL).encode(x="number:Q", y="count:Q").to_dict(validate=False)
        (made[name],) = spec["datasets"].values()
    assert made["relift"] == made["default"]
    assert made["relift"][1]["number"] is None and made["relift"][2]["number"] is None
