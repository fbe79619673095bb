"""Answer with the torch sampler (torch_sampler.py), as texts: any transformers causal LM, on a CPU or one GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import torch
import transformers

from relift.engines.answer_text import reply_of
from relift.engines.checks import check_asks
from relift.engines.context import context_limit
from relift.engines.texts import AttemptRequest, Reply
from relift.engines.tokens import Request, Sampling
from relift.engines.torch_sampler import TorchSampler
from relift.errors import OutOfMemory


class TorchAnswers:
    """An Answerer (answering.py). The weights are loaded when there is something to ask, and gone when it is left.

    `load()` gives the model; `model_config` is its configuration, known before. `batch_rows`: answers written at a
    time. Answers arrive a few steps after their last token, so short ones come first. With stop strings an answer is
    cut where the first one begins, after it was written to its end.
    """

    ledger: Path | None = None  # nobody charges for these answers

    def __init__(
        self,
        load: Callable[[], Any],
        tokenizer: Any,
        model_config: Any,
        *,
        dtype: str = "float32",
        device: torch.device | None = None,
        batch_rows: int = 256,
        max_context: int | None = None,
    ) -> None:
        self._load, self._tokenizer = load, tokenizer
        self._dtype, self._device = dtype, device or torch.device("cpu")
        self._batch_rows = batch_rows
        self._vocab = int(model_config.get_text_config().vocab_size)
        self._max_context = context_limit(model_config, max_context)
        self._sampler: TorchSampler | None = None
        self._model: Any = None  # loaded by `check`, waiting to be entered

    def __enter__(self) -> Self:
        model, self._model = self._load() if self._model is None else self._model, None
        self._sampler = TorchSampler(model, batch_rows=self._batch_rows, max_context=self._max_context, copied=False)
        return self

    def __exit__(self, *exc: object) -> None:
        self._sampler = self._model = None

    def check(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> None:
        """Refuse what cannot be answered; weights too are found to be damaged here, before anything is written."""
        check_asks(asks, sampling, vocab=self._vocab, max_context=self._max_context)
        if asks and self._sampler is None and self._model is None:
            self._model = self._load()

    def stream(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        self.check(asks, sampling)
        if self._sampler is None:
            raise ValueError("enter the answerer first")
        place_of: dict[tuple[int, ...], list[int]] = {}  # prompts that are equal are read once
        for i, ask in enumerate(asks):
            place_of.setdefault(ask.prompt.token_ids, []).append(i)
        requests = [Request(ids, tuple(asks[i].seed for i in where)) for ids, where in place_of.items()]
        index_of = [i for where in place_of.values() for i in where]
        tokens_alone = Sampling(**{**vars(sampling), "stop": ()})
        try:
            for drawn in self._sampler.stream(requests, tokens_alone):
                yield (
                    index_of[drawn.answer],
                    reply_of(
                        drawn.token_T.tolist(),
                        sampling,
                        tokenizer=self._tokenizer,
                        logprob_T=drawn.logprob_T,
                        entropy_T=drawn.entropy_T,
                    ),
                )
        except torch.OutOfMemoryError:
            raise OutOfMemory(f"the GPU is out of memory; lower batch_rows (now {self._batch_rows})") from None

    def describe(self) -> dict[str, object]:
        """Tell name, versions, dtype, device; under `numerics` what moves the last bit of a logit, rarely a token."""
        return {
            "name": "torch",
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "dtype": self._dtype,
            "device": self._device.type,
            "numerics": {
                "batch_rows": self._batch_rows,
                "threads": torch.get_num_threads(),
                "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            },
        }
