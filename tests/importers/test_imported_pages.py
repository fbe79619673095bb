"""Imported and recorded runs stand in the dashboard and in a report, and both say what their source lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relift.analysis import cautions
from relift.analysis.report.page import write_report
from relift.grading import Grader
from relift.importers.kinds import import_source
from relift.integrations.recorder import Recorder
from relift.store import check_run
from tests.dashboards.app import open_page, text_of
from tests.importers import sources

PAGES = ("overview", "dynamics", "transitions", "training", "questions", "question", "attempts", "benchmarks", "data")
DIFFERENT = ("lm-eval", "trl", "verl")  # an evaluation, rollouts alone, rollouts and probes: the others are like these
KINDS = [k if k in DIFFERENT else pytest.param(k, marks=pytest.mark.slow) for k in sources.SOURCES]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    with Grader(workers=1) as grader:
        for kind, make in sources.SOURCES.items():
            folder = tmp_path_factory.mktemp(kind)
            second = ("--validation", folder / "verl" / "val") if kind == "verl" else None
            found[kind] = import_source(kind, make(folder), folder / "run" / kind, grader=grader, second=second)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_opens(kind: str, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for page in PAGES:
        app = open_page(monkeypatch, page, [runs[kind]], seconds=120)
        assert not app.exception, f"{page}: {app.exception[0].value}"
        if page == "overview":
            assert "which does not tell: " in text_of(app)


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_says_what_is_weaker(kind: str, runs: dict[str, Path], tmp_path: Path) -> None:
    assert check_run(runs[kind]).problems == []
    [caution] = cautions([runs[kind]])
    assert "which does not tell: " in caution and "seeds" in caution
    out = tmp_path / "report.html"
    write_report([runs[kind]], out, resamples=20)
    assert "which does not tell: " in out.read_text(encoding="utf-8")


def test_a_recorded_run_shows_its_curves_and_claims_no_check_it_cannot_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path / "mine", strict=True)
    lists: dict[str, Any] = {"rewards": [1, 0], "n_tokens": [2, 2], "truncated": [False, False]}
    for draw in (0, 1):
        recorder.probe(0, ["1+1?", "2+3?"], ["2", "4"], draw=draw, **lists)
    for step in range(1, 8):
        recorder.rollouts(step, ["1+1?", "1+1?"], ["2", "3"], **lists)
    recorder.probe(7, ["1+1?", "2+3?"], ["2", "4"], **lists)
    recorder.finish()
    shown = {page: text_of(open_page(monkeypatch, page, [tmp_path / "mine"], seconds=120)) for page in PAGES}
    assert "which does not tell: updates" in shown["overview"]
    assert "3 of 3 checks passed in every run: spiral, grader, truncation. Not checked" in shown["overview"]
    assert "no training curves" not in shown["dynamics"]  # of the rollouts, which are there
    assert "updates were not recorded" in shown["training"]


def test_lengths_that_are_not_known_are_in_no_figure(runs: dict[str, Path]) -> None:
    from relift.analysis import read_attempts, read_trajectories, read_updates
    from relift.analysis.runs.recorded import MissingColumn
    from relift.analysis.training.attempts import length_accuracy
    from relift.analysis.training.dynamics import training_dynamics

    columns = ["verdict", "finish", "n_tokens"]
    with pytest.raises(MissingColumn, match=r"attempts\.n_tokens was not recorded"):
        length_accuracy(read_attempts([runs["trl"]], origin="rollout", steps=[1, 3], columns=columns))
    rollouts = read_trajectories([runs["trl"]], origin="rollout")
    dynamics = training_dynamics(read_updates([runs["trl"]]), rollouts)
    assert dynamics["tokens"].isna().all() and len(dynamics)
