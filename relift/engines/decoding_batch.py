"""Run the rows of one call of the torch sampler: prefill, decoding steps, and rows that come and go.

One paragraph: every question's prompt, all but its last token, runs once through the model; its keys and values are
copied to the rows of its G answers. From there all rows take steps together, one token each: feed the last token, draw
the next with the row's own random numbers, note it down. Rows that end are filled up from behind (`_compact`), and new
questions enter the rows that fall free (`_admit`), so a batch stays full as long as there is work. What a row computes
depends on its own prompt, seed and tokens alone.

Axes: R rows, G attempts of a request, T tokens of an answer, V vocabulary, W columns attended to, P prompts and L
columns of a prefill, C columns of the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from transformers import PreTrainedModel

from relift.engines.first_layers import body_of
from relift.engines.kv_cache import COLUMN_MULTIPLE, KVCache, round_up
from relift.engines.llama_decoder import LlamaDecoder, can_fuse
from relift.engines.token_draw import Draw, draw_tokens, uniforms_of
from relift.engines.tokens import Completion, Request, Sampling
from relift.errors import TOO_LARGE_STEPS, GuardStop
from relift.schema import Finish

# Rows run in multiples of this, since matrix kernels treat a remainder of rows differently. Shuffling a call changed
# the last bits of a log-probability in 2 % of the answers with 1, splitting it in 0.6 % with 4; with 16 nothing
# changed (2,048 answers of an arith-sized model, AVX-512, torch 2.13, float32; no token differed in any of these).
ROW_MULTIPLE = 16
PREFILL_MULTIPLE = 16  # prompts are filled up at the end to a multiple of this; causal attention never sees the filling
PREFILL_TOKENS = 8192  # tokens of one prefill pass, so that long prompts do not need memory by the batch


@dataclass(frozen=True)
class Job:
    """Part of a request that enters the batch as a whole: answers `first_answer`, ... (numbered over the call)."""

    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]
    first_answer: int


@dataclass(frozen=True)
class Drawn:
    """All that was drawn for one answer, token by token; `answer` is its number over the call."""

    answer: int
    token_T: np.ndarray  # int32
    logprob_T: np.ndarray  # float32
    entropy_T: np.ndarray  # float64


@dataclass
class Log:
    """Keep what was drawn, step by step; sorted by answer at the end, or by and by."""

    answer_R: list[torch.Tensor] = field(default_factory=list)  # -1: a row without an open answer
    draws: list[Draw] = field(default_factory=list)
    begun: dict[int, list[Drawn]] = field(default_factory=dict)  # of open answers, what `drain` has taken out already

    def drain(self, open_answers: Collection[int]) -> Iterator[Drawn]:
        """Empty the log and give the answers that have ended, that is, are not among `open_answers`."""
        answer_N, order_N, token_N, logprob_N, entropy_N = self._sorted()
        self.answer_R, self.draws = [], []
        numbers, begins = np.unique(answer_N[order_N], return_index=True)
        for number, begin, end in zip(numbers.tolist(), begins, [*begins[1:], len(order_N)], strict=True):
            piece = Drawn(number, token_N[begin:end], logprob_N[begin:end], entropy_N[begin:end])
            self.begun.setdefault(number, []).append(piece)
            if number not in open_answers:
                yield _joined(self.begun.pop(number))

    def _sorted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Numbers of the answers [N] as drawn, the order that sorts them, then tokens, log-probabilities and entropies
        in that order; rows without an answer are left out of the order."""
        answer_N = torch.cat(self.answer_R).cpu().numpy()
        order_N = np.argsort(answer_N, kind="stable")  # stable: tokens of an answer stay in the order of their drawing
        order_N = order_N[np.count_nonzero(answer_N < 0) :]
        token_N = torch.cat([d.token_R for d in self.draws]).cpu().numpy()[order_N].astype(np.int32)
        logprob_N = torch.cat([d.logprob_R for d in self.draws]).cpu().numpy()[order_N]
        entropy_N = torch.cat([d.entropy_R for d in self.draws]).cpu().numpy()[order_N].astype(np.float64)
        return answer_N, order_N, token_N, logprob_N, entropy_N

    def completions(self, seeds: Sequence[int], stop_ids: frozenset[int]) -> list[Completion]:
        """Make one completion for each seed, in order."""
        answer_N, order_N, token_N, logprob_N, entropy_N = self._sorted()
        ends = np.cumsum(np.bincount(answer_N[order_N], minlength=len(seeds))).tolist()
        out, begin = [], 0
        for seed, end in zip(seeds, ends, strict=True):
            token_T = token_N[begin:end].copy()  # a copy: a slice would keep the whole call's tokens alive
            finish = Finish.stop if int(token_T[-1]) in stop_ids else Finish.length
            entropy = float(entropy_N[begin:end].mean())
            out.append(Completion(token_T, logprob_N[begin:end].copy(), finish, entropy, seed))
            begin = end
        return out


def _joined(pieces: list[Drawn]) -> Drawn:
    columns = ([getattr(piece, name) for piece in pieces] for name in ("token_T", "logprob_T", "entropy_T"))
    return Drawn(pieces[0].answer, *(np.concatenate(column) for column in columns))


class DecodingBatch:
    """The rows of one call of generate: open answers first, then free rows."""

    def __init__(self, model: PreTrainedModel, jobs: list[Job], sampling: Sampling, cache: KVCache) -> None:
        self.model, self.sampling, self.device = model, sampling, next(model.parameters()).device
        self.jobs = jobs  # waiting, the next one last
        self.columns = max(len(job.prompt_ids) for job in jobs) + sampling.max_tokens  # at most
        n_answers = sum(len(job.seeds) for job in jobs)
        self.rows = min(cache.rows, round_up(n_answers, ROW_MULTIPLE))
        self.cache = cache
        self.used = self.live = self.width = 0  # rows in use, open answers among them, columns filled
        self.log = Log()
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

    def run(self, on_progress: Callable[[int, int], None] | None) -> Log:
        finished = tokens = 0
        while self.busy:
            open_before = self._advance()
            finished, tokens = finished + open_before - self.live, tokens + open_before
            if on_progress is not None and (open_before != self.live or len(self.log.draws) % 16 == 0):
                on_progress(finished, tokens)
        return self.log

    @property
    def busy(self) -> bool:
        return bool(self.jobs or self.live)

    def run_for(self, steps: int) -> list[Drawn]:
        """Take up to so many steps; the answers that ended in them."""
        while self.busy and len(self.log.draws) < steps:
            self._advance()
        return list(self.log.drain(set(self.answer_R[: self.used].tolist())))

    def _advance(self) -> int:
        """Take one step, after rows have come and gone; return how many answers were open in it."""
        dead = self.used - self.live
        if dead >= ROW_MULTIPLE or not self.live:
            self._compact()
        if self.jobs and self.rows - self.used >= max(len(self.jobs[-1].seeds), self.rows // 4 if self.live else 0):
            self._admit()
        open_before = self.live
        self._step()
        return open_before

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
            raise GuardStop(
                f"the model's logits are not finite at token {token} of answer {answer} of this call; {TOO_LARGE_STEPS}"
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
            group: list[Job] = []
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

    def _prefill(self, group: list[Job], columns: int) -> None:
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
            body_of(self.model)(
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


def jobs_of(requests: Sequence[Request], *, rows: int) -> list[Job]:
    """List the jobs of requests, longest prompts last: taken from the end, the widest rows come together."""
    jobs, first_answer = [], 0
    for request in requests:
        for g in range(0, len(request.seeds), rows):  # more answers than rows: the prompt runs again for the next part
            jobs.append(Job(request.prompt_ids, request.seeds[g : g + rows], first_answer + g))
        first_answer += len(request.seeds)
    return sorted(jobs, key=lambda job: len(job.prompt_ids))


def _prefill_columns(job: Job) -> int:
    """Columns that a prompt without its last token takes, filling included; a property of the prompt alone."""
    return round_up(len(job.prompt_ids) - 1, PREFILL_MULTIPLE)
