"""Copy the first layers of a model in float32, for checks that half precision would blur and a whole model make slow.

Enough layers are copied that each kind of the model's layers occurs: full and windowed attention, dense and experts.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

SHOWN_VOCABULARY = 64
SMALL = 50_000_000  # parameters; a float32 model up to this size is checked whole


def body_of(model: Any) -> Any:
    """Find the part of a causal LM that gives hidden states, without the head."""
    body = model.base_model
    if body is model:  # Llama 4 declares another name for its body than it has
        body = getattr(model, "model", None) or getattr(model, "transformer", model)
    return body


def layers_of(model: Any) -> list[torch.nn.Module]:
    """Find the layers of a model: what it says must not be split, or the list that has as many as its configuration.

    [] where neither tells.
    """
    named = set(getattr(model, "_no_split_modules", None) or ())
    found = [module for module in model.modules() if type(module).__name__ in named]
    return found or list(_stack_of(model))


def _stack_of(model: Any) -> torch.nn.ModuleList:
    total = int(model.config.get_text_config().num_hidden_layers)
    lists = (m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == total)
    return next(lists, torch.nn.ModuleList())


def checkable(model: Any, weights: Mapping[str, Any] | None = None) -> Any:
    """Give the model itself where it is small and exact, else a float32 copy of its first layers. `weights`: files with
    those of a model that has none; its vocabulary is cut then, for these two matrices are the largest."""
    if weights is not None:
        return first_layers(model, weights)
    exact = next(model.parameters()).dtype in (torch.float32, torch.float64)
    if exact and model.num_parameters() <= SMALL:
        return model
    return first_layers(model)


def first_layers(model: Any, stored: Mapping[str, Any] | None = None) -> Any:
    """Copy embedding, head and as many of the first layers as show every kind of layer, in float32, on its device;
    from `stored` on the CPU, with a vocabulary of SHOWN_VOCABULARY."""
    n = _needed(model)
    config = copy.deepcopy(model.config)
    text = config.get_text_config()
    total = text.num_hidden_layers
    for name, value in list(vars(text).items()):
        if isinstance(value, (list, tuple)) and len(value) == total:  # a setting for each layer
            setattr(text, name, value[:n])
    text.num_hidden_layers = n
    device = next(model.parameters()).device if stored is None else torch.device("cpu")
    if stored is not None:
        text.vocab_size = min(text.vocab_size, SHOWN_VOCABULARY)
        text.pad_token_id = None  # may lie beyond it
    with torch.random.fork_rng(devices=[]):  # what is drawn here is overwritten, and nobody else's state moves
        small = type(model)(config).to(device=device, dtype=torch.float32).eval()
    if stored is not None:
        with torch.no_grad():
            for name, own in small.state_dict().items():
                if name in stored:  # a tied head is not
                    own.copy_(stored[name][tuple(slice(0, size) for size in own.shape)])
        return small.requires_grad_(requires_grad=False)
    weights = model.state_dict()
    small.load_state_dict({name: weights[name].float() for name in small.state_dict()})
    return small.requires_grad_(requires_grad=False)


def _needed(model: Any) -> int:
    """Count the layers up to the first of the last new kind, two at least."""
    text = model.config.get_text_config()
    total = int(text.num_hidden_layers)
    stack = _stack_of(model)
    types = getattr(text, "layer_types", None) or [None] * total
    kinds = [
        (types[i], tuple((name, p.shape) for name, p in layer.named_parameters())) for i, layer in enumerate(stack)
    ]
    new = [i for i, kind in enumerate(kinds) if kind not in kinds[:i]]
    return max(new[-1] + 1 if new else total, min(2, total))
