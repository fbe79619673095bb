"""The side of vLLM that is ours, against a worker that speaks like it: sharing out, deadlines, workers that lie.

The real vLLM is tested in tests/vllm.
"""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from relift.engines import vllm
from relift.engines.model_source import ModelSource
from relift.engines.open import open_answerer
from relift.engines.options import VLLMOptions
from relift.engines.texts import AttemptRequest, Prompt
from relift.engines.tokens import Sampling
from relift.engines.vllm import VLLMAnswers
from relift.engines.worker_process import WorkerProcess
from relift.errors import InputError, ReliftError
from relift.schema import Finish
from tests.engines.answer_contract import CHECKS, WARM, Case, answers, asks_for, texts
from tests.engines.tiny import character_tokenizer, prompts, tiny_model, write_checkpoint

SCRIPT = Path(__file__).with_name("fake_vllm_worker.py")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return character_tokenizer(tmp_path_factory.mktemp("tokenizer")), tiny_model().config


@pytest.fixture(autouse=True)
def without_vllm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(vllm, "installed_version", lambda: "0.0")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # for logs of workers that fail, which stay


def engine_of(parts: tuple[Any, Any], mode: str = "good", **options: Any) -> VLLMAnswers:
    tokenizer, config = parts
    chosen = VLLMOptions(**{"data_parallel": 1, "stall_seconds": 5.0, **options})
    command = (sys.executable, "-S", str(SCRIPT), mode)
    return VLLMAnswers(ModelSource("m", None, "m"), tokenizer, config, chosen, dtype="float32", command=command)


@pytest.fixture(scope="module")
def case(parts: tuple[Any, Any]) -> Case:
    return Case(
        make=lambda: engine_of(parts, data_parallel=2),
        prompts=[Prompt(ids) for ids in prompts(6)],
        too_long=Prompt((5,) * 120),
        make_hanging=lambda: engine_of(parts, "hangs", stall_seconds=0.5),
        make_dying=lambda: engine_of(parts, "dies"),
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check: Any, case: Case) -> None:
    check(case)


def test_the_number_of_workers_changes_nothing(parts: tuple[Any, Any], case: Case) -> None:
    asks = asks_for(case, attempts=7)
    sampling = Sampling(max_tokens=30, stop_token_ids=(7, 9), stop=("ab", "K"))
    seen = []
    for n in (1, 2, 3):
        with engine_of(parts, data_parallel=n) as engine:
            seen.append(texts(answers(engine, asks, sampling)))
    assert seen[0] == seen[1] == seen[2]
    assert {finish for _, finish, _ in seen[0]} == {Finish.stop, Finish.length}


def test_every_worker_gets_its_share_of_few_asks(
    parts: tuple[Any, Any], case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine asks, three workers that could hold four each."""
    first: dict[int, int] = {}
    send = WorkerProcess.send

    def noting(self: WorkerProcess, message: Any) -> None:
        if "asks" in message:
            first.setdefault(self.number, len(message["asks"]))
        send(self, message)

    monkeypatch.setattr(WorkerProcess, "send", noting)
    with engine_of(parts, data_parallel=3) as engine:
        answers(engine, asks_for(case)[:9], WARM)
    assert first == {0: 3, 1: 3, 2: 3}


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("hangs", "vLLM took no step in time"),
        ("dies", "vLLM ended with status 7: RuntimeError: out of paper; its log is "),
        ("lies", "vLLM wrote a token outside of the model's 67"),
        ("repeats", "vLLM answered what it was not asked"),
        ("cuts short", "vLLM answered what it was not asked, or not as it was asked"),
        ("babbles", "vLLM said something that is no message"),
    ],
)
def test_a_worker_that_goes_wrong(mode: str, message: str, parts: tuple[Any, Any], case: Case) -> None:
    engine = engine_of(parts, mode, stall_seconds=0.5)
    got: list[int] = []
    begin = time.monotonic()
    with pytest.raises(ReliftError) as error, engine:
        children = [worker._process for worker in engine._workers]
        for i, _ in engine.stream(asks_for(case), WARM):
            got.append(i)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)
    assert time.monotonic() - begin < 5
    assert got == [0, 1]
    assert all(child.returncode is not None for child in children)


def test_a_worker_that_does_not_start(parts: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "OPEN_SECONDS", 0.5)
    with pytest.raises(ReliftError, match="vLLM was not ready in time; its log"), engine_of(parts, "never-opens"):
        pass
    monkeypatch.setattr(vllm, "OPEN_SECONDS", 20.0)
    with pytest.raises(ReliftError, match="vLLM ended with status 1: ValueError: Head size 24 is not supported; its"):
        with engine_of(parts, "cannot-open"):
            pass
    with pytest.raises(ValueError, match="enter the answerer first"):
        next(engine_of(parts).stream([AttemptRequest("a/0/0", Prompt((3,)), 1)], WARM))


def test_workers_and_logs_are_gone_at_the_end(parts: tuple[Any, Any], case: Case, tmp_path: Path) -> None:
    with engine_of(parts, data_parallel=2) as engine:
        answers(engine, asks_for(case), WARM)
        workers = list(engine._workers)
        assert all(worker._log.exists() for worker in workers)
    assert [worker._process.returncode for worker in workers] == [0, 0]
    assert not any(worker._log.exists() for worker in workers)
    del workers, engine
    gc.collect()  # pipes that were left open would warn here


def test_arguments_of_vllm(parts: tuple[Any, Any]) -> None:
    """Keys and values of a token: 2 * 2 layers * 4 heads * 8 wide * 4 bytes = 512; of 64 answers of 128 tokens 4 MiB,
    which is less than the least of 64 MiB."""
    arguments = engine_of(parts, logprobs=True)._arguments()
    assert arguments["kv_cache_memory_bytes"] == 64 * 2**20
    assert arguments["max_model_len"] == 128 and arguments["max_num_batched_tokens"] == 8192
    assert (arguments["enable_chunked_prefill"], arguments["enforce_eager"]) == (False, True)
    assert arguments["logprobs_mode"] == "processed_logprobs"
    assert engine_of(parts, max_model_len=50)._arguments()["max_model_len"] == 50
    with pytest.raises(InputError, match="exceed the model's 50 in 1 of 1"):
        engine_of(parts, max_model_len=50).check([AttemptRequest("a/0/0", Prompt((3,) * 45), 1)], WARM)
    for wrong in ({"tensor_parallel": 0}, {"data_parallel": 0}, {"tensor_parallel": 64}):
        with pytest.raises(InputError, match="tensor_parallel"):
            engine_of(parts, **wrong)


def test_gpus_are_shared_out(parts: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 5)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4,5,6,7")
    engine = engine_of(parts, data_parallel=None, tensor_parallel=2)
    assert [engine._environment(n)["CUDA_VISIBLE_DEVICES"] for n in range(engine._n_workers)] == ["3,4", "5,6"]
    assert engine._environment(0)["VLLM_NO_USAGE_STATS"] == "1"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert engine._environment(1)["CUDA_VISIBLE_DEVICES"] == "2,3"
    arguments = engine._arguments()
    assert arguments["gpu_memory_utilization"] == 0.9 and "enforce_eager" not in arguments
    with pytest.raises(InputError, match="there are only 5 GPUs"):
        engine_of(parts, data_parallel=3, tensor_parallel=2)


def test_without_vllm_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    source = ModelSource(str(write_checkpoint(tmp_path / "model")), None, "model")
    with pytest.raises(InputError, match=r"engine 'vllm' needs vLLM: pip install 'relift\[vllm\]'"):
        open_answerer("vllm", source)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model.bin is pickled and is not opened"):
        open_answerer("vllm", ModelSource(str(folder), None, "model"))
