"""Kept results: renewed when a run grows, shared where only functions differ, and the population of a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from relift.dashboards.kept import kept
from relift.dashboards.population import population, sentence
from relift.dashboards.runs import Choice, RunInfo, survey
from tests.synthetic import write_run

CALLS: list[str] = []


@kept(4)
def of_run(run: RunInfo, how: object = None) -> str:
    CALLS.append("of_run")
    return run.name


@kept(4, grows=False)
def of_choice(choice: Choice) -> int:
    CALLS.append("of_choice")
    return len(choice.runs)


def test_a_result_is_kept_until_the_run_grows() -> None:
    run = RunInfo("rl", Path("x"), "running", (1, 2), run_id="kept-1")
    CALLS.clear()
    assert of_run(run) == of_run(run) == "rl" and CALLS == ["of_run"]
    of_run(run, how=lambda: 1)
    of_run(run, how=lambda: 2)  # functions do not count
    assert CALLS == ["of_run"] * 2
    of_run(replace(run, fingerprint=(3, 4)))
    of_run(replace(run, origin="rollout"))
    assert CALLS == ["of_run"] * 4


def test_what_a_run_holds_from_its_start_is_kept_while_it_grows() -> None:
    run = RunInfo("rl", Path("x"), "running", (1, 2), run_id="kept-2")
    CALLS.clear()
    of_choice(Choice((run,)))
    of_choice(Choice((replace(run, fingerprint=(3, 4)),), base="kept-2"))
    assert CALLS == ["of_choice"]
    of_choice(Choice((run, replace(run, run_id="kept-3"))))
    assert CALLS == ["of_choice"] * 2


def test_the_population_is_counted_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, n, seed in (("a", 12, 1), ("b", 8, 2)):  # the 8 are the first of the 12
        write_run(tmp_path / name, n_questions=n, n_steps=4, learn=0.5, seed=seed, name=name, probe_every=4)
    monkeypatch.setattr("sys.argv", ["app.py", str(tmp_path)])
    counts = population(Choice(survey()))
    assert counts[["n_probed", "n_everywhere"]].sum().tolist() == [12, 8]
    assert "12 questions" in sentence(counts) and "the 8 probed at every step of every run" in sentence(counts)


def test_splits_that_no_figure_over_steps_shows_are_told_from_the_others() -> None:
    counts = pd.DataFrame({"split": ["longer", "test"], "n_probed": [3, 5], "n_everywhere": [0, 5]})
    assert sentence(counts) == (
        "8 questions: longer 3, test 5. Over steps, by band and class: the 5 probed at every step of every run "
        "(test 5); first against last probe, and lists: all."
    )
