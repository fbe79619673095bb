"""Turn an Update into gradient, and gradient into a step, knowing nothing of algorithms.

Axes: S sequences of a micro-batch, N their input tokens laid end to end, C their completion tokens.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from relift.engines.first_layers import layers_of
from relift.engines.memory import memory_for
from relift.errors import InputError
from relift.learner import distributed
from relift.learner.exactness import exchange_attention
from relift.learner.gradient import N_SUMS, SUMS, token_gradients
from relift.learner.head import CHUNK_ELEMENTS_CUDA
from relift.learner.importance import GAP_SUMS, quantile
from relift.learner.lora import Adapter, LoraSpec
from relift.learner.model import LogprobModel, run
from relift.learner.optim import MOMENTS, NamedOptimizer, OptimizerSpec
from relift.learner.packing import EMPTY, MicroBatch, lay_out, plan
from relift.learner.update import TrainSequence, Update, UpdateStats


class Learner:
    """Scores sequences, accumulates gradient, makes optimizer steps; in one process or, sharded by FSDP2, in several.

    It takes the model over: its attention is replaced, so that it no longer runs outside. Where a process group
    exists (relift.learner.distributed) the weights are sharded over it: every process must then call every method
    with equal arguments, and works on its share of the micro-batches.

    `token_budget` bounds the input tokens of a micro-batch and changes nothing but rounding. `checkpoint_activations`
    computes each layer twice and keeps only its input: for models whose activations do not fit. `longest`: tokens of
    the longest sequence to come; the model is checked at that length. Raises InputError for a model that cannot be
    trained exactly (no exchangeable attention, logits that are not a linear head).

    `compute`: type that weights are cast to for all computing, while they, their gradient and moments stay in their
    own; FSDP2 does it, in one process too. `head_chunk`: logits computed at once. `offload_moments`: the optimizers'
    moments lie on the CPU between steps. `sync_gradients`: sum the gradient over processes after each micro-batch, or
    after the last one, which saves exchanges and takes room for the whole gradient on every process.

    `lora`: train an adapter instead of the weights, which stay what they are and are the reference. A state then holds
    the adapter alone, and model_state_dict gives merged weights.
    """

    def __init__(
        self,
        model: Any,
        optimizers: Mapping[str, OptimizerSpec],
        *,
        token_budget: int = 8192,
        device: str | torch.device = "cpu",
        checkpoint_activations: bool = False,
        longest: int | None = None,
        compute: torch.dtype | None = None,
        head_chunk: int | None = None,
        offload_moments: bool = False,
        sync_gradients: Literal["each", "last"] = "each",
        lora: LoraSpec | None = None,
    ) -> None:
        self.rank, self.world_size = distributed.world()
        self.device = torch.device(device)
        self.token_budget = token_budget
        self.model = model.to(self.device).eval()  # eval: no dropout, so that scores are the sampler's
        exchange_attention(self.model, self.device, longest=longest)
        layers = layers_of(self.model)
        own = next(self.model.parameters()).dtype
        self.adapter = None if lora is None else Adapter(self.model, lora)
        if checkpoint_activations:
            _require_layers(self.model, layers)
            for layer in layers:
                _checkpoint(layer)
        if head_chunk is None and self.device.type == "cuda":
            head_chunk = CHUNK_ELEMENTS_CUDA
        self._logprobs = LogprobModel(self.model, chunk_elements=head_chunk)
        self.compute = own if compute is None else compute
        cast = any(p.dtype != self.compute for p in self.model.parameters())
        if self.world_size > 1 or cast:
            distributed.shard(self._logprobs, layers, self.device, compute=self.compute if cast else None)
        self._sync_gradients = sync_gradients
        # What is trained; a tied head appears once, as the embedding.
        self._parameters = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self._optimizers = {
            name: NamedOptimizer(name, spec, self._parameters, offload=offload_moments)
            for name, spec in optimizers.items()
        }
        self._reference: list[torch.Tensor] = []
        self._clear()

    def score(self, sequences: Sequence[TrainSequence], *, temperature: float = 1.0) -> list[np.ndarray]:
        """Give the log-probability (nats, float32, [T]) of every completion token, logits over `temperature`; same
        numerics as `forward_backward`."""
        bounds = np.cumsum([0] + [len(s.completion_ids_T) for s in sequences])
        flat = torch.zeros(int(bounds[-1]), device=self.device)
        kept = [ix for ix, s in enumerate(sequences) if len(s.completion_ids_T)]
        for batch in self._share([sequences[ix] for ix in kept]):
            with torch.no_grad(), self._memory_for("scoring"):
                logprob_C, _ = run(
                    self._logprobs,
                    batch,
                    self.device,
                    temperature_S=np.full(len(batch.index_S), temperature),
                    entropy_grad=False,
                )
            places = [np.arange(bounds[kept[s]], bounds[kept[s] + 1]) for s in batch.index_S]
            if places:
                flat[torch.from_numpy(np.concatenate(places)).to(self.device)] = logprob_C.float()
        distributed.forget_gathered(self._logprobs)
        scores = distributed.sum_over_ranks(flat).cpu().numpy()
        return np.split(scores, bounds[1:-1]) if len(sequences) else []

    def keep_reference(self) -> None:
        """Copy the weights as they are now to the CPU, each process its share, for `score_reference`. Under an adapter
        they are there: nothing is copied."""
        if self.adapter is not None:
            return
        self._reference = [distributed.local(p.detach()).to("cpu", copy=True) for p in self._parameters.values()]

    def score_reference(self, sequences: Sequence[TrainSequence], *, temperature: float = 1.0) -> list[np.ndarray]:
        """Give what `score` gives under the weights of `keep_reference`. The learner's own come back bit for bit.

        Two copies of the weights lie on the CPU meanwhile, and none more on the device. The reference of an adapter is
        its base.
        """
        if self.adapter is not None:
            with self.adapter.off():
                return self.score(sequences, temperature=temperature)
        distributed.forget_gathered(self._logprobs)
        own = [distributed.local(p.detach()) for p in self._parameters.values()]
        kept = [tensor.to("cpu", copy=True) for tensor in own]
        try:
            for tensor, value in zip(own, self._reference, strict=True):
                tensor.copy_(value)
            return self.score(sequences, temperature=temperature)
        finally:
            for tensor, value in zip(own, kept, strict=True):
                tensor.copy_(value)

    def forward_backward(self, update: Update) -> None:
        """Accumulate the gradient of an update, or of a part of one: denominators are global and come with it.

        Its sequences are packed together, whatever component they belong to; those without a completion count for
        nothing. Values that are not finite (scores, old log-probabilities, advantages) stop the next `optim_step`.
        """
        started = time.perf_counter()
        with self._memory_for("training"):
            self._accumulate(update)
        self._seconds += time.perf_counter() - started

    def _memory_for(self, doing: str) -> AbstractContextManager[None]:
        return memory_for(
            doing,
            f"lower runtime.token_budget (now {self.token_budget} tokens a micro-batch) or runtime.head_chunk, or set "
            "model.checkpoint_activations = true",
        )

    def _accumulate(self, update: Update) -> None:
        components = update.components
        rows = [(k, p) for k, c in enumerate(components) for p, s in enumerate(c.sequences) if len(s.completion_ids_T)]
        component_R, place_R = np.array(rows, np.int64).reshape(-1, 2).T
        temperature_R = np.array([components[k].temperature for k, _ in rows])
        entropy_grad = any(term.entropy_weight for c in components for term in c.terms)
        batches = list(self._share([components[k].sequences[p] for k, p in rows]))
        for number, batch in enumerate(batches, start=1):
            distributed.reduce_now(self._logprobs, now=self._sync_gradients == "each" or number == len(batches))
            row_S = batch.index_S
            logprob_C, entropy_C = run(
                self._logprobs,
                batch,
                self.device,
                temperature_S=temperature_R[row_S],
                entropy_grad=entropy_grad,
            )
            gradient_C, entropy_gradient_C, sums = token_gradients(
                components, component_R[row_S], place_R[row_S], logprob_C.detach(), entropy_C.detach()
            )
            self._sums += sums
            # FSDP2 averages the gradients of the processes, and the denominators are already global.
            outputs, seeds = [logprob_C], [gradient_C * self.world_size]
            if entropy_grad:
                outputs, seeds = [*outputs, entropy_C], [*seeds, entropy_gradient_C * self.world_size]
            torch.autograd.backward(outputs, seeds)

    def optim_step(self, optimizer: str, *, run_steps: int | None = None) -> UpdateStats:
        """Clip, step, clear the gradient. A loss, norm or learning rate that is not finite, or a norm above the
        optimizer's `skip_grad_norm`, makes no step: weights, moments and schedule stay, `skipped` is true.

        Without any token the gradient is exactly 0 and the step is made with it, as with the zeros of groups without
        signal: moments decay, and old momentum still moves the weights. `run_steps`: steps of the run that lie
        behind, for a schedule that counts these.
        """
        started = time.perf_counter()
        chosen = self._optimizers[optimizer]
        values = distributed.sum_over_ranks(self._sums).tolist()
        names = (*SUMS, *GAP_SUMS)
        sums, gap_counts = dict(zip(names, values, strict=False)), values[len(names) :]
        loss = sums["loss"] if not sums["n_not_finite"] else math.nan
        norm, limit = self._grad_norm(), chosen.spec.skip_grad_norm
        lr = chosen.spec.lr_at(chosen.steps if run_steps is None or not chosen.spec.over_run else run_steps)
        skipped = not all(map(math.isfinite, (loss, norm, lr))) or (limit is not None and norm > limit)
        if not skipped:
            if chosen.spec.max_grad_norm is not None:
                self._scale_gradients(chosen.spec.max_grad_norm / (norm + 1e-6))
            with memory_for("the step of an optimizer", "set runtime.offload_moments = true"):
                chosen.step(lr)
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
            n_sampled_tokens=int(sums["n_kl"]) or None,
            sampler_gap=_mean(sums["gap"], sums["n_kl"]),
            sampler_gap_p99=quantile(gap_counts, 0.99),
            effective_tokens=_mean(sums["weight"] ** 2, sums["weight_squared"]),
            clip_fraction=_mean(sums["removed"], sums["n_clippable"]),
            skipped=skipped,
            seconds=seconds,
        )

    def reset_optimizer(self, name: str) -> None:
        """Forget an optimizer's moments and steps, as after construction."""
        self._optimizers[name].reset()

    def model_state_dict(self) -> dict[str, torch.Tensor]:
        """All entries of the model, `lm_head.weight` also when tied. The live tensors in one process: copy what is
        to outlast the next step; whole tensors on the CPU, on every process, when sharded or merged."""
        if self.adapter is not None:
            return self.adapter.merged()
        return {name: distributed.full(tensor) for name, tensor in self.model.state_dict().items()}

    def state_dict(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """(tensors, scalars) to continue from, independent of the number of processes.

        Tensors: "model/<parameter or buffer>", "optimizer/<name>/<parameter>/exp_avg" and "…/exp_avg_sq", whole, on
        process 0; other processes get none, but must call. Live tensors, as in `model_state_dict`. Scalars fit JSON.
        """
        whole = {}
        for name, tensor in self.parts().items():
            gathered = distributed.full(tensor())
            if self.rank == 0:
                whole[name] = gathered
        return whole, self.scalars()

    def parts(self) -> dict[str, Callable[[], torch.Tensor]]:
        """Give all that `state_dict` gathers, by name and in one order on every process, as it lies here: a tensor, or
        this process's part of one (distributed.full makes it whole)."""
        tensors = {f"model/{name}": partial(_itself, tensor) for name, tensor in self._model_tensors().items()}
        moments = {
            f"optimizer/{name}/{moment}": tensor
            for name, optimizer in self._optimizers.items()
            for moment, tensor in optimizer.moments().items()
        }
        return {**tensors, **moments}

    def scalars(self) -> dict[str, Any]:
        """Give the part of the state that is no tensor."""
        return {"optimizer_steps": {name: o.steps for name, o in self._optimizers.items()}}

    def load_state_dict(self, tensors: Mapping[str, distributed.Sliced], scalars: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` gave; every process passes the whole tensors, in memory or in files, and
        takes its part. Accumulated gradient is dropped. Raises InputError, and changes nothing, if the names are not
        this learner's."""
        steps: Mapping[str, int] = scalars["optimizer_steps"]
        own = self._model_tensors()
        odd = sorted(set(steps) ^ set(self._optimizers))
        if not odd:
            moments = [f"{name}/{p}/{m}" for name, n in steps.items() if n for p in self._parameters for m in MOMENTS]
            odd = sorted({*(f"model/{n}" for n in own), *(f"optimizer/{n}" for n in moments)} ^ set(tensors))
        if odd:
            raise InputError(f"checkpoint: {odd[0]!r} is missing or unknown; it is of another model or recipe")
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(distributed.like(tensors[f"model/{name}"], tensor))
        for name, optimizer in self._optimizers.items():
            optimizer.load(steps[name], partial(self._moment, tensors, name))
        self._clear()

    def _moment(self, tensors: Mapping[str, distributed.Sliced], optimizer: str, name: str) -> torch.Tensor:
        """Take this process's part of a moment, named "<parameter>/<moment>"."""
        parameter = self._parameters[name.rpartition("/")[0]]
        return distributed.like(tensors[f"optimizer/{optimizer}/{name}"], parameter.detach())

    def _model_tensors(self) -> dict[str, torch.Tensor]:
        """Trained parameters, tied ones once, and the buffers that a checkpoint holds; of an adapter it alone."""
        if self.adapter is not None:
            return {name: p.detach() for name, p in self._parameters.items()}
        saved = self.model.state_dict()
        buffers = {name: tensor for name, tensor in self.model.named_buffers() if name in saved}
        return {name: p.detach() for name, p in self._parameters.items()} | buffers

    def _share(self, sequences: Sequence[TrainSequence]) -> Iterator[MicroBatch]:
        """This process's micro-batches: as many as every other process has. An empty one still runs, on one token
        that nothing is asked of, to keep the processes in step."""
        share = self.device.type == "cpu"  # what CUDA's kernel takes has each sequence whole
        batches = plan(sequences, self.token_budget, multiple_of=self.world_size, share_prompts=share)
        for index_S in batches[self.rank :: self.world_size]:
            yield lay_out(sequences, index_S, share_prompts=share) if index_S else EMPTY

    @torch.no_grad()
    def _grad_norm(self) -> float:
        """Euclidean norm of the whole gradient: one norm per tensor, their squares summed in float64."""
        squares = torch.zeros((), dtype=torch.float64, device=self.device)
        if grads := self._local_gradients():
            squares += torch.stack(torch._foreach_norm(grads)).double().square().sum()
        return math.sqrt(distributed.sum_over_ranks(squares).item())

    @torch.no_grad()
    def _scale_gradients(self, factor: float) -> None:
        grads = self._local_gradients()
        if grads and factor < 1.0:
            torch._foreach_mul_(grads, factor)

    def _local_gradients(self) -> list[torch.Tensor]:
        return [distributed.local(p.grad) for p in self._parameters.values() if p.grad is not None]

    def _clear(self) -> None:
        """Forget gradient and sums."""
        for parameter in self._parameters.values():
            parameter.grad = None
        self._sums = torch.zeros(N_SUMS, dtype=torch.float64, device=self.device)
        self._seconds = 0.0


def _itself(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _mean(total: float, count: float) -> float | None:
    return total / count if count else None


def _require_layers(model: Any, layers: Sequence[torch.nn.Module]) -> None:
    if not layers:
        raise InputError(
            f"model.checkpoint_activations: the layers of {type(model).__name__} cannot be told apart (it names no "
            "module that must stay whole, and no list in it has as many entries as its configuration says layers); set "
            "it to false, or take another model"
        )


def _checkpoint(layer: Any) -> None:
    """Keep the layer's input alone and compute it again in the backward pass. Inside the module, so that FSDP2's
    hooks stay around it."""
    layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
