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


def _told_apart(values: list[str | None]) -> list[str | None]:
    """Leave out the folders that paths have in common, where a narrow column would show nothing else."""
    paths = [value.split("/") for value in values if isinstance(value, str)]
    if len(set(values)) < 2 or any(len(path) < 3 for path in paths):
        return values
    shared = 0
    while all(len(path) > shared + 1 for path in paths) and len({path[shared] for path in paths}) == 1:
        shared += 1
    return [v if v is None or shared < 2 else "…/" + "/".join(v.split("/")[shared:]) for v in values]


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
    shown = shown[shown["setting"] != "name"]  # it stands above each column
    names = [name for name in shown.columns if name not in ("setting", "differs")]
    texts = [_told_apart([row[name] for name in names]) for _, row in shown.iterrows()]
    shown = pd.DataFrame(
        [[s, *row] for s, row in zip(shown["setting"], texts, strict=True)], columns=["setting", *names]
    )
    table(shown, key="settings-table", height=min(440, 38 + 35 * len(shown)))
