"""Write losses as pairs of small functions, a per-token objective and its coefficient c_t, for numpy and torch alike.

    c_t = d objective / d log pi(y_t)                      (relift.learner.update has the form of the gradient)

l is the current log-probability, p = e^l, r = e^(l - l_old), A the advantage, H_mean the detached mean entropy of
the sequence. "Detached" factors count as constants in the derivative, as the authors' codes detach them.

| loss | objective | c_t |
|---|---|---|
| ppo_clip | min(r A, clip(r, 1-low, 1+high) A) | A r where the ratio is not clipped |
| ppo_clip, dual | max(that, C A) for A < 0 | A r where 1-low <= r <= C |
| ratio | A r | A r |
| gspo | min(s A, clip(s) A), s = e^(mean over the sequence of l - l_old) | A s where not clipped |
| cispo | A min(r, bound) l, factor detached | A min(r, bound) |
| luffy | A p/(p+g) | A g p/(p+g)^2 |
| probability | A p | A p |
| sft; dft; chord_phi | l; p l, p detached; mu p(1-p) l, factor detached | 1; p; mu p(1-p) |
| srft_demo; srft_rollout | w l, w detached | .5 e^(+-H_mean); .1 e^(H_mean) if A > 0, -1 if A < 0 |
| distillation | beta r (l_teacher - l), difference detached | beta r (l_teacher - l) |
| self_distillation | beta min(r, cap) (l_teacher - l) l, factors detached | beta min(r, cap) (l_teacher - l) |
| jensen_shannon | -w f(rho), rho = pi/pi_teacher | -w/2 rho log(2 rho/(1 + rho)) |
| k3_kl | -beta (rho - log rho - 1), rho = pi_ref/pi | beta (rho - 1) |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from relift.learner.update import Loss, TokenView


def ppo_clip(low: float, high: float, *, dual: float | None = None) -> Loss:
    """The clipped surrogate, 1-low and 1+high being its bounds. `dual` bounds the ratio for negative advantages.

    Sources: Schulman et al., arXiv 1707.06347, eq. 7; separate bounds: Yu et al., arXiv 2503.14476; dual clip: Ye et
    al., arXiv 1912.09729, eq. 5. A ratio exactly on a bound is not clipped.
    """

    def inside(xp: Any, view: TokenView, ratio: Any) -> Any:
        below = ratio >= 1 - low
        if dual is not None:
            below = below & (ratio <= dual)
        return xp.where(view.advantage > 0, ratio <= 1 + high, below)

    def coefficient(xp: Any, view: TokenView) -> Any:
        ratio = _ratio(xp, view)
        return xp.where(inside(xp, view, ratio), view.advantage * ratio, 0.0)

    def objective(xp: Any, view: TokenView) -> Any:
        ratio = _ratio(xp, view)
        value = _clipped(xp, ratio, view.advantage, low, high)
        if dual is None:
            return value
        return xp.where(view.advantage < 0, xp.maximum(value, dual * view.advantage), value)

    def removed(xp: Any, view: TokenView) -> Any:
        return (view.advantage != 0) & ~inside(xp, view, _ratio(xp, view))

    return Loss("ppo_clip", coefficient, objective, removed)


def ratio() -> Loss:
    """Importance-weighted policy gradient without a clip: A r (ReLIFT of June 2025, LUFFY and HPT on rollouts)."""

    def weighted(xp: Any, view: TokenView) -> Any:
        return view.advantage * _ratio(xp, view)

    return Loss("ratio", weighted, weighted)


def gspo(low: float, high: float) -> Loss:
    """The clip on the sequence's geometric-mean ratio s; a mean over the sequence (Zheng et al., arXiv 2507.18071).

    ds/dl_t = s/|y|: the 1/|y| is the sequence mean's, so that the coefficient of every token is A s. So it is to be
    averaged over sequences (trainer/norms.py).
    """

    def sequence_ratio(xp: Any, view: TokenView) -> Any:
        return xp.exp(view.by_sequence_mean(view.logprob - view.old))

    def inside(xp: Any, view: TokenView) -> Any:
        s = sequence_ratio(xp, view)
        return xp.where(view.advantage > 0, s <= 1 + high, s >= 1 - low)

    def coefficient(xp: Any, view: TokenView) -> Any:
        return xp.where(inside(xp, view), view.advantage * sequence_ratio(xp, view), 0.0)

    def objective(xp: Any, view: TokenView) -> Any:
        return _clipped(xp, sequence_ratio(xp, view), view.advantage, low, high)

    def removed(xp: Any, view: TokenView) -> Any:
        return (view.advantage != 0) & ~inside(xp, view)

    return Loss("gspo", coefficient, objective, removed)


def cispo(bound: float) -> Loss:
    """The ratio is capped at `bound` and never clips a gradient away (MiniMax-M1, arXiv 2506.13585, eq. 4)."""

    def coefficient(xp: Any, view: TokenView) -> Any:
        return view.advantage * xp.clip(_ratio(xp, view), None, bound)

    def objective(xp: Any, view: TokenView) -> Any:
        return coefficient(xp, view) * view.logprob

    return Loss("cispo", coefficient, objective)


def luffy(gamma: float = 0.1) -> Loss:
    """Policy shaping of demonstrations, A p/(p+gamma) (LUFFY, arXiv 2504.14945; official code, gamma 0.1)."""

    def coefficient(xp: Any, view: TokenView) -> Any:
        p = xp.exp(view.logprob)
        return view.advantage * gamma * p / (p + gamma) ** 2

    def objective(xp: Any, view: TokenView) -> Any:
        p = xp.exp(view.logprob)
        return view.advantage * p / (p + gamma)

    return Loss("luffy", coefficient, objective)


def probability() -> Loss:
    """Off-policy gradient of demonstrations, A p: the ratio to an author of probability 1 (LUFFY without shaping).

    Source: SRFT, arXiv 2506.19767, on demonstrations; LUFFY's code without reshaping.
    """

    def weighted(xp: Any, view: TokenView) -> Any:
        return view.advantage * xp.exp(view.logprob)

    return Loss("probability", weighted, weighted)


def sft() -> Loss:
    """Cross-entropy on demonstrations: the objective is the log-probability itself."""

    def coefficient(xp: Any, view: TokenView) -> Any:
        return xp.ones_like(view.logprob)

    def objective(xp: Any, view: TokenView) -> Any:
        return view.logprob

    return Loss("sft", coefficient, objective)


def dft() -> Loss:
    """Cross-entropy weighted by the detached probability (DFT, arXiv 2508.05629)."""

    def coefficient(xp: Any, view: TokenView) -> Any:
        return xp.exp(view.logprob)

    return _weighted_logprob("dft", coefficient)


def chord_phi(mu: float) -> Loss:
    """Cross-entropy weighted by mu p(1-p): tokens the policy is sure of, either way, count little.

    Source: CHORD, arXiv 2508.11408.
    """

    def coefficient(xp: Any, view: TokenView) -> Any:
        p = xp.exp(view.logprob)
        return mu * p * (1 - p)

    return _weighted_logprob("chord_phi", coefficient)


def srft_demo(sign: int) -> Loss:
    """SRFT on demonstrations, weight .5 e^(sign H_mean): sign -1 as in arXiv 2506.19767, +1 as its code is said to."""

    def coefficient(xp: Any, view: TokenView) -> Any:
        return 0.5 * xp.exp(sign * view.by_sequence_mean(view.entropy))

    return _weighted_logprob("srft_demo", coefficient)


def srft_rollout() -> Loss:
    """SRFT on rollouts (arXiv 2506.19767): .1 e^(H_mean) for a correct answer (A > 0), -1 for a wrong one (A < 0)."""

    def coefficient(xp: Any, view: TokenView) -> Any:
        positive = 0.1 * xp.exp(view.by_sequence_mean(view.entropy))
        negative = xp.where(view.advantage < 0, -xp.ones_like(view.logprob), 0.0)
        return xp.where(view.advantage > 0, positive, negative)

    return _weighted_logprob("srft_rollout", coefficient)


def k3_kl(beta: float) -> Loss:
    """-beta times the k3 estimate of KL(pi || pi_ref) (Schulman 2020; GRPO, arXiv 2402.03300, eq. 4).

    Column `reference` holds the reference model's log-probabilities.
    """

    def coefficient(xp: Any, view: TokenView) -> Any:
        return beta * (xp.exp(view.column("reference") - view.logprob) - 1)

    def objective(xp: Any, view: TokenView) -> Any:
        log_rho = view.column("reference") - view.logprob
        return -beta * (xp.exp(log_rho) - log_rho - 1)

    return Loss("k3_kl", coefficient, objective)


def distillation(beta: float) -> Loss:
    """-beta times the reverse KL to a teacher, by the token that the policy drew: each has the advantage l_teacher - l.

    Source: on-policy distillation, Agarwal et al., arXiv 2306.13649, in the form of arXiv 2609.04108: a policy
    gradient whose advantage is detached. Column `teacher` holds the teacher's log-probabilities.
    """

    def coefficient(xp: Any, view: TokenView) -> Any:
        return beta * _ratio(xp, view) * (view.column("teacher") - view.logprob)

    return Loss("distillation", coefficient, coefficient)


def self_distillation(beta: float, *, cap: float) -> Loss:
    """-beta times the reverse KL to the policy with a solution in its prompt, by the token that was drawn.

    As `distillation`, the ratio detached and capped (SDPO, arXiv 2601.20802; github.com/lasgroup/SDPO at 0e6d510,
    verl/trainer/ppo/core_algos.py, compute_self_distillation_loss with full_logit_distillation off and is_clip = cap).
    """

    def coefficient(xp: Any, view: TokenView) -> Any:
        return beta * xp.clip(_ratio(xp, view), None, cap) * (view.column("teacher") - view.logprob)

    return _weighted_logprob("self_distillation", coefficient)


def jensen_shannon(weight: float) -> Loss:
    """-weight times the Jensen-Shannon divergence to a teacher, by a token that the *teacher* drew.

    With rho = pi/pi_teacher it is the mean over the teacher's tokens of
    f(rho) = (rho log(2 rho/(1 + rho)) + log(2/(1 + rho)))/2, an f-divergence (Lin 1991; Nowozin et al., arXiv
    1606.00709, table 1). Column `teacher` holds the teacher's log-probabilities.
    """

    def coefficient(xp: Any, view: TokenView) -> Any:
        log_rho = view.logprob - view.column("teacher")
        rho = xp.exp(log_rho)
        return -0.5 * weight * rho * (log_rho - xp.log((1 + rho) / 2))

    def objective(xp: Any, view: TokenView) -> Any:
        log_rho = view.logprob - view.column("teacher")
        rho = xp.exp(log_rho)
        middle = xp.log((1 + rho) / 2)
        return -0.5 * weight * (rho * (log_rho - middle) - middle)

    return Loss("jensen_shannon", coefficient, objective)


def of_given(loss: Loss, share: float) -> Loss:
    """Leave out of a loss the tokens that were given, but for the `share` of each start whose entropy is highest.

    Source: Prefix-RFT, arXiv 2507.01679; github.com/ZeroYuHuang/prefix_rft at 5f5d2a1, recipe/prefix_rft/dp_actor.py,
    reshaper "entropy", which sorts over a micro-batch.
    """

    def kept(xp: Any, view: TokenView) -> Any:
        given = view.column("given") > 0
        return ~given | view.by_sequence_top(view.entropy, given, share)

    def coefficient(xp: Any, view: TokenView) -> Any:
        return xp.where(kept(xp, view), loss.coefficient(xp, view), 0.0)

    def objective(xp: Any, view: TokenView) -> Any:
        return xp.where(kept(xp, view), loss.objective(xp, view), 0.0)

    return replace(loss, coefficient=coefficient, objective=objective)


# What a configuration may name, made from its section: [rl] for losses on rollouts, [sft] on demonstrations.
LOSSES: dict[str, dict[str, Callable[[Any], Loss]]] = {
    "rl": {
        "ppo_clip": lambda rl: ppo_clip(rl.clip_low, rl.clip_high, dual=rl.dual_clip),
        "ratio": lambda rl: ratio(),
        "gspo": lambda rl: gspo(rl.clip_low, rl.clip_high),
        "cispo": lambda rl: cispo(rl.ratio_cap),
        "srft_rollout": lambda rl: srft_rollout(),
    },
    "sft": {
        "sft": lambda section: sft(),
        "dft": lambda section: dft(),
        "luffy": lambda section: luffy(section.luffy_gamma),
        "probability": lambda section: probability(),
        "chord_phi": lambda section: chord_phi(section.chord_mu),
        "srft_demo": lambda section: srft_demo(section.srft_sign),
    },
}


def _ratio(xp: Any, view: TokenView) -> Any:
    return xp.exp(view.logprob - view.old)


def _clipped(xp: Any, ratio: Any, advantage: Any, low: float, high: float) -> Any:
    return xp.minimum(ratio * advantage, xp.clip(ratio, 1 - low, 1 + high) * advantage)


def _weighted_logprob(name: str, coefficient: Any) -> Loss:
    """The objective whose weight is detached: weight times log-probability."""

    def objective(xp: Any, view: TokenView) -> Any:
        return coefficient(xp, view) * view.logprob

    return Loss(name, coefficient, objective)
