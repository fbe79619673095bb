"""vLLM's server as a teacher: scores of our tokens, and demonstrations that it writes while training goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from relift.arith.world import make_questions
from relift.data.questions import write_questions
from relift.errors import InputError
from relift.grading import SCORERS
from relift.learner.update import TrainSequence
from relift.store import RunReader, check_run
from relift.store.ledger import TEACHER, read_ledger
from relift.trainer.base_model import load_tokenizer
from relift.trainer.recipes import build
from relift.trainer.run import Run, StepReport
from relift.trainer.teacher import open_teacher
from tests.resume.harness import config_of, lay_inputs, run_here
from tests.resume.test_teacher import require_sound, until_quiet
from tests.vllm.conftest import TEMPLATE, Served, serve

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A base model and a teacher of the same vocabulary, and questions without a demonstration."""
    exact = SCORERS["exact"]
    folder = lay_inputs(tmp_path_factory.mktemp("inputs"))
    write_questions(folder / "bare.jsonl", make_questions("train", 24, seed=0), [])
    (folder / "teacher" / "chat_template.jinja").write_text(TEMPLATE)
    yield folder
    SCORERS["exact"] = exact


@pytest.fixture(scope="module")
def teacher(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(inputs / "teacher", tmp_path_factory.mktemp("served") / "log") as served:
        yield served


def test_scores_are_those_of_the_teacher_here(inputs: Path, teacher: Served) -> None:
    """To 1e-4 nats, for answers of 1 to 30 tokens; none for none."""
    local = config_of(inputs, recipe="opd", teacher={"path": str(inputs / "teacher")})
    remote = config_of(inputs, recipe="opd", teacher={"path": str(inputs / "teacher"), "server": teacher.base_url})
    vocabulary = load_tokenizer(local)[0].get_vocab()
    rng = np.random.default_rng(0)
    sequences = [
        TrainSequence(tuple(rng.integers(3, 20, 5).tolist()), rng.integers(3, 20, n).astype(np.int32))
        for n in (1, 2, 7, 30)
    ]
    here, there = (open_teacher(c, build(c), vocabulary, longest=60)(sequences, 1.0) for c in (local, remote))
    for own, got in zip(here, there, strict=True):
        np.testing.assert_allclose(got, own, rtol=0, atol=1e-4)
    assert open_teacher(remote, build(remote), vocabulary, longest=60)([], 1.0) == []


@pytest.mark.parametrize(
    ("url", "longest", "temperature", "words"),
    [
        (None, 500, 1.0, "it reads 128 tokens, .* start it with --max-model-len 501"),
        (None, 60, 0.7, "rollout.temperature is 0.7: set that to 1"),
        ("http://127.0.0.1:9/v1", 60, 1.0, "teacher.server = http://127.0.0.1:9/v1: no server that answers there"),
        ("127.0.0.1", 60, 1.0, "teacher.server = '127.0.0.1' is no address"),
    ],
)
def test_what_is_refused(
    inputs: Path, teacher: Served, url: str | None, longest: int, temperature: float, words: str
) -> None:
    values = {"path": str(inputs / "teacher"), "server": url or teacher.base_url}
    config = config_of(inputs, recipe="opd", teacher=values, rollout={"temperature": temperature})
    with pytest.raises(InputError, match=words):
        open_teacher(config, build(config), load_tokenizer(config)[0].get_vocab(), longest=longest)


def test_a_run_distills_from_it(inputs: Path, teacher: Served, tmp_path: Path) -> None:
    """Losses and gradients are those of a run whose teacher is in its own memory, to 1e-3."""
    frames = []
    for name, server in (("here", None), ("there", teacher.base_url)):
        values = {"path": str(inputs / "teacher"), "server": server}
        run_here(config_of(inputs, recipe="opd", teacher=values, steps=2), tmp_path / name / "run")
        assert check_run(tmp_path / name / "run").problems == []
        frames.append(RunReader(tmp_path / name / "run").read("updates"))
    for column in ("loss", "grad_norm"):
        np.testing.assert_allclose(frames[0][column], frames[1][column], rtol=1e-3, atol=1e-5)


def test_it_writes_demonstrations(inputs: Path, teacher: Served, tmp_path: Path) -> None:
    """A teacher that knows nothing: what the grader likes of its answers is trained on, and each was bought once."""
    online = {"source": "server", "url": teacher.base_url, "model": "tiny", "max_tokens": 12, "tries": 8}
    config = config_of(
        inputs,
        data={"questions": str(inputs / "bare.jsonl"), "max_demo_tokens": 40},
        sft={"batch": 1},
        teacher={"online": online},
    )

    def wait(run: Run, report: StepReport) -> None:
        until_quiet(run, report)

    run_here(config, tmp_path / "run", on_step=wait)
    table = require_sound(tmp_path / "run")
    assert set(table["source"]) == {"teacher"} and table["accepted"].any() and not table["accepted"].all()
    contents = read_ledger(tmp_path / "run" / TEACHER)
    assert max(contents.sent.values()) == 1 and len(contents.replies) >= len(table)
