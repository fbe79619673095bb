r"""Write the tokenizer of the embedded world: byte-level, no merges, one token for each byte that the world writes.

29 symbols and three special tokens make a vocabulary of 32. All 256 bytes would work too, but every token then pays
for a softmax over 227 symbols that never occur, in sampling and in training. A byte outside the alphabet becomes
`<unk>`: visible, and never an answer. There is no start token. The checkpoint's model type must be one for which
transformers keeps the file's own tokenizer (llama does, qwen2 replaces it without a word); a test compares ids.
"""

from __future__ import annotations

import json
from pathlib import Path

ALPHABET = "0123456789+-*=?:;,()\\{}bdenox"
EOS, PAD, UNK = "<eos>", "<pad>", "<unk>"
TOKENS = (EOS, PAD, UNK, *ALPHABET)
EOS_ID, PAD_ID, UNK_ID = range(3)


def write_tokenizer(folder: Path, *, context: int) -> None:
    """Write tokenizer.json and tokenizer_config.json, which AutoTokenizer loads, into an existing folder."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {token: i for i, token in enumerate(TOKENS)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNK, fuse_unk=False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in (EOS, PAD, UNK)])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": EOS,
        "pad_token": PAD,
        "unk_token": UNK,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def encode(text: str) -> list[int]:
    """Return the token ids of a text of the world, as the saved tokenizer gives them (a test compares the two)."""
    return [_ID.get(c, UNK_ID) for c in text.encode().decode("latin-1")]


_ID = {token: i for i, token in enumerate(TOKENS) if i > UNK_ID}
