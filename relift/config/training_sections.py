"""Define the sections that say what is trained on and how: losses, optimizers, demonstrations, curriculum."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from relift.config.fields import Section, field

Beta = Annotated[float, Field(ge=0, lt=1)]


class CurriculumConfig(Section):
    """Set the questions that a step draws (docs/method.md, Curriculum)."""

    order: Literal["shuffled", "accuracy"] = field(
        "shuffled", "identity", "every question once an epoch, or drawn with weights by its recent accuracy"
    )
    low: float = field(0.2, "identity", "accuracy: least recent accuracy of full weight", ge=0, le=1)
    high: float = field(0.8, "identity", "accuracy: largest recent accuracy of full weight", ge=0, le=1)
    outside: float = field(0.25, "identity", "accuracy: weight of other questions that are not solved", gt=0, le=1)
    revisit: int = field(50, "identity", "accuracy: steps after which a question counts as never asked", ge=1)


class OptimizerConfig(Section):
    """AdamW with a schedule of its own, counted in steps of this optimizer."""

    lr: float = field(1e-6, "tunable", "peak learning rate; 0 leaves the weights alone", ge=0)
    betas: tuple[Beta, Beta] = field((0.9, 0.999), "tunable", "AdamW")
    eps: float = field(1e-8, "tunable", "AdamW", gt=0)
    weight_decay: float = field(0.01, "tunable", "AdamW, on all parameters", ge=0)
    warmup_steps: int = field(0, "tunable", "linear warm-up", ge=0)
    warmup_share: float = field(0.0, "tunable", "linear warm-up as a share of total_steps", ge=0, le=1)
    schedule: Literal["constant", "linear", "cosine"] = field("constant", "tunable", "after the warm-up")
    total_steps: int | None = field(None, "tunable", "end of the schedule; None: that of the phase", ge=1)
    over: Literal["own", "run"] = field(
        "own", "tunable", "what the schedule counts: steps of this optimizer, or steps of the run"
    )
    final_ratio: float = field(0.0, "tunable", "learning rate at the end, relative to the peak", ge=0, le=1)
    max_grad_norm: float | None = field(1.0, "tunable", "clip the gradient's norm at this", gt=0)
    skip_grad_norm: float | None = field(None, "tunable", "make no step when the norm exceeds this", gt=0)


class RLConfig(Section):
    """The reinforcement learning component. The tables of losses, advantages and norms say what may be named here."""

    loss: str = field("ppo_clip", "identity", "ppo_clip, ratio (no clip), gspo, cispo or srft_rollout")
    advantage: str = field("mean", "identity", "reward - mean, over the standard deviation, ... (docs/method.md)")
    clip_low: float = field(0.2, "identity", "lower bound is 1 - clip_low", ge=0, lt=1)
    clip_high: float = field(0.2, "identity", "upper bound is 1 + clip_high", ge=0)
    dual_clip: float | None = field(None, "identity", "bound of the ratio for negative advantages", gt=1)
    ratio_cap: float | None = field(None, "identity", "cispo: largest ratio", gt=0)
    denominator: str = field("tokens", "identity", "how tokens are averaged: a norm (docs/method.md, Denominators)")
    importance: Literal["auto", "none", "token", "sequence"] = field(
        "auto",
        "identity",
        "weights p_learner / p_sampler on the rollouts' coefficients; auto: token where another program samples",
    )
    importance_cap: float = field(2.0, "identity", "largest importance weight", ge=1)
    importance_mask: bool = field(
        default=False, change="identity", description="leave tokens beyond the cap out instead of capping their weight"
    )
    updates_per_batch: int = field(1, "identity", "optimizer steps on one batch of rollouts", ge=1)
    drop_flat_groups: bool = field(
        default=False, change="identity", description="leave groups of equal rewards out altogether (DAPO)"
    )
    entropy_weight: float = field(0.0, "identity", "beta of the entropy bonus", ge=0)
    kl_weight: float = field(0.0, "identity", "beta of the k3 KL to the base model", ge=0)
    loss_scale: float = field(1.0, "identity", "factor on the component", gt=0)
    truncated: Literal["wrong", "mask", "penalty"] = field(
        "wrong",
        "identity",
        "answers cut off at rollout.max_tokens: judged as they stand; left out of the loss; or a penalty that grows "
        "over the last overlong_tokens, for finished answers too (DAPO)",
    )
    overlong_tokens: int | None = field(
        None, "identity", "penalty: tokens over which it grows; None: a fifth of rollout.max_tokens", ge=1
    )
    reward: str | None = field(
        None,
        "identity",
        "module:function or file.py:function that rewards answers in place of the verdicts' 1 and 0 (docs/rewards.md)",
    )
    format_reward: Literal["think", "box", "think_box"] | None = field(
        None,
        "identity",
        "format that is rewarded beside the answer: thoughts that are closed, an answer in a box, both",
    )
    format_weight: float = field(0.1, "identity", "reward of an answer that keeps the format", gt=0)
    overlong_factor: float = field(1.0, "identity", "penalty: what an answer of full length loses", gt=0)
    optimizer: OptimizerConfig = OptimizerConfig()


class SFTConfig(Section):
    """The fine-tuning component."""

    batch: int = field(64, "identity", "demonstrations of one fine-tuning step (M)", ge=1)
    loss: str = field("sft", "identity", "sft (cross-entropy), dft, luffy, probability, chord_phi, srft_demo")
    luffy_gamma: float = field(0.1, "identity", "luffy: gamma (its code: 0.1)", gt=0)
    chord_mu: float = field(0.1, "identity", "chord_phi: mu (its code with phi on: 0.1)", gt=0)
    mu_peak: float = field(0.9, "identity", "chord: share of the loss after its warm-up", ge=0, le=1)
    mu_valley: float = field(0.05, "identity", "chord: share of the loss after its cosine", ge=0, le=1)
    mu_warmup_steps: int = field(0, "identity", "chord: steps of the run from a share of 0 to mu_peak", ge=0)
    mu_decay_steps: int = field(200, "identity", "chord: steps of the run from mu_peak to mu_valley", ge=0)
    srft_sign: Literal[-1, 1] = field(-1, "identity", "srft_demo: sign of the entropy, -1 as in the paper")
    denominator: str = field("tokens", "identity", "how tokens are averaged: a norm (docs/method.md, Denominators)")
    entropy_weight: float = field(0.0, "identity", "alpha of the entropy bonus", ge=0)
    loss_scale: float = field(1.0, "identity", "factor on the component", gt=0)
    phase_steps: int = field(0, "identity", "sft_rl: fine-tuning steps before RL begins", ge=0)
    moments: Literal["own", "shared"] = field(
        "own", "identity", "an optimizer of its own over the same weights, or the one of RL for both"
    )
    optimizer: OptimizerConfig = OptimizerConfig()


class PrefixConfig(Section):
    """The attempts that are given the start of a demonstration (recipes prefix_rl, hint_rl)."""

    place: Literal["answer", "prompt"] = field(
        "answer", "identity", "as the start of the answer, or as a hint after the problem"
    )
    questions: Literal["all", "waiting"] = field(
        "all", "identity", "whose: all with a demonstration, or those whose last unassisted attempts were all wrong"
    )
    attempts: int | None = field(None, "identity", "of the n at a question; None: half of them", ge=1)
    low: float = field(0.25, "identity", "least share of a demonstration's tokens that is given", ge=0, lt=1)
    high: float = field(0.75, "identity", "largest share", ge=0, lt=1)


class OnlineConfig(Section):
    """The source of demonstrations while training goes on, for questions that have none (docs/teacher.md)."""

    source: Literal["none", "server", "human", "self"] = field(
        "none",
        "identity",
        "who gives demonstrations of questions that are beyond reach and have none: nobody; a server of OpenAI's "
        "protocol; a person, through a file; the model itself, where it was right later",
    )
    url: str | None = field(None, "runtime", "server: its address, as in http://127.0.0.1:8000/v1")
    model: str | None = field(None, "identity", "server: name of the model there")
    api_key_env: str | None = field(
        None, "runtime", "server: name of the environment variable that holds the key; None: no key is sent"
    )
    prompt: str = field("boxed", "identity", "server: the user's turn: chat, boxed or file:PATH")
    system: str | None = field(None, "identity", "server: text of a system turn before the user's")
    temperature: float = field(0.6, "identity", "server: sampling temperature (DeepSeek-R1's model card: 0.6)", ge=0)
    top_p: float = field(0.95, "identity", "server: nucleus (DeepSeek-R1's model card: 0.95)", gt=0, le=1)
    max_tokens: int | None = field(
        None, "identity", "server: longest answer in its own tokens; None: data.max_demo_tokens", ge=1
    )
    tries: int = field(2, "identity", "server: answers bought of a question until one can be trained on", ge=1)
    concurrency: int = field(8, "runtime", "server: requests under way at a time", ge=1)
    timeout_seconds: float = field(600.0, "runtime", "server: longest wait for one reply", gt=0)
    deadline_seconds: float = field(1800.0, "runtime", "server: longest wait for an answer, repetitions included", gt=0)
    omit: tuple[str, ...] = field((), "runtime", "server: settings of a request that it refuses, left out")
    length_field: Literal["max_tokens", "max_completion_tokens"] = field(
        "max_tokens", "runtime", "server: its name for the longest answer"
    )
    max_requests: int | None = field(None, "tunable", "server: budget in requests, of all starts together", ge=0)
    max_completion_tokens: int | None = field(None, "tunable", "server: budget in tokens that it writes", ge=0)
    max_usd: float | None = field(None, "tunable", "server: budget in dollars; needs both prices", ge=0)
    usd_per_million_prompt_tokens: float | None = field(None, "tunable", "server: price", ge=0)
    usd_per_million_completion_tokens: float | None = field(None, "tunable", "server: price", ge=0)
    file: str | None = field(
        None, "runtime", "human: .jsonl file that a person appends to; FILE.wanted.jsonl lists the questions"
    )

    @model_validator(mode="after")
    def _agree(self) -> OnlineConfig:
        if self.source == "server" and (self.url is None or self.model is None):
            raise ValueError(
                'teacher.online.url, teacher.online.model: source = "server" needs the server\'s address, as in '
                "http://127.0.0.1:8000/v1, and the name of the model there"
            )
        if self.source == "human" and self.file is None:
            raise ValueError('teacher.online.file: source = "human" needs the file that a person appends to')
        if self.max_usd is not None and None in (
            self.usd_per_million_prompt_tokens,
            self.usd_per_million_completion_tokens,
        ):
            raise ValueError(
                "teacher.online.max_usd: a budget in dollars needs usd_per_million_prompt_tokens and "
                "usd_per_million_completion_tokens"
            )
        return self


class TeacherConfig(Section):
    """The model whose log-probabilities of our answers are trained on (recipes opd, opd_rl, kdrl); in [teacher.online]
    the source of demonstrations."""

    path: str | None = field(None, "identity", "its checkpoint folder or hub name; same vocabulary as the base model")
    revision: str | None = field(None, "identity", "of a hub model")
    weight: float = field(1.0, "identity", "beta of the distillation term", gt=0)
    final_weight: float | None = field(
        None, "identity", "beta in the last step, on a straight line from weight (kdrl); None: weight", ge=0
    )
    steps: int = field(60, "identity", "opd_rl: first steps, which distill alone", ge=1)
    online: OnlineConfig = OnlineConfig()


class BufferConfig(Section):
    """The demonstrations that wait to be trained on (docs/method.md, Demonstrations)."""

    flush: Literal["adaptive", "all", "uniform", "gate", "never"] = field(
        "adaptive", "identity", "fine-tune when M wait; after every RL step; every `every` steps; by a signal; never"
    )
    every: int = field(8, "identity", "period of flush = uniform, in steps", ge=1)
    gate: Literal["reward", "entropy"] = field(
        "reward", "identity", "flush = gate: signal of the unassisted rollouts: mean reward, or entropy in nats a token"
    )
    gate_below: float = field(0.5, "identity", "flush = gate: open while the signal's mean is at or below this", ge=0)
    gate_window: int = field(8, "identity", "flush = gate: steps that the mean is over; shut before them", ge=1)
    cooldown: int = field(0, "identity", "steps without fine-tuning after one with it, under every flush", ge=0)
    select: Literal["at_or_below", "above", "any"] = field("at_or_below", "identity", "which accuracies enter")
    threshold: float = field(0.0, "identity", "p: a question enters when its accuracy is <= p", ge=0, le=1)
    order: Literal["fifo", "lifo", "random"] = field("fifo", "identity", "who leaves first")
    dedup: Literal["refresh", "allow"] = field("refresh", "identity", "one entry per question, or one per visit")
    recheck: Literal["latest", "sample", "none"] = field(
        "latest",
        "identity",
        "drop when a later group is above p; ask the questions of a batch anew before it, and train those still below",
    )
    max_age_steps: int | None = field(None, "identity", "drop after so many steps", ge=1)
    capacity: int | None = field(None, "identity", "drop the oldest beyond this", ge=1)
    max_uses: int | None = field(None, "identity", "times one demonstration may be trained on", ge=1)
    drain: Literal["one", "all"] = field("one", "identity", "fine-tuning batches per step: one, or all that are full")
