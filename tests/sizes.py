"""Say how many tries a long suite makes: those of `make fault`, or a share of the full number in `make fault-long`."""

from __future__ import annotations

import os


def tries(usual: int, full: int) -> int:
    """Choose a number of tries. `RELIFT_LONG`: the share of the full number, as 1 or 0.25; not set: the usual one."""
    share = float(os.environ.get("RELIFT_LONG", 0) or 0)
    return max(usual, round(share * full)) if share else usual
