"""Render prompts that have the start of a solution in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relift.config import Config
from relift.prompts import render
from relift.trainer.step import Item

HINT = "\n\nA solution begins like this:\n"  # between the problem and the start of a demonstration


def hinted_prompt(
    config: Config, tokenizer: Any, item: Item, given: Sequence[int], *, longest: int
) -> tuple[int, ...] | None:
    """Render a question's prompt with the start of a solution after the problem; None where it is longer than that."""
    start = tokenizer.decode(list(given), skip_special_tokens=True)
    problem = f"{item.question.problem}{HINT}{start}"
    prompt_ids = render(problem, config.data.prompt, tokenizer, system=config.data.system).token_ids
    return prompt_ids if len(prompt_ids) <= longest else None
