"""Keep what was asked of a service that charges, and what came back: append-only JSON lines inside a run folder.

The key of a request is written before it is sent, the reply is on disk before anybody uses it. So after any kill the
only requests that can be paid twice are those under way. Every line carries a checksum of itself. A line that was cut
off by a kill, or is damaged, counts as not there: its request is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from relift.errors import StoreError
from relift.store.files import DISK, make_folder, storing

REQUESTS, TEACHER = "requests.jsonl", "teacher.jsonl"  # of an evaluation; of demonstrations that are bought
ARRIVALS = "arrivals.jsonl"  # of demonstrations that came while training went on, by step
LEDGERS = (REQUESTS, TEACHER, ARRIVALS)


Most = tuple[int, int]  # tokens of the prompt and of the completion that a request can cost at most


@dataclass
class LedgerContents:
    """A ledger as read. `good_bytes`: where the last whole line ends."""

    replies: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # (key, request) -> reply
    sent: dict[tuple[str, str], int] = field(default_factory=dict)  # (key, request) -> times it was sent
    unsettled: dict[tuple[str, str], list[Most | None]] = field(default_factory=dict)  # sent, and perhaps charged
    damaged_lines: list[int] = field(default_factory=list)  # numbers, from 1
    torn: bool = False  # the last line was cut off
    good_bytes: int = 0

    def note_sent(self, name: tuple[str, str], most: Most | None) -> None:
        """Count a request that is sent."""
        self.sent[name] = self.sent.get(name, 0) + 1
        self.unsettled.setdefault(name, []).append(most)

    def settle(self, name: tuple[str, str]) -> None:
        """Take off the last request of this name: its reply says what it cost, or it was not charged."""
        if self.unsettled.get(name):
            self.unsettled[name].pop()

    @property
    def unanswered(self) -> set[tuple[str, str]]:
        """Sent, and no reply is known: they may have been paid for."""
        return self.sent.keys() - self.replies.keys()


def read_ledger(path: Path) -> LedgerContents:
    """Everything in it that is whole; nothing if there is no file. Raises StoreError if it cannot be read."""
    contents = LedgerContents()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return contents
    except OSError as error:
        raise StoreError(f"{path}: cannot read: {error.strerror or error} (errno {error.errno})") from error
    contents.good_bytes = data.rfind(b"\n") + 1
    contents.torn = contents.good_bytes < len(data)
    for number, line in enumerate(data[: contents.good_bytes].splitlines(), start=1):
        entry = _parse(line)
        if entry is None:
            contents.damaged_lines.append(number)
            continue
        name = (entry["key"], entry["request"])
        if entry["event"] == "sent":
            contents.note_sent(name, tuple(entry["most"]) if "most" in entry else None)
        elif entry["event"] == "free":
            contents.settle(name)
        else:
            contents.settle(name)
            contents.replies.setdefault(name, entry["reply"])
    return contents


class Ledger:
    """The writing side; for one process, any number of its threads. A context manager.

    `request` is a hash of everything that was asked, so that a reply is never taken for another question's. Raises
    StoreError. `on_event` is told in one line of damaged lines, which are asked again.
    """

    def __init__(self, path: Path, *, on_event: Callable[[str], None] = lambda line: None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._failed = False
        self._contents = read_ledger(path)
        damaged = self._contents.damaged_lines
        if damaged:
            on_event(f"{path}: {len(damaged)} damaged lines, the first is line {damaged[0]}: those are asked again")
        with storing(path):
            make_folder(DISK, path.parent)
            is_new = not path.exists()
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            if self._contents.torn:
                os.ftruncate(self._file, self._contents.good_bytes)  # else the next line would be glued to it
            os.fsync(self._file)
            if is_new:
                DISK.fsync(path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Twice does no harm."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def reply(self, key: str, request: str) -> dict[str, Any] | None:
        """Find what was answered to exactly this before; None if nothing was."""
        return self._contents.replies.get((key, request))

    @property
    def replies(self) -> list[dict[str, Any]]:
        return list(self._contents.replies.values())

    @property
    def n_sent(self) -> int:
        """Requests ever sent, repeated ones counted each time."""
        return sum(self._contents.sent.values())

    @property
    def unanswered(self) -> set[tuple[str, str]]:
        return self._contents.unanswered

    @property
    def unsettled(self) -> list[Most]:
        """List the most that requests can have cost which have neither a reply nor a note that they were free."""
        return [most for each in self._contents.unsettled.values() for most in each if most is not None]

    def note_sent(self, key: str, request: str, *, most: Most | None = None) -> None:
        """Call before sending. `most`: what it can cost, for the budget of a later start. A kill does not lose the
        line; a power cut may, and loses nothing but this note."""
        worst = {} if most is None else {"most": list(most)}
        self._append([{"event": "sent", "key": key, "request": request, **worst}], durable=False)
        self._contents.note_sent((key, request), most)

    def note_free(self, key: str, request: str) -> None:
        """Note that a request was refused before it could be charged."""
        self._append([{"event": "free", "key": key, "request": request}], durable=False)
        self._contents.settle((key, request))

    def keep(self, replies: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """(key, request, reply) each; on disk on return, all of them by one fsync."""
        kept = [((key, request), dict(reply)) for key, request, reply in replies]
        entries: list[dict[str, Any]] = [
            {"event": "reply", "key": key, "request": request, "reply": reply} for (key, request), reply in kept
        ]
        self._append(entries, durable=True)
        for name, reply in kept:
            self._contents.settle(name)
            self._contents.replies.setdefault(name, reply)

    def _append(self, entries: list[dict[str, Any]], *, durable: bool) -> None:
        data = b"".join(map(_line, entries))
        with self._lock, storing(self.path, n_bytes=len(data)):
            if self._file < 0:
                raise ValueError("this ledger is closed")
            if self._failed:  # part of a line may be at the end, and the next one would be glued to it
                raise StoreError(f"{self.path}: an earlier write failed; start again")
            self._failed = True
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            if durable:
                os.fsync(self._file)
            self._failed = False


def _line(entry: Mapping[str, Any]) -> bytes:
    body = json.dumps(entry, sort_keys=True, allow_nan=False)
    return (json.dumps({**entry, "check": _check(body)}, sort_keys=True, allow_nan=False) + "\n").encode()


def _parse(line: bytes) -> dict[str, Any] | None:
    """The entry of a line; None if it is damaged."""
    try:
        entry = json.loads(line)
        check = entry.pop("check")
        good = check == _check(json.dumps(entry, sort_keys=True, allow_nan=False))
        whole = isinstance(entry["key"], str) and isinstance(entry["request"], str)
        whole = whole and (
            (entry["event"] == "sent" and _is_most(entry.get("most", [0, 0])))
            or entry["event"] == "free"
            or (entry["event"] == "reply" and isinstance(entry["reply"], dict))
        )
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    return entry if good and whole else None


def _is_most(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(n, int) and n >= 0 for n in value)


def _check(body: str) -> str:
    return hashlib.blake2b(body.encode(), digest_size=8).hexdigest()
