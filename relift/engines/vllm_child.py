"""Start, hear and end the process in which vLLM samples training answers (vllm_rollouts_worker.py)."""

from __future__ import annotations

import os
import queue
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from relift.engines.context import context_limit
from relift.engines.cpu_memory import cache_bytes
from relift.engines.worker_process import ENDED, WorkerProcess
from relift.errors import ReliftError

COMMAND = (sys.executable, "-P", "-m", "relift.engines.vllm_rollouts_worker")
OPEN_SECONDS = 1800.0
CPU_BATCHED_TOKENS = 8192
CPU_BLOCK = 32  # tokens of a block of keys and values; vLLM's 128 on a CPU shares no prompt shorter than that
# torchrun's variables are the learner's: the engine is a world of its own.
LEARNERS_OWN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class RolloutOptions:
    """Set up the child process. `gpus` None: the GPU of this process, given back between calls."""

    dtype: str = "float32"
    max_context: int | None = None  # tokens of prompt and answer together; None: what the model can
    gpus: str | None = None  # CUDA_VISIBLE_DEVICES of the engine's own
    gpu_memory: float = 0.45  # share of a GPU's memory
    tensor_parallel: int = 1
    max_sequences: int = 256  # answers written at a time
    stall_seconds: float = 600.0  # an engine that is silent for so long is ended and started again
    restarts: int = 3  # of one call


class EngineFailure(ReliftError):
    """Report a child process that died, hung or said nonsense; another one may do better."""


class VLLMChild:
    """Hold the process, if it lives. Every way in which it fails ends it and raises EngineFailure."""

    def __init__(self, model_config: Any, options: RolloutOptions, command: Sequence[str]) -> None:
        self._model_config, self._options, self._command = model_config, options, command
        self.max_context = context_limit(model_config, options.max_context)
        self.on_gpu = torch.cuda.is_available()
        self.shares_gpu = self.on_gpu and options.gpus is None
        self._folder = tempfile.TemporaryDirectory(prefix="relift-vllm-")
        model_config.save_pretrained(self._folder.name)
        self._worker: WorkerProcess | None = None
        self._inbox: queue.SimpleQueue[tuple[int, dict[str, Any]]] = queue.SimpleQueue()

    @property
    def lives(self) -> bool:
        """Tell whether there is a process, as far as is known."""
        return self._worker is not None

    def open(self) -> None:
        """Start the process and wait until its engine is there, with random weights."""
        self._inbox = queue.SimpleQueue()
        self._worker = WorkerProcess(self._command, name="vLLM", number=0, env=self._environment(), inbox=self._inbox)
        self.tell({"open": self.arguments(), "sleeps": self.shares_gpu})
        self.hear("ready", seconds=OPEN_SECONDS)

    def end(self) -> None:
        """End it at once: nothing of its is worth waiting for, and it may not listen. Twice does no harm."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()

    def close(self) -> None:
        """End it for good, with what it read."""
        self.end()
        self._folder.cleanup()

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send without waiting: a child that is stopped reads nothing, and its deadline has to pass all the same."""
        assert self._worker is not None
        threading.Thread(target=self._worker.send, args=(message,), name="relift-vllm-send", daemon=True).start()

    def hear(self, key: str, *, seconds: float | None = None) -> dict[str, Any]:
        """Wait for the next message with this key. Raises EngineFailure when the child dies or is silent for `seconds`,
        by default the stall limit; a sign of life begins the time anew."""
        while True:
            try:
                _, message = self._inbox.get(timeout=seconds or self._options.stall_seconds)
            except queue.Empty:
                raise self.failure("took no step in time") from None
            if ENDED in message:
                raise self.failure(None)
            if key in message:
                return message

    def failure(self, why: str | None) -> EngineFailure:
        """End it and make the error that says why (None: what became of the process); its log stays where it is."""
        worker, self._worker = self._worker, None
        assert worker is not None
        return EngineFailure(str(worker.failed(why)))

    def _environment(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if name not in LEARNERS_OWN} | {
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the child is a process of its own already
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
            "TOKENIZERS_PARALLELISM": "false",
        }
        env.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        if self.on_gpu:
            there = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
            env["CUDA_VISIBLE_DEVICES"] = self._options.gpus or there.split(",")[torch.cuda.current_device()]
        return env

    def arguments(self) -> dict[str, Any]:
        """List the arguments of vllm.LLM."""
        options = self._options
        arguments: dict[str, Any] = {
            "model": self._folder.name,
            "skip_tokenizer_init": True,
            "load_format": "dummy",  # weights are published
            "trust_remote_code": False,
            "generation_config": "vllm",
            "dtype": options.dtype,
            "max_model_len": self.max_context,
            "max_num_seqs": options.max_sequences,
            "tensor_parallel_size": options.tensor_parallel,
            "logprobs_mode": "processed_logprobs",  # at the sampling temperature
            "disable_log_stats": True,
            "seed": 0,
        }
        if self.on_gpu:
            return arguments | {"gpu_memory_utilization": options.gpu_memory, "enable_sleep_mode": self.shares_gpu}
        config, length = self._model_config.get_text_config(), self.max_context or 4096
        return arguments | {
            "enforce_eager": True,  # compiling takes longer than what it saves
            "block_size": CPU_BLOCK,
            "kv_cache_memory_bytes": cache_bytes(config, options.dtype, sequences=options.max_sequences, length=length),
            # A prompt must not be read in pieces: vLLM's generators on a CPU have no offset to set back, and it dies.
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(CPU_BATCHED_TOKENS, length),
        }
