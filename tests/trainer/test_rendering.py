"""No edit of a checkpoint's files that changes a prompt, an end or a text is gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relift.engines.hf_model import load_tokenizer, stop_tokens
from relift.errors import InputError, ResumeRefused
from relift.fingerprints import files_fingerprint
from relift.prompts import render
from relift.trainer import identity
from relift.trainer.configuration import load_config
from relift.trainer.rendering import files_of
from tests.engines.tiny import VOCAB, write_checkpoint

BASE = load_config("relift", overrides=["data.questions=a.jsonl", "model.path=m"])
TEMPLATE = "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>{% endif %}"
PROBLEMS = ("ABC", "what?", "A<s>B")
OTHERS: list[Any] = [
    "B",
    "</s>",
    "",
    3,
    True,
    None,
    [],
    {"type": "Replace", "pattern": {"String": "A"}, "content": "B"},
]


def make(folder: Path) -> Path:
    write_checkpoint(folder)
    settings_file = folder / "tokenizer_config.json"
    settings_file.write_text(json.dumps(json.loads(settings_file.read_text()) | {"chat_template": TEMPLATE}))
    return folder


def identity_of(folder: Path, *, stop: tuple[int, ...]) -> dict[str, object]:
    rendering = {"files": files_of(str(folder), revision=None), "stop_tokens": list(stop)}
    model = files_fingerprint(folder, ("*.safetensors", "config.json"))
    return identity.identity_of(BASE, {"model": model, "rendering": rendering})


def seen(folder: Path) -> tuple[object, tuple[int, ...]]:
    """Prompts and texts of this checkpoint, and its end tokens. Raises InputError where it cannot be loaded."""
    tokenizer, _ = load_tokenizer(str(folder))
    prompts = [render(p, "chat", tokenizer).token_ids for p in PROBLEMS]
    plain = [render(p, "plain", tokenizer).token_ids for p in PROBLEMS]
    texts = tokenizer.batch_decode([[1, 5, 9, 2], [7, 7, 0]], skip_special_tokens=True)
    return (prompts, plain, texts), stop_tokens(tokenizer, str(folder), vocab=VOCAB)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return (
        [path, *(leaf for key, v in inner for leaf in leaves(v, (*path, key)))]
        if path
        else [leaf for key, v in inner for leaf in leaves(v, (key,))]
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("rendering") / "model")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_an_edit_that_changes_a_prompt_an_end_or_a_text_is_refused_by_name(
    checkpoint: Path, data: st.DataObject
) -> None:
    files = {path: path.read_bytes() for path in sorted(checkpoint.glob("*.json"))}
    before, stop = seen(checkpoint)
    then = identity_of(checkpoint, stop=stop)
    path = data.draw(st.sampled_from(list(files)))
    values = json.loads(files[path])
    *way, last = data.draw(st.sampled_from(leaves(values)))
    parent = values
    for key in way:
        parent = parent[key]
    parent[last] = data.draw(st.sampled_from(OTHERS))
    try:
        path.write_text(json.dumps(values))
        after, stop_now = seen(checkpoint)
        if (after, stop_now) == (before, stop):
            return
        with pytest.raises(ResumeRefused, match=f"rendering.files.{path.name}|rendering.stop_tokens|model is"):
            identity.compare(then, identity_of(checkpoint, stop=stop_now), folder=checkpoint)
    except InputError as error:  # it does not load: said in one line
        assert "\n" not in str(error)
    finally:
        path.write_bytes(files[path])


def test_a_template_in_a_file_of_its_own_is_noticed_and_blanks_are_not(tmp_path: Path) -> None:
    folder = make(tmp_path / "model")
    then = identity_of(folder, stop=(2,))
    settings_file = folder / "tokenizer_config.json"
    settings_file.write_text(json.dumps(json.loads(settings_file.read_text()), indent=7))
    identity.compare(then, identity_of(folder, stop=(2,)), folder=folder)
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    with pytest.raises(ResumeRefused, match=r"rendering.files.chat_template.jinja is None there"):
        identity.compare(then, identity_of(folder, stop=(2,)), folder=folder)


def test_a_run_that_noted_no_rendering_goes_on(tmp_path: Path) -> None:
    folder = make(tmp_path / "model")
    older = {name: value for name, value in identity_of(folder, stop=(2,)).items() if name != "rendering"}
    identity.compare(older, identity_of(folder, stop=(5,)), folder=folder)


def test_a_template_that_asks_for_the_date_writes_the_same_tomorrow(tmp_path: Path) -> None:
    folder = make(tmp_path / "model")
    (folder / "chat_template.jinja").write_text("{{ strftime_now('%d %b %Y') }} {{ messages[0].content }}")
    tokenizer, _ = load_tokenizer(str(folder))
    assert render("A", "chat", tokenizer).text == "26 Jul 2024 A"
