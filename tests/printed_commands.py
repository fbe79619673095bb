"""Collect the commands that README and docs/ print, and say which of them no test can run."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.repository import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PROGRAMS = ("relift", "make", "pip", "python", "python3", "vllm", "export")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_REMARK = re.compile(r"\s+#\s.*$|\s{3,}\S.*$")  # "# ...", or text behind a gap

# Commands, by the regular expression of their text, that are not run, each with the reason.
NOT_RUN = {
    r"make .*": "targets run whole suites; that they exist is tested in test_docs.py",
    r"(pip|python3 -m venv|\.venv-lighteval/).*": "makes or needs an environment of its own",
    r"export .*": "sets variables for the next line",
    r"vllm serve .*": "needs vLLM and a model: make test-vllm",
    r"relift eval mine .*": "needs that server",
    r"relift eval MODEL -b [a-z0-9,]+.*": "needs published questions, and hours unless it only plans",
    r"relift eval --pin .*": "needs the hub; local copies are pinned in tests/benchmarks",
    r"relift (cross-check RUN|import lighteval .*)": "needs lighteval: make test-lighteval",
    r"relift (import lm-eval|check|report|data prepare) .*(OUT/MODEL|runs/theirs|train\.parquet|rows\.jsonl).*": (
        "needs files of others: tests/importers"
    ),
    r"python (train\.py|docs/audit_grpo\.py .*)": "needs TRL: make test-peers runs it at a small size",
    r"python docs/audit_relift\.py .*": "needs a checkpoint of TRL: make test-peers runs it at a small size",
    r"python docs/real-model/make_questions\.py .*": "tests/test_printed_commands.py runs it into another folder",
    r"relift (report|export-questions) runs/(mine|grpo-1) .*": "needs these runs: make test-peers",
    r"relift (train hard/|report runs/hard-).*": "needs that checkpoint: make test-peers",
    r"relift dashboard .*": "serves until it is stopped: tests/dashboards start it",
    r"relift train relift --out .*model\.path=Qwen/.*": "needs the hub and a GPU; its dry run is run",
    r"relift (train run\.toml|check runs/a).*": "needs a server that teaches: tests/resume/test_teacher.py has one",
    r"relift (train docs/real-model/|export build/walk/).*": "needs a real model and hours: make test-real trains one",
    r"relift study .*": "takes minutes to hours: tests/study runs small ones",
    r"relift demo": "takes minutes: the tests run it with --quick, and the other commands on what it leaves",
}


@dataclass(frozen=True)
class PrintedCommand:
    """Hold a command as printed on a page, without remarks and optional parts."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """Return the command's words."""
        return shlex.split(self.text)

    @property
    def reason_not_to_run(self) -> str | None:
        """Return why no test runs it; None: one does."""
        return next((why for pattern, why in NOT_RUN.items() if re.fullmatch(pattern, self.text)), None)


def commands_in(text: str, *, page: str) -> list[PrintedCommand]:
    """List the commands in the fenced blocks of a page that are shell, or of no language."""
    found = []
    for language, block in _FENCE.findall(text):
        if language not in ("", "sh", "bash"):
            continue
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            plain = re.sub(r"\s*\[[^\]]*\](?=\s|$)", "", _REMARK.sub("", line.rstrip())).strip()
            first = plain.split(" ", 1)[0]
            if first in PROGRAMS or first.startswith(".venv"):
                found.append(PrintedCommand(page, re.sub(r" {2,}", " ", plain)))
    return found


def printed_commands() -> list[PrintedCommand]:
    """List the commands of README and docs/, each text once."""
    every = [
        command
        for page in PAGES
        for command in commands_in(page.read_text(encoding="utf-8"), page=page.relative_to(ROOT).as_posix())
    ]
    return list({command.text: command for command in every}.values())


def replaced(words: list[str], places: dict[str, str], folder: Path) -> list[str]:
    """Put files and folders that are there for the placeholders, and expand patterns as a shell does."""
    out: list[str] = []
    for word in words:
        name, at, step = word.partition("@")
        word = places.get(word, places.get(name, name) + at + step)
        matches = sorted(str(path.relative_to(folder)) for path in folder.glob(word.rstrip("/"))) if "*" in word else []
        out += matches or [word]
    return out
