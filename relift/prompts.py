r"""Render prompts: a question's text as token ids, by a named template or one in a file.

plain   the problem's text as it is: for base models of our own that were pretrained on such texts
chat    the problem as the user's turn, through the checkpoint's chat template, up to where the assistant begins
boxed   chat, with one line after the problem that asks for steps and a boxed answer
file:PATH        the user's turn as the jinja template in this file writes it, from `problem`; then as chat
plain-file:PATH  the whole prompt as the jinja template in this file writes it, from `problem`; then as plain

What a model is asked while training, probed with, and fine-tuned on is the same prompt, token for token.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from relift.confined import Confined, ConfinedError
from relift.errors import InputError
from relift.suggest import hint

# The line of Qwen2.5-Math's model card ("CoT" prompt); there it stands in the system turn.
BOX_INSTRUCTION = r"Please reason step by step, and put your final answer within \boxed{}."
THINK = "<think>"
_HALF = re.compile("[\ud800-\udfff]")  # JSON can write one; no text file and no tokenizer can hold it

Turns = tuple[tuple[str, str], ...]  # (role, text)

# The text of the user's turn; None: there are no turns, the problem is all.
TEMPLATES: dict[str, Callable[[str], str] | None] = {
    "plain": None,
    "chat": lambda problem: problem,
    "boxed": lambda problem: f"{problem}\n{BOX_INSTRUCTION}",
}
WITHOUT_SYSTEM = (
    "leave the system turn out (its text in the user's turn is another prompt), or take a checkpoint that has one"
)
FILE, PLAIN_FILE = "file:", "plain-file:"
# Characters that a chat template may write beside the turns, and beside what escaping makes of them: the longest
# published ones describe tools in some thousands.
MOST_AROUND, MOST_ESCAPED = 2**18, 8

# What a template that asks for the date is told: prompts must be the same tomorrow. To our
# knowledge it is what the template of Llama 3.1 writes where it cannot ask; not checked against the file.
DATE = datetime(2024, 7, 26)


@dataclass(frozen=True)
class RenderedPrompt:
    """One prompt: its text before tokens, its token ids, and its turns before the chat template (None: no turns)."""

    text: str
    token_ids: tuple[int, ...]
    turns: Turns | None = None


def render(
    problem: str,
    template: str,
    tokenizer: Any,
    *,
    system: str | None = None,
    setting: str = "data.prompt =",
    without_system: str = WITHOUT_SYSTEM,
) -> RenderedPrompt:
    """Render a problem for a model. `tokenizer`: one of transformers. `setting`: how the user names a template;
    `without_system`: what to do where the checkpoint's knows no system turn.

    Special tokens come from the chat template alone, or from the tokenizer alone where there are no turns, so a start
    token stands there at most once. Raises InputError for an unknown template, for one that needs a chat template
    which the checkpoint does not have, and for a system turn that the template cannot hold.
    """
    turns = turns_of(problem, template, system=system)
    if turns is None:
        text = _from_file(template.removeprefix(PLAIN_FILE), problem) if template.startswith(PLAIN_FILE) else problem
        return RenderedPrompt(text, _plain_ids(text, tokenizer))
    text = chat_text(turns, tokenizer, setting=setting, without_system=without_system)
    return RenderedPrompt(text, tuple(_ids(text, tokenizer)), turns)


def turns_of(problem: str, template: str, *, system: str | None = None) -> Turns | None:
    """Write the turns of a chat, before the checkpoint's template; None for a prompt without turns."""
    if template.startswith(FILE):
        user = ("user", _from_file(template.removeprefix(FILE), problem))
    elif template in TEMPLATES or template.startswith(PLAIN_FILE):
        wrap = TEMPLATES.get(template)
        if wrap is None:
            if system is not None:
                raise InputError(f"the prompt template {template!r} has no place for a system turn: take chat or boxed")
            return None
        user = ("user", wrap(problem))
    else:
        known = ", ".join([*TEMPLATES, f"{FILE}PATH", f"{PLAIN_FILE}PATH"])
        raise InputError(f"unknown prompt template {template!r}; known: {known}{hint(template, TEMPLATES)}")
    return (user,) if system is None else (("system", system), user)


def template_path(template: str) -> Path | None:
    """Find the file that a template's name refers to; None for a template that stands in no file."""
    for prefix in (FILE, PLAIN_FILE):
        if template.startswith(prefix):
            return Path(template.removeprefix(prefix))
    return None


def template_identity(template: str) -> str:
    """Name a template by its contents: two files with equal texts are one template, wherever they lie."""
    path = template_path(template)
    if path is None:
        return template
    return f"{template.partition(':')[0]}:{hashlib.sha256(_read(path).encode()).hexdigest()[:16]}"


def chat_text(
    turns: Turns, tokenizer: Any, *, setting: str = "data.prompt =", without_system: str = WITHOUT_SYSTEM
) -> str:
    """Write the turns as the checkpoint's chat template does, up to where the assistant begins.

    `without_system`: what to do where the template knows no system turn."""
    if getattr(tokenizer, "chat_template", None) is None:
        raise InputError(
            f"{setting.split()[0]}: the checkpoint has no chat template, as base models have none: set {setting} "
            f'"plain" (the problem as it is) or "{PLAIN_FILE}PATH" (your words around it), or add one to its tokenizer'
        )
    named = tokenizer.chat_template
    if isinstance(named, dict) and "default" not in named:  # apply_chat_template would take none of them
        names = ", ".join(sorted(map(str, named)))
        raise InputError(
            f"{setting.split()[0]}: the checkpoint has chat templates by name ({names}) and none is called "
            f'default: name one of them so in its tokenizer_config.json, or set {setting} "plain"'
        )
    roles = [role for role, _ in turns]
    try:
        return _apply(turns, tokenizer, add_generation_prompt=True)
    except ConfinedError as error:  # such as a template that knows no system turn
        mend = f"; {without_system}" if "system" in roles else ""
        raise InputError(
            f"the checkpoint's chat template refuses the turns {' and '.join(roles)}: {str(error)[:200]}{mend}"
        ) from None


def end_of_turn(tokenizer: Any) -> int | None:
    """Find the token with which the chat template ends an assistant's turn; None without such a token or template."""
    if getattr(tokenizer, "chat_template", None) is None:
        return None
    mark = "answer"
    try:
        text = _apply((("user", "question"), ("assistant", mark)), tokenizer, add_generation_prompt=False)
    except ConfinedError:
        return None  # rendering a real prompt says what is wrong with it
    ids = _ids(text.rpartition(mark)[2].lstrip(), tokenizer) if mark in text else []
    return ids[0] if ids and ids[0] in _special_ids(tokenizer) else None


def _special_ids(tokenizer: Any) -> set[int]:
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return {*tokenizer.all_special_ids, *(token_id for token_id, token in added.items() if token.special)}


def _apply(turns: Turns, tokenizer: Any, *, add_generation_prompt: bool) -> str:
    """Run the checkpoint's chat template, which anybody may have written: with limits. Raises ConfinedError."""
    text = _confined(tokenizer, repr(tokenizer.chat_template))(turns, add_generation_prompt)
    most = MOST_AROUND + MOST_ESCAPED * sum(len(role) + len(content) for role, content in turns)
    if len(text) > most:  # every character costs time later: in the tokenizer, for each question
        raise ConfinedError(f"it writes {len(text):,} characters for these turns, more than {most:,}")
    return text


class _Clock:
    """Stand in for `datetime` in templates: it is always DATE."""

    @staticmethod
    def now() -> datetime:
        return DATE


@lru_cache(maxsize=2)
def _confined(tokenizer: Any, template: str) -> Confined:
    """Keep the process that runs the template; `template` is there so that another one has another process."""

    def write(turns: Sequence[tuple[str, str]], add_generation_prompt: bool) -> str:  # noqa: FBT001
        messages = [{"role": role, "content": text} for role, text in turns]
        module = sys.modules.get("transformers.utils.chat_template_utils")
        if module is not None:  # its strftime_now asks this name for the day; in this process alone it is another
            module.datetime = _Clock  # type: ignore[attr-defined]
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt))

    return Confined(write)


def _from_file(path: str, problem: str) -> str:
    """Write a prompt with the template in a file, in jinja's sandbox: no attribute of python is within its reach."""
    try:
        return _confined_file(_read(Path(path)))(problem)
    except ConfinedError as error:
        raise InputError(f"prompt template {path}: {str(error)[:200]}") from None


@lru_cache(maxsize=2)
def _confined_file(source: str) -> Confined:
    return Confined(lambda problem: str(_compiled(source).render(problem=problem)))


@lru_cache(maxsize=8)
def _compiled(source: str) -> Any:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source)


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"prompt template {path}: cannot be read: {error}") from None
    if "problem" not in text:
        raise InputError(f"prompt template {path}: it does not say where the problem goes: write {{{{ problem }}}}")
    return text.removesuffix("\n")  # an editor's last line end is no part of a prompt


def opens_thoughts(text: str, openings: Iterable[str]) -> bool:
    """Say whether a prompt ends by opening the thoughts, so that an answer begins inside them."""
    return any(text.rstrip().endswith(opening) for opening in openings)


def completion_ids(text: str, prompt_ids: Sequence[int], tokenizer: Any) -> list[int]:
    """Tokenize a demonstration that follows this prompt, without the end token.

    A prompt may already have opened the thoughts; the demonstration's own opening tag is left out then, so that it
    occurs once (docs/method.md, rules).
    """
    tail = tokenizer.decode(list(prompt_ids[-8:]), skip_special_tokens=False).rstrip()
    if tail.endswith(THINK) and text.lstrip().startswith(THINK):
        text = text.lstrip().removeprefix(THINK)
        if tokenizer.decode(list(prompt_ids[-1:]), skip_special_tokens=False).endswith("\n"):
            text = text.removeprefix("\n")  # the prompt has the line's end too
    return _ids(text, tokenizer)


def _ids(text: str, tokenizer: Any, *, special: bool = False) -> list[int]:
    """Tokenize. Raises InputError for a text with half of a character, and where the tokenizer ends in a panic of its
    Rust code, as over a pattern of tokenizer.json that backtracks for ever; that one is no Exception."""
    try:
        return list(tokenizer(text, add_special_tokens=special)["input_ids"])
    except BaseException as error:
        if isinstance(error, TypeError) and (half := _HALF.search(text)):
            raise InputError(
                f"a prompt holds half of a character (a lone surrogate, U+{ord(half[0]):04X}): take it out of the "
                "chat template or the data"
            ) from None
        if type(error).__name__ != "PanicException":
            raise
        words = " ".join(str(error).split())[:200]
        raise InputError(f"the checkpoint's tokenizer fails on {text[:40]!r}: {words}") from None


def _plain_ids(text: str, tokenizer: Any) -> tuple[int, ...]:
    ids = tuple(_ids(text, tokenizer, special=True))
    # Some tokenizers close every text, but here the answer is yet to come.
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id and ids[-1] != tokenizer.bos_token_id else ids
