"""Stands for the Python of an environment with lighteval: reads the rows that its grader is given, answers lines.

Its grader takes the last number of the text, in a box or not, and compares it with the last number of the gold as
text. An answer with "die" ends the process, one with "hang" stops it for a minute, one with "raise" is an error.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path

SOURCE = r"""#!{python}
import json, re, sys, time
log = open({log!r}, "a")
print(json.dumps({{"versions": {{"lighteval": "0.13.0"}}}}), flush=True)
for line in sys.stdin:
    row = json.loads(line)
    log.write(line)
    log.flush()
    if "die" in row["text"]:
        print('{{"score": 1, "gol', end="", flush=True)
        sys.exit(3)
    if "hang" in row["text"]:
        time.sleep(60)
    golds, answers = (re.findall(r"\d+", row[key])[-1:] for key in ("gold", "text"))
    error = "ValueError: told to" if "raise" in row["text"] else None
    score = None if error else int(bool(golds) and golds == answers)
    print(json.dumps({{"score": score, "golds": golds, "answers": answers, "error": error}}), flush=True)
"""


def write_fake(folder: Path) -> tuple[Path, Path]:
    """The interpreter, and the file where it logs the rows it was given."""
    path, log = folder / "python", folder / "rows.jsonl"
    path.write_text(SOURCE.format(python=sys.executable, log=str(log)))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path, log
