"""Start `relift dashboard`: check the runs, find a port, say where to look, and become Streamlit."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from relift.errors import InputError
from relift.store import resolve_runs

APP = Path(__file__).with_name("app.py")
FIRST_PORT, PORTS = 8501, 100
LOOPBACK = "127.0.0.1"

# Streamlit by default listens on every interface, looks up its external address, sends usage statistics, accepts any
# Host (so DNS rebinding) and links error texts to web sites. What is not set here keeps XSRF and CORS protection on.
FLAGS: dict[str, str] = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.showEmailPrompt": "false",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "viewer",
    "client.showErrorLinks": "false",
    "client.showErrorDetails": "type",
    "theme.baseRadius": "small",
    "theme.light.primaryColor": "#0072B2",
    "theme.light.backgroundColor": "#FFFFFF",
    "theme.light.secondaryBackgroundColor": "#F5F6F8",
    "theme.light.textColor": "#1F2328",
    "theme.light.borderColor": "#DFE3E8",
    "theme.dark.primaryColor": "#56B4E9",
    "theme.dark.backgroundColor": "#14171C",
    "theme.dark.secondaryBackgroundColor": "#1E232B",
    "theme.dark.textColor": "#E6E9EE",
    "theme.dark.borderColor": "#323944",
}

HEADINGS = ("1.9rem", "1.6rem", "1.3rem")  # of a page, a part, a view


def free_port(host: str = LOOPBACK) -> int:
    """Find the first free port from 8501 on; Streamlit itself ends with status 1 where it finds its port taken."""
    for port in range(FIRST_PORT, FIRST_PORT + PORTS):
        if _is_free(host, port):
            return port
    raise InputError(f"no free port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1}: choose one with --port")


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def is_loopback(host: str) -> bool:
    """Tell whether an address reaches this machine alone; names other than localhost do not count as such."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def command(paths: Sequence[Path], *, host: str, port: int) -> list[str]:
    """Build the command that is executed: Streamlit with FLAGS on the app, the folders as named behind `--`."""
    flags = {**FLAGS, "server.address": host, "server.port": str(port)}
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    if is_loopback(host):  # given twice: a list
        arguments += ["--server.allowedHosts=localhost", f"--server.allowedHosts={LOOPBACK}"]
    arguments += [f"--theme.headingFontSizes={size}" for size in HEADINGS]
    folders = [str(path.absolute()) for path in paths]
    return [sys.executable, "-m", "relift.dashboards.serve", "run", str(APP), *arguments, "--", *folders]


def run_dashboard(
    paths: Sequence[Path], *, port: int | None = None, host: str = LOOPBACK, unsafe_no_auth: bool = False
) -> NoReturn:
    """Replace this process by the dashboard's server. InputError for bad runs, hosts, ports."""
    found = resolve_runs(paths)
    runs = [*found.sound(), *found.unreadable]
    if not is_loopback(host) and not unsafe_no_auth:
        raise InputError(
            f"--host {host} would show these runs to whoever reaches this machine, without a password: "
            "leave it out and use ssh -L, or add --unsafe-no-auth"
        )
    try:
        import streamlit  # noqa: F401
    except ImportError:
        raise InputError("the dashboard needs Streamlit: pip install 'relift[dashboard]'") from None
    if port is None:
        port = free_port(host)
    elif not _is_free(host, port):
        raise InputError(f"port {port} of {host} is in use: leave --port out for a free one")
    shown = f"[{host}]" if ":" in host else host
    print(f"{len(runs)} run{'s' * (len(runs) > 1)}: http://{shown}:{port}  (Ctrl-C ends it)")
    if is_loopback(host):
        print(f"from another machine: ssh -N -L {port}:{LOOPBACK}:{port} {socket.gethostname()}")
    else:
        print(
            f"warning: no password: whoever reaches {host}:{port} can read these runs, their answers and their folders",
            file=sys.stderr,
        )
    for line in found.notes:
        print(line, file=sys.stderr)
    for reason in found.unreadable.values():
        print(f"warning: {reason}", file=sys.stderr)
    sys.stdout.flush()
    arguments = command(paths, host=host, port=port)
    os.execv(arguments[0], arguments)
