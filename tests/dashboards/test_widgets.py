"""Text shown as it is, downloads that a spreadsheet cannot be hurt by, and the counts behind live pages."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relift.analysis import read_cube
from relift.dashboards import cubes
from relift.dashboards import runs as of_runs
from relift.dashboards.exports import csv_bytes, figure_bytes, parquet_bytes
from relift.dashboards.runs import Choice, clean_name
from relift.dashboards.widgets import plain
from tests.synthetic import write_run


def test_signs_of_markdown_become_references() -> None:
    assert plain("a*b_c") == "a&#42;b&#95;c"
    assert plain("![x](http://h)").startswith("!&#91;x&#93;(http&#58;//h)")
    assert plain("two\nlines") == "two lines"
    assert plain("1. item") == "&#49;. item" and plain("- x") == "&#45; x"
    assert plain(":red[x]") == "&#58;red&#91;x&#93;" and plain("note: yes") == "note: yes"
    assert plain("www.example.org") == "www&#46;example&#46;org"
    assert plain("") == ""


def test_names_have_no_markup() -> None:
    assert clean_name("rl *v2* [x](y) :red[z]") == "rl ·v2· ·x·(y) ·red·z·"
    assert clean_name("") == "run"


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_formulas_are_defused_in_csv_alone(value: str) -> None:
    frame = pd.DataFrame({"text": [value, "a=b"], "number": [-1.5, 2.0]})
    read = pd.read_csv(io.BytesIO(csv_bytes(frame)), lineterminator="\n", dtype={"text": str})
    assert list(read["text"]) == ["'" + value, "a=b"]
    assert list(read["number"]) == [-1.5, 2.0]
    assert list(pd.read_parquet(io.BytesIO(parquet_bytes(frame)))["text"]) == [value, "a=b"]


def test_a_missing_text_stays_missing_in_csv() -> None:
    assert csv_bytes(pd.DataFrame({"text": ["=x", None], "n": [1, 2]})) == b"text,n\n'=x,1\n,2\n"


def test_the_figure_is_the_library_s_own() -> None:
    from relift.analysis.style import one_axes

    def draw(frame: pd.DataFrame) -> object:
        axes = one_axes(height=1.0)
        axes.plot(frame["x"], frame["x"])
        return axes

    frame = pd.DataFrame({"x": [0, 1]})
    assert figure_bytes(frame, draw, "png").startswith(b"\x89PNG")
    assert b"<svg" in figure_bytes(frame, draw, "svg")


def test_a_live_step_joins_the_cube_and_the_survey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "rl"
    write_run(folder, n_questions=12, n_steps=4, learn=0.5, seed=1, probe_every=2, status="running")
    monkeypatch.setattr("sys.argv", ["app.py", str(folder)])
    (run,) = of_runs.survey()
    before = cubes.cube(run)
    assert run.state == "running" and run.probe_steps == (0, 2, 4) and run.base_draws == (0, 1)
    assert cubes.cube(run) is before  # nothing changed: the same object, not a copy
    later = tmp_path / "later"
    write_run(later, n_questions=12, n_steps=6, learn=0.5, seed=1, probe_every=2)
    for name in ("trajectories/step-000006.probe.d0.parquet", "commits/step-000006.json"):
        (folder / name).write_bytes((later / name).read_bytes())  # what a live run does, a step later
    (grown,) = of_runs.survey()
    after = cubes.cube(grown)
    assert grown.fingerprint != run.fingerprint and grown.probe_steps == (0, 2, 4, 6)
    whole = read_cube(later)
    np.testing.assert_array_equal(after.step_T, [0, 2, 4, 6])
    np.testing.assert_array_equal(after.n_correct_QT[:, 3], whole.n_correct_QT[:, 3])
    np.testing.assert_array_equal(after.n_correct_QT[:, :3], before.n_correct_QT)
    with pytest.raises(ValueError, match="read-only"):
        after.n_correct_QT[0, 0] = 1


def test_large_runs_show_evenly_spaced_probes() -> None:
    steps = tuple(range(0, 101))
    run = of_runs.RunInfo("rl", Path("x"), "done", (), n_rows=10_100_000, probe_steps=steps)
    choice = Choice((run,))
    assert cubes.is_large(choice)
    shown = cubes.spaced_steps(choice, 5)
    assert shown == (0, 25, 50, 75, 100)
    # 1,000,000 of 10,100,000 rows: 10 of 101 steps
    assert len(cubes.shown_steps(choice) or ()) == 10
