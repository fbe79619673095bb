"""Overview: what the runs are, the headline, F1 and F17, cost, alerts."""

from __future__ import annotations

import streamlit as st

from relift.dashboards.made import Made, make
from relift.dashboards.runs import Choice
from relift.dashboards.widgets import choose_runs, start_page, table, view


def show() -> None:
    """The whole page."""
    start_page("overview")
    choice = choose_runs()
    if choice is None:
        return
    _runs(choice)
    view(
        "Within and beyond reach",
        "Questions by whether they are within the reach of the model.",
        make("f17_reach", choice),
    )


def _runs(choice: Choice) -> None:
    made = make("runs", choice)
    if isinstance(made, Made):
        table(made.frame)
    st.divider()


if __name__ == "__main__":
    show()
