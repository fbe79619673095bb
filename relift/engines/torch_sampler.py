"""The torch sampler: answers from any transformers causal language model, on a CPU or a GPU.

How it works, in one paragraph. Every question's prompt, all but its last token, runs once through the model; its
keys and values are copied to the rows of its G answers. From there all rows take steps together, one token each: feed
the last token, draw the next with the row's own random numbers, note it down. Rows that end are filled up from behind
(`_compact`), and new questions enter the rows that fall free (`_admit`), so a batch stays full as long as there
is work. What a row computes depends on its own prompt, seed and tokens alone.

Axes: R rows, Q requests, G attempts of each, T tokens of an answer, V vocabulary, P prompts and L columns of a prefill.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
import transformers
from transformers import PreTrainedModel

from relift.engines.base import Completion, Request, Sampling
from relift.engines.kv_cache import ATTENTION, COLUMN_MULTIPLE, KVCache, round_up
from relift.engines.llama_decoder import LlamaDecoder, can_fuse
from relift.engines.token_draw import Draw, draw_tokens, uniforms_of
from relift.errors import InputError, ReliftError
from relift.schema import Finish

# Rows run in multiples of this, since matrix kernels treat a remainder of rows differently. Shuffling a call changed
# the last bits of a log-probability in 2 % of the answers with 1, splitting it in 0.6 % with 4; with 16 nothing
# changed (2,048 answers of an arith-sized model, AVX-512, torch 2.13, float32; no token differed in any of these).
ROW_MULTIPLE = 16
PREFILL_MULTIPLE = 16  # prompts are filled up at the end to a multiple of this; causal attention never sees the filling
KEPT_BYTES = 2**28  # buffers up to this size are kept between calls: making them anew takes about 5 % of a small call
PREFILL_TOKENS = 8192  # tokens of one prefill pass, so that long prompts do not need memory by the batch


@dataclass(frozen=True)
class _Job:
    """Part of a request that enters the batch as a whole: answers `first_answer`, ... (numbered over the call)."""

    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]
    first_answer: int


@dataclass
class _Log:
    """What was drawn, step by step, in whatever order; sorted by answer at the end."""

    answer_R: list[torch.Tensor] = field(default_factory=list)  # -1: a row without an open answer
    draws: list[Draw] = field(default_factory=list)

    def completions(self, seeds: Sequence[int], stop_ids: frozenset[int]) -> list[Completion]:
        """One completion for each seed, in order."""
        answer_N = torch.cat(self.answer_R).cpu().numpy()
        order_N = np.argsort(answer_N, kind="stable")  # stable: tokens of an answer stay in the order of their drawing
        order_N = order_N[np.count_nonzero(answer_N < 0) :]
        token_N = torch.cat([d.token_R for d in self.draws]).cpu().numpy()[order_N].astype(np.int32)
        logprob_N = torch.cat([d.logprob_R for d in self.draws]).cpu().numpy()[order_N]
        entropy_N = torch.cat([d.entropy_R for d in self.draws]).cpu().numpy()[order_N].astype(np.float64)
        ends = np.cumsum(np.bincount(answer_N[order_N], minlength=len(seeds))).tolist()
        out, begin = [], 0
        for seed, end in zip(seeds, ends, strict=True):
            token_T = token_N[begin:end].copy()  # a copy: a slice would keep the whole call's tokens alive
            finish = Finish.stop if int(token_T[-1]) in stop_ids else Finish.length
            entropy = float(entropy_N[begin:end].mean())
            out.append(Completion(token_T, logprob_N[begin:end].copy(), finish, entropy, seed))
            begin = end
        return out


class TorchSampler:
    """An Engine (relift/engines/base.py) that samples with torch.

    Takes a copy of `model` (dropout off), so that a learner's model stays the learner's. `batch_rows`: answers
    written at a time. `max_context`: longest prompt and answer together, in tokens; by default what the model's
    configuration says. Raises InputError for a model whose attention it cannot do.

    What holds of repeatability: the same call gives the same bits, log-probabilities included. In another order, split,
    or with other batch_rows, tokens were the same in every trial and on a CPU in float32 the bits of the log-probabilities
    too (see ROW_MULTIPLE). A matrix library may round differently by the number of rows; a token then changes where the
    uniform number falls between two sums that differ in the last bit. Other threads or instruction sets: same caveat.
    """

    def __init__(
        self, model: PreTrainedModel, *, batch_rows: int = 256, max_context: int | None = None, version: int = 0
    ) -> None:
        config = model.config.get_text_config()
        other = sorted(set(getattr(config, "layer_types", None) or ()) - {"full_attention"})
        if other:
            raise InputError(f"model {config.model_type} has layers of type {other[0]}; use another engine for it")
        if batch_rows < ROW_MULTIPLE or batch_rows % ROW_MULTIPLE:
            raise InputError(f"batch_rows is {batch_rows}; it must be a multiple of {ROW_MULTIPLE}")
        limits = [
            max_context,
            getattr(config, "max_position_embeddings", None),
            getattr(config, "sliding_window", None),
        ]
        self.max_context = min((n for n in limits if n is not None), default=None)
        self.batch_rows = batch_rows
        self.policy_version = version
        self._vocab = int(config.vocab_size)
        self._model = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        self._model.set_attn_implementation(ATTENTION)
        self._device = next(self._model.parameters()).device
        self._cache: KVCache | None = None  # of the last call

    def describe(self) -> dict[str, object]:
        """Name, versions, and what changes the last bit of a logit: dtype, device, threads, instruction set."""
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
                raise ReliftError(f"published {name} holds numbers that are not finite; the update went wrong")
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
        with torch.inference_mode():
            log = _Batch(self._model, _jobs(requests, rows=self.batch_rows), sampling, cache).run(on_progress)
        self._cache = cache if cache.n_bytes <= KEPT_BYTES else None
        flat = iter(log.completions(seeds, frozenset(sampling.stop_token_ids)))
        return [[next(flat) for _ in request.seeds] for request in requests]


class _Batch:
    """The rows of one call of generate: open answers first, then free rows."""

    def __init__(self, model: PreTrainedModel, jobs: list[_Job], sampling: Sampling, cache: KVCache) -> None:
        self.model, self.sampling, self.device = model, sampling, next(model.parameters()).device
        self.jobs = jobs  # waiting, the next one last
        self.columns = max(len(job.prompt_ids) for job in jobs) + sampling.max_tokens  # at most
        n_answers = sum(len(job.seeds) for job in jobs)
        self.rows = min(cache.rows, round_up(n_answers, ROW_MULTIPLE))
        self.cache = cache
        self.used = self.live = self.width = 0  # rows in use, open answers among them, columns filled
        self.log = _Log()
        self.decode = LlamaDecoder(model, columns=self.columns) if can_fuse(model) else partial(_decode, model)

        def zeros(*shape: int, dtype: torch.dtype = torch.long) -> torch.Tensor:
            return torch.zeros(*shape, dtype=dtype, device=self.device)

        self.answer_R = zeros(self.rows) - 1  # number of the answer; -1: none
        self.token_R, self.position_R = zeros(self.rows), zeros(self.rows)  # the token to feed next, and where
        self.drawn_R = zeros(self.rows)  # tokens drawn so far
        self.uniform_RT = zeros(self.rows, sampling.max_tokens, dtype=torch.float64)
        self.is_stop_V = zeros(model.config.get_text_config().vocab_size, dtype=torch.bool)
        self.is_stop_V[list(sampling.stop_token_ids)] = True
        self.column_C = torch.arange(round_up(self.columns, COLUMN_MULTIPLE), device=self.device)

    def run(self, on_progress: Callable[[int, int], None] | None) -> _Log:
        finished = tokens = 0
        while self.jobs or self.live:
            dead = self.used - self.live
            if dead >= ROW_MULTIPLE or not self.live:
                self._compact()
            if self.jobs and self.rows - self.used >= max(len(self.jobs[-1].seeds), self.rows // 4 if self.live else 0):
                self._admit()
            open_before = self.live
            self._step()
            finished, tokens = finished + open_before - self.live, tokens + open_before
            if on_progress is not None and (open_before != self.live or len(self.log.draws) % 16 == 0):
                on_progress(finished, tokens)
        return self.log

    def _step(self) -> None:
        """Feed every row's token, draw the next one, note it, close the answers that end."""
        n_rows = round_up(self.used, ROW_MULTIPLE)
        rows = slice(0, n_rows)
        self.width += 1
        width = min(round_up(self.width, COLUMN_MULTIPLE), len(self.column_C))
        if width > self.cache.columns:
            self.cache.reserve(min(max(width, 2 * self.cache.columns), len(self.column_C)))
        position_R, drawn_R, answer_R = self.position_R[rows], self.drawn_R[rows], self.answer_R[rows]
        seen_RW = self.column_C[:width] <= position_R[:, None]
        mask_RW = torch.zeros(n_rows, width, dtype=self.model.dtype, device=self.device).masked_fill_(
            ~seen_RW, -math.inf
        )
        self.cache.begin_decode(position_R=position_R, width=width)
        logits_RV = self.decode(self.token_R[rows], position_R, mask_RW[:, None, None], self.cache)
        uniform_R = self.uniform_RT[rows].gather(1, drawn_R[:, None])[:, 0]
        draw = draw_tokens(logits_RV, uniform_R, sampling=self.sampling)
        self._refuse_nonfinite(draw, answer_R)
        self.log.answer_R.append(answer_R.clone())
        self.log.draws.append(draw)
        goes_on_R = (answer_R >= 0) & ~self.is_stop_V[draw.token_R] & (drawn_R < self.sampling.max_tokens - 1)
        self.token_R[rows] = draw.token_R
        self.position_R[rows] += goes_on_R  # a closed row stays where it is until another answer takes its place
        self.drawn_R[rows] += goes_on_R
        self.answer_R[rows] = answer_R.where(goes_on_R, -1)
        self.live = int(goes_on_R.sum())

    def _refuse_nonfinite(self, draw: Draw, answer_R: torch.Tensor) -> None:
        bad_R = ~torch.isfinite(draw.entropy_R) & (answer_R >= 0)
        if bool(bad_R.any()):
            answer, token = int(answer_R[bad_R][0]), int(self.drawn_R[: len(bad_R)][bad_R][0])
            raise ReliftError(
                f"the model's logits are not finite at token {token} of answer {answer} of this call; check the weights"
            )

    def _compact(self) -> None:
        """Move the open answers at the end into the closed rows before them."""
        is_open_R = self.answer_R[: self.used] >= 0
        target_R = (~is_open_R[: self.live]).nonzero()[:, 0]
        source_R = is_open_R[self.live :].nonzero()[:, 0] + self.live
        self.cache.move(source_R, target_R, width=self.width)
        for state in (self.answer_R, self.token_R, self.position_R, self.drawn_R, self.uniform_RT):
            state[target_R] = state[source_R]
        self.answer_R[self.live : self.used] = -1
        self.position_R[self.live : self.used] = 0
        self.used = self.live
        self.width = int(self.position_R[: self.used].max()) if self.used else 0

    def _admit(self) -> None:
        """Take as many waiting questions as there are free rows for, and run their prompts, alike lengths together."""
        while self.jobs:
            fill = _prefill_columns(self.jobs[-1])
            group: list[_Job] = []
            free = self.rows - self.used
            while (
                self.jobs
                and _prefill_columns(self.jobs[-1]) == fill
                and len(self.jobs[-1].seeds) <= free
                and (not group or (len(group) + 1) * fill <= PREFILL_TOKENS)
            ):
                free -= len(self.jobs[-1].seeds)
                group.append(self.jobs.pop())
            if not group:
                return
            self._prefill(group, fill)

    def _prefill(self, group: list[_Job], columns: int) -> None:
        """Run all of the prompts but their last tokens, which the next step feeds, and set up the rows."""
        prompt_of_row_R = torch.tensor([p for p, job in enumerate(group) for _ in job.seeds], device=self.device)
        rows = slice(self.used, self.used + len(prompt_of_row_R))
        self.cache.reserve(min(max(columns, COLUMN_MULTIPLE), len(self.column_C)))
        if columns:
            ids_PL = torch.tensor(
                [job.prompt_ids[:-1] + (0,) * (columns - len(job.prompt_ids) + 1) for job in group], device=self.device
            )
            # The filling stands at positions that exist: models with a table of positions have no others.
            position_L = torch.arange(columns, device=self.device).clamp(max=max(len(j.prompt_ids) for j in group) - 1)
            self.cache.begin_prefill(first_row=rows.start, prompt_of_row_R=prompt_of_row_R)
            self.model.base_model(
                input_ids=ids_PL, position_ids=position_L[None], past_key_values=self.cache, use_cache=True
            )
        length_P = torch.tensor([len(job.prompt_ids) for job in group], device=self.device)
        last_P = torch.tensor([job.prompt_ids[-1] for job in group], device=self.device)
        self.answer_R[rows] = torch.tensor(
            [job.first_answer + g for job in group for g in range(len(job.seeds))], device=self.device
        )
        self.token_R[rows] = last_P[prompt_of_row_R]
        self.position_R[rows] = length_P[prompt_of_row_R] - 1
        self.drawn_R[rows] = 0
        if self.sampling.temperature > 0:
            uniform_RT = np.stack([uniforms_of(s, self.sampling.max_tokens) for job in group for s in job.seeds])
            self.uniform_RT[rows] = torch.from_numpy(uniform_RT).to(self.device)
        self.used = rows.stop
        self.live += len(prompt_of_row_R)
        self.width = max(self.width, max(len(job.prompt_ids) for job in group) - 1)


def _decode(
    model: PreTrainedModel, token_R: torch.Tensor, position_R: torch.Tensor, mask: torch.Tensor, cache: KVCache
) -> torch.Tensor:
    """Logits [R, V] of each row's next token, by the model's own forward pass: for every model."""
    out = model(
        input_ids=token_R[:, None],
        attention_mask=mask,
        position_ids=position_R[:, None],
        past_key_values=cache,
        use_cache=True,
    )
    return out.logits[:, -1]


def _jobs(requests: Sequence[Request], *, rows: int) -> list[_Job]:
    """What is to be done, longest prompts last, since jobs are taken from the end: the widest rows come together."""
    jobs, first_answer = [], 0
    for request in requests:
        for g in range(0, len(request.seeds), rows):  # more answers than rows: the prompt runs again for the next part
            jobs.append(_Job(request.prompt_ids, request.seeds[g : g + rows], first_answer + g))
        first_answer += len(request.seeds)
    return sorted(jobs, key=lambda job: len(job.prompt_ids))


def _prefill_columns(job: _Job) -> int:
    """Columns that a prompt without its last token takes, filling included; a property of the prompt alone."""
    return round_up(len(job.prompt_ids) - 1, PREFILL_MULTIPLE)


def check_requests(requests: Sequence[Request], sampling: Sampling, *, vocab: int, max_context: int | None) -> None:
    """Raise InputError, one line, for the first thing that cannot be answered."""
    if sampling.max_tokens < 1:
        raise InputError(f"max_tokens is {sampling.max_tokens}; at least one token must be allowed")
    if not (math.isfinite(sampling.temperature) and sampling.temperature >= 0):
        raise InputError(f"temperature is {sampling.temperature}; it must be 0 (greedy) or positive")
    if not 0 < sampling.top_p <= 1:
        raise InputError(f"top_p is {sampling.top_p}; it must lie above 0 and not above 1 (1: off)")
    if sampling.top_k != -1 and sampling.top_k < 1:
        raise InputError(f"top_k is {sampling.top_k}; it must be positive, or -1 (off)")
    if any(not 0 <= token < vocab for token in sampling.stop_token_ids):
        raise InputError(f"a stop token of {sampling.stop_token_ids} is outside of the model's {vocab} tokens")
    for q, request in enumerate(requests):
        length = len(request.prompt_ids)
        if not length:
            raise InputError(f"request {q} has an empty prompt; give it at least a beginning-of-text token")
        if min(request.prompt_ids) < 0 or max(request.prompt_ids) >= vocab:
            raise InputError(f"request {q} has a token outside of the model's {vocab} tokens; check the tokenizer")
        if max_context is not None and length + sampling.max_tokens > max_context:
            raise InputError(
                f"request {q}: prompt of {length} tokens and max_tokens {sampling.max_tokens} exceed the context of "
                f"{max_context} tokens; shorten the prompt or lower max_tokens"
            )
        if any(not 0 <= seed < 2**63 for seed in request.seeds):
            raise InputError(f"request {q} has a seed outside of 0 .. 2**63 - 1; seeds come from relift.schema.seed_of")
