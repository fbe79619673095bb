"""Show page Dynamics: reward, tokens, entropy and truncation over steps; accuracy and length by band and length."""

from __future__ import annotations

from dataclasses import replace

from relift.dashboards.charts import curves
from relift.dashboards.frames import Ready, Unavailable, make
from relift.dashboards.population import say_population
from relift.dashboards.sections import section
from relift.dashboards.widgets import choose_runs, start_page


def show() -> None:
    """Show the whole page."""
    start_page("dynamics")
    choice = choose_runs()
    if choice is None:
        return
    say_population(choice)
    section(
        "Training curves",
        "Reward, length, entropy and truncation: thin lines are the rollouts of one step, thick ones their running "
        "mean, rings are probes, a level is a model probed once. Ticks above mark fine-tuning updates of "
        "runs that do both.",
        make("dynamics", choice),
        curves.dynamics,
    )
    section(
        "Accuracy by what the base could do",
        "Accuracy at each probe of the questions that the base model answered never, seldom, sometimes and often.",
        make("band_accuracy", choice),
        curves.band_accuracy,
    )
    section(
        "Accuracy by what the base could reach",
        "Accuracy after training of the questions that were within, beyond or undetermined for the base model.",
        make("reach_accuracy", choice),
        curves.reach_accuracy,
    )
    lengths = make("band_lengths", choice)
    section(
        "Length of answers by what the base could do",
        "Mean tokens of an answer at each probe." + _of_demonstrations(lengths),
        lengths,
        curves.band_lengths,
    )
    by_length = make("length_accuracy", choice)
    section(
        "Accuracy by length of the answer",
        "A point per tenth of the answers of a run's last probe, by length; splits apart.",
        by_length,
        curves.length_accuracy,
    )
    if isinstance(by_length, Ready) and (by_length.frame["truncated_share"] > 0).any():
        section(
            "Share cut off by length of the answer", "The same tenths: how many reached the limit of tokens.",
            replace(by_length, name="length-cut-off", caption=""), curves.length_cut_off,
        )  # fmt: skip


def _of_demonstrations(lengths: Ready | Unavailable) -> str:
    """Say what the dashed line is, where there is one."""
    if isinstance(lengths, Unavailable) or "demonstration_tokens" not in lengths.frame:
        return ""
    if lengths.frame["demonstration_tokens"].isna().all():  # probed questions need not have any
        return ""
    return " The dashed grey line is the mean length of the demonstrations of the band's questions."


if __name__ == "__main__":
    show()
