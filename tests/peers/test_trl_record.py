"""Recorded runs of the real TRL 1.16: the record is what TRL logged, and TRL trains as it does without it.

TRL lives in an environment of its own: RELIFT_TRL_PYTHON, else .venv-trl/bin/python at the repository's root. The model
is tiny and untrained, so its answers are noise, which is all that bookkeeping needs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relift.arith.tokenizer import write_tokenizer
from relift.demo.base_model import BaseSpec, new_model
from relift.schema import RunStatus
from relift.store import RunReader, check_run
from tests.integrations.fake_trl import Trainer, accuracy, batch_of
from tests.sizes import tries

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("RELIFT_TRL_PYTHON", ROOT / ".venv-trl/bin/python"))
pytestmark = pytest.mark.peers
KILLS = tries(6, 20)  # 20: make fault-long


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny untrained model with the embedded world's tokenizer."""
    if not PYTHON.exists():
        pytest.skip(f"no TRL: {PYTHON} is missing; make test-peers makes it")
    folder = tmp_path_factory.mktemp("base")
    spec = BaseSpec(hidden=16, layers=1, heads=2, kv_heads=1, head_size=8, mlp=16)
    new_model(spec, seed=1).save_pretrained(folder)
    write_tokenizer(folder, context=spec.context)
    return folder


def command(*words: object, processes: int = 1) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    return [str(PYTHON), "-W", "ignore", *launcher, "-m", *map(str, words)]


def environment() -> dict[str, str]:
    one = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return {**os.environ, **one, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}


def job_file(folder: Path, base: Path, **job: Any) -> Path:
    path = folder.with_name(f"{folder.name}.job.json")
    path.write_text(json.dumps({"folder": str(folder), "base": str(base), **job}))
    return path


def train(folder: Path, base: Path, *, processes: int = 1, **job: Any) -> list[dict[str, Any]]:
    """Run a job to its end; returns TRL's log."""
    path = job_file(folder, base, **job)
    done = subprocess.run(
        command("tests.peers.trl_run", path, processes=processes),
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(path.with_suffix(".log.json").read_text())  # type: ignore[no-any-return]


def test_training_is_as_without_it(base: Path, tmp_path: Path) -> None:
    recorded, plain = (train(tmp_path / name, base, recorded=name == "run") for name in ("run", "plain"))
    timing = ("time", "runtime", "per_second")
    told = [
        [{k: v for k, v in row.items() if not any(word in k for word in timing)} for row in log]
        for log in (recorded, plain)
    ]
    assert told[0] == told[1]  # losses, gradient norms, rewards, lengths of every step, to the last digit
    assert len(RunReader(tmp_path / "run").read("attempts", origin="rollout")) == 4 * 16


@pytest.mark.parametrize(
    ("trainer", "options"),
    [
        ("grpo", {}),
        ("grpo", {"chat": True, "several": True, "evaluate": True}),
        ("grpo", {"more": {"gradient_accumulation_steps": 2, "steps_per_generation": 1}}),
        ("grpo", {"more": {"gradient_accumulation_steps": 2, "num_iterations": 2}}),
        ("rloo", {"several": True, "evaluate": True}),
    ],
)
def test_the_record_is_what_trl_logged(base: Path, tmp_path: Path, trainer: str, options: dict[str, Any]) -> None:
    calls = tmp_path / "calls.json"
    log = train(tmp_path / "run", base, trainer=trainer, calls=str(calls), **options)
    report = check_run(tmp_path / "run")
    assert report.problems == [] and report.notes == []
    reader = RunReader(tmp_path / "run")
    assert reader.run.status is RunStatus.done and reader.run.recipe == f"trl-{trainer}"
    rows = reader.read("attempts", origin="rollout", columns=["step", "verdict", "rewards", "n_tokens", "question_ix"])
    mean = (rows["verdict"].astype(str) == "correct").groupby(rows["step"]).mean()
    lengths = rows["n_tokens"].groupby(rows["step"]).mean()
    logged = {row["step"]: row for row in log if "rewards/accuracy/mean" in row}
    for step, value in mean.items():
        assert logged[step]["rewards/accuracy/mean"] == pytest.approx(value, abs=1e-6)
        assert logged[step]["completions/mean_length"] == pytest.approx(lengths[step], rel=1e-6)
    if options.get("several"):
        brevity = rows["rewards"].map(lambda text: json.loads(text)["brevity"]).groupby(rows["step"]).mean()
        assert logged[1]["rewards/brevity/mean"] == pytest.approx(brevity[1], rel=1e-5)
    per_question = rows.groupby(["step", "question_ix"]).size()
    assert (per_question == 4).all()  # whole groups
    assert reader.steps("attempts", origin="probe") == [0, 2, 4]
    assert reader.steps("attempts", origin="probe", draw=1) == [0]

    handed = json.loads(calls.read_text())  # the fake of the fast tests calls as TRL does
    seen: dict[str, str] = {}

    def look(**kwargs: Any) -> list[float]:
        seen.update({name: type(value).__name__ for name, value in kwargs.items()})
        assert kwargs["log_extra"].__self__ is fake
        return accuracy(**kwargs)

    fake = Trainer(look)
    fake.reward(**batch_of(0))
    assert seen.keys() == handed["kinds"].keys()
    assert {k: v for k, v in seen.items() if k != "trainer_state"} == {
        k: v for k, v in handed["kinds"].items() if k != "trainer_state"
    }
    assert handed["log_extra of"] == type(fake).__name__.replace("Trainer", f"{trainer.upper()}Trainer")


def test_resuming_continues_the_record(base: Path, tmp_path: Path) -> None:
    train(tmp_path / "run", base, steps=3)
    train(tmp_path / "run", base, steps=5, resume=True)
    reader = RunReader(tmp_path / "run")
    assert reader.steps("attempts", origin="rollout") == [1, 2, 3, 4, 5] and reader.run.status is RunStatus.done
    assert reader.run.starts[-1].from_step in (2, 3)  # the newest checkpoint that TRL left
    assert check_run(tmp_path / "run").problems == []


def test_two_processes_are_one_record(base: Path, tmp_path: Path) -> None:
    log = train(tmp_path / "run", base, processes=2, batch=2, questions=5)  # groups of 4 lie in both
    report = check_run(tmp_path / "run")
    assert report.problems == [] and report.notes == []
    rows = RunReader(tmp_path / "run").read("attempts", origin="rollout", columns=["step", "question_ix", "verdict"])
    assert (rows.groupby(["step", "question_ix"]).size() == 4).all() and rows["step"].nunique() == 4
    mean = (rows["verdict"].astype(str) == "correct").groupby(rows["step"]).mean()
    logged = [row["rewards/accuracy/mean"] for row in log if "rewards/accuracy/mean" in row]
    assert mean.tolist() == pytest.approx(logged, abs=1e-6)
    probes = RunReader(tmp_path / "run").read("trajectories", origin="probe")
    assert probes.groupby(["step", "draw"]).size().to_dict() == {(0, 0): 5, (0, 1): 5, (2, 0): 5, (4, 0): 5}
    alone = tmp_path / "alone"
    train(alone, base, questions=5)  # another split of the work, the same answers at step 0: every attempt has its seed
    columns = ["draw", "seed", "verdict", "n_tokens", "answer"]  # numbers of questions follow the order of their coming
    a, b = (
        RunReader(path)
        .read("attempts", origin="probe", steps=[0], columns=columns)
        .sort_values(["draw", "seed"], ignore_index=True)
        for path in (tmp_path / "run", alone)
    )
    pd.testing.assert_frame_equal(a, b, check_categorical=False)


@pytest.mark.parametrize("kind", ["sft", "trainer"])
def test_fine_tuning_is_probed_and_stays_the_same(base: Path, tmp_path: Path, kind: str) -> None:
    for name, more in (("run", ()), ("plain", ("plain",))):
        done = subprocess.run(
            command("tests.peers.trl_sft", tmp_path / name, base, kind, *more),
            env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
    losses = [json.loads((tmp_path / f"{name}.losses.json").read_text()) for name in ("run", "plain")]
    assert losses[0] == losses[1] and len(losses[0]) == 3
    reader = RunReader(tmp_path / "run")
    assert check_run(tmp_path / "run").problems == []
    assert reader.steps("attempts", origin="probe") == [0, 2, 3] and reader.run.status is RunStatus.done
    assert reader.run.recipe == {"sft": "trl-sft", "trainer": "hf-trainer"}[kind]
    assert reader.read("attempts", origin="probe")["sum_logprob"].notna().all()


def test_the_example_of_the_audit_page(base: Path, tmp_path: Path) -> None:
    """docs/audit.md at a small size: two seeds, a frozen copy, and the report beside it."""
    small = ["--steps", "2", "--questions", "12", "--batch", "16", "--base", str(base)]
    for name, more in (
        ("grpo-1", ["--seed", "1"]),
        ("grpo-2", ["--seed", "2"]),
        ("frozen", ["--seed", "1", "--learning-rate", "0"]),
    ):
        run = [str(PYTHON), "-W", "ignore", str(ROOT / "docs" / "audit_grpo.py"), str(tmp_path / name), *more, *small]
        done = subprocess.run(run, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        assert check_run(tmp_path / name).problems == []
    runs = [str(tmp_path / name) for name in ("grpo-1", "grpo-2", "frozen")]
    report = [sys.executable, "-m", "relift.cli", "report", *runs, "--base", "grpo-1", "--control", "frozen", "--audit"]
    done = subprocess.run(
        [*report, "--out", str(tmp_path / "report.html")], env=environment(), cwd=ROOT, capture_output=True, text=True,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line for line in done.stdout.splitlines() if ", expansion: " in line]
    assert [line.partition(",")[0] for line in lines] == ["grpo-1", "grpo-2"] and "by the control" in lines[0]
    assert (tmp_path / "report.html").stat().st_size > 10_000

    hard = [sys.executable, "-m", "relift.cli", "export-questions", runs[0], "--origin", "rollout", "--select"]
    given = [sys.executable, str(ROOT / "docs" / "audit_relift.py"), "hard.jsonl", "grpo-1-trl/checkpoint-2"]
    relift = [sys.executable, "-m", "relift.cli", "train", "hard/relift.toml", "--out", "hard-relift"]
    for words in (
        [*hard, "all wrong", "--out", "hard.jsonl"],
        [*given, "--out", "hard", "--steps", "2", "--questions", "12"],
        [*relift, "--set", "rollout.questions_per_step=2", "--set", "sft.batch=2"],
    ):
        done = subprocess.run(words, env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
    after = RunReader(tmp_path / "hard-relift")
    assert after.steps("attempts", origin="probe") == [0, 1, 2] and check_run(tmp_path / "hard-relift").problems == []
    assert set(after.read("updates")["kind"].astype(str)) >= {"sft"}  # the all-wrong ones were trained on


@pytest.mark.fault
def test_kills_lose_the_batch_under_way_and_no_more(base: Path, tmp_path: Path) -> None:
    """Kill the process at a random moment, look at the folder, start again; in the end it is one sound run."""
    rng = np.random.default_rng(0)
    job = job_file(tmp_path / "run", base, steps=200, every=50, questions=4, batch=8, more={"save_steps": 5})
    recorded = 0
    for _ in range(KILLS):
        checkpoints = list((tmp_path / "run-trl").glob("checkpoint-*/trainer_state.json"))
        body = json.loads(job.read_text())
        job.write_text(json.dumps({**body, "resume": bool(checkpoints)}))
        process = subprocess.Popen(
            command("tests.peers.trl_run", job), env=environment(), cwd=ROOT, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        seen = 0
        until = int(rng.integers(1, 9))
        for line in process.stdout:  # TRL logs a step when its update is made
            seen += line.startswith("{'loss'")
            if seen == until:
                break
        time.sleep(float(rng.uniform(0, 0.5)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if not seen:
            continue
        reader = RunReader(tmp_path / "run")
        newest = max(reader.steps("attempts", origin="rollout"))
        first = reader.run.starts[-1].from_step or 0
        assert newest >= first + until  # every step whose update was made is there
        orphans = [problem for problem in check_run(tmp_path / "run").problems if "orphan" not in problem]
        assert orphans == []
        recorded += 1
    assert recorded >= KILLS - 2
    train(tmp_path / "run", base, steps=newest + 2, every=50, questions=4, batch=8, more={"save_steps": 5}, resume=True)
    assert check_run(tmp_path / "run").problems == []
    assert RunReader(tmp_path / "run").steps("attempts", origin="rollout") == list(range(1, newest + 3))
