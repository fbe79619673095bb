"""Merge checkpoints of one architecture into one, tensor by tensor: a baseline that needs no training.

    mean:             theta = sum_i w_i theta_i, the w_i summing to 1
    task arithmetic:  theta = theta_0 + sum_i w_i (theta_i - theta_0), theta_0 the base model, any w_i

Sources: the mean, Wortsman et al., arXiv 2203.05482 (uniform soup); task arithmetic, Ilharco et al., arXiv 2212.04089
(task vectors). Where the w_i sum to 1 both are the same. Every number is computed in float64 and rounded once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from safetensors.torch import save_file

from relift.engines.adapters import is_adapter
from relift.engines.checkpoint_files import INDEX
from relift.engines.hf_model import load_tokenizer, require_safetensors, require_ties, shortened
from relift.engines.model_source import ModelSource, resolve_model
from relift.engines.tied_weights import HEAD, is_tied
from relift.errors import InputError
from relift.fingerprints import files_in
from relift.trainer.tensor_files import StoredTensor, TensorFiles

LARGEST_FILE = 2**30  # bytes of one file of weights; as much is held in memory
PIECE = 2**24  # numbers of a tensor that are added at a time
MIXED = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # types in which a number is a weight by itself
# Of config.json, what does not say which function the weights are.
_INCIDENTAL = (
    "dtype", "torch_dtype", "transformers_version", "_name_or_path", "use_cache", "architectures", "bos_token_id",
    "eos_token_id", "pad_token_id",
)  # fmt: skip
_POSITIONS = ("max_position_embeddings", "rope_theta", "rope_parameters", "rope_scaling")  # a run may edit its base's


@dataclass(frozen=True)
class Merged:
    """A model that takes part: where it lies, and its weights by name (a tied head is left out)."""

    name: str  # as the user gave it
    source: ModelSource
    folder: Path
    config: Any
    tokenizer: Any
    tensors: Mapping[str, StoredTensor]


@dataclass(frozen=True)
class Plan:
    """Hold checked models with their weights; `base` None: a plain mean."""

    models: tuple[Merged, ...]
    weights: tuple[float, ...]
    base: Merged | None
    dtype: torch.dtype  # the widest of the merged models': what is written


def plan_merge(
    names: Sequence[str],
    *,
    weights: Sequence[float] | None = None,
    base: str | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> Plan:
    """Open the models and check that they can be merged. `weights` None: equal ones that sum to 1.

    Raises InputError, one line, for models of different architectures, tokenizers, tensors or shapes, for quantized
    weights, and for weights of a mean that do not sum to 1.
    """
    if len(names) < (1 if base else 2):
        raise InputError(
            "--merge needs two models at least, or one with --base: name RUN, RUN@STEP or a folder of each"
        )
    shares = tuple(weights) if weights is not None else (1 / len(names),) * len(names)
    if len(shares) != len(names):
        raise InputError(f"--weights: {len(shares)} for {len(names)} models; give one for each, as in 0.7,0.3")
    if not all(math.isfinite(share) for share in shares):
        raise InputError("--weights: a weight is not finite")
    if base is None and abs(sum(shares) - 1) > 1e-6:
        raise InputError(
            f"--weights sum to {sum(shares):g}: a mean needs 1; name a base model with --base to add differences to it"
        )
    models = tuple(_open(name, warn=warn) for name in names)
    first = models[0]
    for other in models[1:]:
        require_alike(first, other, apart=_INCIDENTAL)
        if getattr(other.tokenizer, "chat_template", None) != getattr(first.tokenizer, "chat_template", None):
            warn(f"{other.name} has another chat template than {first.name}, whose is written")
    started = _open(base, warn=warn) if base else None
    if started is not None:
        require_alike(first, started, apart=(*_INCIDENTAL, *_POSITIONS))
    return Plan(models, shares, started, _widest(models))


def _open(name: str, *, warn: Callable[[str], None]) -> Merged:
    source = resolve_model(name, on_event=warn)
    option = "MODEL "
    if is_adapter(Path(source.path)):
        raise InputError(f"MODEL {name!r}: an adapter; make a whole checkpoint of it first: relift export {name}")
    tokenizer, config = load_tokenizer(source.path, revision=source.revision, positions=source.positions, option=option)
    folder = Path(source.path) if Path(source.path).is_dir() else _of_hub(source)
    require_safetensors(str(folder), option=option)
    require_ties(str(folder), config, option=option)
    if getattr(config, "quantization_config", None) is not None:
        raise InputError(f"MODEL {name!r}: its weights are quantized; merge the model before it is quantized")
    files = sorted({folder / file for file in _files_of(folder)})
    tensors = TensorFiles(files)
    tied = is_tied(config)
    return Merged(
        name, source, folder, config, tokenizer, {k: tensors[k] for k in tensors if not (tied and k.endswith(HEAD))}
    )


def _files_of(folder: Path) -> list[str]:
    """List the files of weights: those of the index where there is one, else all."""
    index = folder / INDEX
    if index.exists():
        return list(json.loads(index.read_bytes())["weight_map"].values())  # checked when the configuration was loaded
    return [file.name for file in files_in(folder, "*.safetensors")]


def _of_hub(source: ModelSource) -> Path:
    try:
        found = huggingface_hub.snapshot_download(
            source.path, revision=source.revision, allow_patterns=["*.safetensors", "*.json", "*.jinja", "*.model"]
        )
    except (OSError, ValueError) as error:
        raise InputError(f"MODEL {source.path!r}: cannot be had from the hub: {shortened(error)}") from None
    return Path(found)


def require_alike(first: Merged, other: Merged, *, apart: Sequence[str]) -> None:
    """Refuse two models whose weights do not mean the same: configuration (`apart` from these), tokenizer, tensors."""
    pair = f"{first.name} and {other.name}"
    ours, theirs = (_settings(model.config, apart) for model in (first, other))
    differing = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if differing:
        key = differing[0]
        raise InputError(
            f"{pair} differ in {key} ({ours.get(key)}, {theirs.get(key)}): models of one architecture alone merge"
        )
    if _reading(first.tokenizer) != _reading(other.tokenizer):
        raise InputError(f"{pair} have different tokenizers: a row of their embeddings is not of the same token")
    lacking = sorted(first.tensors.keys() ^ other.tensors.keys())
    if lacking:
        raise InputError(f"{pair}: {lacking[0]} is a weight of one of them alone")
    for name, tensor in first.tensors.items():
        shapes = [tuple(t.file.get_slice(name).get_shape()) for t in (tensor, other.tensors[name])]
        if shapes[0] != shapes[1]:
            raise InputError(f"{pair}: {name} is of shape {shapes[0]} in one and {shapes[1]} in the other")


def _settings(config: Any, apart: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in json.loads(config.to_json_string(use_diff=False)).items() if key not in apart}


def _reading(tokenizer: Any) -> list[Any]:
    """Tell by which rules a tokenizer cuts a text into which numbers."""
    rules: list[Any] = [tokenizer.get_vocab()]
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        state = json.loads(backend.to_str())
        merges = state["model"].get("merges") or []  # pairs, or pairs joined by a blank in older files
        rules += [state["normalizer"], state["pre_tokenizer"]]
        rules += [[m if isinstance(m, str) else " ".join(m) for m in merges]]
    return rules


def _widest(models: Sequence[Merged]) -> torch.dtype:
    """Find the type that holds the weights of all models."""
    widest: torch.dtype | None = None
    for model in models:
        for name, tensor in model.tensors.items():
            dtype = _dtype(tensor)
            if dtype in MIXED:
                widest = dtype if widest is None else torch.promote_types(widest, dtype)
            elif dtype.is_floating_point:
                raise InputError(f"MODEL {model.name!r}: {name} is {spelled(dtype)}: quantized weights")
    assert widest is not None, "a model has weights"
    return widest


def spelled(dtype: torch.dtype) -> str:
    """Spell a type as configurations do."""
    return str(dtype).removeprefix("torch.")


def _dtype(tensor: StoredTensor) -> torch.dtype:
    piece: torch.Tensor = tensor.file.get_slice(tensor.name)[:0] if _shape(tensor) else tensor[()]
    return piece.dtype


def _shape(tensor: StoredTensor) -> list[int]:
    return list(tensor.file.get_slice(tensor.name).get_shape())


def write_merged(plan: Plan, folder: Path) -> None:
    """Write the weights to a folder, in files of LARGEST_FILE bytes at most, an index beside several.

    Raises InputError for a result that is not finite and for tensors that are no weights and differ.
    """
    groups = list(_by_size(plan))
    total = 0
    weight_map: dict[str, str] = {}
    for number, names in enumerate(groups, start=1):
        file = "model.safetensors" if len(groups) == 1 else f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        held = {name: merge_tensor(plan, name) for name in names}
        save_file(held, folder / file, metadata={"format": "pt"})
        total += sum(tensor.nbytes for tensor in held.values())
        weight_map |= dict.fromkeys(names, file)
    if len(groups) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _by_size(plan: Plan) -> Iterator[list[str]]:
    held: list[str] = []
    size = 0
    for name, tensor in plan.models[0].tensors.items():
        own = math.prod(_shape(tensor)) * plan.dtype.itemsize
        if held and size + own > LARGEST_FILE:
            yield held
            held, size = [], 0
        held.append(name)
        size += own
    if held:
        yield held


def merge_tensor(plan: Plan, name: str) -> torch.Tensor:
    """Make one tensor of the merged model, some rows at a time."""
    first, *others = (model.tensors[name] for model in plan.models)
    shape, dtype = _shape(first), _dtype(first)
    if dtype not in MIXED:  # a mask, positions: no weights
        whole = first[()]
        if any(not torch.equal(whole, other[()]) for other in others):
            raise InputError(f"{name} is {spelled(dtype)} and differs between the models: no weights")
        return whole
    merged = torch.empty(shape, dtype=plan.dtype)
    rows = max(1, PIECE // max(1, math.prod(shape[1:])))
    for piece in [(slice(at, at + rows),) for at in range(0, shape[0], rows)] if shape else [()]:
        started = plan.base.tensors[name][piece].double() if plan.base else 0.0
        total: torch.Tensor | float = started
        for share, model in zip(plan.weights, plan.models, strict=True):
            total = total + share * (model.tensors[name][piece].double() - started)
        assert isinstance(total, torch.Tensor)
        merged[piece] = total.to(plan.dtype)
    if not bool(torch.isfinite(merged).all()):
        raise InputError(f"{name}: the merged weights are not finite; choose other --weights")
    return merged
