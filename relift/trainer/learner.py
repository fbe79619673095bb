"""The learner: it turns an Update into gradient, and gradient into a step. It knows nothing of algorithms.

Axes: S sequences of a micro-batch, N their input tokens laid end to end, C their completion tokens.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from relift.errors import InputError
from relift.trainer.attention import NAME as PACKED_ATTENTION
from relift.trainer.attention import Segments, segments_of
from relift.trainer.batch import Component, TrainSequence, Update, UpdateStats
from relift.trainer.distributed import full, like, local, sum_over_ranks, world
from relift.trainer.head import TokenScores
from relift.trainer.optim import NamedOptimizer, OptimizerSpec
from relift.trainer.packing import MicroBatch, input_length, lay_out, plan


class Scorer(torch.nn.Module):
    """A causal LM and its head as one module: (log-probability, entropy) of completion tokens, no logits outside."""

    def __init__(self, model: Any, *, temperature: float) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(
        self,
        input_ids_N: torch.Tensor,
        position_N: torch.Tensor,
        segments: Segments,
        predictor_C: torch.Tensor,
        target_C: torch.Tensor,
        *,
        entropy_grad: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        output = self.model.base_model(
            input_ids=input_ids_N[None], position_ids=position_N[None], use_cache=False, segments=segments
        )
        hidden_CD = output.last_hidden_state[0].index_select(0, predictor_C)
        head = self.model.get_output_embeddings()
        logprob_C, entropy_C = TokenScores.apply(
            hidden_CD, head.weight, getattr(head, "bias", None), target_C, self.temperature, entropy_grad
        )
        return logprob_C, entropy_C


@dataclass
class View:
    """The TokenView of one component's tokens in one micro-batch."""

    logprob: torch.Tensor
    old_logprob: torch.Tensor
    advantage: torch.Tensor
    entropy: torch.Tensor | None
    by_sequence_mean: Callable[[torch.Tensor], torch.Tensor]


# What is summed over micro-batches and processes until the optimizer steps.
SUMS = ("loss", "n_sequences", "n_tokens", "entropy", "kl", "n_kl", "removed", "n_clippable", "n_not_finite")


class Learner:
    """Scores sequences, accumulates gradient, makes optimizer steps; in one process or, sharded by FSDP2, in several.

    It takes the model over: its attention is replaced, so that it no longer runs outside. In several processes every
    method must be called by each of them with equal arguments; each works on its share of the micro-batches.

    `temperature` divides the logits, everywhere: log-probabilities are those of the sampler at that temperature.
    `token_budget` bounds the input tokens of a micro-batch and changes nothing but rounding. Raises InputError for a
    model that cannot be trained exactly (no exchangeable attention, logits that are not a linear head).
    """

    def __init__(
        self,
        model: Any,
        optimizers: Mapping[str, OptimizerSpec],
        *,
        token_budget: int = 8192,
        temperature: float = 1.0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.rank, self.world_size = world()
        self.device = torch.device(device)
        self.token_budget = token_budget
        self.model = model.to(self.device).eval()  # eval: no dropout, so that scores are the sampler's
        _exchange_attention(self.model)
        self._scorer = Scorer(self.model, temperature=temperature)
        self._parameters = dict(self.model.named_parameters())  # a tied head appears once, as the embedding
        self._optimizers = {name: NamedOptimizer(name, spec, self._parameters) for name, spec in optimizers.items()}
        self._clear()

    def score(self, sequences: Sequence[TrainSequence]) -> list[np.ndarray]:
        """Log-probability (nats, float32, [T]) of every completion token; same numerics as `forward_backward`."""
        bounds = np.cumsum([0] + [len(s.completion_ids_T) for s in sequences])
        flat = torch.zeros(int(bounds[-1]), device=self.device)
        kept = [ix for ix, s in enumerate(sequences) if len(s.completion_ids_T)]
        for batch in self._share([sequences[ix] for ix in kept]):
            with torch.no_grad():
                logprob_C, _ = self._forward(batch, entropy_grad=False)
            places = [np.arange(bounds[kept[s]], bounds[kept[s] + 1]) for s in batch.index_S]
            if places:
                flat[torch.from_numpy(np.concatenate(places)).to(self.device)] = logprob_C.float()
        scores = sum_over_ranks(flat).cpu().numpy()
        return np.split(scores, bounds[1:-1]) if len(sequences) else []

    def forward_backward(self, update: Update) -> None:
        """Accumulate the gradient of an update, or of a part of one: denominators are global and come with it.

        Its sequences are packed together, whatever component they belong to. Values that are not finite (scores, old
        log-probabilities, advantages) are remembered and stop the next `optim_step`.
        """
        started = time.perf_counter()
        rows = [(k, s) for k, c in enumerate(update.components) for s in c.sequences if len(s.completion_ids_T)]
        component_R = np.array([k for k, _ in rows], np.int64)
        sequences = [s for _, s in rows]
        entropy_grad = any(c.entropy_weight for c in update.components)
        for batch in self._share(sequences):
            logprob_C, entropy_C = self._forward(batch, entropy_grad=entropy_grad)
            seed_C, entropy_seed_C = torch.zeros_like(logprob_C), torch.zeros_like(entropy_C)
            members = [sequences[ix] for ix in batch.index_S]
            for k, component in enumerate(update.components):
                mine_S = np.flatnonzero(component_R[batch.index_S] == k)
                if len(mine_S):
                    self._seed(component, batch, members, mine_S, (logprob_C, entropy_C), (seed_C, entropy_seed_C))
            # FSDP2 averages the gradients of the processes; the denominators are already global.
            outputs, seeds = [logprob_C], [seed_C * self.world_size]
            if entropy_grad:
                outputs, seeds = [*outputs, entropy_C], [*seeds, entropy_seed_C * self.world_size]
            torch.autograd.backward(outputs, seeds)
        self._seconds += time.perf_counter() - started

    def optim_step(self, optimizer: str) -> UpdateStats:
        """Clip, step, clear the gradient. A loss, norm or learning rate that is not finite, or a norm above the
        optimizer's `skip_grad_norm`, makes no step: weights, moments and schedule stay, `skipped` is true.

        Without any token the gradient is exactly 0 and the step is made with it, as AdamW does it: moments decay.
        """
        started = time.perf_counter()
        chosen = self._optimizers[optimizer]
        sums = dict(zip(SUMS, sum_over_ranks(self._sums).tolist(), strict=True))
        loss = sums["loss"] if not sums["n_not_finite"] else math.nan
        norm, lr, limit = self._grad_norm(), chosen.lr, chosen.spec.skip_grad_norm
        skipped = not all(map(math.isfinite, (loss, norm, lr))) or (limit is not None and norm > limit)
        if not skipped:
            if chosen.spec.max_grad_norm is not None:
                self._scale_gradients(min(1.0, chosen.spec.max_grad_norm / (norm + 1e-6)))
            chosen.step()
        seconds = self._seconds + time.perf_counter() - started
        self._clear()
        return UpdateStats(
            loss=loss,
            grad_norm=norm,
            lr=lr,
            n_sequences=int(sums["n_sequences"]),
            n_tokens=int(sums["n_tokens"]),
            entropy=_mean(sums["entropy"], sums["n_tokens"]),
            sampler_kl=_mean(sums["kl"], sums["n_kl"]),
            clip_fraction=_mean(sums["removed"], sums["n_clippable"]),
            skipped=skipped,
            seconds=seconds,
        )

    def reset_optimizer(self, name: str) -> None:
        """As after construction: fresh moments, schedule at its beginning."""
        self._optimizers[name].reset()

    def model_state_dict(self) -> dict[str, torch.Tensor]:
        """All entries of the model, `lm_head.weight` also when tied. The live tensors in one process: copy what is
        to outlast the next step; whole tensors on the CPU, on every process, when sharded."""
        return {name: full(tensor) for name, tensor in self.model.state_dict().items()}

    def state_dict(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """(tensors, scalars) to continue from, independent of the number of processes.

        Tensors: "model/<parameter or buffer>", "optimizer/<name>/<parameter>/exp_avg" and "…/exp_avg_sq", whole, on
        process 0; other processes get none, but must call. Live tensors, as in `model_state_dict`. Scalars fit JSON.
        """
        tensors = {f"model/{name}": tensor for name, tensor in self._model_tensors().items()}
        for name, optimizer in self._optimizers.items():
            tensors |= {f"optimizer/{name}/{moment}": tensor for moment, tensor in optimizer.moments().items()}
        whole = {}
        for name, tensor in tensors.items():
            gathered = full(tensor)
            if self.rank == 0:
                whole[name] = gathered
        return whole, {"optimizer_steps": {name: o.steps for name, o in self._optimizers.items()}}

    def load_state_dict(self, tensors: Mapping[str, torch.Tensor], scalars: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` gave; every process passes the whole tensors. Accumulated gradient is
        dropped. Raises InputError if the names are not this learner's."""
        steps = scalars["optimizer_steps"]
        own = self._model_tensors()
        wanted = {f"model/{name}" for name in own}
        for name, optimizer in self._optimizers.items():
            if steps.get(name, 0):
                wanted |= {f"optimizer/{name}/{p}/{m}" for p in optimizer.parameters for m in ("exp_avg", "exp_avg_sq")}
        odd = sorted(wanted.symmetric_difference(tensors)) + sorted(set(steps) - set(self._optimizers))
        if odd:
            raise InputError(f"the checkpoint is of another model or recipe: {odd[0]!r} is missing or unknown")
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(like(tensors[f"model/{name}"], tensor))
        for name, optimizer in self._optimizers.items():
            start = f"optimizer/{name}/"
            moments = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
            layouts = {n: optimizer.parameters[n.rpartition("/")[0]] for n in moments}
            optimizer.load(steps.get(name, 0), {n: like(t, layouts[n].detach()) for n, t in moments.items()})
        self._clear()

    def _model_tensors(self) -> dict[str, torch.Tensor]:
        """Parameters, tied ones once, and the buffers that a checkpoint holds."""
        saved = self.model.state_dict()
        buffers = {name: tensor for name, tensor in self.model.named_buffers() if name in saved}
        return {name: p.detach() for name, p in self._parameters.items()} | buffers

    def _share(self, sequences: Sequence[TrainSequence]) -> Iterator[MicroBatch]:
        """This process's micro-batches: as many as every other process has, some of them empty."""
        batches = plan([input_length(s) for s in sequences], self.token_budget, multiple_of=self.world_size)
        for index_S in batches[self.rank :: self.world_size]:
            yield lay_out(sequences, index_S)

    def _forward(self, batch: MicroBatch, *, entropy_grad: bool) -> tuple[torch.Tensor, torch.Tensor]:
        if not len(batch.index_S):  # its share is empty: one token that nothing is asked of keeps the processes in step
            nothing = np.zeros(0, np.int64)
            batch = MicroBatch(
                nothing, np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1, np.int64), *[nothing] * 3
            )
        ids, positions, predictor, target = (
            torch.from_numpy(x).to(self.device)
            for x in (batch.input_ids_N, batch.position_N, batch.predictor_C, batch.target_C)
        )
        segments = segments_of(batch.length_S, self.device)
        logprob_C, entropy_C = self._scorer(ids, positions, segments, predictor, target, entropy_grad=entropy_grad)
        return logprob_C, entropy_C

    @torch.no_grad()
    def _seed(
        self,
        component: Component,
        batch: MicroBatch,
        members: Sequence[TrainSequence],
        mine_S: np.ndarray,
        scores: tuple[torch.Tensor, torch.Tensor],
        seeds: tuple[torch.Tensor, torch.Tensor],
    ) -> None:
        """Write d loss/d logprob and d loss/d entropy of a component's tokens into `seeds`, and count."""
        tokens = torch.from_numpy(np.flatnonzero(np.isin(batch.sequence_C, mine_S))).to(self.device)
        chosen = [members[s] for s in mine_S]
        length_S = torch.from_numpy(batch.completion_S[mine_S]).to(self.device)
        logprob, entropy = scores[0].detach()[tokens], scores[1].detach()[tokens]
        view = self._view(chosen, length_S, logprob, entropy if component.loss.needs_entropy else None)
        share = torch.full_like(logprob, 1 / component.denominator)
        if component.loss.per_sequence_mean:
            share = share / length_S.repeat_interleave(length_S)
        coefficient = component.loss.coefficient(torch, view)
        seeds[0][tokens] = -component.scale * share * coefficient
        seeds[1][tokens] = -component.entropy_weight * share
        objective = component.loss.objective(torch, view)
        loss = -(share * (component.scale * objective + component.entropy_weight * entropy)).double().sum()
        finite = torch.isfinite(logprob) & torch.isfinite(view.old_logprob) & torch.isfinite(view.advantage)
        kl, n_kl = self._sampler_kl(chosen, view)
        removed = component.loss.removed(torch, view) if component.loss.removed else None
        self._sums += torch.stack(
            [
                loss,
                *self._numbers(len(chosen), len(logprob)),
                entropy.double().sum(),
                kl,
                *self._numbers(n_kl),
                removed.double().sum() if removed is not None else loss.new_zeros(()),
                *self._numbers(0 if removed is None else len(logprob)),
                (~finite).double().sum(),
            ]
        )

    def _numbers(self, *numbers: float) -> list[torch.Tensor]:
        return [torch.tensor(float(n), dtype=torch.float64, device=self.device) for n in numbers]

    def _view(
        self, chosen: Sequence[TrainSequence], length_S: torch.Tensor, logprob: torch.Tensor, entropy: Any
    ) -> View:
        advantage_S = torch.tensor([s.advantage for s in chosen], dtype=logprob.dtype, device=self.device)
        old, known = self._per_token(chosen, [s.old_logprobs_T for s in chosen], logprob.dtype)
        sequence = torch.arange(len(chosen), device=self.device).repeat_interleave(length_S)

        def by_sequence_mean(x: torch.Tensor) -> torch.Tensor:
            sums_S = x.new_zeros(len(chosen)).index_add_(0, sequence, x)
            return (sums_S / length_S)[sequence]

        return View(
            logprob,
            torch.where(known, old, logprob),
            advantage_S.repeat_interleave(length_S),
            entropy,
            by_sequence_mean,
        )

    def _sampler_kl(self, chosen: Sequence[TrainSequence], view: View) -> tuple[torch.Tensor, int]:
        """Sum and count of log p_sampler - log p_learner, both of the policy that sampled: the learner's old
        log-probabilities where there are any."""
        if all(s.sampler_logprobs_T is None for s in chosen):
            return view.logprob.new_zeros((), dtype=torch.float64), 0
        values, known = self._per_token(chosen, [s.sampler_logprobs_T for s in chosen], view.logprob.dtype)
        difference = torch.where(known, values - view.old_logprob, 0.0)
        return difference.double().sum(), int(known.sum())

    def _per_token(
        self, chosen: Sequence[TrainSequence], values: Sequence[np.ndarray | None], dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(values end to end, which of them are known)."""
        length = [len(s.completion_ids_T) for s in chosen]
        known = np.repeat([v is not None for v in values], length)
        flat = np.concatenate(
            [np.zeros(n) if v is None else np.asarray(v, np.float64) for v, n in zip(values, length, strict=True)]
        )
        return torch.from_numpy(flat).to(self.device, dtype), torch.from_numpy(known).to(self.device)

    def _grad_norm(self) -> float:
        """Euclidean norm of the whole gradient: float32 norms per tensor, summed in float64 over all processes."""
        grads = [local(p.grad) for p in self._parameters.values() if p.grad is not None]
        squares = torch.zeros((), dtype=torch.float64, device=self.device)
        if grads:
            squares += torch.stack(torch._foreach_norm(grads)).double().square().sum()
        return math.sqrt(sum_over_ranks(squares).item()) if torch.isfinite(squares) else math.nan

    def _scale_gradients(self, factor: float) -> None:
        grads = [local(p.grad) for p in self._parameters.values() if p.grad is not None]
        if grads and factor < 1.0:
            torch._foreach_mul_(grads, factor)

    def _clear(self) -> None:
        """Forget gradient and sums."""
        for parameter in self._parameters.values():
            parameter.grad = None
        self._sums = torch.zeros(len(SUMS), dtype=torch.float64, device=self.device)
        self._seconds = 0.0


def _mean(total: float, count: float) -> float | None:
    return total / count if count else None


def _exchange_attention(model: Any) -> None:
    """Put our attention into the model, after checking on two short sequences that nothing else changes."""
    name = type(model).__name__
    if not getattr(model, "_supports_attention_backend", False) or model.get_output_embeddings() is None:
        raise InputError(
            f"{name}: the learner needs a transformers causal LM whose attention goes through AttentionInterface "
            "(Llama, Qwen2, Qwen3 and others do)"
        )
    device = next(model.parameters()).device
    vocabulary = model.get_output_embeddings().weight.shape[0]
    examples = [TrainSequence((1 % vocabulary,), np.arange(3, 3 + n) % vocabulary) for n in (5, 2)]
    with torch.no_grad():
        expected = torch.cat([_reference_logprobs(model, example, device) for example in examples])
    model.set_attn_implementation(PACKED_ATTENTION)
    batch = lay_out(examples, [0, 1])
    ids, positions, predictor, target = (
        torch.from_numpy(x).to(device) for x in (batch.input_ids_N, batch.position_N, batch.predictor_C, batch.target_C)
    )
    with torch.no_grad():
        got, _ = Scorer(model, temperature=1.0)(
            ids, positions, segments_of(batch.length_S, device), predictor, target, entropy_grad=False
        )
    off = (got.float() - expected).abs().max().item()
    if not off <= (1e-3 if got.dtype != torch.bfloat16 and next(model.parameters()).dtype == torch.float32 else 0.3):
        raise InputError(
            f"{name}: packed log-probabilities differ from the model's own by {off:.2g}; its attention or head does "
            "something the learner does not cover"
        )


def _reference_logprobs(model: Any, example: TrainSequence, device: torch.device) -> torch.Tensor:
    ids = torch.tensor([[*example.prompt_ids, *example.completion_ids_T]], device=device)
    logits = model(input_ids=ids, use_cache=False).logits[0, len(example.prompt_ids) - 1 : -1].float()
    target = ids[0, len(example.prompt_ids) :, None]
    return torch.log_softmax(logits, -1).gather(1, target)[:, 0]
