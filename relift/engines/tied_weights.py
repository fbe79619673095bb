"""Refuse checkpoints whose configuration and weights disagree on whether head and embeddings are one.

transformers keeps a head of its own that differs from the embeddings, vLLM leaves it out where config.json says that
they are tied: two engines would answer from different weights, and neither says so (vLLM issues 5621 and 51665).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from relift.errors import InputError
from relift.fingerprints import files_in

HEAD, EMBEDDINGS = ("lm_head.weight",), ("embed_tokens.weight", "wte.weight", "embed_in.weight")
ROWS = 4096  # compared at a time


def require_consistent_ties(folder: Path, model_config: Any, *, where: str) -> None:
    """Raise InputError, one line, for a head that differs though tied, or is not there though untied.

    `where` names the checkpoint in the message. Files that cannot be read are left to loading, which says why.
    """
    tied = is_tied(model_config)
    try:
        place_of = _places(folder)
        heads = [name for name in place_of if name.endswith(HEAD)]
        embeddings = [name for name in place_of if name.endswith(EMBEDDINGS)]
        if tied is None or len(embeddings) != 1 or len(heads) > 1:
            return
        if not tied and not heads and not any("head" in name or "output" in name for name in place_of):
            raise InputError(
                f"{where}: config.json says tie_word_embeddings false, and the weights have no lm_head.weight: set it "
                "to true if head and embeddings are one, else put the head's weights there"
            )
        if tied and heads and _differ(place_of[heads[0]], heads[0], place_of[embeddings[0]], embeddings[0]):
            raise InputError(
                f"{where}: config.json says tie_word_embeddings true, and {heads[0]} differs from {embeddings[0]}: "
                "engines would answer from different weights; set it to false, or take the head out"
            )
    except (OSError, SafetensorError):
        return


def is_tied(model_config: Any) -> bool | None:
    """Read what the configuration says; None where its parts do not agree."""
    said = {
        part.tie_word_embeddings
        for part in (model_config, model_config.get_text_config())
        if isinstance(getattr(part, "tie_word_embeddings", None), bool)
    }
    return said.pop() if len(said) == 1 else None


def _places(folder: Path) -> dict[str, Path]:
    """Map the names of all weights of a folder to their files."""
    found: dict[str, Path] = {}
    for file in files_in(folder, "*.safetensors"):
        with safe_open(file, framework="pt") as opened:
            found |= dict.fromkeys(opened.keys(), file)
    return found


def _differ(head_file: Path, head: str, embeddings_file: Path, embeddings: str) -> bool:
    """Compare two matrices of one shape, some rows at a time; of different shapes or integers loading says what is
    wrong."""
    with safe_open(head_file, framework="pt") as a, safe_open(embeddings_file, framework="pt") as b:
        left_VD, right_VD = a.get_slice(head), b.get_slice(embeddings)
        shape = left_VD.get_shape()
        if shape != right_VD.get_shape() or len(shape) != 2:
            return False
        for start in range(0, shape[0], ROWS):
            left_RD, right_RD = left_VD[start : start + ROWS], right_VD[start : start + ROWS]
            if not left_RD.is_floating_point() or not right_RD.is_floating_point():
                return False
            if not torch.equal(left_RD.float(), right_RD.float()):
                return True
    return False
