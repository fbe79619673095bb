"""Runs that differ in their seed are shown as one method; single runs are called checkpoints, without a p-value."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dashboards.app import open_page, text_of
from tests.synthetic import write_run

SMALL = {"n_questions": 16, "n_steps": 2, "probe_every": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("seeds")
    for name, learn in (("rl", 0.3), ("relift", 0.7)):
        for seed in (1, 2):
            write_run(root / f"seed-{seed}" / name, seed=seed, name=name, learn=learn, **SMALL)
    return {f"{name} {seed}": root / f"seed-{seed}" / name for name in ("rl", "relift") for seed in (1, 2)}


def test_overview_groups_seeds(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "overview", list(runs.values()))
    assert not app.exception
    text = text_of(app)
    heads = [str(one.value) for one in app.subheader]
    assert heads[0] == "What each method changed, over its seeds" and "The single runs" in heads
    assert "Seeds: rl 2 seeds (1, 2), relift 2 seeds (1, 2)" in text
    assert "checkpoints are compared" not in text


def test_overview_of_one_seed_speaks_of_checkpoints(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of(open_page(monkeypatch, "overview", [runs["rl 1"], runs["relift 1"]]))
    assert "over its seeds" not in text
    assert "These two checkpoints are compared, one training run each" in text


def test_compare_pairs_methods_by_seed(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "compare", list(runs.values()))
    assert not app.exception
    text = text_of(app)
    # not chosen: the first by name, and a run of another method with its seed
    assert "relift (seed-1) less rl (seed-1) on the same questions" in text
    assert "**relift** less **rl** seed by seed" in text
    same = open_page(monkeypatch, "compare", list(runs.values()), query={"a": "rl (seed-1)", "b": "rl (seed-2)"})
    assert "Both are runs of rl: their difference is one between seeds." in text_of(same)


def test_compare_of_one_seed_has_no_p_value(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "compare", [runs["rl 1"], runs["relift 1"]])
    assert "These two checkpoints are compared, one training run each" in text_of(app)
    assert "p_value" not in str([chart.proto.spec for chart in app.get("vega_lite_chart")])
