"""Runs that an older relift wrote are read, checked and gone on with. older_runs/VERSION.tar.xz holds, made by it on a
base of 2 steps: `train` (sft, step 0), `eval` (arith_sequence, one answer each), `probe` (2 questions, twice)."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from relift.config import to_toml
from relift.config.loading import read_recorded
from relift.schema import RunKind, RunStatus
from relift.store import RunReader, check_run
from tests.cli.command import relift

ARCHIVES = sorted(Path(__file__).with_name("older_runs").glob("*.tar.xz"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def older(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_older_runs_are_read(older: Path) -> None:
    assert {name: check_run(older / name).problems for name in ("train", "eval", "probe")} == {
        "train": [], "eval": [], "probe": [],
    }  # fmt: skip
    train, evaluation, probe = (RunReader(older / name) for name in ("train", "eval", "probe"))
    assert (train.run.kind, evaluation.run.kind, probe.run.kind) == (RunKind.train, RunKind.eval, RunKind.probe)
    assert train.run.method.startswith("sft-") and train.run.seed == 0 and train.run.status is RunStatus.done
    assert train.run.exact and train.run.changes == () and train.run.identity["config"]["sft.batch"] == 2
    assert evaluation.run.benchmarks["arith_sequence"].samples == 1 and evaluation.run.totals.answers == 100
    counts = probe.read("trajectories")
    assert counts["n_attempts"].dtype == "int32" and counts["n_attempts"].tolist() == [2, 2]
    assert set(probe.read("attempts", columns=["assistance"])["assistance"]) == {"none"}


def test_older_runs_go_on(older: Path) -> None:
    """With the configuration that the run resolved then: defaults of recipes may have changed since."""
    written_in = "/".join(("", "tmp", "old", ""))  # the folder in which 0.1.0 wrote them
    resolved = (older / "train/config.toml").read_text().replace(written_in, f"{older}/")
    (older / "own.toml").write_text(to_toml(read_recorded(resolved, where="train")))
    for command in (
        ("train", "own.toml", "--out", "train", "--set", "steps=2", "--allow-change", "steps"),
        ("eval", "base", "-b", "arith_sequence", "--samples", 2, "--max-tokens", 4, "--out", "eval"),
        ("probe", "base", "--questions", "probe.jsonl", "--samples", 2, "--max-tokens", 4, "--template", "plain",
         "--out", "probe"),
    ):  # fmt: skip
        ended = relift(*command, "--quiet")
        assert ended.status == 0, ended.err
        assert check_run(older / command[0]).problems == []
    assert RunReader(older / "train").committed_step == 2 and RunReader(older / "train").run.schema_version == 2
    assert [c.fields for c in RunReader(older / "train").run.changes] == [{"steps": (0, 2)}]
    assert len(RunReader(older / "eval").read("attempts", columns=["attempt"])) == 200
    assert RunReader(older / "eval").run.totals.answers == 200
    assert RunReader(older / "probe").run.totals.answers == 4  # nothing was missing
