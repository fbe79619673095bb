"""Print warnings of long commands, and end them in order on a signal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """Ask for the end on a signal. `number`: which; the exit status is 128 more."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


@contextmanager
def stop_on_signals() -> Iterator[list[int]]:
    """Collect the signals received, for work that looks at the list now and then; the second one acts as usual."""
    received: list[int] = []
    with _handling(received.append):
        yield received


@contextmanager
def signals_raise() -> Iterator[None]:
    """Raise Stopped on the first signal, wherever the main thread is; the second one acts as usual."""

    def stop(number: int) -> None:
        raise Stopped(number)

    with _handling(stop):
        yield


@contextmanager
def _handling(act: Callable[[int], object]) -> Iterator[None]:
    usual = {number: signal.getsignal(number) for number in SIGNALS}

    def receive(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        act(number)

    for number in SIGNALS:
        signal.signal(number, receive)
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


def warn_on(console: Console) -> Callable[[str], None]:
    """Return a function that prints a line of warning, as it is."""
    return lambda line: console.print(f"warning: {line}", soft_wrap=True, highlight=False, markup=False)
