"""Write a generated page, or check that it is current: the command line of the make_*.py scripts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def keep_current(target: Path, text: str, *, source: str) -> int:
    """Write `text` to `target`; with --check write nothing and fail where the file is another. Returns the exit status.

    `source`: what the page is made from, for the message.
    """
    parser = argparse.ArgumentParser(description=f"Write docs/{target.name} from {source}.")
    parser.add_argument("--check", action="store_true", help=f"fail if docs/{target.name} is not current")
    if not parser.parse_args().check:
        target.write_text(text, encoding="utf-8")
        return 0
    if target.is_file() and target.read_text(encoding="utf-8") == text:
        return 0
    print(f"docs/{target.name} is not what {source} says: run `make schema` and commit the result", file=sys.stderr)
    return 1
