"""Open the engines of evaluation by name. No engine's packages are imported before it is opened.

Adding one is a file and a line in ENGINES (docs/add-an-engine.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relift.engines.model_source import ModelSource
from relift.engines.options import SET_BY_COMMAND, OpenAIOptions, ReplayOptions, TorchOptions, VLLMOptions
from relift.engines.texts import Answerer
from relift.errors import InputError
from relift.suggest import hint

if TYPE_CHECKING:
    import torch

OnEvent = Callable[[str], None]


@dataclass(frozen=True)
class EngineKind:
    """An engine as the table has it: `options` is a frozen dataclass, `open` makes the Answerer from its values."""

    options: type[Any]
    open: Callable[[ModelSource, Any, OnEvent], Answerer]

    def option_names(self) -> list[str]:
        """List the options that a user may set."""
        return [field.name for field in fields(self.options) if field.name not in SET_BY_COMMAND]


def open_answerer(
    name: str, model: ModelSource, *, options: Any = None, on_event: OnEvent = lambda line: None
) -> Answerer:
    """Open the engine of this name for this model; nothing heavy happens before it is entered.

    `options`: a value of the engine's own options (`make_options`); None: its defaults. `on_event` is told in one line
    of what somebody may want to know (a request repeated, a line of a ledger lost). Raises InputError for an unknown
    engine and for options that do not fit.
    """
    kind = engine_kind(name)
    options = kind.options() if options is None else options
    if not isinstance(options, kind.options):
        raise TypeError(f"engine {name} takes {kind.options.__name__}, not {type(options).__name__}")
    return kind.open(model, options, on_event)


def engine_kind(name: str) -> EngineKind:
    """Look an engine up. Raises InputError for one that is not in the table."""
    if name not in ENGINES:
        raise InputError(f"no engine {name!r}; there are {', '.join(ENGINES)}{hint(name, ENGINES)}")
    return ENGINES[name]


def make_options(name: str, values: Mapping[str, Any], **of_command: Any) -> Any:
    """Make the options of an engine: `values` are the user's, `of_command` count where the engine has such a field."""
    kind = engine_kind(name).options
    known = {field.name for field in fields(kind)}
    return kind(**{key: value for key, value in of_command.items() if key in known}, **values)


def _torch(model: ModelSource, options: TorchOptions, on_event: OnEvent) -> Answerer:
    from relift.engines.hf_model import device_of, load_model, load_tokenizer
    from relift.engines.torch_answers import TorchAnswers

    tokenizer, model_config = load_tokenizer(model.path, revision=model.revision, positions=model.positions)
    device = device_of(options.device)
    dtype = dtype_of(options.dtype, model_config, device)
    return TorchAnswers(
        lambda: load_model(model.path, revision=model.revision, dtype=dtype, device=device, positions=model.positions),
        tokenizer,
        model_config,
        dtype=dtype,
        device=device,
        batch_rows=options.batch_rows,
        max_context=options.max_model_len,
    )


def dtype_of(name: str, model_config: object, device: torch.device) -> str:
    """Choose the name of the dtype; "auto" is float32 on a CPU and the checkpoint's own on a GPU."""
    import torch

    if name == "auto":
        own = getattr(model_config, "dtype", None)
        name = "float32" if device.type == "cpu" or own is None else str(own).removeprefix("torch.")
    if name not in ("float32", "bfloat16", "float16") or not isinstance(getattr(torch, name), torch.dtype):
        raise InputError(f"--engine-option dtype={name}: use auto, float32, bfloat16 or float16")
    return name


def _replay(model: ModelSource, options: ReplayOptions, on_event: OnEvent) -> Answerer:
    from relift.engines.replay import ReplayAnswers, open_recording

    return ReplayAnswers(open_recording(options.recorded or Path(model.path)), count_tokens=_counter(options.tokenizer))


def _vllm(model: ModelSource, options: VLLMOptions, on_event: OnEvent) -> Answerer:
    from relift.engines.adapters import is_adapter
    from relift.engines.checkpoint_files import require_fitting_size
    from relift.engines.hf_model import MODEL, device_of, load_tokenizer, require_safetensors, require_ties
    from relift.engines.vllm import VLLMAnswers, installed_version

    installed_version()  # before anything else: it is the likeliest thing to be missing
    tokenizer, model_config = load_tokenizer(model.path, revision=model.revision, positions=model.positions)
    if is_adapter(model.path):
        raise InputError(
            f"MODEL {model.path!r}: an adapter, and engine vllm takes whole models: merge it with relift export, or "
            "take --engine torch"
        )
    require_safetensors(model.path)
    require_fitting_size(model_config, model.path, option=MODEL)
    if Path(model.path).is_dir():
        require_ties(model.path, model_config)
    dtype = dtype_of(options.dtype, model_config, device_of("auto"))
    return VLLMAnswers(model, tokenizer, model_config, options, dtype=dtype)


def _openai(model: ModelSource, options: OpenAIOptions, on_event: OnEvent) -> Answerer:
    try:
        from relift.engines.openai import OpenAIAnswers
    except ModuleNotFoundError as error:
        if error.name != "httpx2":
            raise
        raise InputError("engine 'openai' needs the package httpx2: pip install 'relift[openai]'") from None
    return OpenAIAnswers(model.path, options, count_tokens=_counter(options.tokenizer), on_event=on_event)


def _counter(path: str | None) -> Callable[[str], int] | None:
    """Make a counter of the tokens of a text from a checkpoint's tokenizer; None without one."""
    if path is None:
        return None
    from relift.engines.hf_model import load_tokenizer

    tokenizer, _ = load_tokenizer(path, option="--tokenizer ")
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])


ENGINES: dict[str, EngineKind] = {
    "torch": EngineKind(TorchOptions, _torch),
    "vllm": EngineKind(VLLMOptions, _vllm),
    "openai": EngineKind(OpenAIOptions, _openai),
    "replay": EngineKind(ReplayOptions, _replay),
}
