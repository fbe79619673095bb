"""List the pages of the dashboard; each is a file of this folder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """Name a page: its file in this folder, its title, the sentence below it, and whether the navigation shows it."""

    name: str
    title: str
    sentence: str
    shown: bool = True


PAGES = (
    Page("overview", "Overview", "What these runs are, what training changed, and what it cost."),
    Page("dynamics", "Dynamics", "Accuracy and length by what the base model could do, and the curves of training."),
    Page("transitions", "Transitions", "Questions that moved between bands, beside the moves that chance makes."),
    Page("questions", "Questions", "Every question over the steps: filter, sort, and open one."),
    Page("question", "Question", "One question in every run: its trajectory, its events, its answers."),
    Page("attempts", "Attempts", "Every answer at a step: cut off, repetitive, wrong alike; search their texts."),
    Page("compare", "Compare", "Runs on the same questions: what only one of them solves."),
    Page("benchmarks", "Benchmarks", "Scores with intervals, and paired differences."),
    Page("training", "Training", "Updates, the demonstration buffer, what demonstrations bought, how fast it went."),
    Page("figures", "Figures", "Every figure of relift analyze, one at a time, as it would be printed."),
    Page("data", "Data", "What was recorded, what is missing, and every table to take away."),
)  # fmt: skip
