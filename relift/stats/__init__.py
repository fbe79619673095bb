"""Compute intervals, bootstraps, pass@k and the beta-binomial prior: arrays in, arrays out.

Axes: Q questions, N units of any kind, R bootstrap resamples, C columns (a run at a step, say), G groups of
questions (bands, say), J numbers of successes (0 to the most). A name without axes takes any shape. Counts are
`n_correct` of `n_decided` attempts; undecided attempts are in neither. A rate of nothing is nan.

Broadcast, here and in no other docstring: functions of counts of any shape take arrays that numpy broadcasts against
each other, and return that common shape. Functions over questions take one axis, [Q].

scipy.stats is not imported: scipy.special holds the same functions in a third of the time.
"""

from __future__ import annotations

from relift.stats.bootstrap import bootstrap_ratios, bootstrap_weights, percentile_interval, small_weights
from relift.stats.means import MeanEstimate, logit_t, mean_over_questions, mean_over_these
from relift.stats.paired import (
    DifferenceEstimate,
    count_over_chance,
    detectable,
    minimum_detectable_difference,
    paired_counts,
    paired_rates,
    paired_t,
    paired_these,
)
from relift.stats.passes import pass_at_k, pass_variance, shares_of_binomial
from relift.stats.priors import BetaPrior, InflatedPrior, beta_below, beta_binomial_fit, inflated_fit
from relift.stats.rates import Floats, Ints, clopper_pearson, rate, wilson
from relift.stats.significance import benjamini_hochberg, fisher_exact, holm, mcnemar_exact, shares_of_split

__all__ = [
    "BetaPrior",
    "DifferenceEstimate",
    "Floats",
    "InflatedPrior",
    "Ints",
    "MeanEstimate",
    "benjamini_hochberg",
    "beta_below",
    "beta_binomial_fit",
    "bootstrap_ratios",
    "bootstrap_weights",
    "clopper_pearson",
    "detectable",
    "fisher_exact",
    "holm",
    "inflated_fit",
    "logit_t",
    "mcnemar_exact",
    "mean_over_questions",
    "mean_over_these",
    "minimum_detectable_difference",
    "paired_counts",
    "count_over_chance",
    "paired_rates",
    "paired_t",
    "paired_these",
    "pass_at_k",
    "pass_variance",
    "percentile_interval",
    "rate",
    "shares_of_binomial",
    "shares_of_split",
    "small_weights",
    "wilson",
]
