"""Write a tiny checkpoint in the layout of published ones: a tokenizer of bytes with merges, a chat template in a file
of its own, sharded weights with their index, sampling defaults, the older files beside tokenizer.json."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

TEXTS = [path.read_text("utf-8") for path in sorted((Path(__file__).parents[2] / "docs").glob("re*.md"))]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<file_sep>"]
# ChatML with a system turn of its own where none is given, as SmolLM2's card shows it.
CHAT = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_tokenizer() -> Tokenizer:
    """Train 400 tokens on pages of the documentation: digits one by one, then bytes, as SmolLM2 and GPT-2."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def write_published_layout(folder: Path) -> Path:
    """Write config.json, five shards with their index, tokenizer and generation files."""
    tokenizer = byte_tokenizer()
    vocabulary = tokenizer.get_vocab_size()
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=2,
        tie_word_embeddings=True, initializer_range=0.2,
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder, max_shard_size="12KB")
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=SPECIAL[1], eos_token=SPECIAL[2], pad_token=SPECIAL[2],
        unk_token=SPECIAL[0], chat_template=CHAT,
    )  # fmt: skip
    wrapped.save_pretrained(folder)
    tokens = {"bos_token": SPECIAL[1], "eos_token": SPECIAL[2], "additional_special_tokens": SPECIAL[1:]}
    body = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    merges = [" ".join(pair) for pair in body["model"]["merges"]]
    texts = {
        "special_tokens_map.json": json.dumps(tokens),
        "added_tokens.json": json.dumps({token: i for i, token in enumerate(SPECIAL)}),
        "vocab.json": json.dumps(body["model"]["vocab"]),
        "merges.txt": "\n".join(["#version: 0.2", *merges]),
        "generation_config.json": json.dumps(
            {"bos_token_id": 1, "eos_token_id": [2, 0], "pad_token_id": 2, "do_sample": True, "temperature": 0.6}
        ),
        "chat_template.jinja": CHAT,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return folder
