"""A teacher scores as transformers does, is refused where it cannot, and belongs to the identity of a run."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from relift.config import Config
from relift.errors import InputError, ResumeRefused
from relift.grading import SCORERS
from relift.learner.update import TrainSequence
from relift.store import RunReader, check_run
from relift.trainer.recipes import build
from relift.trainer.run import Run, StepReport
from relift.trainer.setup import open_run
from relift.trainer.teacher import open_teacher, require_same_vocabulary
from tests.resume.harness import Child, config_of, contents, lay_inputs, run_here

VOCABULARY = {"a": 0, "b": 1}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = SCORERS["exact"]
    yield lay_inputs(tmp_path_factory.mktemp("inputs"))
    SCORERS["exact"] = before


def distilling(inputs: Path, **changes: Any) -> Config:
    return config_of(inputs, recipe="opd", teacher={"path": str(inputs / "teacher")}, steps=4, **changes)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_scores_are_those_of_transformers(inputs: Path, temperature: float) -> None:
    config = distilling(inputs)
    vocabulary = json.loads((inputs / "base" / "tokenizer.json").read_text())["model"]["vocab"]
    score = open_teacher(config, build(config), vocabulary, longest=32)
    prompt, answer = (5, 6, 7), np.array([8, 9, 4, 5], np.int32)
    (got_T,) = score([TrainSequence(prompt, answer)], temperature)
    model = AutoModelForCausalLM.from_pretrained(inputs / "teacher")
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *answer.tolist()]])).logits[0, len(prompt) - 1 : -1] / temperature
    expected_T = logits.log_softmax(-1)[torch.arange(4), torch.from_numpy(answer).long()].numpy()
    np.testing.assert_allclose(got_T, expected_T, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        ({"a": 0, "c": 1}, "token 1 is 'c' there and 'b' in the base model"),
        ({"a": 0}, "token 1 is no token there and 'b' in the base model"),
    ],
)
def test_another_vocabulary_is_refused(theirs: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        require_same_vocabulary(VOCABULARY, theirs, path="t")


def test_a_teacher_may_know_more_tokens() -> None:
    """Those are never asked about."""
    require_same_vocabulary(VOCABULARY, VOCABULARY | {"c": 2}, path="t")


@pytest.mark.parametrize(
    ("path", "words"),
    [(None, "recipe opd distills from a teacher: set teacher.path"), ("nowhere", "teacher.path = .*nowhere")],
)
def test_without_a_teacher_nothing_is_written(inputs: Path, tmp_path: Path, path: str | None, words: str) -> None:
    config = distilling(inputs)
    teacher = config.teacher.model_copy(update={"path": path and str(tmp_path / path)})
    with (
        pytest.raises(InputError, match=words),
        open_run(config.model_copy(update={"teacher": teacher}), tmp_path / "run"),
    ):
        pass
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_teacher_that_reads_too_little_is_refused(inputs: Path, tmp_path: Path) -> None:
    short = shutil.copytree(inputs / "teacher", tmp_path / "short")
    values = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps(values | {"max_position_embeddings": 8}))
    config = config_of(inputs, recipe="opd", teacher={"path": str(short)})
    with pytest.raises(InputError, match="it reads 8 tokens"), open_run(config, tmp_path / "run"):
        pass


def test_killed_and_taken_up(inputs: Path, tmp_path: Path) -> None:
    """The tables are those of a run that nothing stopped; with another teacher it is refused."""
    config = distilling(inputs)
    whole, killed = tmp_path / "whole" / "run", tmp_path / "killed" / "run"  # the name is in the run_id
    run_here(config, whole)
    child = Child(config, killed, on_step=end_at_three)
    assert child.wait() == -signal.SIGKILL
    base = config.teacher.model_copy(update={"path": str(inputs / "base")})
    with (
        pytest.raises(ResumeRefused, match="teacher"),
        open_run(config.model_copy(update={"teacher": base}), killed),
    ):
        pass
    run_here(config, killed)
    assert check_run(killed).problems == []
    assert contents(killed) == contents(whole)
    assert (RunReader(whole).read("updates")["grad_norm"] > 0).all()


def end_at_three(run: Run, report: StepReport) -> None:
    if report.step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
