"""Show nothing to pages of other servers of this machine.

Streamlit's WebSocket takes any page of a loopback address for its own, whatever the port, so that a page that another
local program serves could read the runs (streamlit/web/server/server_util.py, is_url_from_allowed_origins: it compares
host names). Pages of other machines it refuses itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import streamlit as st


def stop_for_other_pages() -> None:
    """End the script before anything of a run is shown, unless the page that asks came from this very server."""
    if not is_own_page(st.context.headers):
        st.error("This page came from another server; open the address that relift dashboard printed.")
        st.stop()


def is_own_page(headers: Mapping[str, str]) -> bool:
    """Compare host and port of the page with those that were asked. Programs send no Origin, and are no pages."""
    origin, host = headers.get("Origin"), headers.get("Host")
    return origin is None or (host is not None and urlsplit(origin).netloc.lower() == host.lower())
