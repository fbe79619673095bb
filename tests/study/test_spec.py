"""A study file that is wrong is refused in one line that names the key and what is nearest."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from relift.errors import InputError
from relift.study.command import check
from relift.study.spec import parse_study, read_study, study_names
from tests.repository import ROOT
from tests.study.studies import study, values

METHODS: dict[str, Any] = values()["methods"]


def with_method(name: str, **more: Any) -> dict[str, Any]:
    return {**METHODS, name: {**METHODS.get(name, {"recipe": "grpo"}), **more}}


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"reference": "realift"}, "reference = 'realift': unknown; nearest: relift; known: frozen, rl, sft, relift"),
        ({"sedes": [1]}, "unknown key 'sedes'; nearest: seeds"),
        ({"sweep": {"factor": [1.0]}}, "unknown key 'sweep.factor'; nearest: factors"),
        ({"arith": {"trian": 4}}, "unknown key 'arith.trian'; nearest: train"),
        ({"seeds": [1, 1]}, "seeds = [1, 1]: a seed stands there twice"),
        ({"seeds": []}, "seeds = []"),
        ({"bases": {"b1": {}}}, "bases.b1: give either arith = SEED or path = MODEL"),
        ({"bases": {"b1": {"arith": 1, "path": "x"}}}, "bases.b1: give either"),
        ({"budget": {"flosp": 1e9}}, "methods.rl.budget = 'flosp': unknown; nearest: flops"),
        (
            {"methods": with_method("sft", budget={"flops": "relif"})},
            "methods.sft.budget = 'relif': unknown; nearest: relift",
        ),
        ({"methods": with_method("sft", rates_of="srl")}, "methods.sft.rates_of = 'srl': unknown"),
        ({"methods": with_method("a/b")}, "methods.'a/b': a method names folders"),
        ({"methods": {"rl": 3}}, "methods.rl is no table"),
        ({"methods": 3}, "methods and budget are tables"),
        ({"methods": with_method("frozen")}, "methods.frozen is the control of every study"),
        ({"methods": with_method("rl", budget={"flops": "sft"})}, "methods.rl.budget: waits for itself"),
        ({"methods": with_method("rl", arith={"limits": 3})}, "unknown key 'methods.rl.arith.limits'; nearest: limit"),
        ({"stages": [{"methods": ["fst"]}]}, "stages[0].methods = 'fst': unknown; nearest: sft"),
        ({"stages": [{"bases": ["b3"]}]}, "stages[0].bases = 'b3': unknown"),
        ({"sweep": {"bases": ["b9"]}}, "sweep.bases = 'b9': unknown"),
        ({"arith": None}, "sweep.questions: name a file of development questions"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(more: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as refusal:
        study(**more)
    said = str(refusal.value)
    assert said.startswith("small.toml: ") and line in said and "\n" not in said


def test_a_study_is_a_file_or_a_name(tmp_path: Path) -> None:
    assert study_names() == ["embedded", "quick"]
    with pytest.raises(InputError, match="no study file 'quik'; nearest: quick; studies by name: embedded, quick"):
        read_study("quik")
    (tmp_path / "s.toml").write_text("name = ")
    with pytest.raises(InputError, match="s.toml: not a TOML file"):
        read_study(str(tmp_path / "s.toml"))
    (tmp_path / "s.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="s.toml: cannot be read"):
        read_study(str(tmp_path / "s.toml"))


@pytest.mark.parametrize("name", ["quick", "embedded"])
def test_the_studies_that_ship_are_sound(name: str) -> None:
    made = read_study(name)
    assert next(iter(made.methods)) == "frozen" and made.reference in made.methods


def test_the_example_of_the_page_is_sound(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "own-study.md").read_text(encoding="utf-8")
    made = parse_study(tomllib.loads(page.split("```toml\n")[1].split("```")[0]), where="page", folder=tmp_path)
    check(made, tmp_path / "out")
    assert made.methods["relift"].budget == {"flops": "rl"}
    assert made.methods["sft"].budget == {"demonstrations": "relift"}


def test_the_control_is_always_there_and_has_no_budget() -> None:
    made = study(budget={"updates": 5})
    assert made.methods["frozen"].config == {"recipe": "frozen", "steps": 1}
    assert made.methods["frozen"].budget == {} and made.methods["rl"].budget == {"updates": 5}
    assert made.methods["sft"].budget == {"flops": "rl"}  # its own, in place of the study's


def test_a_budget_that_names_a_method_does_not_bind_that_method() -> None:
    assert study(budget={"flops": "rl"}).methods["rl"].budget == {}


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "s.toml").write_text(
        'name = "s"\nseeds = [1]\nreference = "rl"\n[bases.own]\npath = "model"\n[bases.hub]\npath = "owner/name"\n'
        '[run.data]\nquestions = "train.jsonl"\nprompt = "file:p.jinja"\n[sweep]\nquestions = "dev.jsonl"\n'
        '[methods.rl]\nrecipe = "grpo"\nrl = { reward = "mine.py:reward" }\n'
    )
    made = read_study(str(tmp_path / "s.toml"))
    assert (made.bases["own"].path, made.bases["hub"].path) == (str(tmp_path / "model"), "owner/name")
    assert made.run["data"] == {"questions": str(tmp_path / "train.jsonl"), "prompt": f"file:{tmp_path / 'p.jinja'}"}
    assert made.methods["rl"].config["rl"]["reward"] == f"{tmp_path / 'mine.py'}:reward"
    assert made.sweep is not None and made.sweep.questions == str(tmp_path / "dev.jsonl")
