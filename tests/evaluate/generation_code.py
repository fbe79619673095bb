"""List the files that make answers, with their hashes as of the last look; run as a module, write them anew."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from relift.evaluate.identity import GENERATION_CODE
from tests.repository import ROOT

RECORD = Path(__file__).with_name("generation_code.json")
FILES = (
    "relift/engines/*.py",
    "relift/prompts.py",
    "relift/schema.py",  # seed_of, question_id_of
    "relift/evaluate/plan.py",
    "benchmarks/prompting.py",
)


def hashes(root: Path = ROOT) -> dict[str, str]:
    """By path: SHA-256 of the file."""
    paths = sorted(path for pattern in FILES for path in root.glob(pattern))
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths}


def changed(record: dict[str, object], now: dict[str, str]) -> list[str]:
    """Files that are new, gone, or others than in the record."""
    then = record["files"]
    assert isinstance(then, dict)
    return sorted(path for path in {*then, *now} if then.get(path) != now.get(path))


if __name__ == "__main__":
    RECORD.write_text(json.dumps({"generation_code": GENERATION_CODE, "files": hashes()}, indent=1) + "\n")
    print(f"wrote {RECORD.relative_to(ROOT)} for generation code {GENERATION_CODE}")
