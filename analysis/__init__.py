"""Tables in, tables out, and the figure beside its table: what training changed, question by question."""

from relift.analysis.bands import BANDS, PAPER, Cuts, assign_bands, counts_of_bands
from relift.analysis.by_band import (
    band_accuracy,
    band_lengths,
    caption_bands,
    plot_band_accuracy,
    plot_band_lengths,
)
from relift.analysis.capability import EPSILON_64, fit_prior, reach, top_up
from relift.analysis.compare import compare_runs, paired_difference
from relift.analysis.demos import (
    buffer_health,
    caption_buffer_health,
    caption_demo_efficiency,
    count_demonstrations,
    demo_efficiency,
    plot_buffer_health,
    plot_demo_efficiency,
    probe_scores,
)
from relift.analysis.dynamics import caption_training_dynamics, plot_training_dynamics, training_dynamics
from relift.analysis.panel import matched_questions
from relift.analysis.read import (
    Cube,
    iter_attempts,
    read_attempts,
    read_checkpoints,
    read_cube,
    read_demo_events,
    read_demonstrations,
    read_questions,
    read_responses,
    read_runs,
    read_scores,
    read_trajectories,
    read_updates,
)
from relift.analysis.style import save_figure
from relift.analysis.transitions import band_transitions, caption_transitions, plot_transitions

__all__ = [
    "BANDS",
    "EPSILON_64",
    "PAPER",
    "Cube",
    "Cuts",
    "assign_bands",
    "band_accuracy",
    "band_lengths",
    "band_transitions",
    "buffer_health",
    "caption_bands",
    "caption_buffer_health",
    "caption_demo_efficiency",
    "caption_training_dynamics",
    "caption_transitions",
    "compare_runs",
    "count_demonstrations",
    "counts_of_bands",
    "demo_efficiency",
    "fit_prior",
    "iter_attempts",
    "matched_questions",
    "paired_difference",
    "plot_band_accuracy",
    "plot_band_lengths",
    "plot_buffer_health",
    "plot_demo_efficiency",
    "plot_training_dynamics",
    "plot_transitions",
    "probe_scores",
    "reach",
    "read_attempts",
    "read_checkpoints",
    "read_cube",
    "read_demo_events",
    "read_demonstrations",
    "read_questions",
    "read_responses",
    "read_runs",
    "read_scores",
    "read_trajectories",
    "read_updates",
    "save_figure",
    "top_up",
    "training_dynamics",
]
