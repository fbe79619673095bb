r"""Prompts: a question's text as token ids, by a named template.

plain   the problem's text as it is: for base models of our own that were pretrained on such texts
chat    the problem as the user's turn, through the checkpoint's chat template, up to where the assistant begins
boxed   chat, with one line after the problem that asks for steps and a boxed answer

What a model is asked while training, probed with, and fine-tuned on is the same prompt, token for token.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from relift.errors import InputError
from relift.suggest import hint

# The line of Qwen2.5-Math's model card ("CoT" prompt); there it stands in the system turn.
BOX_INSTRUCTION = r"Please reason step by step, and put your final answer within \boxed{}."
THINK = "<think>"

Turns = tuple[tuple[str, str], ...]  # (role, text)

# What the user's turn says; None: there are no turns, the problem is all.
TEMPLATES: dict[str, Callable[[str], str] | None] = {
    "plain": None,
    "chat": lambda problem: problem,
    "boxed": lambda problem: f"{problem}\n{BOX_INSTRUCTION}",
}


def render(
    problem: str, template: str, tokenizer: Any, *, system: str | None = None, setting: str = "data.prompt ="
) -> list[int]:
    """Token ids of the prompt. `tokenizer`: one of transformers. `setting`: how the user names a template, for errors.

    Special tokens come from the template alone (chat, boxed) or from the tokenizer alone (plain), so a start token
    stands there at most once. Raises InputError for an unknown template, for one that needs a chat template which the
    checkpoint does not have, and for a system turn that the template cannot hold.
    """
    turns = turns_of(problem, template, system=system)
    if turns is None:
        return _plain(problem, tokenizer)
    return _ids(chat_text(turns, tokenizer, setting=setting), tokenizer)


def turns_of(problem: str, template: str, *, system: str | None = None) -> Turns | None:
    """What stands in the turns of a chat, before the checkpoint's template; None for a prompt without turns."""
    if template not in TEMPLATES:
        known = ", ".join(TEMPLATES)
        raise InputError(f"unknown prompt template {template!r}; known: {known}{hint(template, TEMPLATES)}")
    wrap = TEMPLATES[template]
    if wrap is None:
        if system is not None:
            raise InputError(f"the prompt template {template!r} has no place for a system turn: take chat or boxed")
        return None
    user = ("user", wrap(problem))
    return (user,) if system is None else (("system", system), user)


def chat_text(turns: Turns, tokenizer: Any, *, setting: str = "data.prompt =") -> str:
    """The turns as the checkpoint's chat template writes them, up to where the assistant begins."""
    if getattr(tokenizer, "chat_template", None) is None:
        raise InputError(
            f'{setting.split()[0]}: the checkpoint has no chat template; set {setting} "plain", or add one to its '
            "tokenizer"
        )
    messages = [{"role": role, "content": text} for role, text in turns]
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except _template_errors() as error:  # such as a template that knows no system turn
        roles = " and ".join(role for role, _ in turns)
        raise InputError(f"the checkpoint's chat template refuses the turns {roles}: {error}") from None


def _template_errors() -> tuple[type[Exception], ...]:
    """What a chat template raises: jinja2's, which transformers has imported when it renders one."""
    renderer = sys.modules.get("jinja2")
    return () if renderer is None else (renderer.TemplateError,)


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
    return _ids(text, tokenizer)


def _ids(text: str, tokenizer: Any) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _plain(problem: str, tokenizer: Any) -> list[int]:
    ids = list(tokenizer(problem)["input_ids"])
    # Some tokenizers close every text, but here the answer is yet to come.
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id and ids[-1] != tokenizer.bos_token_id else ids
