"""A run whose model folder changed in what renders prompts or ends answers does not go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from relift.errors import InputError, ResumeRefused
from relift.trainer.setup import open_run
from tests.resume.harness import config_of, run_here

CHAT = "{% for m in messages %}{{ m.content }}{% endfor %}"


def edit(path: Path, **changes: Any) -> None:
    values = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(values | changes))


def test_another_template_or_end_is_refused_by_name_and_a_base_run_too(inputs: Path, tmp_path: Path) -> None:
    base = shutil.copytree(inputs / "base", tmp_path / "base")
    edit(base / "tokenizer_config.json", chat_template=CHAT)
    data = {"questions": str(inputs / "train.jsonl"), "prompt": "chat"}
    config = config_of(inputs, steps=1, model={"path": str(base)}, data=data)
    run_here(config, tmp_path / "run")
    another = config_of(
        inputs, steps=1, model={"path": str(base)}, data=data, probe={"base_run": str(tmp_path / "run")}
    )
    for name, changes, words in (
        ("tokenizer_config.json", {"chat_template": CHAT + "!"}, "rendering.files.tokenizer_config.json"),
        ("generation_config.json", {"eos_token_id": [0, 25]}, "rendering.stop_tokens"),
        ("tokenizer.json", {"decoder": None}, "rendering.files.tokenizer.json"),
    ):
        before = (base / name).read_bytes() if (base / name).is_file() else None
        edit(base / name, **changes)
        with pytest.raises(ResumeRefused, match=words), open_run(config, tmp_path / "run"):
            pass
        with pytest.raises(InputError, match=r"differs in .*rendering"), open_run(another, tmp_path / "other"):
            pass
        assert not (tmp_path / "other" / "run.json").exists()
        if before is None:
            (base / name).unlink()
        else:
            (base / name).write_bytes(before)
    with open_run(config, tmp_path / "run"):
        pass
    with open_run(another, tmp_path / "other"):
        pass
