import json
from pathlib import Path

import pytest

from relift.arith.tokenizer import ALPHABET, EOS_ID, PAD_ID, TOKENS, UNK_ID, encode, write_tokenizer
from relift.arith.world import make_demonstrations, make_questions

TEXT = r"47+3*8-5?:47+8;55-5=(5-5)50;\boxed{50}n29,38?"


@pytest.mark.parametrize("model_type", [None, "llama"])
def test_loads_through_transformers_as_it_was_written(tmp_path: Path, model_type: str | None) -> None:
    from transformers import AutoTokenizer

    write_tokenizer(tmp_path, context=192)
    if model_type:  # some model types replace a file's pre-tokenizer and decoder; this one must not
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer(TEXT)["input_ids"] == encode(TEXT)
    assert tokenizer.decode(encode(TEXT)) == TEXT
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id) == (EOS_ID, PAD_ID, UNK_ID)
    assert tokenizer.bos_token_id is None and len(tokenizer) == len(TOKENS) == 32
    for text in (ALPHABET, "a b", "caf\u00e9", "\x00", "<eos>"):
        assert tokenizer(text)["input_ids"] == ([EOS_ID] if text == "<eos>" else encode(text)), text


def test_a_byte_outside_the_alphabet_is_seen() -> None:
    assert encode("5\u00e9x") == [encode("5")[0], UNK_ID, UNK_ID, encode("x")[0]]  # two bytes, two tokens


def test_the_world_stays_inside_the_alphabet() -> None:
    questions = make_questions("train", 100, seed=0) + make_questions("sequence", 20, seed=0)
    texts = [q.problem for q in questions] + [d.text for d in make_demonstrations(questions)]
    assert not any(UNK_ID in encode(t) for t in texts)
