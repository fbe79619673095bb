"""Nothing that reads a model's text in the process that trains takes more than time in proportion to its length."""

from __future__ import annotations

import ast
import importlib
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import relift.grading
from relift.grading import choice, exact
from relift.grading.base import Submission
from relift.grading.caps import too_large
from relift.grading.extract import find_answer
from relift.grading.golds import gold_problem, normalise_gold, read_gold
from relift.grading.latex import spell
from relift.grading.math import MathScorer
from relift.schema import Finish
from tests.grading.patterns import PATTERNS
from tests.grading.pumping import UNITS, is_linear, pumped

SIZE = 1_200  # characters of the shorter text; the longer has twice as many
NAMED = [(module, name) for module, names in PATTERNS.items() for name, how in names.items() if how != "workers"]
OF_DATA = {"escapes": "DAMAGED"}  # patterns of relift.data that read models' texts too
NAMED += OF_DATA.items()
FOLDER = Path(relift.grading.__file__).parent


def runner(module: str, name: str) -> tuple[re.Pattern[str], Callable[[str], object]]:
    folder = "relift.data" if module in OF_DATA else "relift.grading"
    pattern: re.Pattern[str] = getattr(importlib.import_module(f"{folder}.{module}"), name)
    if PATTERNS.get(module, {}).get(name) == "match":
        return pattern, lambda text: (pattern.match(text), pattern.fullmatch(text))
    return pattern, lambda text: sum(1 for _ in pattern.finditer(text))


def linear(module: str, name: str, *, common: bool) -> list[str]:
    """The pumped texts over which a pattern takes more than linear time."""
    pattern, run = runner(module, name)
    short = list(pumped(pattern, SIZE, common=common))
    long = list(pumped(pattern, 2 * SIZE, common=common))
    return [
        one[:40]
        for one, other in zip(short, long, strict=True)
        if not is_linear({SIZE: one, 2 * SIZE: other}.__getitem__, run, size=SIZE)
    ]


@pytest.mark.parametrize(("module", "name"), NAMED)
def test_every_pattern_is_linear_where_its_repetitions_are_pumped(module: str, name: str) -> None:
    assert linear(module, name, common=False) == []


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name"), NAMED)
def test_every_pattern_is_linear_over_common_pieces(module: str, name: str) -> None:
    assert linear(module, name, common=True) == []


def test_the_proof_finds_a_quadratic_pattern() -> None:
    """Blanks before a sign: every blank begins a try that runs to the end of them."""
    pattern = re.compile(r"\s+!")
    texts = [list(pumped(pattern, size, common=False)) for size in (1_500, 3_000)]
    slow = [
        one
        for one, other in zip(*texts, strict=True)
        if not is_linear({1_500: one, 3_000: other}.__getitem__, pattern.search, size=1_500)
    ]
    assert slow


def test_every_pattern_is_in_the_table() -> None:
    """The sources are read: a pattern is compiled at the top of its module under a name that the table has, and
    nothing else of `re` is called."""
    found: dict[str, set[str]] = {}
    strays: list[str] = []
    for path in sorted(FOLDER.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = {
            id(node.value): target.id
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if ast.unparse(node.func.value) != "re" or node.func.attr == "escape":
                continue
            if node.func.attr == "compile" and id(node) in top:
                found.setdefault(path.stem, set()).add(top[id(node)])
            else:
                strays.append(f"{path.name}:{node.lineno} re.{node.func.attr}")
    assert strays == []
    assert found == {module: set(names) for module, names in PATTERNS.items()}


SCORER = MathScorer()


def judged_here(text: str) -> object:
    spell.cache_clear()
    SCORER._decided.clear()
    return SCORER._judge_here(Submission("5", text, kind="math"))


PHASES: dict[str, tuple[Callable[[str], object], int]] = {
    "find": (lambda text: find_answer(text, merge_boxes=True), 10_000),
    "find, cut off": (lambda text: find_answer(text, finish=Finish.length), 10_000),
    "choice": (lambda text: choice.judge(Submission("A", text, kind="choice", options=("x", "5 cm"))), 10_000),
    "exact": (lambda text: exact.judge(Submission("5", text)), 10_000),
    "whole": (judged_here, 10_000),
    "spell": (lambda text: spell.__wrapped__(text), 2_000),
    "caps": (lambda text: too_large(text, gold=""), 2_000),
    "box": (lambda text: judged_here(rf"\boxed{{{text}}}"), 2_000),
    "line": (lambda text: judged_here(f"The answer is {text}"), 2_000),
    "gold": (lambda text: (read_gold.__wrapped__(text), normalise_gold(text), gold_problem(text, "choice")), 2_000),
}


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_is_linear(phase: str) -> None:
    """Extraction, spelling, reading and evaluation, on texts made of pieces that patterns repeat."""
    run, size = PHASES[phase]
    rng = random.Random(0)
    units = [*UNITS, *("".join(rng.sample(UNITS, 2)) for _ in range(12))]
    slow = []
    for unit in units:
        for before, after in (("1", "x"), (r"\boxed{", "}")):

            def make(n: int, unit: str = unit, before: str = before, after: str = after) -> str:
                return before + unit * (n // len(unit)) + after

            if not is_linear(make, run, size=size, floor=0.03):
                slow.append((before, unit, after))
    assert slow == []
