"""Start the dashboard (`relift dashboard RUN...` runs this file): the table of pages, and navigation among them."""

from __future__ import annotations

import streamlit as st

from relift.dashboards import pages
from relift.dashboards.own_page import stop_for_other_pages

st.set_page_config(page_title="relift", layout="wide", initial_sidebar_state="collapsed")
stop_for_other_pages()
# Less white above the first line. The one place with a style of ours; it holds no text of anybody's.
st.html("<style>.stMainBlockContainer {padding-top: 4.2rem; padding-bottom: 4rem; max-width: 1500px}</style>")
navigation = st.navigation(
    [
        st.Page(f"pages/{page.name}.py", title=page.title, url_path="" if page.name == "overview" else page.name,
                default=page.name == "overview", visibility="visible" if page.shown else "hidden")
        for page in pages.PAGES
    ],
    position="top",
)  # fmt: skip
navigation.run()
