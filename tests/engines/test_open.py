"""Engines by name, and their settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from relift.engines.model_source import ModelSource, resolve_model
from relift.engines.open import ENGINES, make_options, open_answerer
from relift.engines.options import OpenAIOptions, TorchOptions
from relift.errors import InputError
from relift.evaluate.options import parse_engine_options
from tests.engines.tiny import write_checkpoint


def test_an_unknown_engine_names_the_nearest() -> None:
    with pytest.raises(InputError, match="no engine 'vlm'; there are torch, vllm, openai, replay; nearest: vllm"):
        open_answerer("vlm", ModelSource("m", None, "m"))
    assert list(ENGINES) == ["torch", "vllm", "openai", "replay"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (TorchOptions(dtype="int8"), "--engine-option dtype=int8: use auto, float32, bfloat16 or float16"),
        (TorchOptions(device="tpu"), "--engine-option device = 'tpu': there is no such device here"),
        (TorchOptions(device="cuda:99"), "--engine-option device = 'cuda:99': there is no such device here"),
    ],
)
def test_settings_that_do_not_fit(options: TorchOptions, message: str, tmp_path: Path) -> None:
    source = resolve_model(str(write_checkpoint(tmp_path / "model")))
    with pytest.raises(InputError, match=message):
        open_answerer("torch", source, options=options)


def test_on_a_cpu_the_dtype_is_float32_unless_said_otherwise(tmp_path: Path) -> None:
    source = resolve_model(str(write_checkpoint(tmp_path / "model")))
    assert open_answerer("torch", source, options=TorchOptions(device="cpu")).describe()["dtype"] == "float32"
    half = open_answerer("torch", source, options=TorchOptions(device="cpu", dtype="bfloat16"))
    assert half.describe()["dtype"] == "bfloat16"


def test_servers_and_records_need_no_torch() -> None:
    names = "texts, open, model_source, openai, replay, answer_text"
    code = f"import sys; from relift.engines import {names}; print(sys.modules.keys() & {{'torch', 'transformers'}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_engine_has_options_of_its_own() -> None:
    assert parse_engine_options(["batch_rows=16"], engine="torch") == {"batch_rows": 16}
    with pytest.raises(InputError, match="engine torch has no option 'tensor_parallel'"):
        parse_engine_options(["tensor_parallel=2"], engine="torch")
    with pytest.raises(InputError, match="engine vllm has no option 'tensor_paralel'; nearest: tensor_parallel"):
        parse_engine_options(["tensor_paralel=2"], engine="vllm")
    with pytest.raises(InputError, match="--base-url: engine torch asks no server; use --engine openai"):
        parse_engine_options([], engine="torch", base_url="http://127.0.0.1:1/v1")
    with pytest.raises(InputError, match="engine openai has no option 'ledger'"):  # the command's own
        parse_engine_options(["ledger=x"], engine="openai")


def test_what_a_command_sets_counts_where_the_engine_has_it() -> None:
    assert make_options("openai", {"concurrency": 2}, tokenizer="t", recorded=None) == OpenAIOptions(
        concurrency=2, tokenizer="t"
    )
    assert make_options("torch", {}, tokenizer="t") == TorchOptions()
    with pytest.raises(TypeError, match="engine torch takes TorchOptions, not OpenAIOptions"):
        open_answerer("torch", ModelSource("m", None, "m"), options=OpenAIOptions())
