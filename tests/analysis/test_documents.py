"""The examples of docs/analysis.md and docs/schema.md run as they stand there."""

import re
from pathlib import Path

import pytest

from tests.repository import ROOT
from tests.synthetic import write_run


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("examples")
    folder = root / "runs" / "demo" / "seed-1"
    write_run(folder / "base", n_questions=40, n_steps=0, learn=0.0, seed=1, name="base")
    write_run(folder / "rl", n_questions=40, n_steps=4, learn=0.4, seed=2, probe_every=2)
    write_run(folder / "relift", n_questions=40, n_steps=4, learn=0.3, seed=3, name="relift", probe_every=2)
    return root


@pytest.mark.parametrize("page", ["analysis.md", "schema.md"])
def test_examples_run(
    page: str, demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert blocks
    monkeypatch.chdir(demo)
    for block in blocks:
        exec(compile(block, page, "exec"), {})
    if page == "analysis.md":
        assert "Bands are assigned by the base model's 8 attempts" in capsys.readouterr().out
        assert {p.suffix for p in (demo / "figures").iterdir()} == {".pdf", ".svg", ".png", ".csv"}


def test_functions_that_the_page_names_exist() -> None:
    from relift import analysis
    from relift.analysis.report.catalogue import FIGURES

    text = (ROOT / "docs" / "analysis.md").read_text(encoding="utf-8")
    table = text[text.index("## What to ask") : text.index("## Readers")]
    named = set(re.findall(r"`([a-z_]+)`", table))
    assert len(named) > 30 and named <= {*analysis.__all__, *FIGURES}
    assert set(FIGURES) <= named
