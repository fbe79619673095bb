"""Old answers must not be taken for what today's code would write."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from relift.evaluate.identity import GENERATION_CODE
from tests.evaluate.generation_code import FILES, RECORD, changed, hashes
from tests.repository import ROOT


def test_code_that_makes_answers_was_looked_at_since_it_changed() -> None:
    record = json.loads(RECORD.read_text())
    files = changed(record, hashes())
    assert not files and record["generation_code"] == GENERATION_CODE, (
        f"{', '.join(files) or 'GENERATION_CODE'} changed. If the same prompt, weights, sampling and seed can now give "
        "another answer, raise GENERATION_CODE in relift/evaluate/identity.py. Either way record the files as they "
        "are: python -m tests.evaluate.generation_code"
    )


def test_a_changed_file_is_seen(tmp_path: Path) -> None:
    for pattern in FILES:
        for path in ROOT.glob(pattern):
            (tmp_path / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / path.relative_to(ROOT))
    record = {"files": hashes(tmp_path)}
    assert record["files"] == hashes() and len(record["files"]) > 8
    sampler = tmp_path / "relift/engines/torch_sampler.py"
    sampler.write_text(sampler.read_text() + "\n# another word\n")
    (tmp_path / "relift/engines/new.py").touch()
    assert changed(record, hashes(tmp_path)) == ["relift/engines/new.py", "relift/engines/torch_sampler.py"]
