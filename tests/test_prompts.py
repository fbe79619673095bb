import json
from pathlib import Path
from typing import Any

import pytest

from relift.errors import InputError
from relift.prompts import BOX_INSTRUCTION, completion_ids, render

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
    assert tokenizer.decode(render("47+3*8-5?", "plain", tokenizer)) == "<s>47+3*8-5?"


def test_chat_is_the_users_turn_with_one_start(tokenizer: Any) -> None:
    assert tokenizer.decode(render("47+8?", "chat", tokenizer)) == "<s>[user]47+8?[assistant]"


def test_boxed_asks_for_the_box_after_the_problem(tokenizer: Any) -> None:
    assert tokenizer.decode(render("47+8?", "boxed", tokenizer)) == f"<s>[user]47+8?\n{BOX_INSTRUCTION}[assistant]"


def test_the_arithmetic_world_needs_no_start_token(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from relift.arith.tokenizer import encode, write_tokenizer

    write_tokenizer(tmp_path, context=64)
    assert render("47+3*8-5?", "plain", AutoTokenizer.from_pretrained(tmp_path)) == encode("47+3*8-5?")


def test_without_a_chat_template_chat_is_refused(tmp_path: Path) -> None:
    bare = make_tokenizer(tmp_path, chat_template=None)
    for template in ("chat", "boxed"):
        with pytest.raises(InputError, match='no chat template; set data.prompt = "plain"'):
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
