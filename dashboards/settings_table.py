"""Show what differs between the configurations of runs."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from relift.analysis.runs.settings import compare_settings
from relift.dashboards.exports import data_menu
from relift.dashboards.kept import kept
from relift.dashboards.runs import Choice
from relift.dashboards.sections import table
from relift.dashboards.widgets import plain
from relift.errors import ReliftError


@kept(16, grows=False)
def settings_of(choice: Choice) -> pd.DataFrame:
    """Lay the settings of the runs beside each other (of `compare_settings`), under the dashboard's names."""
    return compare_settings([run.folder for run in choice.runs]).rename(columns=choice.names)


def show_settings(choice: Choice) -> None:
    """Show the settings that differ between the runs, all of them on request."""
    try:
        frame = settings_of(choice)
    except ReliftError as error:
        st.error(plain(error), icon=":material/error:")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("What differs between these runs", anchor=False)
        data_menu(frame, "settings", choice.runs)
    if frame.empty:
        st.info("No run recorded its settings.", icon=":material/inbox:")
        return
    n_same = int((~frame["differs"]).sum())
    every = len(choice.runs) < 2 or st.toggle(
        f"Also the {n_same} settings they share", key="settings", bind="query-params"
    )
    shown = frame if every else frame[frame["differs"]]
    if shown.empty:
        st.caption("Their settings are the same.")
        return
    table(shown.drop(columns="differs"), key="settings-table", height=min(440, 38 + 35 * len(shown)))
