"""docs/add-an-engine.md, executed: its file, its line, and the commands that it names."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from relift.engines.model_source import ModelSource
from relift.engines.open import ENGINES, EngineKind, make_options, open_answerer
from relift.engines.texts import AttemptRequest, Prompt
from relift.engines.tokens import Sampling
from relift.errors import InputError
from relift.evaluate.options import parse_engine_options
from tests.repository import ROOT

PAGE = (ROOT / "docs" / "add-an-engine.md").read_text(encoding="utf-8")


@pytest.fixture
def constant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The page's file as a module, its line in the table."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    ((name, options, opener),) = re.findall(r'^"(\w+)": EngineKind\((\w+), (\w+)\),$', PAGE, re.MULTILINE)
    path = tmp_path / "relift_constant_engine.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    monkeypatch.setitem(ENGINES, name, EngineKind(getattr(module, options), getattr(module, opener)))


def test_the_engine_of_the_page_answers(constant: None) -> None:
    values = parse_engine_options(["answer=7"], engine="constant")
    with open_answerer("constant", ModelSource("m", None, "m"), options=make_options("constant", values)) as engine:
        asks = [AttemptRequest(f"q/0/{i}", Prompt(()), i) for i in range(3)]
        replies = dict(engine.stream(asks, Sampling(max_tokens=4)))
        assert [replies[i].text for i in range(3)] == [r"\boxed{7}"] * 3
        assert engine.describe()["name"] == "constant"


def test_its_options_are_its_own(constant: None) -> None:
    with pytest.raises(InputError, match="engine constant has no option 'anwser'; nearest: answer"):
        parse_engine_options(["anwser=7"], engine="constant")
    with pytest.raises(InputError, match="engine constant has no option 'batch_rows'; known: answer"):
        parse_engine_options(["batch_rows=16"], engine="constant")
