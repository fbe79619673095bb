"""Show page Figures: any figure of the catalogue as it would be printed, one at a time."""

from __future__ import annotations

import streamlit as st

from relift.analysis.report.catalogue import FIGURES
from relift.dashboards.cubes import is_large
from relift.dashboards.exports import downloads, figure_bytes
from relift.dashboards.frames import Ready, Unavailable, make
from relift.dashboards.kept import kept
from relift.dashboards.population import say_population
from relift.dashboards.runs import Choice
from relift.dashboards.sections import unavailable
from relift.dashboards.widgets import choose_runs, plain, say_damage, start_page

FIRST = "smallest_change"
SHOWN = 0.55  # of the pixels of print: a page of 5.5 inches is 900 wide


def show() -> None:
    """Show the whole page."""
    start_page("figures")
    choice = choose_runs()
    if choice is None:
        return
    say_population(choice)
    by_title = {figure.title: figure for figure in FIGURES.values()}
    title = st.selectbox(
        "Figure", list(by_title), index=None, key="figure", bind="query-params", placeholder=FIGURES[FIRST].title,
        width=520,
    )  # fmt: skip
    figure = by_title[title] if title else FIGURES[FIRST]
    made = _made(choice, figure.name)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(figure.title, anchor=False)
        if isinstance(made, Ready) and len(made.frame):
            downloads(made)
    say_damage(made.left_out)
    if not isinstance(made, Ready):
        unavailable(made)
        return
    if made.frame.empty:
        st.info("There is nothing to show: no row of these runs belongs here.", icon=":material/inbox:")
        return
    if is_large(choice):
        st.caption("The runs are large: figures are made of evenly spaced probes.")
    picture = _picture(choice, figure.name)
    st.image(picture, width=round(SHOWN * int.from_bytes(picture[16:20], "big")))  # a PNG's width stands there
    st.caption(plain(made.caption))
    with st.expander("The numbers behind it"):
        st.dataframe(made.frame.head(2_000), hide_index=True, key="figure-table")


def _made(choice: Choice, name: str) -> Ready | Unavailable:
    """Make the figure of the runs that it can be about: figures of questions leave out runs without probes."""
    probed = choice.with_probes()
    of_questions = FIGURES[name].section in ("What changed", "What is within reach")
    return make(name, probed if of_questions and probed.runs else choice)


@kept(32, spinner="Drawing")
def _picture(choice: Choice, name: str) -> bytes:
    """Draw a figure of the catalogue as PNG on white, as `relift analyze` does."""
    made = _made(choice, name)
    return figure_bytes(made.frame, FIGURES[name].draw, "png") if isinstance(made, Ready) else b""


if __name__ == "__main__":
    show()
