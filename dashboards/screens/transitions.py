"""Page transitions."""

from __future__ import annotations

from relift.dashboards.widgets import choose_runs, start_page


def show() -> None:
    """The whole page."""
    start_page("transitions")
    choose_runs()


if __name__ == "__main__":
    show()
