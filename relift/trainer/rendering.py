"""Fingerprint all that turns a question into a prompt, ends an answer, and turns tokens into a text.

The vocabulary alone does not: a chat template, a normaliser, a decoder or another end token change what a model is
asked and how its answers are read, and leave the vocabulary as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from relift.config import Config
from relift.engines.model_source import content_fingerprint
from relift.fingerprints import digest
from relift.trainer.inputs import Inputs
from relift.trainer.step import Item

# Weights and config.json have a fingerprint of their own (base_model.model_fingerprint); of generation_config.json the
# end tokens count, which are noted as such.
FILES = (
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.tiktoken",
    "chat_template*", "additional_chat_templates/*.jinja", "*.safetensors.index.json",
)  # fmt: skip


def rendering_of(config: Config, inputs: Inputs, *, stop_tokens: Sequence[int]) -> dict[str, object]:
    """List hashes of the files that render prompts and texts, of the prompts themselves, and the end tokens."""
    return {
        "files": files_of(config.model.path, revision=config.model.revision),
        "stop_tokens": list(stop_tokens),
        "prompts": _prompts(inputs.train_items),
        "probe_prompts": _prompts([*inputs.probe_items, *inputs.ends_items]),
    }


def files_of(path: str, *, revision: str | None) -> dict[str, str]:
    """Hash each file of a checkpoint that renders a prompt or decodes a text; of a model on the hub, name the commit.

    JSON files are hashed by their values: blanks and the order of keys decide nothing.
    """
    folder = Path(path)
    if not folder.is_dir():
        return {"commit": content_fingerprint(path, revision=revision)}
    found = sorted({file for pattern in FILES for file in folder.glob(pattern) if file.is_file()})
    return {str(file.relative_to(folder)): _hash(file) for file in found}


def _hash(file: Path) -> str:
    data = file.read_bytes()
    if file.suffix == ".json":
        try:
            return digest(json.loads(data))
        except (ValueError, RecursionError):
            pass  # no JSON: by its bytes
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _prompts(items: Sequence[Item]) -> str:
    return digest(sorted([item.question.question_id, list(item.prompt_ids)] for item in items))
