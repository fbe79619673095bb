"""A reward function of one's own: found, called, limited, killed, and told of in one line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from relift.errors import InputError
from relift.grading.formats import keeps_format
from relift.grading.rewards import COLUMNS, RewardFunction, plain_name

SOURCE = '''
import time, sys, os
print("a print of the file goes nowhere")

def length(answers):
    """One for short answers, none for empty ones."""
    print("nor does this")
    return [None if not a else float(len(a) < 4) for a in answers]

def everything(answers, **columns):
    return [len(columns) for _ in answers]

def odd(answers, golds, levels=None):
    what = answers[0]
    if what == "raise":
        return [{}["x"] for _ in answers]
    if what == "inside":
        import json
        return json.loads("{")
    if what == "sleep":
        time.sleep(60)
    if what == "exit":
        os._exit(3)
    if what == "memory":
        return [bytearray(2**33)]
    return {"few": [], "text": "12", "nan": [float("nan")] * len(answers), "none": None, "word": ["x"] * len(answers),
            "int": [2] * len(answers), "bool": [True] * len(answers)}[what]

async def later(answers):
    return []

def wants(answers, colour):
    return []

not_a_function = 3
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(SOURCE)
    return path


def group(*answers: str) -> dict[str, list[Any]]:
    return {name: list(answers) if name == "answers" else [None] * len(answers) for name in COLUMNS}


def test_rewards_in_order_and_none(file: Path) -> None:
    with RewardFunction(f"{file}:length") as reward:
        assert reward.give([group("abc", "abcd"), group(""), group("x")]).rewards_QG == [[1.0, 0.0], [None], [1.0]]
        assert reward.give([]).rewards_QG == []


def test_all_columns_with_two_stars(file: Path) -> None:
    with RewardFunction(f"{file}:everything") as reward:
        assert reward.give([group("a")]).rewards_QG == [[float(len(COLUMNS) - 1)]]


def test_a_module_of_the_working_folder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    with RewardFunction("own:length") as reward:
        assert reward.give([group("abc")]).rewards_QG == [[1.0]]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("raise", "KeyError: 'x' (own.py, line 16)"),
        ("inside", "JSONDecodeError: Expecting property name"),
        ("sleep", "it takes more than 0.5 seconds for 1 answers"),
        ("exit", "its process ended (exit status 3)"),
        ("memory", "MemoryError"),
        ("few", "it returns 0 rewards for 1 answers"),
        ("text", "it returns a str, not a list"),
        ("none", "it returns a NoneType, not a list"),
        ("nan", "it returns nan; a reward is a finite number or None"),
        ("word", "could not convert string to float: 'x'"),
    ],
)
def test_a_call_that_fails_gives_none_and_the_next_is_served(file: Path, what: str, words: str) -> None:
    with RewardFunction(f"{file}:odd", limit_seconds=0.5) as reward:
        given = reward.give([group("int"), group(what), group("bool")])
    assert given.rewards_QG == [[2.0], [None], [1.0]]
    assert given.n_failed == 1 and words in given.why and "\n" not in given.why


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{file}:missing", "has no function 'missing'"),
        ("{file}:not_a_function", "has no function 'not_a_function'"),
        ("{file}:later", "asynchronous"),
        ("{file}:wants", "it takes colour; known: questions, answers"),
        ("{file}x.py:length", "no file"),
        ("no_such_module:length", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("length", "write module:function, or file.py:function"),
        ("{file}:", "write module:function"),
        ("{file}:a b", "write module:function"),
        ("", "write module:function"),
    ],
)
def test_a_function_that_cannot_be_had(file: Path, name: str, words: str) -> None:
    with pytest.raises(InputError) as told, RewardFunction(name.format(file=file)):
        pass
    assert words in str(told.value) and "\n" not in str(told.value)


def test_a_file_that_cannot_be_imported(tmp_path: Path) -> None:
    for text, words in (
        ("def f(:\n", "SyntaxError"),
        ("1 / 0\n", "ZeroDivisionError: division by zero (bad.py, line 1)"),
        ("import os; os._exit(7)\n", "exit status 7"),
    ):
        (tmp_path / "bad.py").write_text(text)
        with pytest.raises(InputError) as told, RewardFunction(f"{tmp_path / 'bad.py'}:f"):
            pass
        assert words in str(told.value)


def test_an_edit_while_it_runs_is_refused(file: Path) -> None:
    """The process that replaces a killed one would call another function."""
    with RewardFunction(f"{file}:odd", limit_seconds=0.5) as reward:
        before = reward.source
        reward.give([group("sleep")])
        file.write_text(SOURCE + "\n# edited\n")
        with pytest.raises(InputError, match="its file has changed"):
            reward.give([group("int")])
    with RewardFunction(f"{file}:odd") as reward:
        assert reward.source != before


def test_the_process_ends_with_the_block(file: Path) -> None:
    with RewardFunction(f"{file}:length") as reward:
        assert reward._process is not None
        pid = reward._process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_names_without_folders() -> None:
    assert plain_name("/data/own.py:f") == "own.py:f"
    assert plain_name("pkg.own:f") == "pkg.own:f" and plain_name(None) is None


FORMATS = [  # text, opened by the prompt, keeps think, keeps box
    (r"<think>a</think> \boxed{1}", False, True, True),
    (r"a</think> \boxed{1}", True, True, True),
    (r"a</think> \boxed{1}", False, False, True),
    (r"<think>a \boxed{1}", False, False, False),
    (r"<think>\boxed{1}</think> so", False, True, False),
    ("<think>a</think>", False, False, False),  # nothing follows
    (r"<think>a</think><think>b</think>\boxed{1}", False, False, True),
    (r"hm <think>a</think>\boxed{1}", False, False, True),
    (r"\boxed{1}", False, False, True),
    (r"\boxed{1", False, False, False),
    ("", False, False, False),
]


@pytest.mark.parametrize("case", FORMATS)
def test_formats(case: tuple[str, bool, bool, bool]) -> None:
    text, opened, think, box = case
    assert keeps_format(text, "think", opened=opened) is think
    assert keeps_format(text, "box", opened=opened) is box
    assert keeps_format(text, "think_box", opened=opened) is (think and box)
