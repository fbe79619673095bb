"""Show the names of strangers as text, refuse paths that cannot be, overwrite no file of somebody else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from relift.store.files import read_record, record_bytes
from tests.cli.command import assert_refused, holds_nothing, relift
from tests.resume.harness import HashGrader

NAME = "=1+1 <script>alert(1)</script> \x1b[31m ![i](http://e/i.png) [l](javascript:x) \\input{/etc/p}"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def sealed(path: Path, **fields: Any) -> None:
    path.write_bytes(record_bytes({**read_record(path), **fields}))


def test_the_name_of_a_strangers_run_is_text_wherever_it_is_written(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    sealed(run / "run.json", name=NAME, recipe=NAME)
    sealed(other / "run.json", run_id="other")
    out = tmp_path / "out"
    ended = relift("analyze", run, "--out", out, "--resamples", 20, "--only", "bands", "--only", "cost", "--quiet")
    assert ended.status == 0, ended.err
    cells = [cell for path in out.rglob("*.csv") for cell in path.read_text().replace("\n", ",").split(",")]
    assert any("1+1" in cell for cell in cells)
    assert not [cell for cell in cells if cell.lstrip('"').startswith("=")]
    index = (out / "index.md").read_text()
    assert r"\<script\>" in index and "<script" not in index.replace(r"\<script", "") and "\x1b" not in index
    for table in ("--markdown", "--latex", "--json"):
        printed = relift("compare", run, other, "--force", table)
        assert printed.status == 0 and "\x1b" not in printed.out
        if table == "--markdown":
            assert "<script" not in printed.out.replace(r"\<script", "")
            assert "](" not in printed.out.replace(r"\](", "").replace(r"\]\(", "")


def test_names_of_files_do_not_command_a_terminal(run: Path) -> None:
    (run / "attempts" / "\x1b]0;own\x07x.parquet").write_text("")
    ended = relift("check", run)
    assert ended.status == 5 and "attempts/\\x1b]0;own\\x07x.parquet: orphan" in ended.out and "\x1b" not in ended.out


@pytest.mark.parametrize("long", ["p" * 256, "p/" * 2_500], ids=["name", "path"])
def test_paths_that_are_too_long(long: str, config: Path, inputs: Path, run: Path, tmp_path: Path) -> None:
    path = f"{tmp_path}/{long}"
    commands: list[list[object]] = [
        ["train", config, "--out", path],
        ["check", path],
        ["analyze", path],
        ["analyze", run, "--out", path],
        ["report", run, "--out", path],
        ["compare", path, run],
        ["eval", path, "-b", "arith"],
        ["eval", inputs / "base", "-b", "arith", "--out", path],
        ["train", f"{path}.toml"],
    ]
    for words in commands:
        ended = relift(*words)
        assert ended.status == 2 and ended.err.startswith("relift: ") and "Traceback" not in ended.err, ended.err
        assert len(ended.err) < 700 and ended.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_an_output_replaces_its_own_kind_alone(run: Path, tmp_path: Path) -> None:
    mine, page = tmp_path / "mine.toml", tmp_path / "page.html"
    mine.write_text("mine = 1")
    assert_refused(relift("report", run, "--out", mine, "--quiet"), "mine.toml: is there and is no HTML page")
    assert_refused(relift("analyze", run, "--out", mine, "--quiet"), "mine.toml: cannot be used: File exists")
    assert mine.read_text() == "mine = 1"
    page.write_text("<!DOCTYPE html>\nold")
    assert relift("report", run, "--out", page, "--quiet", "--resamples", 20, "--only", "bands").status == 0
    assert "old" not in page.read_text()[:20]


@pytest.mark.parametrize("table", ["questions", "demonstrations", "checkpoints"])
def test_a_table_that_is_gone_is_said_by_whoever_needs_it(table: str, config: Path, run: Path, tmp_path: Path) -> None:
    (run / f"{table}.parquet").unlink()
    for words in (["train", config, "--out", run, "--quiet"], ["analyze", run, "--out", tmp_path / "a", "--quiet"]):
        ended = relift(*words, grader=HashGrader)
        assert ended.status == 5 and f"{table}.parquet: missing: put it back" in ended.err, ended.err
    assert not (run / "orphaned").exists()


def test_a_run_whose_step_0_is_gone_is_analysed_as_far_as_it_goes(run: Path, tmp_path: Path) -> None:
    (run / "commits/step-000000.json").unlink()
    ended = relift("analyze", run, "--out", tmp_path / "a", "--resamples", 20, "--quiet")
    assert ended.status == 0 and ended.err == "" and "left out: " in ended.out.replace("left out:", "left out: ")


def test_a_path_that_is_gone_is_not_asked_of_the_hub(config: Path, finished: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    text = config.read_text()
    written = next(line for line in text.splitlines() if line.startswith("path = "))
    for gone in ("models/base", "./base", "../base"):
        (tmp_path / "mine.toml").write_text(text.replace(written, f"path = {json.dumps(gone)}"))
        ended = relift("train", tmp_path / "mine.toml", "--out", tmp_path / "new")
        assert_refused(ended, "model.path = '/", "base': there is no such folder")
    (tmp_path / "mine.toml").write_text(text.replace(written, 'path = "owner/name"'))
    ended = relift("train", tmp_path / "mine.toml", "--out", run)
    assert_refused(ended, "model.path = 'owner/name': there is no such folder, and the run began from one")
    assert holds_nothing(tmp_path / "new")


def spoilt(base: Path, how: str) -> None:
    path = base / "model.safetensors"
    weights = load_file(path)
    name = sorted(weights)[0]
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "none":
        path.write_bytes(b"not weights")
    elif how == "missing":
        save_file({key: value for key, value in weights.items() if key != name}, path, metadata={"format": "pt"})
    elif how == "shape":
        save_file({**weights, name: weights[name][:1].clone()}, path, metadata={"format": "pt"})
    else:
        value = {"nan": torch.nan, "inf": torch.inf}[how]
        save_file({**weights, name: torch.full_like(weights[name], value)}, path, metadata={"format": "pt"})


@pytest.mark.parametrize("how", ["cut", "none", "missing", "shape", "nan", "inf"])
def test_weights_that_cannot_answer_are_refused_before_a_folder_is_laid(how: str, inputs: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(inputs / "base", tmp_path / "base"))
    spoilt(base, how)
    ended = relift("eval", base, "-b", "arith_sequence", "--samples", 1, "--out", tmp_path / "ev", "--quiet")
    assert_refused(ended, f"MODEL {str(base)!r}: ")
    assert not (tmp_path / "ev").exists()
