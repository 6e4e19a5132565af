from __future__ import annotations

import signal
import threading

import pytest

from analogdp.runs.stopping import stop_on_signal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_is_announced(number: signal.Signals) -> None:
    said: list[str] = []
    before = signal.getsignal(number)
    with stop_on_signal(said.append) as stop:
        assert stop.by is None
        signal.raise_signal(number)
        assert stop.by == number.name
    assert len(said) == 1
    assert signal.getsignal(number) is before


def test_the_second_ctrl_c_stops_at_once() -> None:
    with stop_on_signal(print):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_another_thread_than_the_main_one_works_without_signals() -> None:
    requests: list[str | None] = []

    def work() -> None:
        with stop_on_signal(print) as stop:
            requests.append(stop.by)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert requests == [None]
