"""Engines by name, and their settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from relift.engines.model_source import ModelSource, resolve_model
from relift.engines.open import ENGINES, EngineOptions, open_answerer
from relift.errors import InputError
from tests.engines.tiny import write_checkpoint


def test_an_unknown_engine_names_the_nearest() -> None:
    with pytest.raises(InputError, match="no engine 'vlm'; there are torch, vllm, openai, replay; nearest: vllm"):
        open_answerer("vlm", ModelSource("m", None, "m"))
    assert list(ENGINES) == ["torch", "vllm", "openai", "replay"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (EngineOptions(dtype="int8"), "--engine-option dtype=int8: use auto, float32, bfloat16 or float16"),
        (EngineOptions(device="tpu"), "--engine-option device = 'tpu': there is no such device here"),
        (EngineOptions(device="cuda:99"), "--engine-option device = 'cuda:99': there is no such device here"),
    ],
)
def test_settings_that_do_not_fit(options: EngineOptions, message: str, tmp_path: Path) -> None:
    source = resolve_model(str(write_checkpoint(tmp_path / "model")))
    with pytest.raises(InputError, match=message):
        open_answerer("torch", source, options=options)


def test_on_a_cpu_the_dtype_is_float32_unless_said_otherwise(tmp_path: Path) -> None:
    source = resolve_model(str(write_checkpoint(tmp_path / "model")))
    assert open_answerer("torch", source, options=EngineOptions(device="cpu")).describe()["dtype"] == "float32"
    half = open_answerer("torch", source, options=EngineOptions(device="cpu", dtype="bfloat16"))
    assert half.describe()["dtype"] == "bfloat16"


def test_servers_and_records_need_no_torch() -> None:
    names = "texts, open, model_source, openai, replay, answer_text"
    code = f"import sys; from relift.engines import {names}; print(sys.modules.keys() & {{'torch', 'transformers'}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
