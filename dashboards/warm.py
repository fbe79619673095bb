"""Import the pages and make the frames of the Overview while the server waits for its first visitor."""

from __future__ import annotations

import logging
import threading
import time
from importlib import import_module

from relift.dashboards import pages

WAIT_SECONDS = 0.1
THREAD = "warm-up"
# Where streamlit's caches tell a terminal that a thread has no visitor: this one is to have none.
WARNS = "streamlit.runtime.scriptrunner_utils.script_run_context"


def begin() -> None:
    """Warm up in a thread of its own, once the server stands; it ends with the server."""
    logging.getLogger(WARNS).addFilter(lambda _: threading.current_thread().name != THREAD)
    threading.Thread(target=_when_served, name=THREAD, daemon=True).start()


def _when_served() -> None:
    from streamlit.runtime import exists

    while not exists():
        time.sleep(WAIT_SECONDS)
    warm_up()


def warm_up() -> None:
    """Import every page, then make what the Overview of all runs shows; what is damaged is left to the page to say."""
    from relift.dashboards import overview_frames
    from relift.dashboards.cubes import is_large
    from relift.dashboards.frames import compute, make
    from relift.dashboards.runs import Choice, survey

    for page in pages.PAGES:
        import_module(f"relift.dashboards.pages.{page.name}")
    filled = tuple(run for run in survey() if run.readable and run.state != "empty")
    choice = Choice(filled).with_probes()
    if not choice.runs:
        return
    overview_frames.change(choice)
    overview_frames.band_accuracy(choice)
    overview_frames.reach_counts(choice)
    overview_frames.reach_accuracy(choice)
    if not is_large(choice):
        make("pass_at_k", choice)
        overview_frames.balances(choice)
    compute("cost", Choice(filled), overview_frames.costs)
    compute("alerts", Choice(filled), overview_frames.alerts)
