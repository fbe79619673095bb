import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import relift.confined
from relift.confined import Confined, ConfinedError


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relift.confined, "CPU_SECONDS", 1)
    monkeypatch.setattr(relift.confined, "MEMORY_BYTES", 2**27)


def hostile(what: str) -> str:
    if what == "hangs":
        while True:
            pass
    if what == "memory":
        return str(len("a" * 2**29))
    if what == "output":
        return "a" * 5 * 2**20
    if what == "raises":
        raise ZeroDivisionError("division\nby zero")
    return f"{what} by {os.getpid()}"


@pytest.fixture
def confined(quick: None) -> Iterator[Confined]:
    confined = Confined(hostile)
    yield confined
    confined.close()


def test_calls_are_answered_by_one_other_process(confined: Confined) -> None:
    first, second = confined("a"), confined("a")
    assert first == second != f"a by {os.getpid()}"


@pytest.mark.parametrize(
    ("what", "words"),
    [("hangs", "1 seconds"), ("memory", "128 MiB"), ("output", "5,242,880 characters"), ("raises", "division by zero")],
)
def test_a_limit_ends_the_call_and_not_the_caller(confined: Confined, what: str, words: str) -> None:
    with pytest.raises(ConfinedError, match=words):
        confined(what)
    assert confined("next").startswith("next by ")


def test_an_idle_process_ends_and_the_next_call_has_another(
    confined: Confined, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relift.confined, "IDLE_SECONDS", 0.2)
    first = confined("a")
    pid = int(first.split()[-1])
    end = time.monotonic() + 30
    while Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":  # ended, and not yet waited for
        assert time.monotonic() < end
        time.sleep(0.05)
    assert confined("a") != first


def test_no_file_of_the_caller_stays_open_there(quick: None, tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        number = lock.fileno()

        def is_open() -> str:
            try:
                os.fstat(number)
            except OSError:
                return "closed"
            return "open"

        confined = Confined(is_open)
        assert confined() == "closed"
        confined.close()
