"""Run the commands that README, docs and the demo print, on the folder of the quick demo."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from relift.cli import app
from tests.printed_commands import NOT_RUN, PrintedCommand, commands_in, printed_commands, replaced
from tests.repository import ROOT

COMMANDS = printed_commands()
RELIFT = [command for command in COMMANDS if command.words[0] == "relift"]
RUN = [command for command in RELIFT if command.reason_not_to_run is None]
FEWER_SAMPLES = ("--samples", "1")  # of evaluations on the embedded sets: the command is otherwise as printed


def test_commands_are_found_without_their_remarks() -> None:
    text = (
        "```sh\nrelift eval MODEL -b aime24    # a remark\nmake demo\n```\n"
        "```\nrelift --version          text behind a gap\nnot a command\n"
        "relift regrade RUN --into NEW [--grader NAME]\n```\n"
        "```python\nrelift = 1\n```\n"
    )
    found = [command.text for command in commands_in(text, page="x")]
    assert found == ["relift eval MODEL -b aime24", "make demo", "relift --version", "relift regrade RUN --into NEW"]


def test_placeholders_and_patterns_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "a" / "x").mkdir(parents=True)
    (tmp_path / "a" / "y").mkdir()
    assert replaced(["eval", "RUN@3", "a/*/", "b/*"], {"RUN": "runs/r"}, tmp_path) == [
        "eval", "runs/r@3", "a/x", "a/y", "b/*",
    ]  # fmt: skip


def test_every_command_is_run_or_has_its_reason() -> None:
    assert len(RELIFT) >= 15 and len(RUN) >= 8
    others = [c.text for c in COMMANDS if c.words[0] != "relift" and c.reason_not_to_run is None]
    assert others == []
    unused = [why for why in NOT_RUN if not any(re.fullmatch(why, command.text) for command in COMMANDS)]
    assert unused == []


@pytest.mark.parametrize("command", RELIFT, ids=lambda command: command.text)
def test_every_command_has_options_that_exist(command: PrintedCommand) -> None:
    """Parse the command without running it."""
    name, *arguments = command.words[1:]
    known = get_command(app).commands  # type: ignore[attr-defined]
    assert name in known
    known[name].make_context(name, list(arguments))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a working directory with the quick demo in runs/demo, and what the demo printed."""
    folder = tmp_path_factory.mktemp("printed")
    done = relift(folder, "demo", "--quick")
    seed = folder / "runs" / "demo" / "seed-1"
    shutil.copy(seed / "configs" / "rl.toml", folder / "my.toml")
    for step in ("@0", ""):
        model = f"runs/demo/seed-1/rl{step}"
        relift(
            folder, "eval", model, "-b", "arith", *FEWER_SAMPLES, "--out", f"runs/eval/rl{step or '@end'}", "--quiet"
        )
    return folder, done.stdout + done.stderr


def relift(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command in this folder; it has to end well."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-m", "relift.cli", *arguments], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, f"relift {' '.join(arguments)}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
    return done


def places_of(command: PrintedCommand) -> dict[str, str]:
    """Map placeholders to what is there."""
    before, after, run = "runs/eval/rl@0", "runs/eval/rl@end", "runs/demo/seed-1/rl"
    evaluations = [word for word in command.words if word.startswith("runs/eval/")]
    return {
        "MODEL": run,
        "RUN": before if "regrade" in command.words else run,
        "RUN_A": before,
        "RUN_B": after,
        "NEW": "runs/regraded",
        "FILE": "runs/demo/seed-1/data/probe.jsonl",
        **dict(zip(evaluations, (before, after), strict=False)),
    }


@pytest.mark.slow
def test_printed_commands_run(demo: tuple[Path, str]) -> None:
    """Run them in the order of the pages, because some need what others left."""
    folder, _ = demo
    for command in RUN:
        words = replaced(command.words[1:], places_of(command), folder)
        more = FEWER_SAMPLES if words[0] == "eval" and words[-1] == "arith" else ()
        if words[0] == "probe":
            # the demo's models have no chat template and read 256 tokens; the command names both options
            more = ("--template", "plain", "--max-tokens", "128")
        relift(folder, *words, *more)


@pytest.mark.slow
def test_what_the_demo_prints_runs(demo: tuple[Path, str]) -> None:
    folder, printed = demo
    audit, report = re.findall(r"relift (report .+?)(?=, or in Python|\n)", printed)
    audited = relift(folder, *audit.split(), "--resamples", "20")
    assert "rl, expansion: " in audited.stdout and "frozen, expansion" not in audited.stdout
    assert re.findall(r"relift (dashboard \S+)", printed)
    words = report.split()
    runs = sorted(str(path) for path in Path(words[1]).parent.glob("*") if (path / "run.json").exists())
    assert runs
    relift(folder, words[0], *runs, "--resamples", "20")
    (line,) = re.findall(r"relift\.analysis\.read_trajectories\('(.+?)'\)", printed)
    from relift.analysis import read_trajectories

    assert len(read_trajectories(line)) > 0


def test_the_questions_of_the_walk_on_a_real_model(tmp_path: Path) -> None:
    """Run what docs/real-model.md prints: four files that share no question, demonstrations that end in the answer."""
    script = ROOT / "docs" / "real-model" / "make_questions.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, timeout=60)
    rows = [json.loads(line) for file in sorted(tmp_path.glob("*.jsonl")) for line in file.read_text().splitlines()]
    assert sorted(file.stem for file in tmp_path.glob("*.jsonl")) == ["dev", "probe", "train", "warmup"]
    assert len({row["problem"] for row in rows}) == len(rows) == 168 + 64 + 128 + 48
    assert all(row["demonstration"].endswith(f"The answer is {row['answer']}.") for row in rows)
