"""The recipes: how rollouts and demonstrations become updates. Numpy only; small values, no classes to inherit.

Axes: Q questions of the step, G attempts at each.

| recipe | rollouts | advantage | RL loss and denominator | demonstrations |
|---|---|---|---|---|
| sft    | none | - | - | every step, a batch of the stream |
| sft_rl | after the SFT phase | r - mean | clip .2/.28, tokens | first phase only |
| grpo   | yes | (r - mean)/std | clip .2, sequence means | never |
| drgrpo | yes | r - mean | clip .2, sequences x L_max | never |
| dapo   | yes, flat groups dropped | (r - mean)/std | clip .2/.28, tokens | never |
| relift | yes | r - mean | clip .2/.28, dual 3, tokens | all-wrong questions, buffered to M, own optimizer |
| hpt    | yes | r - mean | no clip, sequences x L_max | all-wrong questions at once, rollouts dropped |

Numbers are configuration (relift.config, presets); this file holds the structure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from relift.config import Config
from relift.learner.losses import ppo_clip, ratio, sft
from relift.learner.update import Component, Counts, Loss, NormFn, TrainSequence, Update
from relift.schema import UpdateKind
from relift.trainer.answers import Answers

OldLogprobs = dict[tuple[int, int], np.ndarray] | None  # (q, g) -> log-probabilities before the first update
STD_EPS = 1e-6  # verl's epsilon beside the standard deviation of a group (TRL: 1e-4)


@dataclass(frozen=True)
class Demo:
    """An accepted demonstration, rendered: the rollout's prompt token for token, the text's tokens with end token."""

    demo_id: str
    question_ix: int
    prompt_ids: tuple[int, ...]
    completion_ids_T: np.ndarray  # int32


def advantages(reward_QG: np.ndarray, decided_QG: np.ndarray, *, kind: str) -> np.ndarray:
    """A_QG: reward minus the mean of the group's decided attempts, or that over their standard deviation (ddof 1).

    Undecided attempts leave the group and get 0; so do groups of one and groups of equal rewards: exactly 0, never
    NaN. Source of `std`: arXiv 2402.03300, eq. 3, with verl's epsilon.
    """
    n_Q = decided_QG.sum(axis=1, keepdims=True)
    reward = np.where(decided_QG, reward_QG, 0.0)
    mean_Q = reward.sum(axis=1, keepdims=True) / np.maximum(n_Q, 1)
    centred = np.where(decided_QG & (n_Q > 1), reward - mean_Q, 0.0)
    flat_Q = (~decided_QG | (reward == _first_decided(reward, decided_QG))).all(axis=1, keepdims=True)
    centred = np.where(flat_Q, 0.0, centred)  # the mean of equal numbers may differ from them by rounding
    if kind == "mean":
        return centred
    std_Q = np.sqrt((centred**2).sum(axis=1, keepdims=True) / np.maximum(n_Q - 1, 1))
    return np.where(flat_Q, 0.0, centred / (std_Q + STD_EPS))


def _first_decided(reward_QG: np.ndarray, decided_QG: np.ndarray) -> np.ndarray:
    return np.take_along_axis(reward_QG, decided_QG.argmax(axis=1)[:, None], axis=1)


def tokens(counts: Counts) -> float:
    """Mean over all tokens of the component."""
    return float(counts.n_tokens)


def sequences(counts: Counts) -> float:
    """Mean over sequences (of their token means, with a loss that divides each sequence by its length)."""
    return float(counts.n_sequences)


def sequences_times_max(counts: Counts) -> float:
    """Sum over tokens / (sequences x L_max): no bias towards long wrong answers (arXiv 2503.20783)."""
    return float(counts.n_sequences * counts.max_tokens)


@dataclass(frozen=True)
class RLPart:
    """The RL component of a recipe."""

    loss: Loss
    denominator: NormFn
    advantage: str
    updates_per_batch: int
    drop_flat_groups: bool
    entropy_weight: float
    scale: float
    max_tokens: int


@dataclass(frozen=True)
class DemoPart:
    """The fine-tuning component of a recipe."""

    loss: Loss
    denominator: NormFn
    entropy_weight: float
    scale: float
    optimizer: str  # "sft": moments of its own; "rl": one optimizer for both


@dataclass(frozen=True)
class Recipe:
    """What the loop asks: which phase a step is in, and which updates its rollouts and demonstrations make."""

    name: str
    rl: RLPart | None
    demo: DemoPart | None
    gate: str  # never | now | buffer | stream (every step of the SFT phase)
    sft_steps: float  # the first steps, which take demonstrations from the stream and sample nothing; inf: all

    def sft_phase(self, step: int) -> bool:
        """Whether a step (from 1) belongs to the phase of fine-tuning alone."""
        return step <= self.sft_steps

    @property
    def optimizers(self) -> tuple[str, ...]:
        """Names of the optimizers it needs."""
        used = {"rl"} if self.rl else set()
        return tuple(sorted(used | ({self.demo.optimizer} if self.demo else set())))


def build(config: Config) -> Recipe:
    """The recipe a configuration names; one entry of RECIPES."""
    return RECIPES[config.recipe](config)


def rl_updates(part: RLPart, answers: Answers, advantage_QG: np.ndarray, old_logprobs: OldLogprobs) -> Iterator[Update]:
    """The RL updates of a step: `updates_per_batch` mini-batches of questions, in batch order."""
    for questions in np.array_split(np.arange(len(answers.question_ix_Q)), part.updates_per_batch):
        component = rl_component(part, answers, advantage_QG, questions, old_logprobs)
        yield Update(UpdateKind.rl, "rl", (component,))


def rl_component(
    part: RLPart, answers: Answers, advantage_QG: np.ndarray, questions: np.ndarray, old_logprobs: OldLogprobs
) -> Component:
    """The RL component over some questions of the step.

    Denominators count every decided attempt, also those of groups without signal, which skip the forward pass:
    their contribution is exactly 0 unless entropy is weighted. Flat groups are left out *before* counting if the
    recipe says so (DAPO). Undecided attempts are treated as never sampled.
    """
    signal_Q = (advantage_QG != 0).any(axis=1)
    chosen, n_tokens, n_sequences, n_groups = [], 0, 0, 0
    for q in questions:
        if part.drop_flat_groups and not signal_Q[q]:
            continue
        n_groups += 1
        for g in np.flatnonzero(answers.decided_QG[q]).tolist():
            answer = answers.completions_QG[q][g]
            n_tokens += len(answer.token_ids_T)
            n_sequences += 1
            if advantage_QG[q, g] == 0 and part.entropy_weight == 0:
                continue
            old = None if old_logprobs is None else old_logprobs[int(q), g]
            chosen.append(
                TrainSequence(
                    prompt_ids=answers.prompt_ids_Q[q],
                    completion_ids_T=answer.token_ids_T,
                    advantage=float(advantage_QG[q, g]),
                    old_logprobs_T=old,
                    sampler_logprobs_T=answer.logprobs_T,
                    attempt=(int(q), g),
                )
            )
    counts = Counts(n_tokens, n_sequences, n_groups, part.max_tokens)
    return Component(
        "rl", tuple(chosen), part.loss, max(part.denominator(counts), 1.0), part.scale, part.entropy_weight
    )


def demo_component(part: DemoPart, demos: Sequence[Demo]) -> Component:
    """The fine-tuning component over a batch of demonstrations."""
    chosen = tuple(TrainSequence(d.prompt_ids, d.completion_ids_T, demo_id=d.demo_id) for d in demos)
    counts = Counts(sum(len(d.completion_ids_T) for d in demos), len(demos), len(demos), 0)
    return Component("demo", chosen, part.loss, max(part.denominator(counts), 1.0), part.scale, part.entropy_weight)


def demo_update(part: DemoPart, demos: Sequence[Demo]) -> Update:
    """One fine-tuning step."""
    return Update(UpdateKind.sft, part.optimizer, (demo_component(part, demos),))


def mixed_updates(
    recipe: Recipe, answers: Answers, advantage_QG: np.ndarray, demo_of_Q: Sequence[Demo | None], old: OldLogprobs
) -> Iterator[Update]:
    """HPT: a question with a demonstration here is trained on that, its rollouts dropped; the rest by RL; one step."""
    assert recipe.rl is not None and recipe.demo is not None
    for questions in np.array_split(np.arange(len(demo_of_Q)), recipe.rl.updates_per_batch):
        by_rl = np.array([q for q in questions if demo_of_Q[q] is None], dtype=int)
        demos = [demo for q in questions if (demo := demo_of_Q[q]) is not None]
        parts = [rl_component(recipe.rl, answers, advantage_QG, by_rl, old)] if len(by_rl) else []
        parts += [demo_component(recipe.demo, demos)] if demos else []
        kind = UpdateKind.mixed if len(parts) == 2 else UpdateKind.sft if demos else UpdateKind.rl
        yield Update(kind, recipe.demo.optimizer, tuple(parts))


def _rl_part(config: Config) -> RLPart:
    rl = config.rl
    loss = ppo_clip(rl.clip_low, rl.clip_high, dual=rl.dual_clip) if rl.clip else ratio()
    norm: dict[str, NormFn] = {"tokens": tokens, "sequences": sequences, "max_tokens": sequences_times_max}
    return RLPart(
        loss=replace(loss, per_sequence_mean=rl.denominator == "sequences"),
        denominator=norm[rl.denominator],
        advantage=rl.advantage,
        updates_per_batch=rl.updates_per_batch,
        drop_flat_groups=rl.drop_flat_groups,
        entropy_weight=rl.entropy_weight,
        scale=rl.loss_scale,
        max_tokens=config.rollout.max_tokens,
    )


def _demo_part(config: Config, *, optimizer: str) -> DemoPart:
    by_sequence = config.sft.mean == "sequences"
    return DemoPart(
        loss=replace(sft(), per_sequence_mean=by_sequence),
        denominator=sequences if by_sequence else tokens,
        entropy_weight=config.sft.entropy_weight,
        scale=config.sft.loss_scale,
        optimizer=optimizer,
    )


def _sft(config: Config) -> Recipe:
    return Recipe("sft", None, _demo_part(config, optimizer="sft"), "stream", math.inf)


def _sft_rl(config: Config) -> Recipe:
    return Recipe("sft_rl", _rl_part(config), _demo_part(config, optimizer="sft"), "stream", config.sft.phase_steps)


def _rl_only(config: Config) -> Recipe:
    return Recipe(config.recipe, _rl_part(config), None, "never", 0)


def _relift(config: Config) -> Recipe:
    return Recipe("relift", _rl_part(config), _demo_part(config, optimizer="sft"), "buffer", 0)


def _hpt(config: Config) -> Recipe:
    return Recipe("hpt", _rl_part(config), _demo_part(config, optimizer="rl"), "now", 0)


RECIPES: dict[str, Callable[[Config], Recipe]] = {
    "sft": _sft,
    "sft_rl": _sft_rl,
    "grpo": _rl_only,
    "drgrpo": _rl_only,
    "dapo": _rl_only,
    "relift": _relift,
    "hpt": _hpt,
}
