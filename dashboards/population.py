"""Say on top of a page which questions its figures are about, so that none of them changes it in silence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from relift.dashboards.kept import kept
from relift.dashboards.question_filter import counts_of, rows_of
from relift.dashboards.runs import Choice, questions
from relift.dashboards.terms import TERMS
from relift.dashboards.widgets import plain


@kept(16)
def population(choice: Choice) -> pd.DataFrame:
    """Count the questions of a choice by split, a row each.

    Columns: split, n_probed (at least once, in any run), n_everywhere (in every run with probes and at every step of
    it: those of the figures over steps).
    """
    rows = questions(choice)
    ids = pd.Index(rows["question_id"].astype(object))
    any_Q, every_Q = np.zeros(len(ids), bool), np.ones(len(ids), bool)
    for run in choice.runs:
        counts = counts_of(run)
        if counts is None or not len(counts.step_T):
            continue
        row_Q, asked_QT = rows_of(run, ids), counts.n_decided_QT > 0
        any_Q |= (row_Q >= 0) & np.any(asked_QT, axis=1)[row_Q]
        every_Q &= (row_Q >= 0) & np.all(asked_QT, axis=1)[row_Q]
    split_Q = rows["split"].astype(object).to_numpy()
    if choice.splits:
        any_Q &= np.isin(split_Q, choice.splits)
    frame = pd.DataFrame({"split": split_Q, "n_probed": any_Q, "n_everywhere": any_Q & every_Q})
    counted = frame.groupby("split", sort=True)[["n_probed", "n_everywhere"]].sum().reset_index()
    return counted[counted["n_probed"] > 0].reset_index(drop=True)


def say_population(choice: Choice) -> None:
    """Show the number of questions by split, and which of them the figures over steps hold."""
    probed = choice.with_probes()
    if not probed.runs:
        return
    counts = population(probed)
    if counts.empty:
        return
    n, everywhere = int(counts["n_probed"].sum()), int(counts["n_everywhere"].sum())
    st.caption(sentence(counts), help=TERMS["population"])
    short = [str(split) for split in choice.splits if not _everywhere(counts, str(split))]
    if short:
        st.warning(
            f"{', '.join(map(plain, short))}: not probed at every step of every run, so no figure over steps shows "
            f"{'it' if len(short) == 1 else 'them'}; differences of first and last probe do.",
            icon=":material/filter_alt_off:",
        )
    elif everywhere == 0 < n:
        st.warning("No question was probed at every step of every run: choose fewer runs for figures over steps.")


def sentence(counts: pd.DataFrame) -> str:
    """Say the population of a page in a sentence or two."""
    n, everywhere = int(counts["n_probed"].sum()), int(counts["n_everywhere"].sum())
    said = f"{n:,} questions" + (f": {_by_split(counts, 'n_probed')}" if len(counts) > 1 else "")
    if everywhere == n:
        return f"{said}. Every figure is about all of them."
    held = counts[counts["n_everywhere"] > 0]
    which = f" ({_by_split(held, 'n_everywhere')})" if len(counts) > 1 and len(held) else ""
    return (
        f"{said}. Over steps, by band and class: the {everywhere:,} probed at every step of every run{which}; "
        "first against last probe, and lists: all."
    )


def _everywhere(counts: pd.DataFrame, split: str) -> int:
    return int(counts.loc[counts["split"].astype(str) == split, "n_everywhere"].sum())


def _by_split(counts: pd.DataFrame, column: str) -> str:
    return ", ".join(f"{plain(split)} {n:,}" for split, n in zip(counts["split"], counts[column], strict=True))
