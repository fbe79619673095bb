"""Make the prompt of a question under a protocol: turns, token ids, and whether it opens the thoughts.

Other projects' longer wordings are taken from their installed package, never copied here.
"""

from __future__ import annotations

import importlib
from string import ascii_uppercase
from typing import Any

from relift.benchmarks.benchmark import Benchmark, Protocol
from relift.engines.texts import Prompt
from relift.errors import InputError
from relift.prompts import opens_thoughts, render, turns_of
from relift.schema import Question

SETTING = "--template"
WORDS_MOVED = "its words in the user's turn would be another prompt"


def render_prompt(question: Question, *, protocol: Protocol, benchmark: Benchmark, tokenizer: Any) -> Prompt:
    """Make the prompt of one question.

    A benchmark with a template of its own (the embedded ones) is asked with that and nothing else: no instruction, no
    system turn. `tokenizer`: one of transformers, or None where a server applies its own template: the prompt then has
    turns and no token ids. Raises InputError, one line: no chat template, no place for the system turn, lighteval not
    installed.
    """
    template = benchmark.template or protocol.template
    own = benchmark.template is not None
    text = question.problem if own else user_text(question, protocol=protocol, benchmark=benchmark)
    system = None if own else protocol.system
    if tokenizer is None:
        return Prompt((), turns=turns_of(text, template, system=system) or (("user", text),))
    mend = f"protocol {protocol.name} has a system turn: take one without, as --protocol relift ({WORDS_MOVED})"
    rendered = render(text, template, tokenizer, system=system, setting=SETTING, without_system=mend)
    thoughts_opened = opens_thoughts(rendered.text, (opening for opening, _ in protocol.thinking))
    return Prompt(rendered.token_ids, turns=rendered.turns, thoughts_opened=thoughts_opened)


def user_text(question: Question, *, protocol: Protocol, benchmark: Benchmark) -> str:
    """Write the user's turn: the problem, the options of a multiple-choice question, the protocol's instruction."""
    if protocol.wording == "lighteval":
        return lighteval_text(question, benchmark)
    problem = with_options(question)
    instruction = protocol.instruction.get(benchmark.known_as, protocol.instruction.get(benchmark.answer_kind, ""))
    if not instruction:
        return problem
    before, _, after = protocol.layout.partition("{problem}")
    return before.replace("{instruction}", instruction) + problem + after.replace("{instruction}", instruction)


def with_options(question: Question) -> str:
    """Write the problem, and below it a line for each option: `A) text`."""
    if not question.options:
        return question.problem
    lines = [f"{letter}) {text}" for letter, text in zip(ascii_uppercase, question.options, strict=False)]
    return "\n".join([question.problem.rstrip(), "", *lines])


def lighteval_text(question: Question, benchmark: Benchmark) -> str:
    """Write the prompt as the installed lighteval words it.

    AIME's for competitions, MATH-500's, MMLU-Pro's, and GPQA's for other questions with options.
    """
    if benchmark.known_as == "math500":
        return _lighteval("math_500", "MATH_QUERY_TEMPLATE").format(prompt=question.problem)
    if benchmark.answer_kind == "math":
        return _lighteval("aime", "MATH_PROMPT_TEMPLATE").format(prompt=question.problem)
    if benchmark.answer_kind != "choice":
        raise InputError(f"{benchmark.name}: lighteval has no prompt for it; choose another --protocol")
    if benchmark.known_as == "mmlu_pro":
        choices = "\n".join(f"{c}: {t}" for c, t in zip(ascii_uppercase, question.options, strict=False))
        return _lighteval("mmlu_pro", "TEMPLATE").format(question=question.problem, choices=choices)
    # Its function for GPQA puts the right option in a random place: it is given marks, which are then replaced by our
    # options in the order in which they stand.
    marks = {
        "Correct Answer": "<1>", "Incorrect Answer 1": "<2>", "Incorrect Answer 2": "<3>", "Incorrect Answer 3": "<4>",
    }  # fmt: skip
    if len(question.options) != len(marks):
        raise InputError(f"{benchmark.name}: lighteval's prompt holds {len(marks)} options; choose another --protocol")
    prompt = _lighteval("gpqa", "gpqa_instruct_prompt")({"Question": "<0>", **marks}).query
    for mark in marks.values():
        prompt = prompt.replace(mark, "<option>")
    parts = prompt.replace("<0>", question.problem.strip(), 1).rsplit("<option>", len(marks))
    return "".join(a + b for a, b in zip(parts, (*question.options, ""), strict=True))


def _lighteval(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(f"lighteval.tasks.tasks.{module}"), name)
    except ImportError:
        raise InputError(
            "this protocol takes its prompts from lighteval 0.13, which is not installed here: make an environment "
            "with relift's extra `lighteval` (docs/lighteval.md), or choose another --protocol"
        ) from None
    except AttributeError:
        raise InputError(f"the installed lighteval has no {name} in tasks/{module}.py: 0.13.0 has") from None
