"""Checkpoints of strangers: what is wrong with them is one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from relift.engines import adapters
from relift.engines.context import context_of, stretched
from relift.engines.hf_model import load_model, load_tokenizer, require_ties, stop_tokens
from relift.engines.model_source import resolve_model
from relift.engines.texts import AttemptRequest, Prompt
from relift.engines.tokens import Sampling
from relift.engines.torch_answers import TorchAnswers
from relift.errors import InputError
from relift.prompts import render
from tests.engines.tiny import VOCAB, character_tokenizer, tiny_model, write_checkpoint

CHATML = (
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


def edit(folder: Path, name: str, **changes: Any) -> None:
    """Change entries of a JSON file of the checkpoint."""
    path = folder / name
    values = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(values | changes))


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("config.json", {"hidden_size": "abc"}, "hidden_size"),
        ("config.json", {"hidden_size": -5}, "hidden"),
        ("config.json", {"num_attention_heads": 7}, "multiple"),
        ("config.json", {"hidden_act": "evil"}, "evil"),
        ("config.json", {"dtype": "evil"}, "evil"),
        ("config.json", {"rope_parameters": "x"}, "rope_parameters"),
        ("config.json", {"quantization_config": [1]}, "list"),
        ("tokenizer_config.json", {"eos_token": 3}, "eos_token"),
        ("tokenizer_config.json", {"tokenizer_class": 3}, "tokenizer"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str, changes: dict[str, Any], words: str) -> None:
    folder = write_checkpoint(tmp_path / "model")
    edit(folder, name, **changes)
    with pytest.raises(InputError) as caught:
        load_tokenizer(str(folder))
        load_model(str(folder), device=torch.device("cpu"))
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture
def no_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be an environment without peft, which would merge adapters."""
    monkeypatch.setattr(adapters.importlib.util, "find_spec", lambda name: None)


@pytest.mark.usefixtures("no_peft")
def test_an_adapter_is_named_with_its_base(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')
    for find in (load_tokenizer, resolve_model):
        with pytest.raises(InputError, match="an adapter of owner/base: merge it into its base first, as in peft's"):
            find(str(tmp_path))


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change the weights of a checkpoint in place."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_head_that_differs_though_tied_is_refused(tmp_path: Path) -> None:
    """transformers would answer with that head, vLLM with the embeddings."""
    folder = write_checkpoint(tmp_path / "model")
    embeddings = "model.embed_tokens.weight"
    rewrite(folder, lambda weights: weights.update({"lm_head.weight": weights[embeddings].clone()}))
    load(folder)  # the same twice
    rewrite(folder, lambda weights: weights["lm_head.weight"][66, 31].add_(1e-3))
    for find in (load, lambda folder: require_ties(str(folder), load_tokenizer(str(folder))[1])):
        with pytest.raises(InputError, match="tie_word_embeddings true, and lm_head.weight differs from model"):
            find(folder)
    edit(folder, "config.json", tie_word_embeddings=False)
    load(folder)


def test_a_head_that_is_not_there_though_untied_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", layout="untied")
    rewrite(folder, lambda weights: weights.pop("lm_head.weight"))
    with pytest.raises(InputError, match="tie_word_embeddings false, and the weights have no lm_head.weight"):
        load(folder)
    edit(folder, "config.json", tie_word_embeddings=True)
    load(folder)


def test_a_vocabulary_that_is_padded_is_sampled_from(tmp_path: Path) -> None:
    """An id without a token decodes to nothing, and the answer goes on to its 20 tokens; 133 of 200 ids have none."""
    folder = write_checkpoint(tmp_path / "model")
    config = tiny_model("llama").config
    config.vocab_size = 200
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer, model_config = load_tokenizer(str(folder))
    asks = [AttemptRequest(str(i), Prompt((3, 4)), i) for i in range(8)]
    sampling = Sampling(20, temperature=1.2, stop_token_ids=(2,))
    with TorchAnswers(lambda: load_model(str(folder), device=torch.device("cpu")), tokenizer, model_config) as engine:
        replies = [reply for _, reply in engine.stream(asks, sampling)]
    assert len(replies) == 8 and any(reply.n_tokens == 20 and len(reply.text) < 20 for reply in replies)


@pytest.mark.parametrize(
    ("templates", "text", "words"),
    [
        ({"default": "{{ messages[0].content }}!", "rag": "x"}, "A!", None),
        ({"tool_use": "x", "rag": "y"}, None, r"chat templates by name \(rag, tool_use\) and none is called default"),
    ],
)
def test_templates_by_name(tmp_path: Path, templates: dict[str, str], text: str | None, words: str | None) -> None:
    folder = write_checkpoint(tmp_path / "model")
    named = [{"name": name, "template": template} for name, template in templates.items()]
    edit(folder, "tokenizer_config.json", chat_template=named)
    tokenizer, _ = load_tokenizer(str(folder))
    assert stop_tokens(tokenizer, str(folder)) == (2,)
    if text is not None:
        assert render("A", "chat", tokenizer).text == text
    else:
        with pytest.raises(InputError, match=words):
            render("A", "chat", tokenizer)
    assert render("A", "plain", tokenizer).text == "A"


@pytest.mark.parametrize("kind", ["gemma3", "mistral3"])
def test_a_composite_configuration(kind: str, tmp_path: Path) -> None:
    """Vocabulary and context stand in text_config alone."""
    text = {
        "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 96,
    }  # fmt: skip
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4,
              "image_size": 28, "patch_size": 14}  # fmt: skip
    config = AutoConfig.for_model(kind, text_config=text, vision_config=vision)
    character_tokenizer(tmp_path)
    config.save_pretrained(tmp_path)
    tokenizer, read = load_tokenizer(str(tmp_path))
    assert context_of(read) == 96
    engine = TorchAnswers(lambda: None, tokenizer, read)
    with pytest.raises(InputError, match=f"a token outside of the model's {VOCAB} tokens"):
        engine.check([AttemptRequest("a", Prompt((VOCAB,)), 0)], Sampling(4))
    with pytest.raises(InputError, match="prompt \\+ 95 tokens exceed the model's 96"):
        engine.check([AttemptRequest("a", Prompt((3, 4)), 0)], Sampling(95))


def test_a_context_that_papers_have_stretched_says_so(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", layout="qwen2")
    edit(folder, "config.json", max_position_embeddings=4096)
    assert "max_position_embeddings 16384 and rope_theta 40000" in str(stretched(load_tokenizer(str(folder))[1]))
    for changes in (
        {"max_position_embeddings": 8192},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
    ):
        edit(folder, "config.json", **{"max_position_embeddings": 4096, **changes})
        assert stretched(load_tokenizer(str(folder))[1]) is None


def test_an_index_of_pickles_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"lm_head.weight": "pytorch_model.bin"}}')
    with pytest.raises(InputError, match="names 'pytorch_model.bin', no .safetensors file of this folder"):
        load_model(str(folder), device=torch.device("cpu"))


def test_sampling_defaults_that_cannot_be_saved_are_left_out(tmp_path: Path) -> None:
    """transformers loads a temperature without do_sample and refuses to save it: found at the first checkpoint."""
    folder = write_checkpoint(tmp_path / "model")
    edit(folder, "generation_config.json", temperature=0.9, top_p=0.6, eos_token_id=[2, 5])
    model = load_model(str(folder), device=torch.device("cpu"))
    model.save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "generation_config.json").read_text())
    assert saved["eos_token_id"] == [2, 5] and "temperature" not in saved


def test_an_answer_ends_with_the_end_token_the_declared_ones_and_the_end_of_a_turn(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    tokenizer, _ = load_tokenizer(str(folder))
    assert stop_tokens(tokenizer, str(folder)) == (2,)
    edit(folder, "generation_config.json", eos_token_id=[5, 2])
    assert stop_tokens(tokenizer, str(folder)) == (2, 5)  # the tokenizer's own comes first
    # A base model whose template closes turns with another token than its end token, as Qwen2.5-Math's does.
    edit(folder, "tokenizer_config.json", chat_template=CHATML, eos_token="<unk>")
    tokenizer, _ = load_tokenizer(str(folder))
    assert stop_tokens(tokenizer, str(folder)) == (0, 5, 2)
    assert stop_tokens(tokenizer, str(folder), more=()) == (0, 5, 2)  # 2 is declared
    edit(folder, "generation_config.json", eos_token_id=0)
    assert stop_tokens(tokenizer, str(folder)) == (0, 2)
    assert stop_tokens(tokenizer, str(folder), more=()) == (0,)
    assert stop_tokens(tokenizer, str(folder), more=("A", "</s>")) == (0, tokenizer.convert_tokens_to_ids("A"), 2)


def test_a_stop_token_that_is_none_names_the_nearest(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    tokenizer, _ = load_tokenizer(str(folder))
    with pytest.raises(InputError, match="rollout.stop_tokens: '</s' is no token.*nearest: </s>"):
        stop_tokens(tokenizer, str(folder), more=("</s",))


def split(folder: Path, names: dict[str, str] | None = None, *, into: str = "part-1.safetensors") -> None:
    """Put the weights of a checkpoint into another file, named by an index."""
    (folder / "model.safetensors").rename(folder / into)
    with safe_open(folder / into, framework="pt") as opened:
        weight_map = {name: into for name in opened.keys()}  # noqa: SIM118
    index = {"metadata": {}, "weight_map": weight_map | (names or {})}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def load(folder: Path) -> None:
    load_tokenizer(str(folder))
    load_model(str(folder), device=torch.device("cpu"))


def test_weights_in_several_files_are_read(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    split(folder)
    load(folder)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "../other/model.safetensors", "/etc/model.safetensors", "gone.safetensors", ""]
)
def test_an_index_names_files_of_its_own_folder_alone(tmp_path: Path, name: str) -> None:
    write_checkpoint(tmp_path / "other")
    folder = write_checkpoint(tmp_path / "model")
    split(folder, {"model.norm.weight": name})
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")  # a pickle, which nothing may open
    with pytest.raises(InputError, match=r"model.safetensors.index.json names"):
        load_tokenizer(str(folder))


def test_weights_that_are_a_link_elsewhere_are_refused_and_those_of_the_hubs_cache_are_not(tmp_path: Path) -> None:
    cache = tmp_path / "models--owner--name"
    folder = write_checkpoint(cache / "snapshots" / "abc")
    (cache / "blobs").mkdir()
    (folder / "model.safetensors").rename(cache / "blobs" / "0123")
    (folder / "model.safetensors").symlink_to("../../blobs/0123")
    load(folder)
    other = write_checkpoint(tmp_path / "other")
    (other / "model.safetensors").unlink()
    (other / "model.safetensors").symlink_to(cache / "blobs" / "0123")
    with pytest.raises(InputError, match=r"model.safetensors is a link to another folder"):
        load_tokenizer(str(other))


@pytest.mark.usefixtures("no_peft")
def test_an_adapter_beside_a_model_is_refused_too(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')
    with pytest.raises(InputError, match="an adapter of owner/base"):
        load_tokenizer(str(folder))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_hidden_layers": 10**6}, "num_hidden_layers = 1000000 is more than 10,000"),
        ({"vocab_size": 10**11}, "vocab_size"),
        ({"intermediate_size": 10**7}, "a model of .* parameters, and the .safetensors files hold"),
        ({"transformers_weights": "other.safetensors"}, "transformers_weights"),
        ({"attn_implementation": "owner/kernels"}, "code of the hub|kernels"),
    ],
)
def test_sizes_beyond_reason_and_other_files_are_refused_before_anything_is_read(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    folder = write_checkpoint(tmp_path / "model")
    edit(folder, "config.json", **changes)
    with pytest.raises(InputError, match=words):
        load(folder)


@pytest.mark.parametrize("eos", ["abc", [None], [0, [1]], 999, -1, True])
def test_a_declared_end_that_is_no_token_is_refused(tmp_path: Path, eos: object) -> None:
    folder = write_checkpoint(tmp_path / "model")
    edit(folder, "generation_config.json", eos_token_id=eos)
    tokenizer, _ = load_tokenizer(str(folder))
    with pytest.raises(InputError, match=r"generation_config.json"):
        stop_tokens(tokenizer, str(folder), vocab=VOCAB)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json"])
@pytest.mark.parametrize("text", ["", "5", "[]", "{", "[" * 100_000, "null", "\x00"])
def test_a_file_that_is_no_object_is_one_line(tmp_path: Path, name: str, text: str) -> None:
    folder = write_checkpoint(tmp_path / "model")
    (folder / name).write_text(text)
    try:
        tokenizer, _ = load_tokenizer(str(folder))
        stop_tokens(tokenizer, str(folder))
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert (name, text) in {("generation_config.json", "")} or name == "tokenizer_config.json"
