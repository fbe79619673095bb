"""Thoughts that a server's template opened, told from the answers alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from relift.engines.texts import AttemptRequest, Prompt, Reply
from relift.engines.tokens import Sampling
from relift.errors import ReliftError
from relift.evaluate.opened_thoughts import ENOUGH, OpenedThoughts
from relift.evaluate.plan import Plan
from relift.evaluate.regrade import regrade
from relift.grading import Grader
from relift.schema import Finish
from relift.store import RunReader
from tests.evaluate.fakes import CountingAnswerer, benchmark, plan_of, run

TAGS = (("<think>", "</think>"),)
CLOSED = Reply("so</think>\\boxed{4}", Finish.stop, 5)
CUT = Reply("so \\boxed{4}. Wait, let me check", Finish.length, 8)
PLAIN = Reply("\\boxed{4}", Finish.stop, 3)


@pytest.mark.parametrize(
    ("replies", "opened"),
    [
        ([CUT, CLOSED], True),
        ([CUT, PLAIN], False),
        ([CUT], False),  # nothing tells
        ([CLOSED, PLAIN, CUT], False),  # one of two is no majority: a tag may be quoted
        ([Reply("<think>a</think>4", Finish.stop, 4), CUT], False),
        ([Reply("a</think>4 but", Finish.length, 4), CUT], True),
    ],
)
def test_a_majority_of_those_that_tell(replies: list[Reply], opened: bool) -> None:  # noqa: FBT001
    thoughts = OpenedThoughts(TAGS)
    ready = thoughts.sort(list(enumerate(replies)))
    assert CUT not in [reply for _, reply in ready]
    assert [reply for _, reply in thoughts.settle()] == [CUT]
    assert thoughts.opened is opened


def test_enough_of_them_settle_it() -> None:
    thoughts = OpenedThoughts(TAGS)
    assert len(thoughts.sort([(0, CUT), *((i + 1, CLOSED) for i in range(ENOUGH - 1))])) == ENOUGH - 1
    assert (99, CLOSED) in thoughts.sort([(99, CLOSED)]) and thoughts.opened
    assert thoughts.sort([(100, CUT)]) == [(100, CUT)]


def test_what_nothing_tells_waits_for_a_later_start() -> None:
    thoughts = OpenedThoughts(TAGS)
    assert thoughts.sort([(0, CUT)]) == [] == thoughts.settle(complete=False)
    assert thoughts.opened is None


class Served(CountingAnswerer):
    """Attempt 0 of each question is cut off inside its thoughts, attempt 1 closes them."""

    def stream(self, asks: Sequence[AttemptRequest], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        for index, ask in enumerate(asks):
            if index == self.dies_after:
                raise self.error
            self.asked.append(ask.key)
            yield index, CUT if ask.key.endswith("/0") else CLOSED


def unseen() -> Plan:
    """Plan two questions whose prompts a server writes."""
    return plan_of(benchmark("a", [1, 2]), render=lambda q, of: Prompt((), (("user", q.problem),)))


def rules(folder: Path) -> list[str]:
    return RunReader(folder).read("attempts").sort_values(["question_ix", "attempt"])["verdict_rule"].tolist()


def test_cut_off_answers_of_such_a_run_are_thoughts(tmp_path: Path) -> None:
    plan = unseen()
    with Grader() as grader:
        run(tmp_path / "run", Served([]), plan, grader=grader)
        assert rules(tmp_path / "run") == ["none.truncated", "box.text"] * 2
        assert RunReader(tmp_path / "run").run.benchmarks["a"].thoughts_opened
        again = regrade(tmp_path / "run", tmp_path / "again", grader=grader)
        assert not len(again.changes)  # it knows it from the record
    assert rules(tmp_path / "again") == rules(tmp_path / "run")


def test_an_interrupted_start_asks_again_for_what_nothing_told(tmp_path: Path) -> None:
    plan = unseen()
    asked: list[Any] = []
    with Grader() as grader:
        with pytest.raises(ReliftError, match="fell over"):
            run(tmp_path / "run", Served(asked, dies_after=1), plan, grader=grader)
        assert len(asked) == 1 and not RunReader(tmp_path / "run").files("attempts")
        run(tmp_path / "run", Served(asked), plan, grader=grader)
    assert rules(tmp_path / "run") == ["none.truncated", "box.text"] * 2
