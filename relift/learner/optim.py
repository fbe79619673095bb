"""One named optimizer: AdamW, its own schedule, its own clip. Several of them may share the same weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch

from relift.errors import InputError
from relift.learner.distributed import local, with_layout

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class OptimizerSpec:
    """AdamW (Loshchilov & Hutter, arXiv 1711.05101) with decoupled weight decay on *all* parameters, torch's default.

    The schedule counts the steps that were made with this optimizer, or those of the run (`over_run`): linear warm-up
    to `lr` (the first step already has lr/warmup_steps), then constant, or a linear or cosine descent that ends at
    final_ratio * lr after `total_steps`. Clipping: the gradient is scaled by min(1, max_grad_norm/(norm + 1e-6)), as
    torch does; None does not clip. A norm above `skip_grad_norm` makes no step at all.
    """

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01
    warmup_steps: int = 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    total_steps: int | None = None
    final_ratio: float = 0.0
    over_run: bool = False  # the schedule counts steps of the run, not of this optimizer
    max_grad_norm: float | None = 1.0
    skip_grad_norm: float | None = None

    def __post_init__(self) -> None:
        if self.schedule != "constant" and self.total_steps is None:
            raise InputError(f"optimizer: schedule {self.schedule!r} needs total_steps, the step at which it ends")

    def lr_at(self, step: int) -> float:
        """Learning rate of the step after `step` steps were made."""
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        if self.schedule == "constant" or self.total_steps is None:
            return self.lr
        share = min(1.0, (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps))
        left = 1 - share if self.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * share))
        return self.lr * (self.final_ratio + (1 - self.final_ratio) * left)


class NamedOptimizer:
    """AdamW over named parameters, with a count of its steps. Moments come into being with the first step.

    With `offload` the moments lie on the CPU between steps, and one parameter's at a time come to the device for it.
    Each element's step is its own, so that changes no bit.
    """

    def __init__(
        self,
        name: str,
        spec: OptimizerSpec,
        parameters: Mapping[str, torch.nn.Parameter],
        *,
        offload: bool = False,
    ) -> None:
        self.name = name
        self.spec = spec
        self.parameters = dict(parameters)
        self.offload = offload
        self.reset()

    def reset(self) -> None:
        """Go back to no moments and the beginning of the schedule."""
        self.steps = 0
        every = list(self.parameters.values())
        self._adamws = [
            torch.optim.AdamW(
                together,
                lr=0.0,  # set before every step
                betas=self.spec.betas,
                eps=self.spec.eps,
                weight_decay=self.spec.weight_decay,
                fused=True,
            )
            for together in ([[p] for p in every] if self.offload else [every])
        ]

    def step(self, lr: float) -> None:
        """Make one AdamW step on the gradients in place; a parameter without one takes part with gradient 0."""
        for parameter in self.parameters.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for adamw in self._adamws:
            for group in adamw.param_groups:
                group["lr"] = lr
            if self.offload:
                _move_moments(adamw, to_device=True)
            adamw.step()
            if self.offload:
                _move_moments(adamw, to_device=False)
        self.steps += 1

    def moments(self) -> dict[str, Callable[[], torch.Tensor]]:
        """Give the moments by name, "<parameter>/exp_avg" and "<parameter>/exp_avg_sq"; none before the first step.

        Calling one gives the live tensor, or a copy on the parameter's device of one that lies on the CPU.
        """
        if self.steps == 0:
            return {}
        state = self._state()
        return {f"{n}/{m}": partial(self._moment, p, state[p][m]) for n, p in self.parameters.items() for m in MOMENTS}

    def _moment(self, parameter: torch.nn.Parameter, moment: torch.Tensor) -> torch.Tensor:
        return with_layout(moment.to(parameter.device), parameter.detach()) if self.offload else moment

    def _state(self) -> dict[torch.Tensor, dict[str, Any]]:
        return {parameter: state for adamw in self._adamws for parameter, state in adamw.state.items()}

    def load(self, steps: int, moment_of: Callable[[str], torch.Tensor]) -> None:
        """Continue after `steps` steps with the moments that are given by name, in their parameters' layout."""
        self.reset()
        self.steps = steps
        if steps == 0:
            return
        for adamw in self._adamws:
            for group in adamw.param_groups:
                for parameter in group["params"]:
                    adamw.state[parameter] = {}
        states = self._state()
        for name, parameter in self.parameters.items():
            state = states[parameter]
            state["step"] = torch.tensor(float(steps), device=parameter.device)  # one for all: no parameter sits out
            for moment in MOMENTS:
                found = moment_of(f"{name}/{moment}")
                if found.shape != parameter.shape or found.dtype != parameter.dtype:
                    raise ValueError(f"{name}/{moment} is {found.dtype} {tuple(found.shape)}")
                state[moment] = local(found).cpu() if self.offload else found


def _move_moments(adamw: torch.optim.AdamW, *, to_device: bool) -> None:
    """Move an optimizer's moments to its parameters' device, in their layout, or this process's part to the CPU."""
    for parameter, state in adamw.state.items():
        for moment in MOMENTS:
            if to_device:
                state[moment] = with_layout(state[moment].to(parameter.device), parameter.detach())
            else:
                state[moment] = local(state[moment]).cpu()
