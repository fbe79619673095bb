"""Turn tokens into an answer's text, the same way for every engine that hands out tokens. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from relift.engines.texts import Reply
from relift.engines.tokens import Sampling
from relift.schema import Finish


def reply_of(
    token_ids_T: Sequence[int],
    sampling: Sampling,
    *,
    tokenizer: Any,
    logprob_T: np.ndarray | None = None,
    entropy_T: np.ndarray | None = None,
) -> Reply:
    """Make the answer of these tokens: cut at the first stop string, no stop token, special tokens left out.

    A token past the one that completes a stop string counts nowhere. `tokenizer`: one of transformers. None stands
    for log-probabilities and entropies that were not measured.
    """
    n_tokens = len(token_ids_T)
    ended = n_tokens > 0 and token_ids_T[-1] in sampling.stop_token_ids
    text = _decode(token_ids_T[:-1] if ended else token_ids_T, tokenizer)
    found = _first_stop(text, sampling.stop)
    if found is not None:
        n_tokens = _tokens_to_stop(token_ids_T, sampling.stop, tokenizer)
        text = _decode(token_ids_T[:n_tokens], tokenizer)
        found = _first_stop(text, sampling.stop)
        text = text[:found]
    finish = Finish.stop if ended or found is not None else Finish.length
    return Reply(
        text,
        finish,
        n_tokens,
        None if logprob_T is None else float(np.sum(logprob_T[:n_tokens], dtype=np.float64)),
        None if entropy_T is None else float(np.mean(entropy_T[:n_tokens], dtype=np.float64)),
    )


def _decode(token_ids_T: Sequence[int], tokenizer: Any) -> str:
    return str(tokenizer.decode(list(token_ids_T), skip_special_tokens=True))


def _first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Find where the first stop string begins; None if there is none."""
    return min((at for at in map(text.find, stop) if at >= 0), default=None)


def _tokens_to_stop(token_ids_T: Sequence[int], stop: Sequence[str], tokenizer: Any) -> int:
    """Find the least number of tokens whose text holds a stop string, by halving: more tokens never lose it."""
    low, high = 0, len(token_ids_T)  # `high` tokens hold one, `low` do not
    while high - low > 1:
        middle = (low + high) // 2
        if _first_stop(_decode(token_ids_T[:middle], tokenizer), stop) is None:
            low = middle
        else:
            high = middle
    return high


def writable(text: str) -> str:
    """Replace halves of surrogate pairs in a text by "?": JSON may hold them, no file of ours can."""
    return text.encode("utf-8", "replace").decode()
