"""Render prompts that have a solution, or the start of one, in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relift.config import Config
from relift.prompts import render
from relift.trainer.step import Item

# Between the problem and what is shown, and after it.
HINT = ("\n\nA solution begins like this:\n", "")
SOLUTION = ("\n\nA correct solution:\n", "\n\nNow solve the problem in your own words.")


def prompt_with(
    words: tuple[str, str], config: Config, tokenizer: Any, item: Item, given: Sequence[int], *, longest: int
) -> tuple[int, ...] | None:
    """Render a question's prompt with these tokens after the problem, between words; None where it is longer than
    `longest`."""
    before, after = words
    shown = tokenizer.decode(list(given), skip_special_tokens=True)
    problem = f"{item.question.problem}{before}{shown}{after}"
    prompt_ids = render(problem, config.data.prompt, tokenizer, system=config.data.system).token_ids
    return prompt_ids if len(prompt_ids) <= longest else None
