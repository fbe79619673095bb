"""Change files of a sound checkpoint, then evaluate with it or train it, or have it refused with nothing written."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from relift import confined
from relift.config import parse_config
from relift.engines.open import open_answerer
from relift.engines.texts import AttemptRequest, Prompt
from relift.engines.tokens import Sampling
from relift.errors import InputError
from relift.evaluate.models import read_model
from relift.prompts import render
from relift.store import check_run
from relift.trainer.loop import train
from relift.trainer.setup import open_run
from tests.generated.makers import ODD, json_text, odd_bytes, odd_json

TEMPLATE_PIECES = (
    "{% for m in messages %}", "{% endfor %}", "{{ m.content }}", "{{ m['content'] }}", "{% if m.role == 'user' %}",
    "{% endif %}", "{{ bos_token }}", "{{ eos_token }}", "{% if add_generation_prompt %}", "{{ 1/0 }}", "{{ 'a' + 1 }}",
    "{% for i in range(99999) %}", "{{ 'a' * 10**9 }}", "{{ '%9999999999d' % 1 }}", "{% include 'x' %}",
    "{{ raise_exception('\x1b[31m no') }}", "{{ messages | tojson }}", "{{ cycler.__init__.__globals__ }}",
    "{{ ''.__class__.__mro__ }}", "{% set ns = namespace(x=0) %}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{{ strftime_now('%d') }}", "{{ tools }}", "{% break %}", "{%", "}}", "{#", "x", "\n", "{{ messages[9].content }}",
    "{{ 10**10**7 }}", "{{ 'x' | center(10**9) }}", "{{ lipsum(n=100000) }}", "{% generation %}", "{{ '\\ud800' }}",
    "{{ messages[0].content.split('x') }}", "{{ strftime_now('%Y' * 10**6) }}", "{{ documents[0] }}", "\ufeff",
)  # fmt: skip
SAMPLING = Sampling(max_tokens=2)
QUESTION = "1+1=?"

Spoil = Callable[[random.Random, Path], None]


def use_checkpoint(rng: random.Random, folder: Path, *, base: Path) -> None:
    """Change a few files of a checkpoint. A prompt is answered with it, sometimes a step is trained; or it is refused,
    and then nothing is written."""
    confined.CPU_SECONDS = 1  # of a template: the product's ten would make these tests long
    own = folder / "model"
    shutil.copytree(base, own)
    for _ in range(rng.choice((1, 1, 1, 2))):
        rng.choice(SPOILING)(rng, own)
    before = {path.name: path.stat().st_size for path in own.iterdir()}
    try:
        _train(own, folder) if rng.random() < 0.25 else _answer(own, rng)
    finally:
        assert before == {path.name: path.stat().st_size for path in own.iterdir()}
        assert {path.name for path in folder.iterdir()} <= {"model", "run", "questions.jsonl"}
        shutil.rmtree(folder)


def _answer(own: Path, rng: random.Random) -> None:
    model = read_model(str(own), engine="torch", revision=None, tokenizer=None, warn=lambda line: None)
    template = rng.choice(("chat", "boxed")) if model.chat_template else "plain"
    rendered = render(QUESTION, template, model.tokenizer, setting="data.prompt =")
    ask = AttemptRequest("q/0/0", Prompt(rendered.token_ids), 0)
    sampling = Sampling(**{**vars(SAMPLING), "stop_token_ids": model.stop_token_ids})
    answerer = open_answerer("torch", model.source)
    answerer.check([ask], sampling)
    with answerer:
        replies = list(answerer.stream([ask], sampling))
    assert len(replies) == 1 and replies[0][1].n_tokens <= SAMPLING.max_tokens
    assert isinstance(model.tokenizer, object) and json.dumps(replies[0][1].text)


def _train(own: Path, folder: Path) -> None:
    """Train one step in a run folder; what is refused as bad input has written nothing there."""
    rows = ({"problem": QUESTION, "answer": "2"}, {"problem": "2+2=?", "answer": "4"})
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    chat = (own / "chat_template.jinja").exists()
    config = parse_config(
        {
            "recipe": "grpo",
            "steps": 1,
            "model": {"path": str(own)},
            "data": {"questions": str(folder / "questions.jsonl"), "prompt": "chat" if chat else "plain"},
            "rollout": {"questions_per_step": 2, "attempts_per_question": 2, "max_tokens": 2},
            "probe": {"questions": str(folder / "questions.jsonl"), "attempts": 1, "every": 1},
        },
        where="generated",
    )
    run = folder / "run"
    try:
        with open_run(config, run) as opened:
            train(opened)
    except InputError:
        assert not run.exists() or [path.name for path in run.iterdir() if path.name != ".lock"] == []
        raise
    assert check_run(run).problems == []


def changed(rng: random.Random, data: bytes) -> bytes:
    """Change a JSON file, which an earlier change may have made unreadable."""
    try:
        value = json.loads(data)
    except ValueError:
        return odd_bytes(rng, data)
    return json_text(odd_json(rng, value)).encode("utf-8", "surrogatepass")


def _config(rng: random.Random, own: Path) -> None:
    """Change values of config.json, where most is to be broken."""
    path = own / "config.json"
    path.write_bytes(changed(rng, path.read_bytes()))


def _any_json(rng: random.Random, own: Path) -> None:
    path = rng.choice(sorted(path for path in own.iterdir() if path.suffix == ".json"))
    path.write_bytes(changed(rng, path.read_bytes()))


def _any_bytes(rng: random.Random, own: Path) -> None:
    path = rng.choice(sorted(path for path in own.iterdir() if path.is_file()))
    path.write_bytes(odd_bytes(rng, path.read_bytes()))


def _gone(rng: random.Random, own: Path) -> None:
    """Delete a file, empty it, put another one's contents or a folder in its place."""
    one, other = rng.sample(sorted(path for path in own.iterdir() if path.is_file()), 2)
    contents = other.read_bytes()
    act = rng.randrange(4)
    one.unlink()
    if act == 1:
        one.write_bytes(b"")
    elif act == 2:
        one.write_bytes(contents)
    elif act == 3:
        one.mkdir()


def _template(rng: random.Random, own: Path) -> None:
    """Write a template of pieces, or put pieces into the one that is there."""
    path = own / "chat_template.jinja"
    pieces = [rng.choice(TEMPLATE_PIECES) for _ in range(rng.randint(1, 9))]
    text = "".join(pieces)
    if path.is_file() and rng.random() < 0.6:
        there = path.read_text("utf-8", "surrogateescape")
        at = rng.randrange(len(there) + 1)
        text = there[:at] + pieces[0] + there[at:]
    if path.is_dir():
        return
    path.write_text(text, "utf-8", "surrogatepass")


def _generation(rng: random.Random, own: Path) -> None:
    values = {
        "eos_token_id": [2, 0], "bos_token_id": 1, "pad_token_id": 2, "temperature": 0.6, "top_p": 0.9, "top_k": 20,
        "do_sample": True, "repetition_penalty": 1.1, "max_length": 20, "stop_strings": ["x"], "num_beams": 1,
    }  # fmt: skip
    body = json_text(odd_json(rng, values))
    (own / "generation_config.json").unlink(missing_ok=True)
    (own / "generation_config.json").write_text(body, "utf-8", "surrogatepass")


def _index(rng: random.Random, own: Path) -> None:
    path = own / "model.safetensors.index.json"
    names = [f"model-{i}.safetensors" for i in range(2)] + ["x.bin", "../x.safetensors", "model.safetensors"]
    index: Any = {"metadata": {}, "weight_map": {f"w{i}": rng.choice(names) for i in range(3)}}
    if path.is_file() and rng.random() < 0.6:  # two weights change their files, or one is named that is not there
        try:
            there = json.loads(path.read_bytes())
            weights = there["weight_map"]
            one, other = rng.sample(sorted(weights), 2)
            weights[one], weights[other] = weights[other], rng.choice((weights[one], names[0]))
            index = there
        except (ValueError, TypeError, LookupError, AttributeError):  # an earlier change
            pass
    else:
        index = odd_json(rng, index)
    path.write_text(json_text(index), "utf-8", "surrogatepass")


def _weights(rng: random.Random, own: Path) -> None:
    """Write a file of weights anew: another type, another shape, a number that is none, a weight more or less."""
    path = rng.choice(sorted(own.glob("*.safetensors")) or [own / "model.safetensors"])
    try:
        tensors = load_file(path)
    except Exception:  # an earlier change
        return
    if not tensors:
        return
    name = rng.choice(sorted(tensors))
    tensor = tensors[name]
    act = rng.randrange(7)
    if act == 0:
        kinds = (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.bool, torch.int64, torch.complex64)
        tensors[name] = tensor.to(rng.choice(kinds))
    elif act == 1:
        tensors[name] = rng.choice((tensor[:-1], tensor[None], tensor.flatten(), tensor[:0])).contiguous()
    elif act == 2:
        tensor.view(-1)[rng.randrange(tensor.numel())] = rng.choice((float("nan"), float("inf"), 3e38, -1e30))
    elif act == 3:
        del tensors[name]
    elif act == 4:
        tensors[str(rng.choice(ODD))[:50].encode("utf-8", "replace").decode() or "w"] = tensor.clone()
    elif act == 5:
        tensors = {key: value.to(torch.bfloat16) for key, value in tensors.items()}
    else:
        tensors[name] = torch.zeros_like(tensor) if rng.random() < 0.5 else tensor * 1e20
    save_file(tensors, path, metadata={"format": rng.choice(("pt", "pt", "tf", "x"))})


def _tokenizer(rng: random.Random, own: Path) -> None:
    """Change what tokenizer.json does: its steps, its added tokens, its merges."""
    path = own / "tokenizer.json"
    try:
        body = json.loads(path.read_bytes())
        model, added = body["model"], body["added_tokens"]
        act = rng.randrange(9)
        if act == 0:
            body["normalizer"] = rng.choice(NORMALIZERS)
        elif act == 1:
            body["pre_tokenizer"] = rng.choice(PRE_TOKENIZERS)
        elif act == 2:
            body["decoder"] = rng.choice((None, {"type": "Fuse"}, {"type": "Metaspace"}, {"type": "CTC"}))
        elif act == 3:
            body["post_processor"] = rng.choice(POST_PROCESSORS)
        elif act == 4:
            new = {"id": rng.choice((0, 3, 400, 10_000, 2**31)), "content": rng.choice(("", "1", "<x>", "a" * 70_000))}
            flags = {"single_word": False, "lstrip": True, "rstrip": True, "normalized": False, "special": True}
            added.append(new | flags)
        elif act == 5:
            rng.shuffle(model["merges"])
        elif act == 6:
            token = rng.choice(sorted(model["vocab"]))
            model["vocab"][token] = rng.choice((0, 5, 401, 2**31, 2**32))
        elif act == 7:
            body[rng.choice(("truncation", "padding"))] = rng.choice(TRUNCATIONS)
        else:
            model[rng.choice(("byte_fallback", "fuse_unk", "ignore_merges", "unk_token", "dropout"))] = rng.choice(
                (True, None, 1.0, 0.5, "nowhere", "<|endoftext|>")
            )
    except (OSError, ValueError, TypeError, LookupError, AttributeError):  # an earlier change
        return
    path.write_text(json_text(body), "utf-8", "surrogatepass")


NORMALIZERS: tuple[Any, ...] = (
    {"type": "Replace", "pattern": {"Regex": "(1+)+$"}, "content": "x"},
    {"type": "Replace", "pattern": {"String": "1"}, "content": "1" * 100_000},
    {"type": "Replace", "pattern": {"Regex": "."}, "content": ""},
    {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": "1"}, "content": "11"}] * 40},
    {"type": "Lowercase"},
    {"type": "NFKC"},
    {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
    {"type": "Prepend", "prepend": ""},
)
PRE_TOKENIZERS: tuple[Any, ...] = (
    None,
    {"type": "Split", "pattern": {"Regex": "(a+)+b|(1+)+="}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Removed", "invert": True},
    {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Removed", "invert": False},
    {"type": "Metaspace", "replacement": "xx", "prepend_scheme": "always", "split": True},
    {"type": "FixedLength", "length": 0},
    {"type": "WhitespaceSplit"},
)
POST_PROCESSORS: tuple[Any, ...] = (
    None,
    {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}},
    {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [],
        "special_tokens": {"x": {"id": "x", "ids": [2**31], "tokens": ["x"]}},
    },
    {"type": "RobertaProcessing", "sep": ["x", 9_999], "cls": ["y", 9_998], "trim_offsets": True},
)
TRUNCATIONS: tuple[Any, ...] = (
    {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0},
    {"direction": "Left", "max_length": 2, "strategy": "OnlyFirst", "stride": 9},
    {
        "strategy": {"Fixed": 10_000_000},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 99_999,
        "pad_type_id": 0,
        "pad_token": "x",
    },
)


def _adapter(rng: random.Random, own: Path) -> None:
    """Lay an adapter of PEFT beside the model."""
    adapter = {"base_model_name_or_path": "owner/base", "peft_type": "LORA", "r": 8, "target_modules": ["q_proj"]}
    (own / "adapter_config.json").write_text(json_text(odd_json(rng, adapter)), "utf-8", "surrogatepass")


SPOILING: tuple[Spoil, ...] = (
    _config, _config, _any_json, _any_json, _any_bytes, _gone, _template, _template, _generation, _index, _weights,
    _weights, _tokenizer, _tokenizer, _tokenizer, _adapter,
)  # fmt: skip
