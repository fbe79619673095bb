"""Refuse files of a checkpoint that nothing should open: pickles, files of other folders, sizes beyond all reason.

Weights are model.safetensors, or the files of model.safetensors.index.json, of this very folder: they are what a
fingerprint covers. A folder of the hub's cache links to its blobs; no other link is followed.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open

from relift.errors import InputError
from relift.fingerprints import files_in

INDEX = "model.safetensors.index.json"
LARGEST_JSON = 256 * 2**20  # bytes of config.json, tokenizer.json, an index
MOST_LAYERS = 10_000  # of a model; the largest published ones have fewer than 200
MOST_TOKENS = 2**31  # that a context or a vocabulary may count
MOST_GROWTH = 1_000  # times the length that a tokenizer's steps may give a text, encoding or decoding; published: 3
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.safetensors")
# A weight may stand in the files once and in the model twice (a tied head); quantized, 8 of 4 bits share a number.
_TIED, _PACKED = 2, 16


def require_own_files(path: str, *, revision: str | None, option: str) -> None:
    """Refuse an index that names anything but .safetensors files of this folder, links elsewhere, and huge JSON."""
    folder = Path(path)
    if not folder.is_dir():
        index = _index_of_hub(path, revision)
        if index is not None:
            _shards_of(index, where=f"{option}{path!r}")
        return
    where = f"{option}{path!r}"
    for file in sorted(folder.glob("*.json")):
        if file.is_file() and file.stat().st_size > LARGEST_JSON:
            raise InputError(f"{where}: {file.name} has {file.stat().st_size:,} bytes, more than {LARGEST_JSON:,}")
    if (folder / INDEX).exists():
        for name in _shards_of(folder / INDEX, where=where):
            if not (folder / name).is_file():
                raise InputError(f"{where}: {INDEX} names {name}, which is not there")
    own = folder.resolve()
    blobs = own.parent.parent / "blobs" if own.parent.name == "snapshots" else None
    for file in (*folder.glob("*.safetensors"), *folder.glob("*.json"), *folder.glob("*.jinja")):
        target = file.resolve()
        if target.parent != own and target.parent != blobs:
            raise InputError(f"{where}: {file.name} is a link to another folder: put the file itself there")


def require_bounded_tokenizer(path: str, *, option: str) -> None:
    """Refuse a tokenizer.json of a folder whose steps, one after the other, may make a text very much longer.

    Forty steps that write each letter twice fill any memory, in a library that cannot be interrupted. Raises
    InputError; what the library cannot read is left to it.
    """
    try:
        body = json.loads((Path(path) / "tokenizer.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    if not isinstance(body, dict):
        return
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        if _growth(body.get(part)) > MOST_GROWTH:
            raise InputError(
                f"{option}{path!r}: the {part} of tokenizer.json may make a text more than {MOST_GROWTH:,} times as "
                "long: it is not loaded"
            )


def _growth(step: object) -> float:
    """Bound how many times longer a step of a tokenizer makes a text; a sequence: all its steps."""
    if not isinstance(step, dict):
        return 1.0
    steps = next((step[name] for name in STEP_LISTS if isinstance(step.get(name), list)), None)
    if steps is not None:
        growth = 1.0
        for inner in steps:
            growth = min(growth * _growth(inner), 1e300)
        return growth
    if step.get("type") == "ByteLevel":
        return 2.0  # a byte becomes a letter of up to two bytes
    content = step.get("content")
    if step.get("type") != "Replace" or not isinstance(content, str):
        return 1.0
    pattern = step.get("pattern")
    replaced = pattern.get("String") if isinstance(pattern, dict) else None
    n_bytes = len(content.encode("utf-8", "surrogatepass"))
    if isinstance(replaced, str) and replaced:
        return max(1.0, n_bytes / len(replaced.encode("utf-8", "surrogatepass")))
    return 1.0 + n_bytes  # a regular expression may match between all letters


STEP_LISTS = ("normalizers", "pretokenizers", "decoders")  # of steps in steps, by the names that tokenizers gives them


def _index_of_hub(path: str, revision: str | None) -> Path | None:
    try:
        found = transformers.utils.cached_file(
            path,
            INDEX,
            revision=revision,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except (OSError, ValueError):  # loading says why it cannot be had
        return None
    return None if found is None else Path(found)


def _shards_of(index: Path, *, where: str) -> set[str]:
    """List the files that an index names. Raises InputError unless each is a plain name of a .safetensors file."""
    try:
        names = set(json.loads(index.read_bytes())["weight_map"].values())
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
        raise InputError(f"{where}: {INDEX} cannot be read: it should map weights to .safetensors files") from None
    odd = [name for name in names if not isinstance(name, str) or not _SHARD.fullmatch(name)]
    if odd:
        name = str(odd[0])[:80]
        raise InputError(f"{where}: {INDEX} names {name!r}, no .safetensors file of this folder: it is not opened")
    return names


def require_plain_config(model_config: Any, path: str, *, option: str) -> None:
    """Refuse settings of config.json that make transformers open other files, or that count beyond all reason."""
    where = f"{option}{path!r}: config.json"
    if getattr(model_config, "transformers_weights", None) is not None:
        raise InputError(f"{where}: transformers_weights names the file of the weights; call it model.safetensors")
    attention = getattr(model_config, "_attn_implementation", None)
    if isinstance(attention, str) and "/" in attention:
        raise InputError(f"{where}: attn_implementation {attention!r} is code of the hub and is not run; leave it out")
    for part in (model_config, getattr(model_config, "text_config", None)):
        for name, value in ({} if part is None else vars(part)).items():
            most = MOST_LAYERS if "layer" in name else 2**63
            most = MOST_TOKENS if name in ("vocab_size", "max_position_embeddings", "n_positions") else most
            if isinstance(value, int) and value > most:
                raise InputError(f"{where}: {name} = {value} is more than {most:,}")


def require_fitting_size(model_config: Any, path: str, *, option: str) -> None:
    """Refuse a configuration of a model far larger than the weights of the folder, before it takes memory, and files of
    weights that are cut off or none."""
    folder = Path(path)
    files = files_in(folder, "*.safetensors") if folder.is_dir() else []
    there = 0
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118  # it is no dictionary
                    tensor = opened.get_slice(name)
                    there += _product(tensor.get_shape())
                    if tensor.get_dtype().startswith("C"):
                        raise InputError(f"{option}{path!r}: {file.name}: {name} holds complex numbers, no weights")
        except (OSError, SafetensorError) as error:
            words = " ".join(str(error).split())[:200]
            raise InputError(f"{option}{path!r}: {file.name} cannot be read: {words}") from None
    if not files:
        return
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(copy.deepcopy(model_config), trust_remote_code=False)
    wanted = sum(parameter.numel() for parameter in model.parameters())
    packed = getattr(model_config, "quantization_config", None) is not None
    if wanted > there * (_PACKED if packed else _TIED):
        raise InputError(
            f"{option}{path!r}: config.json describes a model of {wanted:,} parameters, and the .safetensors files "
            f"hold {there:,}: some of its weights are missing or of another shape"
        )


def require_finite(model: torch.nn.Module, path: str, *, option: str) -> None:
    """Refuse weights that are not finite: no answer comes of them. Raises InputError."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{option}{path!r}: {name} holds numbers that are not finite: take another copy")


def _product(shape: list[int]) -> int:
    n = 1
    for size in shape:
        n *= size
    return n


def token_ids_of(declared: object, *, vocab: int | None, where: str) -> list[int]:
    """Read end tokens as generation_config.json declares them: none, one, or a list. Raises InputError for others."""
    ids = [] if declared is None else declared if isinstance(declared, list) else [declared]
    for token in ids:
        if not isinstance(token, int) or isinstance(token, bool) or token < 0 or (vocab is not None and token >= vocab):
            known = "" if vocab is None else f" of 0 .. {vocab - 1}"
            raise InputError(f"{where}: eos_token_id holds {str(token)[:40]!r}, which is no token id{known}")
    return list(ids)
