"""`relift dashboard`: what it refuses, and the command it becomes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from relift.dashboards import launch
from relift.errors import InputError
from tests.synthetic import write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("launch")
    for name in ("rl", "sft"):
        write_run(root / "seed-1" / name, n_questions=4, n_steps=0, learn=0.5, seed=1, name=name)
    return root


def test_what_is_no_run_is_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        launch.run_dashboard([tmp_path / "nowhere"])
    with pytest.raises(InputError, match=r"no run\.json there"):
        launch.run_dashboard([tmp_path])


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_other_addresses_need_a_word(runs: Path, host: str) -> None:
    with pytest.raises(InputError, match="--unsafe-no-auth"):
        launch.run_dashboard([runs], host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_known(host: str) -> None:
    assert launch.is_loopback(host)


def test_a_port_in_use_is_refused_and_the_next_is_found(runs: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} of 127.0.0.1 is in use"):
            launch.run_dashboard([runs], port=port)
    assert launch.free_port() >= launch.FIRST_PORT


def test_it_becomes_streamlit_on_loopback_without_telemetry(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(launch.os, "execv", lambda program, arguments: started.append(arguments))
    launch.run_dashboard([runs], port=None)
    (arguments,) = started
    flags = arguments[: arguments.index("--")]
    for flag in (
        "--server.address=127.0.0.1", "--browser.gatherUsageStats=false", "--server.headless=true",
        "--server.allowedHosts=localhost", "--server.allowedHosts=127.0.0.1", "--client.showErrorLinks=false",
    ):  # fmt: skip
        assert flag in flags
    assert not any("Xsrf" in flag or "CORS" in flag for flag in flags)  # both stay on
    assert arguments[arguments.index("--") + 1 :] == [str(runs)]  # the folder: runs that begin later are found in it
    said = capsys.readouterr().out
    assert "http://127.0.0.1:85" in said and "ssh -N -L" in said


def test_a_foreign_address_is_warned_of(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(launch.os, "execv", lambda program, arguments: started.append(arguments))
    launch.run_dashboard([runs], host="0.0.0.0", unsafe_no_auth=True)
    assert "--server.address=0.0.0.0" in started[0]
    assert "warning: no password" in capsys.readouterr().err
