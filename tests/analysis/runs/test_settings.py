"""Check what differs between the settings of two runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from relift.analysis.runs.settings import compare_settings
from relift.run_record import RunRecord
from relift.store import RunWriter


def write(folder: Path, config_toml: str, **recorded: object) -> Path:
    """Write a run without a step."""
    questions = pd.DataFrame(
        {
            "question_id": ["a" * 32], "question_ix": [0], "source": "s", "split": "probe", "problem": "1+1?",
            "answer": "2", "answer_kind": "exact", "prompt_tokens": 3, "has_demo": False,
        }
    )  # fmt: skip
    with RunWriter(folder) as writer:
        record = RunRecord(run_id=folder.name, name=folder.name, **recorded)  # type: ignore[arg-type]
        writer.start(record, config_toml=config_toml, questions=questions, demonstrations=None)
    return folder


def test_settings_that_differ_are_told_from_those_shared(tmp_path: Path) -> None:
    config = "steps = 3\n[rl.optimizer]\nlr = {}\nbetas = [0.9, 0.99]\n"
    runs = [write(tmp_path / "a", config.format(0.1), n_parameters=7), write(tmp_path / "b", config.format(0.2))]
    frame = compare_settings(runs).set_index("setting")
    assert list(frame.columns) == ["differs", "a", "b"]
    assert frame.loc["rl.optimizer.lr"].tolist() == [True, "0.1", "0.2"]
    assert frame.loc["steps"].tolist() == [False, "3", "3"]
    assert frame.loc["rl.optimizer.betas"].tolist() == [False, "[0.9, 0.99]", "[0.9, 0.99]"]
    differs, a, b = frame.loc["recorded.n_parameters"]
    assert differs and a == "7" and pd.isna(b)  # what a run did not record is null, not equal


def test_a_configuration_that_cannot_be_read_leaves_what_was_recorded(tmp_path: Path) -> None:
    run = write(tmp_path / "a", "steps = 3\n", n_parameters=7)
    (run / "config.toml").write_text("steps = 4\n")
    assert compare_settings([run])["setting"].tolist() == ["recorded.n_parameters"]
