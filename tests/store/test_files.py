from __future__ import annotations

import errno
from pathlib import Path

import pytest

from relift.errors import StoreError
from relift.store.files import DISK, Disk, parse_record, read_record, record_bytes, remove_tree, write_atomic
from tests.store.faults import FaultyDisk


def test_write_atomic_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_atomic(DISK, path, b"one")
    write_atomic(DISK, path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


@pytest.mark.parametrize("kind", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("k", [1, 2, 3])  # write, fsync, replace
def test_a_failed_write_keeps_the_old_file_and_says_why(tmp_path: Path, k: int, kind: str) -> None:
    path = tmp_path / "b.txt"
    path.write_bytes(b"old")
    with pytest.raises(StoreError) as error:
        write_atomic(FaultyDisk(k, kind), path, b"new content")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["b.txt"]
    assert str(path) in str(error.value) and f"errno {getattr(errno, kind)}" in str(error.value)
    assert "\n" not in str(error.value)
    assert ("11 bytes needed" in str(error.value)) == (kind == "ENOSPC")


def test_disk_full_for_real(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes the kernel itself stop a write half-way."""
    import resource
    import signal

    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, old[1]))
        with pytest.raises(StoreError, match="5,000 bytes needed"):
            write_atomic(DISK, tmp_path / "big", b"x" * 5_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())


def test_short_writes_are_continued(tmp_path: Path) -> None:
    Disk().write(tmp_path / "x", bytes(range(256)) * 5_000)
    assert (tmp_path / "x").read_bytes() == bytes(range(256)) * 5_000


def test_record_round_trip(tmp_path: Path) -> None:
    body = {"step": 3, "lr": 0.1, "name": "ü \ud800", "nested": {"b": [1, None], "a": True}}
    path = tmp_path / "r.json"
    path.write_bytes(record_bytes(body))
    assert read_record(path) == body


def test_records_refuse_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        record_bytes({"loss": float("nan")})


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"body_sha256": 1}'])
def test_what_is_no_record_is_damaged(data: bytes) -> None:
    with pytest.raises(StoreError, match="r.json: damaged"):
        parse_record(data, Path("r.json"))


def test_every_flipped_bit_of_a_record_is_noticed_or_harmless() -> None:
    body = {"step": 12, "files": {"a": {"bytes": 10, "sha256": "ab"}}}
    data = record_bytes(body)
    noticed = 0
    for i in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[i // 8] ^= 1 << i % 8
        try:
            assert parse_record(bytes(flipped), Path("r")) == body
        except StoreError:
            noticed += 1
    assert noticed > 0.8 * len(data) * 8  # the rest is white space


def test_remove_tree_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "x").write_text("kept")
    (tmp_path / "mine" / "link").symlink_to(tmp_path / "theirs")
    remove_tree(DISK, tmp_path / "mine")
    assert not (tmp_path / "mine").exists() and (tmp_path / "theirs" / "x").exists()
