"""Every preset and recipe, started from its name, holds its source's numbers; every row of docs/differences.md is here.

Started means opened as `relift train` opens it, on a tiny model: what is compared is the learner's optimizers, the
recipe's losses and averages, and the updates it makes, not the configuration that asked for them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relift.config import Config, preset_names
from relift.grading import SCORERS
from relift.learner.optim import OptimizerSpec
from relift.trainer.configuration import load_config
from relift.trainer.recipe import Recipe
from relift.trainer.recipes import RECIPES
from relift.trainer.rewards import OVERLONG_SHARE
from relift.trainer.setup import open_run
from tests.resume.harness import lay_inputs

DOCUMENT = Path(__file__).parents[2] / "docs" / "differences.md"
# Of the size alone: what is trained on at a time, and the lengths that the tiny model reads.
SMALL = ["data.prompt=plain", "rollout.questions_per_step=8", "rollout.max_tokens=64", "data.max_demo_tokens=160",
         "data.max_prompt_tokens=128", "model.max_positions=none", "model.rope_theta=none"]  # fmt: skip


@dataclass(frozen=True)
class Started:
    """Hold what a run of this name works with."""

    config: Config
    recipe: Recipe
    optimizers: dict[str, OptimizerSpec]


Start = Callable[[str], Started]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Open a run of a preset, or of a recipe by `recipe = "name"`, once per name; "preset grpo" is not recipe grpo."""
    before = SCORERS["exact"]
    inputs = lay_inputs(tmp_path_factory.mktemp("inputs"))
    there: dict[str, Started] = {}

    def opened(name: str) -> Started:
        if name not in there:
            folder = tmp_path_factory.mktemp(name)
            source: Any = name.removeprefix("preset ")
            if source == name and (name not in preset_names() or (name in RECIPES and name != "relift")):
                source = folder / "run.toml"
                phase = "[sft]\nphase_steps = 100\n" if name == "sft_rl" else ""
                source.write_text(f'recipe = "{name}"\n{phase}')
            sets = [
                f"model.path={inputs / 'base'}",
                f"data.questions={inputs / 'train.jsonl'}",
                *SMALL,
                f"teacher.path={inputs / 'teacher'}",
            ]
            batch = "sft.batch=4" if load_config(source).sft.batch > 24 else "sft.batch=24"
            with open_run(load_config(source, overrides=[*sets, batch]), folder / "run") as run:
                optimizers = {k: o.spec for k, o in run.learner._optimizers.items()}  # type: ignore[attr-defined]
                there[name] = Started(run.config, run.recipe, optimizers)
        return there[name]

    yield opened
    SCORERS["exact"] = before


def rl_loss(started: Started) -> tuple[str, str, str]:
    """(loss, advantage, average) of the RL part, by the functions in use."""
    rl = started.recipe.rl
    assert rl is not None
    return rl.loss.name, rl.advantage.__name__, rl.norm.__name__


def bounds_of(started: Started) -> tuple[float, float, float]:
    """(lowest and highest ratio that the loss lets through for A < 0 and A > 0, highest for A < 0), by trying."""
    rl = started.recipe.rl
    assert rl is not None
    ratio = np.arange(0.01, 6.0, 0.001)

    class View:
        logprob = np.log(ratio)
        old = np.zeros_like(ratio)
        entropy = np.zeros_like(ratio)
        advantage = np.ones_like(ratio)

        def column(self, name: str) -> Any:
            raise AssertionError(name)

        def by_sequence_mean(self, x: Any) -> Any:
            return x

    view = View()
    up = ratio[rl.loss.coefficient(np, view) != 0]
    view.advantage = -np.ones_like(ratio)
    down = ratio[rl.loss.coefficient(np, view) != 0]
    return round(down.min(), 2), round(up.max(), 2), round(down.max(), 2)


OPEN = 6.0  # nothing is clipped up to here
ADAMW = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}


def has(spec: OptimizerSpec, **values: Any) -> None:
    assert {name: getattr(spec, name) for name in values} == values


def ratio_of_weights(started: Started) -> float:
    """A token of a demonstration over a token of a rollout at A = 1: 8 rollouts of 1,500 tokens a question, one
    demonstration of 4,000, L_max 8,192, in the averages that the recipe uses."""
    from relift.trainer.norms import Counts

    rl, sft = started.recipe.rl, started.recipe.sft
    assert rl is not None and sft is not None
    n, per_token_S = rl.norm(Counts(np.full(8, 1500), np.zeros(8, int), 2, 8192))
    rollout = rl.scale * (1.0 if per_token_S is None else per_token_S[0]) / n
    n, per_token_S = sft.norm(Counts(np.array([4000]), np.array([1]), 2, 8192))
    return sft.scale * (1.0 if per_token_S is None else per_token_S[0]) / n / rollout


# ---- presets ---------------------------------------------------------------------------------------------------


def relift_paper(start: Start) -> None:
    started = start("relift-paper")
    assert rl_loss(started) == ("ppo_clip", "over_std", "group_tokens")
    assert bounds_of(started) == (0.8, 1.2, OPEN)
    assert started.recipe.sft is not None and started.recipe.sft.norm.__name__ == "sequences"
    assert (started.recipe.sft.entropy_weight, started.config.buffer.order) == (1e-4, "random")
    assert started.config.steps == 500


def relift_june2025(start: Start) -> None:
    """Clips in the units of the code: its RL gradient is 64 times the mean, its fine-tuning gradient an eighth."""
    started = start("relift-june2025")
    assert rl_loss(started) == ("ratio", "less_mean", "max_tokens")
    rl, sft = started.recipe.rl, started.recipe.sft
    assert rl is not None and sft is not None
    assert (rl.scale, rl.entropy_weight, sft.scale, sft.entropy_weight) == (64.0, 0.001, 0.125, 1e-3 / 8)
    has(started.optimizers["rl"], lr=1e-6, max_grad_norm=0.7, schedule="constant", warmup_steps=0, **ADAMW)
    has(started.optimizers["sft"], lr=1e-6, max_grad_norm=1.0, skip_grad_norm=None, schedule="constant", **ADAMW)
    limits = [0.7 / rl.scale, 1.0 / sft.scale]
    np.testing.assert_allclose(limits, [0.0109375, 8.0])  # in units of the mean
    assert (load_config("relift-june2025").sft.batch, started.config.buffer.order) == (128, "lifo")


def relift_iclr2026(start: Start) -> None:
    started = start("relift-iclr2026")
    assert rl_loss(started) == ("ppo_clip", "less_mean", "tokens")
    assert bounds_of(started) == (0.8, 1.28, 3.0)
    rl, sft = started.recipe.rl, started.recipe.sft
    assert rl is not None and sft is not None
    assert (rl.scale, rl.entropy_weight, rl.kl, rl.updates_per_batch) == (1.0, 0.0, None, 2)
    assert (sft.norm.__name__, sft.entropy_weight, sft.scale) == ("tokens", 1e-4, 1.0)
    has(started.optimizers["rl"], lr=1e-6, max_grad_norm=0.5, skip_grad_norm=None, schedule="constant", **ADAMW)
    has(started.optimizers["sft"], lr=1e-6, max_grad_norm=0.5, skip_grad_norm=1e5, schedule="constant", **ADAMW)
    buffer = started.config.buffer
    assert (buffer.order, buffer.dedup, buffer.recheck, buffer.drain) == ("fifo", "allow", "none", "one")
    assert load_config("relift-iclr2026").sft.batch == 64


def relift(start: Start) -> None:
    started, july = start("relift"), start("relift-iclr2026")
    assert (started.config.buffer.dedup, started.config.buffer.recheck) == ("refresh", "latest")
    assert started.optimizers == july.optimizers and rl_loss(started) == rl_loss(july)


def sft_rl_limozin(start: Start) -> None:
    """5e-5 in a cosine to a tenth after 10 % of warm-up, over 3 epochs; then 500 steps of two updates at 1e-6."""
    started = start("sft-rl-limozin")
    n = 3 * (45764 // 64)
    sft, rl = started.optimizers["sft"], started.optimizers["rl"]
    has(sft, lr=5e-5, schedule="cosine", warmup_steps=round(0.1 * n), total_steps=n, final_ratio=0.1, **ADAMW)
    assert sft.lr_at(n) == pytest.approx(5e-6) and sft.lr_at(round(0.1 * n)) == 5e-5
    assert sft.lr_at(0) == pytest.approx(5e-5 / round(0.1 * n))
    has(rl, lr=1e-6, schedule="constant", warmup_steps=0, total_steps=2 * 500, **ADAMW)
    assert started.recipe.sft_steps == n and started.config.steps == n + 500
    assert rl_loss(started) == ("ppo_clip", "less_mean", "tokens") and bounds_of(started) == (0.8, 1.28, OPEN)
    assert started.recipe.rl is not None and started.recipe.rl.entropy_weight == 0


def sft_rl_limozin_50(start: Start) -> None:
    started, long = start("sft-rl-limozin-50"), start("sft-rl-limozin")
    assert started.config.steps - started.recipe.sft_steps == 50
    has(started.optimizers["rl"], lr=5e-6, total_steps=2 * 50)
    assert started.optimizers["sft"] == long.optimizers["sft"]


def hpt_7b(start: Start) -> None:
    """Alone in a micro-batch a demonstration's token counts w/4000, a rollout's 1/8192: 2.048 at w = 1."""
    started = start("hpt-7b")
    assert rl_loss(started) == ("ratio", "less_mean", "questions_max_tokens")
    assert bounds_of(started)[1] == OPEN
    assert ratio_of_weights(started) == pytest.approx(1.0 * 8192 / 4000)
    assert set(started.optimizers) == {"rl"}  # one for both
    has(started.optimizers["rl"], lr=5e-6, skip_grad_norm=1.25, schedule="constant")  # 80, of gradients 64 times ours
    assert started.recipe.rl is not None and started.recipe.rl.entropy_weight == 0.001
    assert (started.config.steps, started.config.buffer.threshold) == (500, 0.0)


def hpt_1_5b(start: Start) -> None:
    assert ratio_of_weights(start("hpt-1.5b")) == pytest.approx(0.3 * 8192 / 4000)
    assert start("hpt-1.5b").optimizers == start("hpt-7b").optimizers


def luffy_7b(start: Start) -> None:
    """train.sh: no clip, no standard deviation, sum / 8192, entropy .001, 1e-6; the limit of 1 in our units."""
    started = start("luffy-7b")
    assert rl_loss(started) == ("ratio", "less_mean", "max_tokens") and bounds_of(started)[1:] == (OPEN, OPEN)
    assert set(started.optimizers) == {"rl"}
    has(started.optimizers["rl"], lr=1e-6, max_grad_norm=1 / 64, schedule="constant", warmup_steps=0)
    rl, sft = started.recipe.rl, started.recipe.sft
    assert rl is not None and sft is not None
    assert (rl.entropy_weight, rl.attempts, started.recipe.method.places_of_demos, rl.updates_per_batch) == (
        0.001,
        8,
        1,
        2,
    )
    assert (sft.loss.name, started.config.sft.luffy_gamma, sft.norm) == ("luffy", 0.1, rl.norm)


def dft_1_5b(start: Start) -> None:
    """README: 100,000 rows once in batches of 256 at 5e-5; cosine after a tenth."""
    has(start("dft-1.5b").optimizers["sft"], lr=5e-5, schedule="cosine", warmup_steps=39, total_steps=100_000 // 256)
    assert load_config("dft-1.5b").sft.batch == 256


def chord_mu(start: Start) -> None:
    """mix_chord.yaml and its comments: clip .2, 32 x 8 rollouts and 64 demonstrations, mu .9 to .05 over 200 steps."""
    started, config = start("chord-mu"), load_config("chord-mu")
    assert rl_loss(started) == ("ppo_clip", "over_std", "tokens") and bounds_of(started) == (0.8, 1.2, OPEN)
    assert (config.rollout.questions_per_step, config.rollout.attempts_per_question, config.sft.batch) == (32, 8, 64)
    sft = started.recipe.sft
    assert sft is not None and (sft.loss.name, sft.norm.__name__) == ("sft", "tokens")
    np.testing.assert_allclose([sft.mu(s) for s in (100, 200, 500)], [0.475, 0.05, 0.05], rtol=1e-12)


def chord_phi(start: Start) -> None:
    sft, config = start("chord-phi").recipe.sft, start("chord-phi").config
    assert sft is not None and (sft.loss.name, config.sft.chord_mu) == ("chord_phi", 1.0)
    assert [sft.mu(s) for s in (1, 200, 500)] == [0.1] * 3


def same_size(name: str, recipe: str) -> Callable[[Start], None]:
    """Make the check of a preset that is a recipe at the size of the ReLIFT presets, and nothing else."""

    def check(start: Start) -> None:
        started, plain, config = start(f"preset {name}"), start(recipe), load_config(name)
        assert started.recipe.name == recipe and rl_loss(started) == rl_loss(plain)
        ours, theirs = started.optimizers["rl"], plain.optimizers["rl"]
        assert (ours.lr, ours.schedule, ours.weight_decay) == (theirs.lr, theirs.schedule, theirs.weight_decay)
        assert (config.rollout.questions_per_step, config.rollout.attempts_per_question) == (128, 8)
        assert (config.steps, config.rollout.max_tokens) == (500, 8192)

    return check


def pope(start: Start) -> None:
    """Hard questions alone, guided and unguided one to one."""
    same_size("pope", "prefix_rl")(start)
    prefix = start("preset pope").recipe.prefix
    assert prefix is not None and (prefix.questions, prefix.attempts) == ("waiting", 4)


def questa(start: Start) -> None:
    """Half of the solution, then a quarter, in every prompt."""
    same_size("questa", "hint_rl")(start)
    prefix = start("preset questa").recipe.prefix
    assert prefix is not None and (prefix.questions, prefix.attempts, prefix.place) == ("all", 8, "prompt")
    assert [(prefix.low(k), prefix.high(k)) for k in (1, 250, 251, 500)] == [(0.5, 0.5)] * 2 + [(0.25, 0.25)] * 2


def ghpo(start: Start) -> None:
    config, started = load_config("ghpo"), start("preset ghpo")
    assert (config.rollout.max_tokens, config.rollout.attempts_per_question, config.rl.updates_per_batch) == (
        2048,
        8,
        1,
    )
    has(started.optimizers["rl"], lr=1e-6, schedule="cosine")
    assert started.recipe.prefix is not None and started.recipe.prefix.stages == (0.25, 0.5, 0.75)


def sdpo(start: Start) -> None:
    config, started = load_config("sdpo"), start("preset sdpo")
    assert (config.rollout.questions_per_step, config.rollout.attempts_per_question, config.rl.updates_per_batch) == (
        32, 8, 1,
    )  # fmt: skip
    has(started.optimizers["rl"], lr=1e-5)
    assert started.recipe.privileged is not None and started.recipe.privileged.ratio_cap == 2.0


def of_2609(
    name: str, recipe: str, *, steps: int, ends: tuple[float, float], answers: str = "all"
) -> Callable[[Start], None]:
    """Make the check of a preset of the comparison in arXiv 2609.04108."""

    def check(start: Start) -> None:
        config, teacher = load_config(name), start(f"preset {name}").recipe.teacher
        assert (config.model.path, config.teacher.path) == ("Qwen/Qwen3-1.7B-Base", "Qwen/Qwen3-8B")
        assert (config.recipe, config.steps) == (recipe, 150)
        assert teacher is not None and (teacher.weight(1), teacher.weight(150)) == pytest.approx(ends)
        assert (teacher.steps, teacher.answers) == (steps, answers)

    return check


PRESETS: dict[str, Callable[[Start], None]] = {
    "relift-paper": relift_paper,
    "relift-june2025": relift_june2025,
    "relift-iclr2026": relift_iclr2026,
    "relift": relift,
    "sft-rl-limozin": sft_rl_limozin,
    "sft-rl-limozin-50": sft_rl_limozin_50,
    "hpt-7b": hpt_7b,
    "hpt-1.5b": hpt_1_5b,
    "luffy-7b": luffy_7b,
    "dft-1.5b": dft_1_5b,
    "chord-mu": chord_mu,
    "chord-phi": chord_phi,
    "grpo": same_size("grpo", "grpo"),
    "drgrpo": same_size("drgrpo", "drgrpo"),
    "dapo": same_size("dapo", "dapo"),
    "gspo": same_size("gspo", "gspo"),
    "cispo": same_size("cispo", "cispo"),
    "srft": same_size("srft", "srft"),
    "prefix-rft": same_size("prefix-rft", "prefix_rft"),
    "prefix-rl": same_size("prefix-rl", "prefix_rl"),
    "pope": pope,
    "questa": questa,
    "ghpo": ghpo,
    "bread": same_size("bread", "bread"),
    "hdpo": same_size("hdpo", "hdpo"),
    "sdpo": sdpo,
    "srpo": same_size("srpo", "srpo"),
    "opd": of_2609("opd", "opd", steps=60, ends=(1.0, 1.0)),
    "opd-rl": of_2609("opd-rl", "opd_rl", steps=60, ends=(1.0, 1.0)),
    "kdrl": of_2609("kdrl", "kdrl", steps=60, ends=(0.2, 0.002)),
    "kdrl-mask": of_2609("kdrl-mask", "kdrl", steps=60, ends=(0.2, 0.2), answers="wrong"),
    "frozen": same_size("frozen", "frozen"),
}


# ---- recipes by their names ------------------------------------------------------------------------------------


def recipe_sft(start: Start) -> None:
    started = start("sft")
    has(started.optimizers["sft"], lr=5e-5, schedule="cosine", warmup_steps=50, total_steps=500, final_ratio=0.1)
    assert started.recipe.rl is None and started.recipe.sft_steps == math.inf


def recipe_sft_rl(start: Start) -> None:
    """500 steps, 100 of them fine-tuning."""
    started = start("sft_rl")
    has(started.optimizers["sft"], lr=5e-5, schedule="cosine", warmup_steps=10, total_steps=100, final_ratio=0.1)
    has(started.optimizers["rl"], lr=1e-6, schedule="constant", total_steps=400)


def recipe_grpo(start: Start) -> None:
    started = start("grpo")
    assert rl_loss(started) == ("ppo_clip", "over_std", "sequences") and bounds_of(started) == (0.8, 1.2, OPEN)
    assert started.recipe.rl is not None and started.recipe.rl.kl is None
    has(started.optimizers["rl"], lr=1e-6)
    reward_QG = np.array([[1.0, 0.0]])  # ddof 1: sqrt(.5), and 1e-6 beside it
    got = started.recipe.rl.advantage(reward_QG, np.ones((1, 2), bool))[0, 0]
    assert got == 0.5 / (0.5**0.5 + 1e-6)


def recipe_drgrpo(start: Start) -> None:
    started = start("drgrpo")
    assert rl_loss(started) == ("ppo_clip", "less_mean", "max_tokens") and bounds_of(started) == (0.8, 1.2, OPEN)


def recipe_dapo(start: Start) -> None:
    started = start("dapo")
    assert rl_loss(started) == ("ppo_clip", "over_std", "tokens") and bounds_of(started) == (0.8, 1.28, OPEN)
    assert started.recipe.rl is not None and started.recipe.rl.drop_flat_groups
    config = started.config  # ten rounds in all; 1 between 1 and -1 is half of what right and wrong differ in
    assert (config.rollout.refill, config.rl.truncated, config.rl.overlong_factor) == (9, "penalty", 0.5)
    assert OVERLONG_SHARE * 20_480 == 4_096
    has(started.optimizers["rl"], lr=1e-6, schedule="constant", warmup_steps=0)


def recipe_hpt(start: Start) -> None:
    has(start("hpt").optimizers["rl"], lr=5e-6, skip_grad_norm=1.25, schedule="constant")
    assert ratio_of_weights(start("hpt")) == pytest.approx(8192 / 4000)


def recipe_gspo(start: Start) -> None:
    """Section 5.1: 3e-4 and 4e-4, four mini-batches. The ratio of one token is the sequence's."""
    started = start("gspo")
    assert rl_loss(started) == ("gspo", "over_std", "sequences")
    assert (started.config.rl.clip_low, started.config.rl.clip_high) == (3e-4, 4e-4)
    assert started.recipe.rl is not None and started.recipe.rl.updates_per_batch == 4


def recipe_cispo(start: Start) -> None:
    """No token is clipped away; a ratio beyond 5 counts as 5."""
    started = start("cispo")
    assert rl_loss(started) == ("cispo", "over_std", "tokens") and bounds_of(started) == (0.01, OPEN, OPEN)
    assert started.config.rl.ratio_cap == 5.0


def recipe_dft(start: Start) -> None:
    started = start("dft")
    has(started.optimizers["sft"], lr=5e-5, schedule="cosine", warmup_steps=50, total_steps=500, final_ratio=0.0)
    sft = started.recipe.sft
    assert sft is not None and (sft.loss.name, sft.norm.__name__) == ("dft", "tokens") and started.recipe.rl is None


def recipe_luffy(start: Start) -> None:
    started = start("luffy")
    assert rl_loss(started) == ("ratio", "less_mean", "max_tokens")
    has(started.optimizers["rl"], lr=1e-6, schedule="constant")
    assert started.recipe.rl is not None and started.recipe.rl.entropy_weight == 0.001


def recipe_srft(start: Start) -> None:
    started = start("srft")
    assert rl_loss(started) == ("srft_rollout", "over_std", "tokens") and started.config.sft.srft_sign == -1
    assert started.recipe.sft is not None and started.recipe.sft.loss.name == "srft_demo"


def recipe_prefix_rl(start: Start) -> None:
    """Guided and unguided one to one."""
    started = start("prefix_rl")
    assert rl_loss(started) == ("ppo_clip", "over_std", "tokens") and started.recipe.sft is None
    assert started.recipe.prefix is not None and started.recipe.rl is not None
    assert 2 * started.recipe.prefix.attempts == started.recipe.rl.attempts


def recipe_hint_rl(start: Start) -> None:
    started = start("hint_rl")
    assert rl_loss(started) == rl_loss(start("prefix_rl"))
    prefix = started.recipe.prefix
    assert prefix is not None and (prefix.questions, prefix.place, prefix.low(1), prefix.high(1)) == (
        "waiting", "prompt", 0.25, 0.75,
    )  # fmt: skip


def recipe_chord(start: Start) -> None:
    sft = start("chord").recipe.sft
    assert rl_loss(start("chord")) == ("ppo_clip", "over_std", "tokens")
    assert sft is not None and sft.mu(200) == 0.05


def recipe_opd(start: Start) -> None:
    started = start("opd")
    assert rl_loss(started) == ("ratio", "less_mean", "tokens")
    has(started.optimizers["rl"], lr=1e-6, schedule="constant")
    assert started.recipe.teacher is not None and [started.recipe.teacher.weight(k) for k in (1, 500)] == [1.0, 1.0]


def recipe_opd_rl(start: Start) -> None:
    """60 steps of distillation."""
    started = start("opd_rl")
    assert rl_loss(started) == ("ppo_clip", "over_std", "tokens")
    assert started.recipe.teacher is not None and started.recipe.teacher.steps == 60


def recipe_kdrl(start: Start) -> None:
    """Beta from .2 to .002."""
    started = start("kdrl")
    assert rl_loss(started) == rl_loss(start("opd_rl")) and started.recipe.teacher is not None
    weight = started.recipe.teacher.weight
    assert (weight(1), weight(started.config.steps)) == pytest.approx((0.2, 0.002))


def recipe_prefix_rft(start: Start) -> None:
    """Clip .2 and 3, no deviation, entropy .001, one attempt of n, a fifth of its start."""
    started = start("prefix_rft")
    assert rl_loss(started) == ("ppo_clip", "less_mean", "max_tokens") and bounds_of(started) == (0.8, 1.2, 3.0)
    rl, prefix = started.recipe.rl, started.recipe.prefix
    assert rl is not None and rl.entropy_weight == 0.001 and prefix is not None
    assert (prefix.attempts, prefix.top_entropy, prefix.place) == (1, 0.2, "answer")
    last = started.config.steps
    assert [prefix.low(1), prefix.low(last), prefix.high(last)] == pytest.approx([0.95, 0.05, 0.95])
    has(started.optimizers["rl"], lr=1e-6, weight_decay=0.01)


def recipe_ghpo(start: Start) -> None:
    started = start("ghpo")
    assert rl_loss(started) == ("ppo_clip", "over_std", "tokens")
    has(started.optimizers["rl"], lr=1e-6, schedule="cosine")
    assert started.recipe.prefix is not None and started.recipe.prefix.place == "prompt"


def recipe_bread(start: Start) -> None:
    started = start("bread")
    assert rl_loss(started) == ("ppo_clip", "over_std", "tokens")
    assert started.recipe.prefix is not None and started.recipe.prefix.place == "answer"


def recipe_hdpo(start: Start) -> None:
    assert rl_loss(start("hdpo")) == ("ppo_clip", "over_std", "tokens")


def recipe_sdpo(start: Start) -> None:
    started = start("sdpo")
    has(started.optimizers["rl"], lr=1e-5)
    assert started.recipe.privileged is not None and started.recipe.privileged.ratio_cap == 2.0


def recipe_srpo(start: Start) -> None:
    assert rl_loss(start("srpo")) == ("ppo_clip", "over_std", "tokens")


def recipe_frozen(start: Start) -> None:
    started = start("frozen")
    has(started.optimizers["rl"], lr=0.0)
    assert rl_loss(started) == rl_loss(start("grpo"))


BY_NAME: dict[str, Callable[[Start], None]] = {
    "sft": recipe_sft,
    "sft_rl": recipe_sft_rl,
    "grpo": recipe_grpo,
    "drgrpo": recipe_drgrpo,
    "dapo": recipe_dapo,
    "hpt": recipe_hpt,
    "gspo": recipe_gspo,
    "cispo": recipe_cispo,
    "dft": recipe_dft,
    "luffy": recipe_luffy,
    "srft": recipe_srft,
    "chord": recipe_chord,
    "prefix_rl": recipe_prefix_rl,
    "hint_rl": recipe_hint_rl,
    "opd": recipe_opd,
    "opd_rl": recipe_opd_rl,
    "kdrl": recipe_kdrl,
    "prefix_rft": recipe_prefix_rft,
    "ghpo": recipe_ghpo,
    "bread": recipe_bread,
    "hdpo": recipe_hdpo,
    "sdpo": recipe_sdpo,
    "srpo": recipe_srpo,
    "frozen": recipe_frozen,
}


# ---- what ReLIFT's presets choose, row by row -------------------------------------------------------------------


def of_three(start: Start, value: Callable[[Started], Any]) -> list[Any]:
    """Paper, June, July."""
    return [value(start(f"relift-{name}")) for name in ("paper", "june2025", "iclr2026")]


def part(name: str) -> Callable[[Started], Any]:
    return lambda started: getattr(started.recipe.sft, name)


CHOICES: dict[str, Callable[[Start], None]] = {}


def row(topic: str) -> Callable[[Callable[[Start], None]], Callable[[Start], None]]:
    def keep(check: Callable[[Start], None]) -> Callable[[Start], None]:
        CHOICES[topic] = check
        return check

    return keep


def same(topic: str, value: Callable[[Started], Any], expected: list[Any]) -> None:
    """A row whose three cells are compared with what the presets work with."""

    @row(topic)
    def check(start: Start) -> None:
        assert of_three(start, value) == expected


def rl_value(name: str) -> Callable[[Started], Any]:
    return lambda started: getattr(started.recipe.rl, name)


same("advantage", lambda s: rl_loss(s)[1], ["over_std", "less_mean", "less_mean"])
same("clip", bounds_of, [(0.8, 1.2, OPEN), (0.01, OPEN, OPEN), (0.8, 1.28, 3.0)])
same("RL denominator", lambda s: rl_loss(s)[2], ["group_tokens", "max_tokens", "tokens"])
same("KL term", rl_value("kl"), [None] * 3)
same("RL entropy", rl_value("entropy_weight"), [0.0, 0.001, 0.0])
same("RL learning rate", lambda s: s.optimizers["rl"].lr, [1e-6] * 3)
same("RL gradient clip", lambda s: s.optimizers["rl"].max_grad_norm, [0.5, 0.7, 0.5])
same("gate", lambda s: (s.config.buffer.select, s.config.buffer.threshold), [("at_or_below", 0.0)] * 3)
same("order of the buffer", lambda s: s.config.buffer.order, ["random", "lifo", "fifo"])
same(
    "when a fine-tuning step is made",
    lambda s: (s.config.buffer.flush, s.config.buffer.drain),
    [("adaptive", "one")] * 3,
)
same("fine-tuning optimizer", lambda s: sorted(s.optimizers), [["rl", "sft"]] * 3)
same("fine-tuning mean", lambda s: part("norm")(s).__name__, ["sequences", "tokens", "tokens"])
same("entropy in fine-tuning", lambda s: part("entropy_weight")(s) / part("scale")(s), [1e-4, 1e-3, 1e-4])
same("check of demonstrations", lambda s: s.config.data.bad_demonstrations, ["skip"] * 3)
same("repeats in the buffer", lambda s: s.config.buffer.dedup, ["allow"] * 3)
same("solved while waiting", lambda s: s.config.buffer.recheck, ["none"] * 3)


@row("M")
def check_m(start: Start) -> None:
    assert [load_config(f"relift-{name}").sft.batch for name in ("paper", "june2025", "iclr2026")] == [64, 128, 64]


@row("temperature of demonstrations")
def check_temperature(start: Start) -> None:
    from relift.trainer.components import sft_component
    from relift.trainer.demos import Demo

    sft = start("relift-iclr2026").recipe.sft
    assert sft is not None
    assert sft_component(sft, [Demo("d", 0, (1,), np.array([2], np.int32))]).temperature == 1.0


# ---- the page --------------------------------------------------------------------------------------------------


def first_cells(heading: str) -> list[str]:
    """First cells of the table under a heading of docs/differences.md."""
    section = DOCUMENT.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [m.strip("`") for m in re.findall(r"^\| (.+?) \|", section, re.MULTILINE)[1:]]


def test_every_row_is_here() -> None:
    assert sorted(first_cells("Choices")) == sorted(CHOICES)
    assert first_cells("Presets") == list(PRESETS)
    assert sorted(preset_names()) == sorted(PRESETS)
    assert first_cells("Other recipes") == list(BY_NAME)
    assert {*BY_NAME, "relift"} == set(RECIPES)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_starts_with_its_sources_numbers(name: str, start: Start) -> None:
    PRESETS[name](start)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_recipe_starts_with_its_sources_numbers(name: str, start: Start) -> None:
    BY_NAME[name](start)


@pytest.mark.parametrize("topic", CHOICES)
def test_relifts_presets_choose_what_the_page_says(topic: str, start: Start) -> None:
    CHOICES[topic](start)
