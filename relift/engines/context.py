"""Find how many tokens a model reads, and change the positions of a checkpoint before it is loaded. No torch.

A model's context is what its configuration calls max_position_embeddings. A sliding window is no limit of it: layers
with windows forget, and read on. Two kinds of rotary positions (longrope, dynamic) turn other frequencies once any
sequence of a batch is longer than a switch; what a token gets then depends on the other rows, so the torch sampler and
the learner stop at the switch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relift.errors import InputError

SWITCHING = ("longrope", "dynamic")  # rope types that look at the longest sequence of a batch


@dataclass(frozen=True)
class Positions:
    """Changes to a checkpoint's positions. None: as its config.json says.

    LUFFY and ReLIFT train Qwen2.5-Math, which reads 4,096 tokens, with max_positions 16,384 and rope_theta 40,000 (in
    the config.json that they publish).
    """

    max_positions: int | None = None
    rope_theta: float | None = None

    def __bool__(self) -> bool:
        return self.max_positions is not None or self.rope_theta is not None

    def apply(self, model_config: Any, *, setting: str = "model.") -> None:
        """Change the configuration in place. Raises InputError for a model without one rotary base to change.

        `setting` stands before the names of the fields in messages.
        """
        if not self:
            return
        text = model_config.get_text_config()
        rope = rotary_of(text)
        if len(rope) != 1:
            name = "rope_theta" if self.max_positions is None else "max_positions"
            why = "has no rotary positions" if not rope else "has rotary positions of several kinds"
            raise InputError(f"{setting}{name}: model {text.model_type} {why}: leave it out")
        if self.max_positions is not None:
            text.max_position_embeddings = self.max_positions
        if self.rope_theta is not None:
            text.rope_parameters = {**rope[0], "rope_theta": float(self.rope_theta)}

    def overrides(self, model_config: Any) -> dict[str, object]:
        """Write the same changes as entries of config.json, for vLLM's `hf_overrides`; `model_config` as applied."""
        text = model_config.get_text_config()
        changed: dict[str, object] = {}
        if self.max_positions is not None:
            changed["max_position_embeddings"] = self.max_positions
        if self.rope_theta is not None:
            changed["rope_parameters"] = dict(text.rope_parameters)
        return changed


AS_PUBLISHED = Positions()


def rotary_of(text_config: Any) -> list[Mapping[str, Any]]:
    """List the parameters of each kind of rotary position of a text model; [] where there are none."""
    parameters = getattr(text_config, "rope_parameters", None) or {}
    if not isinstance(parameters, Mapping):
        return []
    if "rope_type" in parameters:
        return [parameters]
    kinds = [each for each in parameters.values() if isinstance(each, Mapping)]  # by type of layer
    return [each for i, each in enumerate(kinds) if each not in kinds[:i]]


def context_of(model_config: Any) -> int | None:
    """Read how many tokens the model can read; None where its configuration does not say."""
    positions = getattr(model_config.get_text_config(), "max_position_embeddings", None)
    return positions if isinstance(positions, int) and positions > 0 else None


def stretched(model_config: Any) -> str | None:
    """Say what the papers did with Qwen2.5-Math, whose 4,096 tokens are too few for their answers; None for others."""
    text = model_config.get_text_config()
    rope = rotary_of(text)
    of_qwen_math = text.model_type == "qwen2" and context_of(text) == 4096
    if not of_qwen_math or not rope or rope[0].get("rope_theta") != 10_000:
        return None
    return (
        "LUFFY and ReLIFT gave Qwen2.5-Math more: max_position_embeddings 16384 and rope_theta 40000 in a copy of its "
        "config.json"
    )


def switch_of(model_config: Any) -> int | None:
    """Find the length up to which rotary positions do not depend on the rest of the batch; None: without limit."""
    text = model_config.get_text_config()
    switches = []
    for rope in rotary_of(text):
        if rope.get("rope_type") in SWITCHING:
            original = rope.get("original_max_position_embeddings") if rope["rope_type"] == "longrope" else None
            switches.append(original if isinstance(original, int) else context_of(text))
    return least(*switches)


def context_limit(model_config: Any, max_context: int | None = None) -> int | None:
    """Find the longest prompt and answer together that the torch sampler and the learner take, in tokens.

    The least of `max_context`, the model's context and the switch of its rotary positions; None: without limit.
    """
    return least(max_context, context_of(model_config), switch_of(model_config))


def least(*limits: int | None) -> int | None:
    """Take the smallest of the limits that there are; None: without limit."""
    return min((n for n in limits if n is not None), default=None)


def limit_words(model_config: Any) -> str:
    """Say in a few words what bounds prompt and answer of this model, for messages."""
    context, switch = context_of(model_config), switch_of(model_config)
    if switch is not None and (context is None or switch < context):
        return f"the model's positions change with the batch beyond {switch} tokens ({_switching_type(model_config)})"
    return f"the model reads {context} tokens"


def _switching_type(model_config: Any) -> str:
    types = [rope.get("rope_type") for rope in rotary_of(model_config.get_text_config())]
    return next(f"rope type {each}" for each in types if each in SWITCHING)
