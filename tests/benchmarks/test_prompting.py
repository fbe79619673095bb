"""Prompts, on a tokenizer that puts a start token before and an end token behind every text."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from relift.benchmarks.prompting import render_prompt, user_text
from relift.benchmarks.protocols import LETTER, PROTOCOLS
from relift.benchmarks.table import BENCHMARKS
from relift.errors import InputError
from relift.prompts import BOX_INSTRUCTION
from relift.schema import Question
from tests.test_prompts import TEMPLATE, make_tokenizer

SUM = Question("q", "What is 1+1?", "2", "math")
PICK = Question("q", "Which is two?\n", "B", "choice", options=("one", "two", "three"))
AIME, ARC, ARITH = BENCHMARKS["aime24"], BENCHMARKS["arc_c"], BENCHMARKS["arith_test"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def text_of(tokenizer: Any, question: Question, name: str, benchmark: Any = AIME, **changes: Any) -> str:
    protocol = replace(PROTOCOLS[name], **changes)
    prompt = render_prompt(question, protocol=protocol, benchmark=benchmark, tokenizer=tokenizer)
    return str(tokenizer.decode(list(prompt.token_ids)))


def test_the_default_is_the_question_as_the_users_turn(tokenizer: Any) -> None:
    assert text_of(tokenizer, SUM, "relift") == "<s>[user]What is 1+1?[assistant]"


def test_each_presets_prompt(tokenizer: Any) -> None:
    texts = {name: text_of(tokenizer, SUM, name) for name, p in PROTOCOLS.items() if p.wording is None}
    box = r"Put your final answer within \boxed{}." + "\nThe answer is an integer between 0 and 999 inclusive."
    only = r"Solve the following math problem. Make sure to put the answer (and only answer) inside \boxed{}."
    assert texts == {
        "relift": "<s>[user]What is 1+1?[assistant]",
        "arith": "<s>What is 1+1?",
        "relift-june2025": "<s>[user]What is 1+1?[assistant]",
        "luffy": "<s>[user]What is 1+1?[assistant]",
        "qwen": f"<s>[system]{BOX_INSTRUCTION}[user]What is 1+1?[assistant]",
        "rlvr-limit": f"<s>[system]You are a helpful assistant.[user]What is 1+1?\n{BOX_INSTRUCTION}[assistant]",
        "matharena": f"<s>[user]{box}\n\nWhat is 1+1?[assistant]",
        "nemo": f"<s>[user]{only}\n\nWhat is 1+1?[assistant]",
        "evalchemy": "<s>[user]Problem: What is 1+1?\nMark your solution with \\boxed\nAnswer:[assistant]",
    }
    hmmt = text_of(tokenizer, SUM, "matharena", BENCHMARKS["hmmt_feb25"])
    assert hmmt == "<s>[user]Put your final answer within \\boxed{}.\n\nWhat is 1+1?[assistant]"


def test_options_stand_below_the_question(tokenizer: Any) -> None:
    text = text_of(tokenizer, PICK, "relift", ARC)
    assert text == f"<s>[user]Which is two?\n\nA) one\nB) two\nC) three\n{LETTER}[assistant]"


def test_a_problem_that_looks_like_a_placeholder_stays_itself() -> None:
    odd = replace(SUM, problem="{instruction} and {problem}?")
    text = user_text(odd, protocol=PROTOCOLS["matharena"], benchmark=BENCHMARKS["amc"])
    assert text == "Put your final answer within \\boxed{}.\n\n{instruction} and {problem}?"


def test_embedded_sets_are_asked_in_their_own_way(tokenizer: Any) -> None:
    question = Question("q", "47+3*8-5?", "66")
    for name in PROTOCOLS:
        prompt = render_prompt(question, protocol=PROTOCOLS[name], benchmark=ARITH, tokenizer=tokenizer)
        assert tokenizer.decode(list(prompt.token_ids)) == "<s>47+3*8-5?" and prompt.turns is None


def test_turns_are_kept_for_servers(tokenizer: Any) -> None:
    turns = (("system", BOX_INSTRUCTION), ("user", "What is 1+1?"))
    with_ids = render_prompt(SUM, protocol=PROTOCOLS["qwen"], benchmark=AIME, tokenizer=tokenizer)
    without = render_prompt(SUM, protocol=PROTOCOLS["qwen"], benchmark=AIME, tokenizer=None)
    assert with_ids.turns == without.turns == turns and with_ids.token_ids and without.token_ids == ()
    plain = render_prompt(Question("q", "1+1?", "2"), protocol=PROTOCOLS["qwen"], benchmark=ARITH, tokenizer=None)
    assert plain.turns == (("user", "1+1?"),)


@pytest.mark.parametrize("start", ["{{ bos_token }}", ""])
@pytest.mark.parametrize("template", ["plain", "chat", "boxed"])
def test_never_two_start_tokens_and_no_end(tmp_path: Path, start: str, template: str) -> None:
    own = make_tokenizer(tmp_path, chat_template=TEMPLATE.replace("{{ bos_token }}", start))
    prompt = render_prompt(SUM, protocol=replace(PROTOCOLS["relift"], template=template), benchmark=AIME, tokenizer=own)
    starts = prompt.token_ids.count(own.bos_token_id)
    assert starts == (1 if start or template == "plain" else 0) and own.eos_token_id not in prompt.token_ids


@pytest.mark.parametrize(
    ("end", "opened"),
    [
        ("<think>\n", True),
        ("<think>", True),
        ("<think>\n\n</think>\n\n", False),  # thinking is switched off
        ("", False),
    ],
)
def test_open_thoughts_are_seen(tmp_path: Path, end: str, opened: bool) -> None:  # noqa: FBT001
    own = make_tokenizer(tmp_path, chat_template=TEMPLATE.replace("[assistant]", f"[assistant]{end}"))
    prompt = render_prompt(SUM, protocol=PROTOCOLS["relift"], benchmark=AIME, tokenizer=own)
    assert prompt.thoughts_opened is opened


def test_a_question_about_thoughts_opens_none(tokenizer: Any) -> None:
    odd = replace(SUM, problem="What does <think>")
    assert not render_prompt(odd, protocol=PROTOCOLS["relift"], benchmark=AIME, tokenizer=tokenizer).thoughts_opened


def test_without_a_chat_template_the_option_is_named(tmp_path: Path) -> None:
    bare = make_tokenizer(tmp_path, chat_template=None)
    with pytest.raises(InputError) as error:
        text_of(bare, SUM, "relift")
    assert str(error.value) == (
        '--template: the checkpoint has no chat template, as base models have none: set --template "plain" (the '
        'problem as it is) or "plain-file:PATH" (your words around it), or add one to its tokenizer'
    )
    assert text_of(bare, SUM, "relift", template="plain") == "<s>What is 1+1?"


def test_a_system_turn_that_cannot_be_held_is_refused(tmp_path: Path, tokenizer: Any) -> None:
    with pytest.raises(InputError, match="'plain' has no place for a system turn: take chat or boxed"):
        text_of(tokenizer, SUM, "qwen", template="plain")
    strict = TEMPLATE + "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    line = (
        "chat template refuses the turns system and user: no system role; protocol .*qwen.* has a system turn: take "
        "one without, as --protocol relift"
    )
    with pytest.raises(InputError, match=line):
        text_of(make_tokenizer(tmp_path, chat_template=strict), SUM, "qwen")


def test_lightevals_wording_comes_from_lighteval(monkeypatch: pytest.MonkeyPatch) -> None:
    def gpqa(line: dict[str, str]) -> Any:  # as its own: the right option in a random place
        order = ["Incorrect Answer 3", "Incorrect Answer 1", "Correct Answer", "Incorrect Answer 2"]
        shown = "\n".join(f"{c}) {line[name]}" for c, name in zip("ABCD", order, strict=True))
        return SimpleNamespace(query=f"Pick.\n\n{line['Question']}\n\n{shown}")

    modules = {
        "aime": {"MATH_PROMPT_TEMPLATE": "Contest: {prompt}"},
        "math_500": {"MATH_QUERY_TEMPLATE": "School: {prompt}"},
        "mmlu_pro": {"TEMPLATE": "Exam: {question}\n{choices}\nAnswer:"},
        "gpqa": {"gpqa_instruct_prompt": gpqa},
    }
    for name in ("lighteval", "lighteval.tasks", "lighteval.tasks.tasks"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name, contents in modules.items():
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, f"lighteval.tasks.tasks.{name}", module)

    def asked(question: Question, name: str) -> str:
        return user_text(question, protocol=PROTOCOLS["lighteval"], benchmark=BENCHMARKS[name])

    four = replace(PICK, options=("one {x}", "<2>", "three", "<option>"))
    assert asked(SUM, "aime24") == asked(SUM, "amc") == "Contest: What is 1+1?"
    assert asked(SUM, "math500") == "School: What is 1+1?"
    assert asked(PICK, "mmlu_pro") == "Exam: Which is two?\n\nA: one\nB: two\nC: three\nAnswer:"
    assert asked(four, "gpqa_diamond") == "Pick.\n\nWhich is two?\n\nA) one {x}\nB) <2>\nC) three\nD) <option>"
    with pytest.raises(InputError, match="arc_c: lighteval's prompt holds 4 options"):
        asked(PICK, "arc_c")


def test_without_lighteval_the_preset_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lighteval", None)
    with pytest.raises(InputError, match="takes its prompts from lighteval 0.13, which is not installed here"):
        user_text(SUM, protocol=PROTOCOLS["lighteval"], benchmark=AIME)
