"""Sample answers with torch from causal language models of transformers (docs/models.md), on a CPU or a GPU.

How it works stands in decoding_batch.py; here are the model, its weights and what may be asked of it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
import transformers
from transformers import PreTrainedModel

from relift.engines.checks import check_requests
from relift.engines.context import context_limit
from relift.engines.decoding_batch import ROW_MULTIPLE, DecodingBatch, Drawn, jobs_of
from relift.engines.kv_cache import ATTENTION, KVCache
from relift.engines.memory import memory_for
from relift.engines.sampler_check import require_exact
from relift.engines.tokens import Completion, Request, Sampling
from relift.errors import TOO_LARGE_STEPS, GuardStop, InputError, ReliftError

STREAM_STEPS = 32  # between two deliveries of a stream: an answer waits at most this long, and sorting costs nothing
KEPT_BYTES = 2**28  # buffers up to this size are kept between calls: making them anew takes about 5 % of a small call


class TorchSampler:
    """An Engine (relift/engines/tokens.py) that samples with torch.

    Takes a copy of `model` (dropout off), so that a learner's model stays the learner's; with `copied` False the model
    is the sampler's own from then on. `dtype`: type of the copy's weights, by default the model's. `batch_rows`:
    answers written at a time. `max_context`: longest prompt and answer together, in tokens; by default what the model's
    configuration says. Raises InputError for a model whose attention it cannot do.

    What holds of repeatability: the same call gives the same bits, log-probabilities included. In another order, split,
    or with other batch_rows, tokens were the same in every trial and, on a CPU in float32, so were the bits of the
    log-probabilities (see ROW_MULTIPLE). Another matrix library may round by the number of rows, and so may other
    threads or instruction sets; a token then changes where its uniform number falls between sums that differ in the
    last bit.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        batch_rows: int = 256,
        max_context: int | None = None,
        version: int = 0,
        copied: bool = True,
        dtype: torch.dtype | None = None,
    ) -> None:
        config = model.config.get_text_config()
        if batch_rows < ROW_MULTIPLE or batch_rows % ROW_MULTIPLE:
            raise InputError(f"batch_rows is {batch_rows}; it must be a multiple of {ROW_MULTIPLE}")
        self.max_context = context_limit(config, max_context)
        self.batch_rows = batch_rows
        self.policy_version = version
        self._vocab = int(config.vocab_size)
        self._model = (_copy_of(model, dtype) if copied else model).eval().requires_grad_(requires_grad=False)
        require_exact(self._model, lambda examined: examined.set_attn_implementation(ATTENTION))
        self._model.set_attn_implementation(ATTENTION)
        self._device = next(self._model.parameters()).device
        self._cache: KVCache | None = None  # of the last call

    def describe(self) -> dict[str, object]:
        """Tell name, versions, and what changes the last bit of a logit: dtype, device, threads, instruction set."""
        return {
            "name": "torch",
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "dtype": str(next(self._model.parameters()).dtype).removeprefix("torch."),
            "device": self._device.type,
            "threads": torch.get_num_threads(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "batch_rows": self.batch_rows,
            "max_context": self.max_context,
        }

    def publish(self, state_dict: object, *, version: int) -> None:
        """Copy new weights in, under this version. Either all entries are taken or, on an error, none.

        Raises ReliftError for missing, unknown, misshapen or non-finite entries, and for tied ones that differ.
        """
        if not isinstance(state_dict, Mapping):
            raise ReliftError(f"published weights are a {type(state_dict).__name__}; give a mapping of name to tensor")
        own = self._model.state_dict()
        for problem, names in (
            ("lack", own.keys() - state_dict.keys()),
            ("hold unknown", state_dict.keys() - own.keys()),
        ):
            if names:
                raise ReliftError(f"published weights {problem} {min(names)} ({len(names)} entries in all)")
        first_name_of: dict[int, str] = {}
        for name, mine in own.items():
            new = state_dict[name]
            if new.shape != mine.shape:
                raise ReliftError(f"published {name} has shape {tuple(new.shape)}; this model's is {tuple(mine.shape)}")
            if not bool(torch.isfinite(new).all()):
                raise GuardStop(f"published {name} holds numbers that are not finite; {TOO_LARGE_STEPS}")
            twin = first_name_of.setdefault(mine.data_ptr(), name)
            if twin != name and not torch.equal(state_dict[twin], new):
                raise ReliftError(
                    f"published {name} and {twin} differ, but this model ties them; publish equal entries"
                )
        with torch.no_grad():
            for name, mine in own.items():
                mine.copy_(state_dict[name])
        self.policy_version = version

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[list[Completion]]:
        """Answers in the order of requests and seeds. `on_progress(answers finished, tokens so far)` comes often.

        At temperature 0 log-probabilities and entropies are those of temperature 1.
        Raises InputError before any work for what cannot be answered, ReliftError when a logit is not finite.
        """
        check_requests(requests, sampling, vocab=self._vocab, max_context=self.max_context)
        seeds = [seed for request in requests for seed in request.seeds]
        if not seeds:
            return [[] for _ in requests]
        cache = KVCache(rows=self.batch_rows) if self._cache is None else self._cache
        self._cache = None  # a call that fails may leave numbers that are not finite in it
        lower = f"lower rollout.batch_rows (now {self.batch_rows})"
        with torch.inference_mode(), memory_for("sampling", lower):
            log = DecodingBatch(self._model, jobs_of(requests, rows=self.batch_rows), sampling, cache).run(on_progress)
        self._cache = cache if cache.n_bytes <= KEPT_BYTES else None
        flat = iter(log.completions(seeds, frozenset(sampling.stop_token_ids)))
        return [[next(flat) for _ in request.seeds] for request in requests]

    def stream(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Drawn]:
        """Give the answers of generate, each a short while after its last token; numbered over requests and seeds.

        Leave the weights alone until it has ended. Raises as generate; what was given before stays valid.
        """
        check_requests(requests, sampling, vocab=self._vocab, max_context=self.max_context)
        if not any(request.seeds for request in requests):
            return
        cache = KVCache(rows=self.batch_rows) if self._cache is None else self._cache
        self._cache = None  # as in generate; a stream that is left alone keeps it too
        with torch.inference_mode():  # never around a yield: the mode would be the caller's too
            batch = DecodingBatch(self._model, jobs_of(requests, rows=self.batch_rows), sampling, cache)
        while batch.busy:
            with torch.inference_mode():
                ended = batch.run_for(STREAM_STEPS)
            yield from ended
        self._cache = cache if cache.n_bytes <= KEPT_BYTES else None


def _copy_of(model: PreTrainedModel, dtype: torch.dtype | None) -> PreTrainedModel:
    """Copy a model, its parameters in this type. Buffers keep theirs: rounded rotary frequencies turn wrongly."""
    memo: dict[int, object] = {}
    if dtype is not None:
        memo = {
            id(p): torch.nn.Parameter(p.detach().to(dtype, copy=True), requires_grad=False) for p in model.parameters()
        }
    return copy.deepcopy(model, memo)
