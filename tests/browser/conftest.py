"""A dashboard server on loopback, and a headless Chromium whose every request is noted."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from relift.dashboards.launch import LOOPBACK, command, free_port
from tests.children import tied

SECONDS = 40
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass
class Server:
    """A running dashboard."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., Server]]:
    """Starts a dashboard of these runs; all are ended with the session."""
    started: list[Server] = []

    def start(*runs: Path) -> Server:
        port = free_port()
        process = subprocess.Popen(
            tied(command(runs, host=LOOPBACK, port=port)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        server = Server(port, process)
        started.append(server)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{server.address}/_stcore/health", timeout=2) as answer:
                    if answer.status == 200:
                        return server
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(f"the dashboard did not answer on port {port}")

    yield start
    for server in started:
        server.process.terminate()
        server.process.wait(timeout=10)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests. Without one, the tests are skipped, and say so."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A browser context with the addresses it asked for."""

    context: BrowserContext
    asked: list[str] = field(default_factory=list)

    def open(self, server: Server, address: str = "") -> Page:
        """A page, drawn to its heading and without a pending run."""
        page = self.context.new_page()
        page.goto(f"{server.address}/{address}")
        settle(page)
        return page

    @property
    def outside(self) -> list[str]:
        """Requests to anything but this machine."""
        inside = (f"http://{LOOPBACK}:", f"ws://{LOOPBACK}:", "data:", "blob:", "about:")
        return [url for url in self.asked if not url.startswith(inside)]


def settle(page: Page) -> None:
    """Waits until the page stands and the server has finished its run."""
    expect(page.locator("h1").first).to_be_visible(timeout=1000 * SECONDS)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=1000 * SECONDS)
    page.wait_for_timeout(600)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=1000 * SECONDS)


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """A fresh context in light mode; afterwards nothing but this machine must have been asked for anything."""
    yield from _visit(chromium, "light")


@pytest.fixture
def dark_visit(chromium: Browser) -> Iterator[Visit]:
    """The same for someone who prefers dark."""
    yield from _visit(chromium, "dark")


def _visit(chromium: Browser, scheme: str) -> Iterator[Visit]:
    context = chromium.new_context(
        viewport={"width": 1400, "height": 900}, color_scheme=scheme, accept_downloads=True  # type: ignore[arg-type]
    )  # fmt: skip
    one = Visit(context)
    context.on("request", lambda request: note(one, request))
    yield one
    context.close()
    assert one.outside == []


def note(one: Visit, request: Request) -> None:
    """Keeps the address of a request."""
    one.asked.append(request.url)


def websocket_status(port: int, *, host: str, origin: str) -> int:
    """HTTP status of an attempt to open Streamlit's WebSocket with these headers."""
    lines = [
        "GET /_stcore/stream HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", f"Origin: {origin}", "", "",
    ]  # fmt: skip
    with socket.create_connection((LOOPBACK, port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return int(connection.recv(200).split()[1])
