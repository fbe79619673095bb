"""A damaged probe or run leaves out that probe or run: the others are drawn, and one banner says what is missing."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.dashboards.app import open_page, text_of
from tests.synthetic import write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write base, rl, relift with a damaged probe (a column that counts do not need), and one with half a run.json."""
    root = tmp_path_factory.mktemp("damage")
    for name, steps, learn in (("base", 0, 0.0), ("rl", 8, 0.4), ("relift", 8, 0.6), ("cut", 8, 0.6)):
        write_run(root / name, n_questions=24, n_steps=steps, learn=learn, seed=len(name), name=name, probe_every=4)
    damage_column(root / "relift" / "trajectories" / "step-000004.probe.d0.parquet", "mean_tokens")
    whole = (root / "cut" / "run.json").read_bytes()
    (root / "cut" / "run.json").write_bytes(whole[: len(whole) // 2])
    return root


def damage_column(file: Path, name: str) -> None:
    """Flip a bit of the first data page of a column."""
    group = pq.ParquetFile(file).metadata.row_group(0)
    column = next(group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == name)
    data = bytearray(file.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("page", ["overview", "transitions", "compare", "questions", "dynamics", "data"])
def test_the_rest_is_drawn_and_the_damage_is_said(page: str, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, page, [runs])
    assert not app.exception, app.exception[0].value
    said = [error.value for error in app.error]
    if page != "data":  # which names it where the run is chosen
        assert sum("step-000004.probe.d0.parquet" in line for line in said) == 1, said
    assert sum("cut" in line and "run.json" in line for line in said) == 1
    assert not [line for line in said if line.startswith("Not shown")]
    assert len(app.subheader) >= 2


def test_the_runs_that_are_sound_are_in_the_headline(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of(open_page(monkeypatch, "overview", [runs]))
    assert "**rl**: accuracy" in text and "**relift**: accuracy" in text  # its last probe is sound
    assert "at step 8" in text


def test_data_names_the_probe_of_the_run_chosen(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "data", [runs], query={"of": "relift"})
    assert any("step-000004.probe.d0.parquet" in error.value for error in app.error)


def test_runs_that_begin_later_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "one", n_questions=12, n_steps=4, learn=0.4, seed=1, name="one", probe_every=4)
    app = open_page(monkeypatch, "overview", [tmp_path])
    assert "**one**: accuracy" in text_of(app)
    write_run(tmp_path / "two", n_questions=12, n_steps=4, learn=0.4, seed=2, name="two", probe_every=4)
    assert "**two**: accuracy" in text_of(app.run())
