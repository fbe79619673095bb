"""Estimate a step's tokens, floating-point operations and seconds from a configuration, under assumptions it states."""

from __future__ import annotations

import math
from dataclasses import dataclass

from relift.config import Config
from relift.trainer.dry_run_memory import Load, Shape
from relift.trainer.recipe import Demonstrations, Recipe


@dataclass(frozen=True)
class Assumptions:
    """Hold what is assumed, not measured. Peaks: NVIDIA's data sheet of the H100 SXM, dense."""

    bfloat16_flops: float = 989e12
    tf32_flops: float = 494e12
    float32_flops: float = 67e12
    bytes_a_second: float = 3.35e12
    of_peak: float = 0.4  # share of the peak that a learner reaches
    of_bandwidth: float = 0.5  # share of the bandwidth that decoding reaches
    launch_seconds: float = 9e-6  # of one operation on the GPU, launched from Python
    launches_a_layer: int = 82  # of the torch sampler: 2,295 operations in 28 layers of Qwen2, counted on a CPU
    answer_share: float = 0.25  # of the longest answer that an answer takes on average


ASSUMED = Assumptions()


@dataclass(frozen=True)
class StepTokens:
    """Count a step of RL: attempts, and the tokens that are sampled and trained on, at most and as assumed."""

    attempts: int
    sampled_most: int
    sampled: int
    trained: int  # input tokens of the learner, demonstrations included
    scored: int  # input tokens of passes without gradient


def tokens_of(config: Config, recipe: Recipe, load: Load, *, demo_tokens: int) -> StepTokens:
    """Count the tokens of an ordinary step: prompts as long as the longest, answers as long as ASSUMED says."""
    attempts = config.rollout.questions_per_step * config.rollout.attempts_per_question if recipe.rl else 0
    answer = int(ASSUMED.answer_share * load.answer_tokens)
    rollouts = attempts * (load.prompt_tokens + answer)
    per_step = 0.0
    if recipe.sft is not None:
        streamed = recipe.method.demonstrations in (Demonstrations.stream, Demonstrations.beside)
        per_step = config.sft.batch if streamed or not recipe.rl else config.sft.batch / 2  # a batch in two steps
    passes = int(config.rl.updates_per_batch > 1) + int(config.rl.kl_weight > 0) if recipe.rl else 0
    return StepTokens(
        attempts,
        attempts * load.answer_tokens,
        attempts * answer,
        rollouts + int(per_step * (load.prompt_tokens + demo_tokens)),
        passes * rollouts,
    )


def forward_flops(shape: Shape, n_tokens: int, *, length: int) -> float:
    """Count the operations of a forward pass over sequences of this length: two a weight, and causal attention's."""
    attention = 4 * shape.n_layers * shape.attention_width * length / 2
    return n_tokens * (2.0 * shape.multiplied + attention)


def learner_flops(shape: Shape, tokens: StepTokens, *, length: int, checkpointed: bool, frozen: bool) -> float:
    """Count a step's: a backward pass takes two forward ones, one under frozen weights, and a layer computed twice one
    more."""
    once = forward_flops(shape, tokens.trained, length=length)
    return once * (1 + (1 if frozen else 2) + int(checkpointed)) + forward_flops(shape, tokens.scored, length=length)


def learner_seconds(config: Config, flops: float, gpus: int) -> float:
    """Estimate the seconds of the learner's work in a step."""
    compute = config.model.compute or config.model.dtype
    exact = ASSUMED.tf32_flops if config.runtime.tf32 else ASSUMED.float32_flops
    peak = ASSUMED.bfloat16_flops if compute == "bfloat16" else exact
    return flops / (gpus * peak * ASSUMED.of_peak)


def sampler_seconds(config: Config, shape: Shape, tokens: StepTokens, load: Load, gpus: int, *, item: int) -> float:
    """Estimate the seconds of sampling: rows decode together, every token reads the weights and its row's cache.

    The last answers of a batch run with few rows, which is left out: answers are taken to be of one length.
    """
    if not tokens.attempts:
        return 0.0
    vllm = config.rollout.engine != "torch"
    rows = min(config.vllm.max_sequences if vllm else config.rollout.batch_rows, math.ceil(tokens.attempts / gpus))
    answer = tokens.sampled / tokens.attempts
    context = load.prompt_tokens + answer / 2
    read = item * (shape.n_parameters + rows * context * shape.cache_elements)
    reading = read / (ASSUMED.bytes_a_second * ASSUMED.of_bandwidth)
    launching = 0.0 if vllm else shape.n_layers * ASSUMED.launches_a_layer * ASSUMED.launch_seconds
    rounds = math.ceil(tokens.attempts / (gpus * rows))
    return rounds * answer * max(reading, launching)
