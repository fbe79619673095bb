"""The engines of evaluation by name, and what may be set about them. No engine's packages are imported before it is
opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relift.engines.model_source import ModelSource
from relift.engines.texts import Answerer
from relift.errors import InputError
from relift.suggest import hint

if TYPE_CHECKING:
    import torch

OnEvent = Callable[[str], None]


@dataclass(frozen=True)
class EngineOptions:
    """Settings of engines; each reads what concerns it. None: the engine decides and says so in `describe`."""

    # torch and vllm
    dtype: str = "auto"  # float32 on a CPU, the checkpoint's own on a GPU
    device: str = "auto"  # torch alone
    batch_rows: int = 256  # torch alone: answers written at a time
    max_model_len: int | None = None  # tokens of prompt and answer together
    # vllm
    gpu_memory_utilization: float = 0.9
    tensor_parallel: int = 1  # GPUs that share one copy of the model
    data_parallel: int | None = None  # copies of the model, an engine process each; None: as many as GPUs allow
    max_num_batched_tokens: int | None = None
    logprobs: bool = False  # fill Reply.sum_logprob
    stall_seconds: float = 600.0  # an engine that takes no step for so long is given up
    # openai
    base_url: str | None = None  # http://127.0.0.1:8000/v1
    # completions (token ids) or chat (turns, the server's own template); auto: token ids if there is a tokenizer for
    # them and the server is known to take them
    api: str = "auto"
    api_key_env: str | None = None  # name of the environment variable that holds the key; None: no key is sent
    concurrency: int = 32  # requests under way at a time
    timeout_seconds: float = 600.0  # of one request
    deadline_seconds: float = 1800.0  # of one ask, with all its repetitions and waits
    max_requests: int | None = None  # budgets, of all starts of a run together
    max_completion_tokens: int | None = None
    max_usd: float | None = None
    usd_per_million_prompt_tokens: float | None = None
    usd_per_million_completion_tokens: float | None = None
    thinking: tuple[str, str] = ("<think>", "</think>")  # put around thoughts that a server hands out separately
    # replay
    recorded: Path | None = None  # a run folder, or a .jsonl file of texts
    tokenizer: str | None = None  # openai and replay: a checkpoint whose tokenizer counts tokens that nobody counted


def open_answerer(
    name: str, model: ModelSource, *, options: EngineOptions | None = None, on_event: OnEvent = lambda line: None
) -> Answerer:
    """The engine of this name for this model; nothing heavy happens before it is entered.

    `on_event` is told in one line of what somebody may want to know (a request repeated, a line of a ledger lost).
    Raises InputError for an unknown engine and for options that do not fit.
    """
    require_engine(name)
    return ENGINES[name](model, options or EngineOptions(), on_event)


def require_engine(name: str) -> None:
    """Raises InputError for an engine that is not in the table."""
    if name not in ENGINES:
        raise InputError(f"no engine {name!r}; there are {', '.join(ENGINES)}{hint(name, ENGINES)}")


def _torch(model: ModelSource, options: EngineOptions, on_event: OnEvent) -> Answerer:
    from relift.engines.hf_model import device_of, load_model, load_tokenizer
    from relift.engines.torch_answers import TorchAnswers

    tokenizer, model_config = load_tokenizer(model.path, revision=model.revision)
    device = device_of(options.device)
    dtype = dtype_of(options.dtype, model_config, device)
    return TorchAnswers(
        lambda: load_model(model.path, revision=model.revision, dtype=dtype, device=device),
        tokenizer,
        model_config,
        dtype=dtype,
        device=device,
        batch_rows=options.batch_rows,
        max_context=options.max_model_len,
    )


def dtype_of(name: str, model_config: object, device: torch.device) -> str:
    """The dtype's name; "auto" is float32 on a CPU and the checkpoint's own on a GPU."""
    import torch

    if name == "auto":
        own = getattr(model_config, "dtype", None)
        name = "float32" if device.type == "cpu" or own is None else str(own).removeprefix("torch.")
    if name not in ("float32", "bfloat16", "float16") or not isinstance(getattr(torch, name), torch.dtype):
        raise InputError(f"--engine-option dtype={name}: use auto, float32, bfloat16 or float16")
    return name


def _replay(model: ModelSource, options: EngineOptions, on_event: OnEvent) -> Answerer:
    from relift.engines.replay import ReplayAnswers, open_recording

    return ReplayAnswers(open_recording(options.recorded or Path(model.path)), count_tokens=_counter(options.tokenizer))


def _vllm(model: ModelSource, options: EngineOptions, on_event: OnEvent) -> Answerer:
    from relift.engines.hf_model import device_of, load_tokenizer, require_safetensors
    from relift.engines.vllm import VLLMAnswers, installed_version

    installed_version()  # before anything else: it is the likeliest thing to be missing
    tokenizer, model_config = load_tokenizer(model.path, revision=model.revision)
    require_safetensors(model.path)
    dtype = dtype_of(options.dtype, model_config, device_of("auto"))
    return VLLMAnswers(model, tokenizer, model_config, options, dtype=dtype)


def _openai(model: ModelSource, options: EngineOptions, on_event: OnEvent) -> Answerer:
    try:
        from relift.engines.openai import OpenAIAnswers
    except ModuleNotFoundError as error:
        if error.name != "httpx2":
            raise
        raise InputError("engine 'openai' needs the package httpx2: pip install 'relift[openai]'") from None
    return OpenAIAnswers(model.path, options, count_tokens=_counter(options.tokenizer), on_event=on_event)


def _counter(path: str | None) -> Callable[[str], int] | None:
    """Counts the tokens of a text with a checkpoint's tokenizer; None without one."""
    if path is None:
        return None
    from relift.engines.hf_model import load_tokenizer

    tokenizer, _ = load_tokenizer(path, option="--tokenizer ")
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])


ENGINES: dict[str, Callable[[ModelSource, EngineOptions, OnEvent], Answerer]] = {
    "torch": _torch,
    "vllm": _vllm,
    "openai": _openai,
    "replay": _replay,
}
