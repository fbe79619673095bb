"""The ledger of requests: what survives a kill, what a damaged line costs, what a reply may be taken for."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import threading
import time
from pathlib import Path

import pytest

from relift.errors import StoreError
from relift.store import RunWriter, check_run
from relift.store.ledger import REQUESTS, Ledger, read_ledger
from tests.store.processes import fork, kill, running, wait
from tests.store.rows import RUN, attempts, questions


def fill(path: Path, n: int = 3) -> None:
    with Ledger(path) as ledger:
        for i in range(n):
            ledger.note_sent(f"q{i}", "r")
            ledger.keep([(f"q{i}", "r", {"text": f"answer {i}"})])


def test_replies_come_back(tmp_path: Path) -> None:
    path = tmp_path / "run" / REQUESTS
    fill(path)
    with Ledger(path) as ledger:
        assert ledger.reply("q1", "r") == {"text": "answer 1"}
        assert ledger.reply("q1", "other") is None  # the same key, something else asked
        assert ledger.reply("q3", "r") is None
        ledger.note_sent("q3", "r")
        ledger.note_sent("q3", "r")
        assert (ledger.n_sent, ledger.unanswered) == (5, {("q3", "r")})
        ledger.close()
        with pytest.raises(ValueError, match="closed"):
            ledger.note_sent("q4", "r")
    contents = read_ledger(path)
    assert contents.sent[("q3", "r")] == 2
    assert contents.unanswered == {("q3", "r")}
    assert read_ledger(tmp_path / "none.jsonl").replies == {}


def test_a_reply_is_on_disk_before_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kills cannot tell, since the system keeps what was written; a power cut could."""
    with Ledger(tmp_path / REQUESTS) as ledger:
        sizes: list[int] = []
        monkeypatch.setattr("os.fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
        ledger.note_sent("q0", "r")
        assert sizes == []
        ledger.keep([("q0", "r", {"text": "a"}), ("q1", "r", {"text": "b"})])
        assert sizes == [ledger.path.stat().st_size]  # one fsync, of everything


def test_the_first_reply_counts(tmp_path: Path) -> None:
    path = tmp_path / REQUESTS
    fill(path, 1)
    with Ledger(path) as ledger:
        ledger.keep([("q0", "r", {"text": "another"})])
        assert ledger.reply("q0", "r") == {"text": "answer 0"}
    with Ledger(path) as ledger:
        assert ledger.reply("q0", "r") == {"text": "answer 0"}


def test_every_cut_loses_the_cut_line_alone(tmp_path: Path) -> None:
    path = tmp_path / REQUESTS
    fill(path)
    data = path.read_bytes()
    whole = [n for n, byte in enumerate(data, start=1) if byte == ord("\n")]
    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        lines = sum(end <= length for end in whole)
        contents = read_ledger(path)
        assert (len(contents.sent), len(contents.replies)) == ((lines + 1) // 2, lines // 2)  # sent, reply, sent, ...
        assert contents.torn == (length not in (0, *whole))
        assert contents.damaged_lines == []
        if length % 7 == 0:  # what is written next is a line of its own
            with Ledger(path) as ledger:
                ledger.keep([("new", "r", {"text": "x"})])
            after = read_ledger(path)
            assert (len(after.replies), after.torn, after.damaged_lines) == (lines // 2 + 1, False, [])


def test_a_flipped_bit_is_no_other_answer(tmp_path: Path) -> None:
    path = tmp_path / REQUESTS
    fill(path)
    data = path.read_bytes()
    was = read_ledger(path)
    rng = random.Random(0)
    for _ in range(400):
        spoilt = bytearray(data)
        spoilt[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(spoilt)
        now = read_ledger(path)
        assert now.replies.items() <= was.replies.items() and now.sent.items() <= was.sent.items()
        assert now.damaged_lines or now.torn
    events: list[str] = []
    path.write_bytes(data.replace(b"answer 1", b"answer 9"))
    with Ledger(path, on_event=events.append) as ledger:
        assert ledger.reply("q1", "r") is None and ledger.reply("q2", "r") is not None
    assert events == [f"{path}: 1 damaged lines, the first is line 4: those are asked again"]


@pytest.mark.parametrize("line", ["3", "null", "[]", "{}", '{"check": 1}', "[" * 100_000, '{"key": NaN, "check": ""}'])
def test_lines_of_somebody_else(line: str, tmp_path: Path) -> None:
    path = tmp_path / REQUESTS
    path.write_text(line + "\n")
    assert read_ledger(path).damaged_lines == [1]


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / REQUESTS
    with Ledger(path) as ledger:

        def work(name: int) -> None:
            for i in range(20):
                ledger.note_sent(f"{name}/{i}", "r")
                ledger.keep([(f"{name}/{i}", "r", {"text": "x" * 5000})])

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    contents = read_ledger(path)
    assert (len(contents.replies), contents.damaged_lines, contents.unanswered) == (80, [], set())


def test_kills_lose_no_reply_that_was_used(tmp_path: Path) -> None:
    """A child says through a pipe what it has kept; whatever it said is there after the kill."""
    rng = random.Random(1)
    for attempt in range(10):
        path = tmp_path / f"{attempt}.jsonl"
        readable, writable = os.pipe()

        def work(path: Path = path, writable: int = writable) -> None:
            with Ledger(path) as ledger:
                for i in range(10_000):
                    ledger.note_sent(str(i), "r")
                    ledger.keep([(str(i), "r", {"text": "x" * 2000})])
                    os.write(writable, f"{i}\n".encode())

        pid = fork(work)
        os.close(writable)
        assert os.read(readable, 2) == b"0\n"
        time.sleep(rng.random() * 0.05)
        assert running(pid)
        kill(pid)
        wait(pid)
        said = [0, *(int(line) for line in _rest(readable).split())]
        contents = read_ledger(path)
        assert {(str(i), "r") for i in said} <= contents.replies.keys()
        assert len(contents.unanswered) <= 1 and contents.damaged_lines == []
        assert len(contents.replies) - len(said) <= 1


def _rest(readable: int) -> bytes:
    with os.fdopen(readable, "rb") as pipe:
        return pipe.read()


def test_a_full_disk_is_one_line_and_the_end(tmp_path: Path) -> None:
    path = tmp_path / REQUESTS
    fill(path)
    status = tmp_path / "status.json"

    def work() -> None:
        with Ledger(path) as ledger:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, resource.RLIM_INFINITY))
            lines = []
            for _ in range(2):
                with pytest.raises(StoreError) as error:
                    ledger.keep([("big", "r", {"text": "x" * 500})])
                lines.append(str(error.value))
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            status.write_text(json.dumps(lines))

    assert wait(fork(work)) == 0
    first, second = json.loads(status.read_text())
    assert "cannot write" in first and "make room" in first and "\n" not in first
    assert "an earlier write failed" in second
    assert len(read_ledger(path).replies) == 3
    fill(path, 4)  # goes on, behind the last whole line
    assert len(read_ledger(path).replies) == 4 and read_ledger(path).damaged_lines == []


def test_check_run_and_the_writer_know_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with RunWriter(folder) as writer:
        writer.start(RUN, config_toml="", questions=questions(), demonstrations=None)
        fill(folder / REQUESTS)
        writer.write("attempts", attempts().drop(columns="text").assign(origin="benchmark"), step=0, origin="benchmark")
        writer.commit(0)
        writer.roll_back(None)
    assert len(read_ledger(folder / REQUESTS).replies) == 3  # a start anew sets tables aside, never what was paid for
    before = check_run(folder)
    with Ledger(folder / REQUESTS) as ledger:
        ledger.note_sent("q9", "r")
    data = (folder / REQUESTS).read_bytes()
    (folder / REQUESTS).write_bytes(data.replace(b"answer 2", b"answer 5") + b'{"key"')
    after = check_run(folder)
    assert set(after.problems) - set(before.problems) == {"requests.jsonl: line 6: damaged"}
    assert {"requests.jsonl: its last line was cut off by a kill", "requests.jsonl: 2 requests without a reply"} <= {
        *after.notes
    }
