import json
from pathlib import Path
from typing import Any

import pytest

import relift.confined
from relift.errors import InputError
from relift.prompts import BOX_INSTRUCTION, completion_ids, end_of_turn, opens_thoughts, render, template_identity

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def make_tokenizer(folder: Path, *, chat_template: str | None = TEMPLATE) -> Any:
    """A byte-level tokenizer that puts <s> before and </s> behind every text, as some do."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import AutoTokenizer

    symbols = ["<s>", "</s>", "<think>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(symbols)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(s, special=True) for s in ("<s>", "</s>")])
    tokenizer.add_tokens([AddedToken("<think>", special=False)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    if chat_template is not None:
        config["chat_template"] = chat_template
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def test_plain_is_the_text_with_one_start_and_no_end(tokenizer: Any) -> None:
    assert tokenizer.decode(render("47+3*8-5?", "plain", tokenizer).token_ids) == "<s>47+3*8-5?"


def test_chat_is_the_users_turn_with_one_start(tokenizer: Any) -> None:
    assert tokenizer.decode(render("47+8?", "chat", tokenizer).token_ids) == "<s>[user]47+8?[assistant]"


def test_boxed_asks_for_the_box_after_the_problem(tokenizer: Any) -> None:
    assert (
        tokenizer.decode(render("47+8?", "boxed", tokenizer).token_ids)
        == f"<s>[user]47+8?\n{BOX_INSTRUCTION}[assistant]"
    )


def test_the_arithmetic_world_needs_no_start_token(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from relift.arith.tokenizer import encode, write_tokenizer

    write_tokenizer(tmp_path, context=64)
    assert render("47+3*8-5?", "plain", AutoTokenizer.from_pretrained(tmp_path)).token_ids == tuple(encode("47+3*8-5?"))


def test_without_a_chat_template_chat_is_refused(tmp_path: Path) -> None:
    bare = make_tokenizer(tmp_path, chat_template=None)
    for template in ("chat", "boxed"):
        with pytest.raises(InputError, match='no chat template, as base models have none: set data.prompt = "plain"'):
            render("47+8?", template, bare)


def test_unknown_templates_name_the_nearest(tokenizer: Any) -> None:
    with pytest.raises(InputError, match="unknown prompt template 'chatt'.*nearest: chat"):
        render("47+8?", "chatt", tokenizer)


@pytest.mark.parametrize(
    ("prompt", "demonstration", "joined"),
    [
        ("[assistant]<think>\n", "<think>\nSo.", "[assistant]<think>\nSo."),  # the tag and its line's end occur once
        ("[assistant]<think>", "<think>\nSo.", "[assistant]<think>\nSo."),
        ("[assistant]<think>\n", "So.", "[assistant]<think>\nSo."),
        ("[assistant]", "<think>\nSo.", "[assistant]<think>\nSo."),
        ("[assistant]<think>", "a <think> b", "[assistant]<think>a <think> b"),  # not an opening
    ],
)
def test_a_think_tag_in_prompt_and_demonstration_occurs_once(
    tokenizer: Any, prompt: str, demonstration: str, joined: str
) -> None:
    prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    ids = completion_ids(demonstration, prompt_ids, tokenizer)
    assert tokenizer.decode([*prompt_ids, *ids]) == joined
    assert not {tokenizer.bos_token_id, tokenizer.eos_token_id} & set(ids)


def test_a_system_turn_stands_before_the_users(tokenizer: Any) -> None:
    rendered = render("47+8?", "chat", tokenizer, system="Be brief.")
    assert rendered.text == "<s>[system]Be brief.[user]47+8?[assistant]"
    assert rendered.turns == (("system", "Be brief."), ("user", "47+8?"))
    with pytest.raises(InputError, match="no place for a system turn"):
        render("47+8?", "plain", tokenizer, system="Be brief.")


def test_a_template_in_a_file_writes_the_users_turn_or_the_whole_prompt(tokenizer: Any, tmp_path: Path) -> None:
    file = tmp_path / "ask.jinja"
    file.write_text("Q: {{ problem }}\nA:\n")  # the last line end is the editor's
    assert render("1+1?", f"file:{file}", tokenizer).text == "<s>[user]Q: 1+1?\nA:[assistant]"
    plain = render("1+1?", f"plain-file:{file}", tokenizer)
    assert plain.text == "Q: 1+1?\nA:" and plain.turns is None
    assert tokenizer.decode(plain.token_ids) == "<s>Q: 1+1?\nA:"


def test_half_of_a_character_is_refused_in_one_line(tokenizer: Any) -> None:
    """JSON can write a lone surrogate, in a chat template as in a problem; no tokenizer takes it."""
    with pytest.raises(InputError, match=r"holds half of a character \(a lone surrogate, U\+D800\)"):
        render("1+1? \ud800", "plain", tokenizer)


def test_a_problem_is_text_and_no_template(tokenizer: Any, tmp_path: Path) -> None:
    file = tmp_path / "ask.jinja"
    file.write_text("{{ problem }}!")
    assert render("{{ 7 * 7 }} {% x %}", f"file:{file}", tokenizer).text == "<s>[user]{{ 7 * 7 }} {% x %}![assistant]"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("Solve it.", "does not say where the problem goes"),
        ("{{ problem", "unexpected end of template"),
        ("{{ problem }}{{ solution }}", "'solution' is undefined"),
        ("{{ problem + 1 }}", "can only concatenate str"),
        ("{{ problem.__class__.__mro__ }}", "access to attribute '__class__'"),  # jinja's sandbox
    ],
)
def test_a_template_file_that_is_wrong_is_one_line(
    tokenizer: Any, tmp_path: Path, text: str | None, words: str
) -> None:
    file = tmp_path / "ask.jinja"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError) as caught:
        render("1+1?", f"file:{file}", tokenizer)
    assert words in str(caught.value) and str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_a_template_file_is_known_by_its_contents(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("one.jinja", "two.jinja", "three.jinja"))
    one.write_text("{{ problem }}?")
    two.write_text("{{ problem }}?")
    three.write_text("{{ problem }}!")
    assert template_identity(f"file:{one}") == template_identity(f"file:{two}") != template_identity(f"file:{three}")
    assert template_identity(f"file:{one}") != template_identity(f"plain-file:{one}")
    assert template_identity("boxed") == "boxed"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ 1/0 }}", "division by zero"),
        ("{{ 'a' + 1 }}", "can only concatenate str"),
        ("{% include 'x' %}", "no loader"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "maximum recursion depth exceeded"),
        ("{{ raise_exception('no role \x1b') }}", "no role"),
        # 2^18 and 8 for each of the 8 letters of "user" and "1+1?"
        ("{{ 'a' * 262209 }}", "it writes 262,209 characters for these turns, more than 262,208"),
    ],
)
def test_a_chat_template_that_fails_is_one_line(tmp_path: Path, template: str, words: str) -> None:
    broken = make_tokenizer(tmp_path, chat_template=template)
    with pytest.raises(InputError) as caught:
        render("1+1?", "chat", broken)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("closing", "token"),
    [
        ("</s>", "</s>"),  # a special token, whichever it is
        ("\n</s>\n", "</s>"),
        ("<think>", None),  # added, but a word like others
        (" END", None),
        ("", None),
    ],
)
def test_the_token_that_ends_a_turn_is_read_from_the_chat_template(
    tmp_path: Path, closing: str, token: str | None
) -> None:
    template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}" + closing + "{% endfor %}"
    found = end_of_turn(make_tokenizer(tmp_path, chat_template=template))
    assert found == (None if token is None else 1)
    assert end_of_turn(make_tokenizer(tmp_path, chat_template=None)) is None


def test_open_thoughts_are_seen_behind_white_space() -> None:
    tags = ("<think>", "[THINK]")
    assert opens_thoughts("[assistant]<think>\n", tags) and opens_thoughts("x[THINK]", tags)
    assert not opens_thoughts("<think>x", tags) and not opens_thoughts("", tags)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ 1/0 }}", "division by zero"),
        ("{{ 'a' + 1 }}", "concatenate"),
        ("{% include 'x' %}", "no loader"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
        ("{{ 'a' * 10**10 }}", "MiB of memory"),
        ("{{ '%9999999999d' % 1 }}", "MiB of memory"),
        ("{{ 'a' * 10**7 }}", "10,000,00. characters"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "2 seconds"),
    ],
)
def test_a_hostile_template_is_one_line(
    template: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relift.confined, "CPU_SECONDS", 2)
    tokenizer = make_tokenizer(tmp_path, chat_template=template)
    with pytest.raises(InputError, match=words) as caught:
        render("47+8?", "chat", tokenizer)
    assert "\n" not in str(caught.value)
    (tmp_path / "prompt.jinja").write_text(template + "{{ problem }}")
    with pytest.raises(InputError, match=words):
        render("47+8?", f"plain-file:{tmp_path}/prompt.jinja", tokenizer)
