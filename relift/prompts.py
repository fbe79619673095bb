r"""Prompts: a question's text as token ids, by a named template.

plain   the problem's text as it is: for base models of our own that were pretrained on such texts
chat    the problem as the user's turn, through the checkpoint's chat template, up to where the assistant begins
boxed   chat, with one line after the problem that asks for steps and a boxed answer

What a model is asked while training, probed with, and fine-tuned on is the same prompt, token for token.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any

from relift.errors import InputError

# The line of Qwen2.5-Math's model card ("CoT" prompt); there it stands in the system turn.
BOX_INSTRUCTION = r"Please reason step by step, and put your final answer within \boxed{}."
THINK = "<think>"


def render(problem: str, template: str, tokenizer: Any) -> list[int]:
    """Token ids of the prompt. `tokenizer`: one of transformers.

    Special tokens come from the template alone (chat, boxed) or from the tokenizer alone (plain), so a start token
    stands there at most once. Raises InputError for an unknown template, and for one that needs a chat template
    which the checkpoint does not have.
    """
    if template not in TEMPLATES:
        near = difflib.get_close_matches(template, TEMPLATES, n=1)
        raise InputError(
            f"unknown prompt template {template!r}; known: {', '.join(TEMPLATES)}"
            + (f"; nearest: {near[0]}" if near else "")
        )
    return TEMPLATES[template](problem, tokenizer)


def completion_ids(text: str, prompt_ids: Sequence[int], tokenizer: Any) -> list[int]:
    """Token ids of a demonstration that follows this prompt, without the end token.

    A prompt may already have opened the thoughts; the demonstration's own opening tag is left out then, so that it
    occurs once (docs/method.md, rules).
    """
    tail = tokenizer.decode(list(prompt_ids[-8:]), skip_special_tokens=False).rstrip()
    if tail.endswith(THINK) and text.lstrip().startswith(THINK):
        text = text.lstrip().removeprefix(THINK)
        if tokenizer.decode(list(prompt_ids[-1:]), skip_special_tokens=False).endswith("\n"):
            text = text.removeprefix("\n")  # the prompt has the line's end too
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _plain(problem: str, tokenizer: Any) -> list[int]:
    ids = list(tokenizer(problem)["input_ids"])
    # Some tokenizers close every text, but here the answer is yet to come.
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id and ids[-1] != tokenizer.bos_token_id else ids


def _chat(problem: str, tokenizer: Any) -> list[int]:
    if getattr(tokenizer, "chat_template", None) is None:
        raise InputError(
            'data.prompt: the checkpoint has no chat template; set data.prompt = "plain", or add one to its tokenizer'
        )
    turns = [{"role": "user", "content": problem}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _boxed(problem: str, tokenizer: Any) -> list[int]:
    return _chat(f"{problem}\n{BOX_INSTRUCTION}", tokenizer)


TEMPLATES: dict[str, Callable[[str, Any], list[int]]] = {"plain": _plain, "chat": _chat, "boxed": _boxed}
