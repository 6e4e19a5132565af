"""Stopping a run between two weight updates when the user, or a cluster's scheduler, asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether somebody asked the run to stop.

    Attributes:
        by: the name of the signal, or None while nobody asked.
    """

    def __init__(self) -> None:
        self.by: str | None = None


@contextmanager
def stop_on_signal(say: Callable[[str], None]) -> Iterator[StopRequest]:
    """Turn the first Ctrl-C (SIGINT) or SIGTERM into a request; the second has its usual, immediate effect.

    Signals reach the main thread only; in any other thread the request is never made.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def ask(number: int, frame: FrameType | None) -> None:
        request.by = signal.Signals(number).name
        restore()
        say("stopping after this weight update; once more stops at once")

    for number in before:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        restore()
