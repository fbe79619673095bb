"""Experiment trackers: what they are told, what they are not, and that none of them stops a run."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from relift.config import parse_config
from relift.errors import InputError
from relift.schema import UpdateKind
from relift.trainer import trackers
from relift.trainer.trackers import About, Trackers, require_trackers, settings_of
from tests.trainer.scripted import scripted_run, train


class Notes:
    """A tracker that keeps what it is told, and fails at the steps of `fails`."""

    def __init__(self, *fails: int) -> None:
        self.rows: dict[int, Mapping[str, float]] = {}
        self.closed = False
        self._fails = fails

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        if step in self._fails:
            raise ConnectionError("no route\nto host")
        self.rows[step] = values

    def close(self) -> None:
        self.closed = True


def opened(monkeypatch: pytest.MonkeyPatch, warn: list[str], folder: Path, **made: Any) -> Trackers:
    """Trackers by name, each what `made` says: an object, or an exception that its making raises."""

    def maker(value: Any) -> Any:
        def make(about: About) -> Any:
            if isinstance(value, Exception):
                raise value
            return value

        return make

    monkeypatch.setattr(trackers, "TRACKERS", {name: (maker(value), name) for name, value in made.items()})
    return Trackers(list(made), About("id", "name", folder, {}, 0), warn=warn.append)


def test_a_failing_tracker_warns_once_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    good, bad, warnings = Notes(), Notes(1), list[str]()
    values = {
        "recipe": "relift",
        "steps": 3,
        "rollout": {"questions_per_step": 2, "attempts_per_question": 2, "max_tokens": 50},
        "sft": {"batch": 1},
    }
    with opened(monkeypatch, warnings, tmp_path, good=good, bad=bad, dead=OSError("disk")) as them:
        run = scripted_run(tmp_path / "run", values, n_right=lambda ix, version: ix % 2, with_demo=[0], track=them.log)
        train(run)
        run.record.writer.close()
    assert warnings == [
        "tracker dead failed and is left out: OSError: disk; the run goes on",
        "tracker bad failed and is left out: ConnectionError: no route to host; the run goes on",
    ]
    assert list(good.rows) == [0, 1, 2, 3] and list(bad.rows) == [0]
    assert good.closed and not bad.closed
    last = good.rows[3]
    assert last["total/samples"] == 12 and last["total/generated_tokens"] == run.record.totals.generated_tokens
    assert last[f"update/{UpdateKind.rl}/loss"] == 1.0 and last["rollout/questions"] == 2
    assert "update/rl/entropy" not in last  # not measured: not 0
    assert "probe/accuracy" not in last


def test_what_is_kept_from_trackers() -> None:
    """Addresses with passwords, and the folders of files."""
    values = {
        "model": {"path": "/secret/models/base"},
        "data": {"questions": "/secret/train.jsonl", "prompt": "plain-file:/secret/prompt.jinja"},
        "rollout": {"engine": "server"},
        "server": {"url": "http://user:pass@host:8000/v1", "folder": "/secret/weights"},
        "rl": {"reward": "/secret/own.py:short"},
    }
    told = settings_of(parse_config(values, where="test"))
    assert "secret" not in str(told) and "pass" not in str(told)
    assert told["model.path"] == "base" and told["data.questions"] == "train.jsonl"
    assert told["data.prompt"] == "plain-file:prompt.jinja" and told["rl.reward"] == "own.py:short"
    assert told["rl.optimizer.lr"] == 1e-6
    hub = parse_config({"model": {"path": "Qwen/Qwen2.5-Math-1.5B"}, "data": {"questions": "hf:a/b/train"}}, where="x")
    assert settings_of(hub)["model.path"] == "Qwen/Qwen2.5-Math-1.5B"
    assert settings_of(hub)["data.questions"] == "hf:a/b/train"


def test_unknown_and_missing_trackers() -> None:
    with pytest.raises(InputError, match="no tracker 'tensorbord'.*tensorboard; known: tensorboard, wandb, trackio"):
        require_trackers(["tensorbord"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(InputError, match=r"wandb needs the package wandb: pip install 'relift\[wandb\]'"):
            require_trackers(["wandb"])
    require_trackers([])


def test_wandb_and_trackio_are_called_as_they_want(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fakes of both packages: one run under the run's id, resumed; settings as its config; one row a step."""
    calls: list[Any] = []
    run = types.SimpleNamespace(
        log=lambda values, step: calls.append(("log", values, step)), finish=lambda: calls.append("finish")
    )
    fake = types.ModuleType("fake")
    fake.init = lambda **settings: calls.append(settings) or run  # type: ignore[attr-defined]
    fake.log, fake.finish = run.log, run.finish  # type: ignore[attr-defined]
    about = About("id-1", "name", tmp_path, {"seed": 3}, 4)
    for name, key in (("wandb", "id"), ("trackio", "name")):
        calls.clear()
        monkeypatch.setitem(sys.modules, name, fake)
        with Trackers([name], about, warn=pytest.fail) as them:
            them.log({"a": 1.0, "b": None}, 4)
        assert calls[0][key] == "id-1" and calls[0]["resume"] == "allow" and calls[0]["config"] == {"seed": 3}
        assert calls[1:] == [("log", {"a": 1.0}, 4), "finish"]
