"""Every preset starts on the stock checkpoint that it names: Qwen2.5-Math's configuration, made tiny."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from relift.config import preset_names
from relift.engines.context import context_of
from relift.errors import InputError
from relift.trainer.configuration import load_config
from relift.trainer.setup import open_run
from tests.test_prompts import make_tokenizer

# Qwen/Qwen2.5-Math-7B, config.json, sizes aside: 4,096 positions, rope_theta 10,000, a window that is switched off.
STOCK = {
    "max_position_embeddings": 4096, "rope_theta": 10000, "max_window_layers": 28, "sliding_window": 4096,
    "use_sliding_window": False, "tie_word_embeddings": False,
}  # fmt: skip
CHATML = (
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tokenizer = make_tokenizer(folder, chat_template=CHATML)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, **STOCK,
    )  # fmt: skip
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    written = json.loads((folder / "config.json").read_text())
    assert written["max_position_embeddings"] == 4096
    return folder


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """256 questions with a fraction for an answer, no column answer_kind, a demonstration each."""
    path = tmp_path_factory.mktemp("data") / "q.jsonl"
    rows = [
        {"problem": f"Half of {n}?", "answer": rf"\frac{{{n}}}{{2}}", "demonstration": rf"\boxed{{\frac{{{n}}}{{2}}}}"}
        for n in range(1, 513, 2)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# Qwen/Qwen2.5-7B-Instruct, config.json: what CHORD's authors train reads far enough as it is.
INSTRUCT = {"max_position_embeddings": 32768, "rope_theta": 1000000}


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_starts_on_the_stock_checkpoint(tmp_path: Path, stock: Path, questions: Path, name: str) -> None:
    own_positions = name == "dft-1.5b"  # 2,048 tokens fit into the stock 4,096
    positions, theta, model = (4096, 10000, stock) if own_positions else (16384, 40000, stock)
    if load_config(name).model.path in ("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen3-1.7B-Base"):
        positions, theta = INSTRUCT.values()
        model = shutil.copytree(stock, tmp_path / "instruct")
        own = Qwen2Config.from_pretrained(stock).to_dict() | {"max_position_embeddings": positions}
        own["rope_parameters"] = {"rope_type": "default", "rope_theta": theta}
        (model / "config.json").write_text(json.dumps(own))
    teacher = [f"teacher.path={model}"] if load_config(name).teacher.path else []
    overrides = [f"model.path={model}", *teacher, f"data.questions={questions}", "model.device=cpu"]
    assert load_config(name).model.compute == "bfloat16"
    overrides.append("model.compute=none")  # no process group here (tests/learner/test_mesh_of_one.py)
    config = load_config(name, overrides=overrides)
    lines: list[str] = []
    with open_run(config, tmp_path / "run", warn=lines.append) as run:
        assert context_of(run.learner.model.config) == positions  # type: ignore[attr-defined]
        assert run.learner.model.config.rope_parameters["rope_theta"] == theta  # type: ignore[attr-defined]
        assert len(run.train_items) == 256
        assert len(run.demos) == (256 if run.recipe.takes_demonstrations else 0)
        assert {item.question.answer_kind for item in run.train_items} == {"math"}
        assert run.stop_token_ids == (1,)
    assert lines == []


def test_without_its_positions_a_preset_says_what_to_set(tmp_path: Path, stock: Path, questions: Path) -> None:
    config = load_config(
        "relift", overrides=[f"model.path={stock}", f"data.questions={questions}", "model.max_positions=none"]
    )
    with pytest.raises(InputError) as caught, open_run(config, tmp_path / "run"):
        pass
    assert "the model reads 4096 tokens" in str(caught.value) and "model.max_positions" in str(caught.value)
