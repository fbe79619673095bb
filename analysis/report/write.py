"""`relift report`: one self-contained HTML file about runs, to mail to somebody: findings in words, figures, examples.

report_content measures and draws, report_words makes the sentences, report_page and report_html the page. Nothing in it
is a path of this machine or a time of day, so that the same runs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from relift.analysis.report.content import Report, make_report
from relift.analysis.report.page import render
from relift.errors import InputError, StoreError


def write_report(
    runs: Sequence[Path | str],
    out: Path | str,
    *,
    base: str | None = None,
    splits: Collection[str] | None = None,
    only: Collection[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    examples: int = 2,
    title: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> Report:
    """Write one HTML file, which needs neither a network nor scripts, and return what it says.

    `base`, `splits`, `only`, `resamples`, `seed` as in `analyze`; `examples`: gained and lost questions shown of each
    run; `tell` hears a line for each part. InputError if a folder holds no run, the base is unknown, nothing at all
    can be said, or `out` is a folder; StoreError if it cannot be written.
    """
    path = Path(out)
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a file, say {path / 'report.html'}")
    report = make_report(
        runs, base=base, splits=splits, only=only, resamples=resamples, seed=seed, examples=examples, tell=tell
    )
    text = render(report, title=title)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StoreError(f"{path}: cannot write: {error.strerror} (errno {error.errno})") from error
    return report
