"""List the recipes, one file each, and build the one that a configuration names.

Adding a recipe is one file and one line in RECIPES (docs/add-a-recipe.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from relift.config import Config
from relift.errors import InputError
from relift.learner.importance import weighted
from relift.learner.losses import LOSSES, k3_kl
from relift.suggest import hint
from relift.trainer.advantages import ADVANTAGES
from relift.trainer.mu import warm_then_cosine
from relift.trainer.norms import NORMS, PER_SEQUENCE
from relift.trainer.recipe import (
    Demonstrations,
    Method,
    PrefixPart,
    Recipe,
    RLPart,
    SFTPart,
    TeacherPart,
    step_questions,
)
from relift.trainer.recipes import (
    chord,
    cispo,
    dapo,
    dft,
    drgrpo,
    frozen,
    grpo,
    gspo,
    hint_rl,
    hpt,
    kdrl,
    luffy,
    opd,
    opd_rl,
    prefix_rl,
    relift,
    sft,
    sft_rl,
    srft,
)

RECIPES: dict[str, Method] = {
    "sft": sft.METHOD,
    "sft_rl": sft_rl.METHOD,
    "grpo": grpo.METHOD,
    "drgrpo": drgrpo.METHOD,
    "dapo": dapo.METHOD,
    "relift": relift.METHOD,
    "hpt": hpt.METHOD,
    "gspo": gspo.METHOD,
    "cispo": cispo.METHOD,
    "dft": dft.METHOD,
    "luffy": luffy.METHOD,
    "srft": srft.METHOD,
    "chord": chord.METHOD,
    "prefix_rl": prefix_rl.METHOD,
    "hint_rl": hint_rl.METHOD,
    "opd": opd.METHOD,
    "opd_rl": opd_rl.METHOD,
    "kdrl": kdrl.METHOD,
    "frozen": frozen.METHOD,
}

# Uses of demonstrations that leave a question's own attempts to be its whole group.
PLAIN_PLANS = (step_questions, relift.plan)  # n plain attempts at each question of the step
REFILLED = (Demonstrations.never, Demonstrations.stream, Demonstrations.buffered, Demonstrations.beside)

Named = TypeVar("Named")


def build(config: Config) -> Recipe:
    """Make the recipe that a configuration names, with its numbers.

    Raises InputError for a name that no table has (recipe, loss, advantage, norm) and for settings that do not fit
    each other.
    """
    method = look_up(RECIPES, config.recipe, key="recipe")
    rl = _rl_part(config) if "rl" in method.defaults else None
    shared = rl is not None and config.sft.moments == "shared"
    sft_part = _sft_part(config, optimizer="rl" if shared else "sft") if "sft" in method.defaults else None
    prefix = _prefix_part(config) if "prefix" in method.defaults else None
    teacher = _teacher_part(config) if "teacher" in method.defaults else None
    recipe = Recipe(config.recipe, method, rl, sft_part, config.sft.phase_steps, prefix, teacher)
    require_agreement(config, recipe)
    return recipe


def look_up(table: Mapping[str, Named], name: str, *, key: str) -> Named:
    """Find the entry of a table. Raises InputError with the nearest name."""
    if name not in table:
        raise InputError(f'{key} = "{name}": unknown{hint(name, table)}; known: {", ".join(table)}')
    return table[name]


def require_agreement(config: Config, recipe: Recipe) -> None:
    """Refuse settings of a recipe that contradict each other."""
    buffer, batch = config.buffer, config.sft.batch
    if recipe.rl and recipe.rl.attempts <= recipe.method.places_of_demos:
        raise InputError(
            f"rollout.attempts_per_question = {recipe.rl.attempts}: a demonstration takes the place of one attempt "
            f"under recipe {recipe.name}: set it to 2 at least"
        )
    require_rewards(config, recipe)
    require_online(config, recipe)
    use = recipe.method.demonstrations
    if use is Demonstrations.stream and recipe.rl and config.sft.phase_steps == 0:
        raise InputError(f"sft.phase_steps: recipe {recipe.name} needs at least one fine-tuning step before RL")
    if use is not Demonstrations.buffered or recipe.sft is None:
        return
    if buffer.recheck == "sample" and config.rollout.refill:
        raise InputError(
            'buffer.recheck = "sample": with rollout.refill a question might be asked twice in a step; set one of them'
        )
    if buffer.flush == "gate" and buffer.gate == "entropy" and config.rollout.engine != "torch":
        raise InputError(
            f'buffer.gate = "entropy": rollout.engine = {config.rollout.engine} tells no entropy; set buffer.gate to '
            '"reward", or rollout.engine to "torch"'
        )
    if buffer.flush == "adaptive" and buffer.capacity is not None and buffer.capacity < batch:
        raise InputError(
            f"buffer.capacity = {buffer.capacity}: less than sft.batch = {batch}, no batch would ever fill"
        )
    optimizer = config.sft.optimizer
    if recipe.sft.optimizer == "sft" and (optimizer.schedule != "constant" or optimizer.warmup_share):
        if optimizer.over == "own" and optimizer.total_steps is None:
            raise InputError(
                f"sft.optimizer.schedule = {optimizer.schedule}: how many fine-tuning steps there will be is not known "
                'before the run: set sft.optimizer.over = "run", or sft.optimizer.total_steps'
            )


def require_online(config: Config, recipe: Recipe) -> None:
    """Refuse a source of demonstrations that the recipe has no use for, and prompts that are no turn."""
    online = config.teacher.online
    if online.source == "none":
        return
    if recipe.method.demonstrations is not Demonstrations.buffered:
        able = [name for name, method in RECIPES.items() if method.demonstrations is Demonstrations.buffered]
        raise InputError(
            f'teacher.online.source = "{online.source}": recipe {recipe.name} has no demonstrations that wait for '
            f"their question: take {' or '.join(able)}, or leave it out"
        )
    known = online.prompt in ("chat", "boxed") or online.prompt.startswith("file:")
    if online.source == "server" and not known:
        raise InputError(
            f'teacher.online.prompt = "{online.prompt}": a server is asked in turns: take chat, boxed or file:PATH'
            f"{hint(online.prompt, ('chat', 'boxed'))}"
        )


def require_rewards(config: Config, recipe: Recipe) -> None:
    """Refuse a refill or rewards that the recipe has no use for."""
    rl, method = config.rl, recipe.method
    if recipe.rl is None:
        return
    if config.rollout.refill and not rl.drop_flat_groups:
        raise InputError(
            f"rollout.refill = {config.rollout.refill}: further groups take the place of those without signal, which "
            "would still count in the denominators: set rl.drop_flat_groups = true"
        )
    plain = method.plan in PLAIN_PLANS and method.demonstrations in REFILLED and recipe.teacher is None
    if config.rollout.refill and not plain:
        raise InputError(
            f"rollout.refill = {config.rollout.refill}: recipe {recipe.name} learns from more than the rewards of "
            "plain attempts, so that a group of equal rewards is not one without signal: set it to 0"
        )
    if rl.overlong_tokens is not None and rl.overlong_tokens > config.rollout.max_tokens:
        raise InputError(
            f"rl.overlong_tokens = {rl.overlong_tokens}: more than rollout.max_tokens = {config.rollout.max_tokens}"
        )
    if rl.advantage != "over_mean" and rl.loss != "srft_rollout":
        return
    key = "advantage" if rl.advantage == "over_mean" else "loss"
    for name, departs in (
        ("truncated", rl.truncated == "penalty"),
        ("reward", rl.reward is not None),
        ("format_reward", rl.format_reward is not None),
    ):
        if departs:
            raise InputError(
                f"rl.{name} = {getattr(rl, name)}: rl.{key} = {getattr(rl, key)} knows rewards of 1 and 0 alone: leave "
                f"rl.{name} out"
            )


def _rl_part(config: Config) -> RLPart:
    rl = config.rl
    loss = look_up(LOSSES["rl"], rl.loss, key="rl.loss")
    norm = look_up(NORMS, rl.denominator, key="rl.denominator")
    if rl.loss == "gspo" and rl.denominator not in PER_SEQUENCE:
        raise InputError(f"rl.loss = gspo is a mean over each sequence: set rl.denominator to {_any_of(PER_SEQUENCE)}")
    if rl.loss == "cispo" and rl.ratio_cap is None:
        raise InputError("rl.loss = cispo needs rl.ratio_cap, the largest ratio")
    own = loss(rl)
    by = rl.importance if rl.importance != "auto" else "none" if config.rollout.engine == "torch" else "token"
    if by != "none":
        own = weighted(own, by=by, cap=rl.importance_cap, masked=rl.importance_mask)
    return RLPart(
        loss=own,
        norm=norm,
        advantage=look_up(ADVANTAGES, rl.advantage, key="rl.advantage"),
        attempts=config.rollout.attempts_per_question,
        updates_per_batch=rl.updates_per_batch,
        drop_flat_groups=rl.drop_flat_groups,
        entropy_weight=rl.entropy_weight,
        scale=rl.loss_scale,
        kl=k3_kl(rl.kl_weight) if rl.kl_weight else None,
        max_tokens=config.rollout.max_tokens,
        temperature=config.rollout.temperature,
    )


def _prefix_part(config: Config) -> PrefixPart:
    prefix, n = config.prefix, config.rollout.attempts_per_question
    attempts = n // 2 if prefix.attempts is None else prefix.attempts
    if not 0 < attempts < n:
        raise InputError(
            f"prefix.attempts = {attempts}: of {n} attempts (rollout.attempts_per_question) at least one is to be "
            "given a prefix and at least one none"
        )
    if prefix.low > prefix.high:
        raise InputError(f"prefix.low = {prefix.low}: more than prefix.high = {prefix.high}")
    return PrefixPart(prefix.place, prefix.questions, attempts, prefix.low, prefix.high)


def _teacher_part(config: Config) -> TeacherPart:
    teacher = config.teacher
    if config.rl.drop_flat_groups:
        raise InputError(
            f"rl.drop_flat_groups: recipe {config.recipe} trains on groups of equal rewards too; set it to false"
        )
    last = teacher.weight if teacher.final_weight is None else teacher.final_weight
    span = max(config.steps - 1, 1)

    def weight(step: int) -> float:
        return teacher.weight + (last - teacher.weight) * min((step - 1) / span, 1.0)

    return TeacherPart(weight, teacher.steps)


def _sft_part(config: Config, *, optimizer: str) -> SFTPart:
    sft_config = config.sft
    return SFTPart(
        loss=look_up(LOSSES["sft"], sft_config.loss, key="sft.loss")(sft_config),
        norm=look_up(NORMS, sft_config.denominator, key="sft.denominator"),
        entropy_weight=sft_config.entropy_weight,
        scale=sft_config.loss_scale,
        max_tokens=config.data.max_demo_tokens,
        optimizer=optimizer,
        mu=warm_then_cosine(
            warmup=sft_config.mu_warmup_steps,
            decay=sft_config.mu_decay_steps,
            peak=sft_config.mu_peak,
            valley=sft_config.mu_valley,
        ),
    )


def _any_of(names: tuple[str, ...]) -> str:
    return " or ".join(names)
