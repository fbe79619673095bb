"""Run Streamlit as its own command does, with pages found by `app.py` alone.

Streamlit takes a folder called pages beside the app for a way of its own to list pages until `st.navigation` has run
once: on a new server the address of any page but the first would run that page's file without the app around it.
`st.navigation` sets the same attribute, only later.
"""

from __future__ import annotations

from streamlit.runtime.pages_manager import PagesManager
from streamlit.web.cli import main

from relift.dashboards import warm

if __name__ == "__main__":
    PagesManager.uses_pages_directory = False
    warm.begin()
    main(prog_name="streamlit")
