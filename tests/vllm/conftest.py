"""A tiny checkpoint that vLLM can run, one engine for all tests, and a server on loopback.

These tests run in an environment with vLLM (make test-vllm); starting vLLM takes half a minute, so it is shared.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from relift.engines.model_source import ModelSource, resolve_model
from relift.engines.open import open_answerer
from relift.engines.options import VLLMOptions
from relift.engines.texts import Answerer
from tests.children import tied
from tests.engines.tiny import write_checkpoint

TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_checkpoint(tmp_path_factory.mktemp("vllm") / "model", layout="wide")
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


@pytest.fixture(scope="session")
def source(folder: Path) -> ModelSource:
    return resolve_model(str(folder))


@pytest.fixture(scope="session")
def vllm_engine(source: ModelSource) -> Iterator[Answerer]:
    with open_answerer("vllm", source, options=VLLMOptions(logprobs=True)) as engine:
        yield engine


@dataclass(frozen=True)
class Served:
    base_url: str
    process: subprocess.Popen[bytes]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture(scope="session")
def served(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """vLLM's own server."""
    with serve(folder, tmp_path_factory.mktemp("served") / "log") as served:
        yield served


@contextmanager
def serve(folder: Path, log: Path, *more: str, env: Mapping[str, str] | None = None) -> Iterator[Served]:
    """vLLM's server with this model. Prompts are not read in pieces: with seeds, that ends it on a CPU."""
    port = free_port()
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder),
        "--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32",
        "--enforce-eager", "--max-model-len", "128", "--kv-cache-memory-bytes", str(64 * 2**20),
        "--no-enable-chunked-prefill", "--generation-config", "vllm", *more,
    ]  # fmt: skip
    settings = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    env = {**os.environ, **settings, **(env or {})}
    with log.open("wb") as out:
        process = subprocess.Popen(tied(command), stdout=out, stderr=subprocess.STDOUT, env=env, start_new_session=True)
    url = f"http://127.0.0.1:{port}/v1"
    deadline = time.monotonic() + 240
    while True:
        try:
            with urllib.request.urlopen(f"{url}/models", timeout=5):
                break
        except (urllib.error.URLError, OSError):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.5)
    try:
        yield Served(url, process)
    finally:
        process.terminate()
        process.wait(60)
