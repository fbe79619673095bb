"""Show a figure or a table with its heading, caption and downloads, or say why it is not there."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Literal

import pandas as pd
import streamlit as st

from relift.dashboards.charts.common import PAGE_PIXELS, SHARE, Filled, RunScale, legend_of, legend_row
from relift.dashboards.exports import downloads
from relift.dashboards.frames import Ready, Unavailable
from relift.dashboards.terms import TERMS
from relift.dashboards.widgets import plain, say_damage


def section(
    title: str,
    sentence: str,
    made: Ready | Unavailable,
    chart: Callable[[pd.DataFrame], Any] | None = None,
    *,
    key: str | None = None,
    legend: Mapping[str, str] | None = None,
    term: str | None = None,
    legend_width: int = PAGE_PIXELS,
    **options: Any,
) -> Any:
    """Show a heading, a sentence, the chart of a frame, its caption and downloads; of what cannot be made, the reason.

    `chart` gives an Altair chart, or several to stand side by side below a legend of the runs; None shows the frame
    as a table. `legend`: names and colours in place of the runs. `term`, of TERMS, is explained beside the heading.
    `legend_width`: pixels, after
    which its row breaks. `options` go to the table. With `key` returns what st.altair_chart gave, for
    selections.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(title, anchor=False, help=TERMS[term] if term else None)
        if isinstance(made, Ready) and len(made.frame):
            downloads(made)
    st.markdown(sentence)
    say_damage(made.left_out)
    if isinstance(made, Unavailable):
        unavailable(made)
        return None
    if made.frame.empty:
        st.info("There is nothing to show: no row of these runs belongs here.", icon=":material/inbox:")
        return None
    if chart is None:
        event = table(made.frame, key=key, **options)
    else:
        event = _show_charts(made, chart, key=key, alt=f"{title}. {sentence}", legend=legend,
                             legend_width=legend_width)  # fmt: skip
    if made.caption:
        st.caption(plain(made.caption.replace("Black", "Grey")))  # print has white paper, screens may be dark
    return event


def _show_charts(
    made: Ready,
    chart: Callable[[pd.DataFrame], Any],
    *,
    key: str | None,
    alt: str,
    legend: Mapping[str, str] | None,
    legend_width: int,
) -> Any:
    """Show the chart of a frame across the page, or its charts side by side below a legend."""
    specs = made.charts(f"{chart.__module__}.{chart.__qualname__}", lambda: chart(made.frame))
    if len(specs) == 1 and key is not None:
        return show_spec(specs[0], key=key, alt=alt)
    if legend is not None or (len(specs) > 1 or "run" in made.frame):
        show_legend(made, legend, width=legend_width)
    shares = [(spec.get("usermeta") or {}).get(SHARE, 1.0) for spec in specs]
    for column, spec in zip(st.columns(shares, gap="small"), specs, strict=True):
        with column:
            show_spec(spec, alt=alt)
    return None


def show_spec(
    spec: dict[str, Any], *, alt: str, key: str | None = None, width: Literal["stretch", "content"] = "stretch"
) -> Any:
    """Show a specification of `Ready.charts`; with `key`, return the selection in it."""
    selecting: dict[str, Any] = {} if key is None else {"key": key, "on_select": "rerun"}
    # a copy: Streamlit takes the data out of what it is given, but changes none of it
    own = copy.deepcopy({name: value for name, value in spec.items() if name != "datasets"})
    datasets = {"datasets": dict(spec["datasets"])} if "datasets" in spec else {}
    return st.vega_lite_chart(own | datasets, width=width, alt=alt, **selecting)


def show_filled(filled: Filled, *, alt: str, key: str | None = None) -> Any:
    """Show a chart whose data are apart from it, as `show_spec` does."""
    spec, data = filled
    return show_spec({**spec, "datasets": data}, alt=alt, key=key)


def show_legend(made: Ready, legend: Mapping[str, str] | None = None, *, width: int = PAGE_PIXELS) -> None:
    """Show rows that name the colours: those given, else those of the runs where there are several."""
    if legend is not None:
        spec = made.charts(("legend", width, *legend.items()), lambda: legend_row(legend, width=width))[0]
        show_spec(spec, alt="Legend: a colour per kind.", width="content")
    elif "run" in made.frame and made.frame["run"].nunique() > 1:
        spec = made.charts(("legend", width), lambda: legend_of(RunScale(made.frame["run"]), width=width))[0]
        show_spec(spec, alt="Legend: a colour and a dash per run.", width="content")


def one_training_run_each(n_runs: int) -> str:
    """Say that checkpoints are compared, not methods."""
    who = {1: "This is one checkpoint, of one training run", 2: "These two checkpoints are compared, one training run "
           "each"}.get(n_runs, f"These {n_runs} checkpoints are compared, one training run each")  # fmt: skip
    return f"{who}: another seed of a method gives another checkpoint."


def unavailable(made: Unavailable) -> None:
    """Say why something is not shown."""
    if made.damaged:
        st.error(f"Not shown: {plain(made.reason)}.", icon=":material/error:")
    else:
        st.info(f"Not shown: {plain(made.reason)}.", icon=":material/inbox:")


def table(frame: pd.DataFrame, *, key: str | None = None, **options: Any) -> Any:
    """Show a frame as a table without categories, which neither browsers nor tests read."""
    plain_frame = frame.copy(deep=False)
    for name in plain_frame.columns:
        if isinstance(plain_frame[name].dtype, pd.CategoricalDtype):
            plain_frame[name] = plain_frame[name].astype(object)
    return st.dataframe(plain_frame, hide_index=True, key=key, **options)
