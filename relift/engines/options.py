"""Declare what may be set about each engine of evaluation: one small frozen model for each. No engine is imported.

`--engine-option key=value` sets a field of the engine that is asked for. None: the engine decides, and says so in its
description. `tokenizer` is set by the command itself (SET_BY_COMMAND).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SET_BY_COMMAND = ("tokenizer",)


@dataclass(frozen=True)
class TorchOptions:
    """Settings of the torch sampler."""

    dtype: str = "auto"  # float32 on a CPU, the checkpoint's own on a GPU
    device: str = "auto"
    batch_rows: int = 256  # answers written at a time
    max_model_len: int | None = None  # tokens of prompt and answer together


@dataclass(frozen=True)
class VLLMOptions:
    """Settings of vLLM in processes of ours."""

    dtype: str = "auto"  # float32 on a CPU, the checkpoint's own on a GPU
    max_model_len: int | None = None  # tokens of prompt and answer together
    gpu_memory_utilization: float = 0.9
    tensor_parallel: int = 1  # GPUs that share one copy of the model
    data_parallel: int | None = None  # copies of the model, an engine process each; None: as many as GPUs allow
    max_num_batched_tokens: int | None = None
    logprobs: bool = False  # fill Reply.sum_logprob
    stall_seconds: float = 600.0  # an engine that takes no step for so long is given up


@dataclass(frozen=True)
class OpenAIOptions:
    """Settings of a server that speaks OpenAI's protocol."""

    base_url: str | None = None  # http://127.0.0.1:8000/v1
    # completions (token ids) or chat (turns, the server's own template); auto: token ids if there is a tokenizer for
    # them and the server is known to take them
    api: str = "auto"
    api_key_env: str | None = None  # name of the environment variable that holds the key; None: no key is sent
    concurrency: int = 32  # requests under way at a time
    omit: tuple[str, ...] = ()  # settings that this server refuses: they are not sent, and are the server's own
    length_field: str = "max_tokens"  # or max_completion_tokens, where a server asks for that
    timeout_seconds: float = 600.0  # of one request
    deadline_seconds: float = 1800.0  # of one ask, with all its repetitions and waits
    max_requests: int | None = None  # budgets, of all starts of a run together
    max_completion_tokens: int | None = None
    max_usd: float | None = None
    usd_per_million_prompt_tokens: float | None = None
    usd_per_million_completion_tokens: float | None = None
    thinking: tuple[str, str] = ("<think>", "</think>")  # put around thoughts that a server hands out separately
    tokenizer: str | None = None  # a checkpoint whose tokenizer counts tokens that the server does not count


@dataclass(frozen=True)
class ReplayOptions:
    """Settings of recorded answers."""

    recorded: Path | None = None  # a run folder, or a .jsonl file of texts; None: what MODEL names
    tokenizer: str | None = None  # a checkpoint whose tokenizer counts tokens that nobody counted
