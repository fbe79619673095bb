"""The README's examples do what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from relift.run_record import RunRecord
from relift.store import RunWriter
from relift.trainer.configuration import load_config
from tests.repository import ROOT


def blocks(language: str) -> list[str]:
    """The README's code blocks of this language."""
    readme = (ROOT / "README.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)


def block(language: str) -> str:
    """The only one of this language."""
    (text,) = blocks(language)
    return text


def write_probes(folder: Path, *, correct: dict[int, list[int]]) -> None:
    """A run with two questions, four attempts each: step -> correct attempts of each question."""
    questions = pd.DataFrame(
        {
            "question_id": ["a", "b"], "question_ix": [0, 1], "source": "test", "split": "probe",
            "problem": ["1+1?", "1*1?"], "answer": ["2", "1"], "answer_kind": "exact", "prompt_tokens": 4,
            "has_demo": False,
        }
    )  # fmt: skip
    with RunWriter(folder) as writer:
        writer.start(RunRecord(run_id="test"), config_toml="", questions=questions, demonstrations=None)
        for step, n_correct in correct.items():
            rows = pd.DataFrame(
                {
                    "question_ix": [0, 1], "n_attempts": 4, "n_correct": n_correct, "n_undecided": 0, "n_truncated": 0,
                    "n_distinct_answers": 1, "mean_tokens": 3.0, "rl_exposures": 0, "sft_exposures": 0,
                    "in_buffer": False,
                }
            )  # fmt: skip
            writer.write("trajectories", rows, step=step, origin="probe", draw=0)
            writer.commit(step)


def test_pandas_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Question 1 is all wrong at step 0 and 3 of 4 right at step 30: the curve of the hardest goes from 0 to .75."""
    monkeypatch.chdir(tmp_path)
    write_probes(tmp_path / "runs" / "mine", correct={0: [2, 0], 30: [4, 3]})
    exec(block("python"), {})
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["0", "0.00"] in printed and ["30", "0.75"] in printed


def test_configuration_example(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(block("toml"), encoding="utf-8")
    config = load_config(path, overrides=["rl.optimizer.lr=2e-6"])
    assert (config.recipe, config.steps, config.probe.every, config.rl.optimizer.lr) == ("relift", 200, 30, 2e-6)


def test_commands_of_the_readme_exist() -> None:
    from typer.main import get_command

    from relift.cli import app

    known = get_command(app).commands  # type: ignore[attr-defined]
    named = set(re.findall(r"^relift (\w+)", "".join(blocks("sh")), re.MULTILINE))
    assert named and named <= set(known)
