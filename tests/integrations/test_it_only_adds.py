"""Whatever goes wrong inside the recorder, rewards reach the trainer and one warning is given."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from relift.integrations.trl import record
from relift.schema import RunStatus
from relift.store import RunReader, RunWriter, check_run
from relift.store.files import Disk
from tests.integrations.fake_trl import Trainer, batch_of, grpo_args

Break = Callable[[Trainer, Path, pytest.MonkeyPatch], None]


def odd(**columns: Any) -> Break:
    """Hand over other columns from the second step on."""

    def act(trainer: Trainer, folder: Path, patch: pytest.MonkeyPatch) -> None:
        plain = trainer.reward

        def reward(**batch: Any) -> list[Any]:
            late = trainer.state.global_step >= 1
            return plain(**({**batch, **columns} if late else batch))

        patch.setattr(trainer, "reward", reward)

    return act


def failing(operation: str, error: BaseException, *, after: int = 0) -> Break:
    """Let an operation of the disk fail from its n-th call on."""

    def act(trainer: Trainer, folder: Path, patch: pytest.MonkeyPatch) -> None:
        plain, calls = getattr(Disk, operation), [0]

        def broken(self: Disk, *args: Any) -> Any:
            calls[0] += 1
            if calls[0] > after:
                raise error
            return plain(self, *args)

        patch.setattr(Disk, operation, broken)

    return act


def second_step(change: Callable[[Path], None]) -> Break:
    """Change the folder between the first step and the second."""

    def act(trainer: Trainer, folder: Path, patch: pytest.MonkeyPatch) -> None:
        plain, done = trainer.reward, [False]

        def reward(**batch: Any) -> list[Any]:
            if trainer.state.global_step == 1 and not done[0]:
                done[0] = True
                change(folder)
            return plain(**batch)

        patch.setattr(trainer, "reward", reward)

    return act


def lacking(**attributes: Any) -> Break:
    """Give the trainer other attributes than TRL's."""

    def act(trainer: Trainer, folder: Path, patch: pytest.MonkeyPatch) -> None:
        for name, value in attributes.items():
            patch.setattr(trainer, name, value)

    return act


def _gone(folder: Path) -> None:
    shutil.rmtree(folder)


def _a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("mine")


def _attempts_a_file(folder: Path) -> None:
    shutil.rmtree(folder / "attempts")
    (folder / "attempts").write_text("mine")


def _unbound(trainer: Trainer, folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(trainer, "_log_completion_extra", lambda column, values: None)


def _other_writer(trainer: Trainer, folder: Path, patch: pytest.MonkeyPatch) -> None:
    writer = RunWriter(folder)
    patch.setattr(trainer, "other", writer, raising=False)


full = OSError(errno.ENOSPC, "No space left on device")
KINDS: dict[str, Break] = {
    "disk full at once": failing("write", full),
    "disk full later": failing("write", full, after=14),
    "disk full at a rename": failing("replace", full, after=8),
    "no folder can be made": failing("mkdir", OSError(errno.EACCES, "Permission denied")),
    "sync fails": failing("fsync", OSError(errno.EIO, "Input/output error"), after=20),
    "memory is out": failing("write", MemoryError(), after=10),
    "the folder is gone": second_step(_gone),
    "the folder is a file": second_step(_a_file),
    "a table is a file": second_step(_attempts_a_file),
    "another process writes": _other_writer,
    "completions are numbers": odd(completions=[1, 2, 3, 4]),
    "completions are null": odd(completions=[None] * 4),
    "completions are dicts": odd(completions=[{"text": "x"}] * 4),
    "messages without text": odd(completions=[[{"role": "assistant", "content": 3}]] * 4),
    "too few completions": odd(completions=["x"]),
    "prompts are numbers": odd(prompts=[1, 2, 3, 4]),
    "lone surrogates": odd(completions=["\ud800"] * 4),
    "no tokens": odd(ids=None),
    "tokens are texts": odd(ids=[["a"] * 4] * 4),
    "too few tokens": odd(ids=[[5]]),
    "too few gold answers": odd(answer=["2"]),
    "unbound log_extra": _unbound,
    "no arguments": lacking(args=SimpleNamespace()),
    "no tokenizer": lacking(processing_class=None),
    "no step": lacking(state=SimpleNamespace(max_steps=3, global_step=0, other=1)),
    "a callback cannot be added": lacking(add_callback=None),
    "odd weights": lacking(args=grpo_args(reward_weights=["a"])),
    "no limit of tokens": lacking(args=grpo_args(max_completion_length=None)),
}
HARMLESS = {"no step"}  # what is handed over is enough
OTHER_ARGUMENTS = {"no limit of tokens", "odd weights"}  # the next launch, with TRL's, would be another run
UNMENDED = {"a table is a file", "the folder is a file"}  # somebody else's doing, which only they can undo


def plain_rewards(completions: list[Any], **kwargs: Any) -> list[float]:
    """Judge anything."""
    return [1.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_with_one_warning(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    trainer = Trainer(record(plain_rewards, folder))
    KINDS[kind](trainer, folder, monkeypatch)
    with caplog.at_level(logging.INFO):
        given = trainer.train(batch_of, to_step=5)
    assert given == [[[1.0, 0.0, 1.0, 0.0]]] * 5
    warnings = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(warnings) == (kind not in HARMLESS), warnings
    assert all(one.startswith("relift could not record a batch, and training goes on") for one in warnings)
    monkeypatch.undo()
    if kind in UNMENDED or not (folder / "run.json").is_file():
        return
    # a write that failed between rename and commit record leaves files that count nowhere; the next launch moves them
    assert all("orphan" in problem for problem in check_run(folder).problems)
    done = RunReader(folder).run.status is RunStatus.done
    step = RunReader(folder).committed_step or 0
    if not done and kind not in OTHER_ARGUMENTS:
        Trainer(record(plain_rewards, folder, strict=True)).train(batch_of, from_step=step, to_step=6)
    assert check_run(folder).problems == []
