"""What wakes the delivery thread, alone."""

import signal
import threading
from time import monotonic

import pytest

from failpath_otel.delivery.wakeup import Wakeup


def test_rings_before_a_wait_end_it_and_only_it() -> None:
    wakeup = Wakeup()
    wakeup.ring()
    wakeup.ring()
    assert wakeup.wait(0)
    assert not wakeup.wait(0)


def test_a_ring_from_a_signal_handler_in_the_midst_of_a_ring_wakes_the_thread() -> None:
    wakeup = Wakeup()
    before = signal.signal(signal.SIGALRM, lambda *_: wakeup.ring())
    signal.setitimer(signal.ITIMER_REAL, 0.000_2, 0.000_2)
    try:
        for _ in range(2_000):
            wakeup.ring()
            assert wakeup.wait(10)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals come to the thread that is meant")
def test_a_wait_ends_in_time_though_signals_come_to_its_thread() -> None:
    wakeup, lasted = Wakeup(), [0.0]

    def wait() -> None:
        for _ in range(200):
            began = monotonic()
            wakeup.wait(0.001)
            lasted.append(monotonic() - began)

    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    thread = threading.Thread(target=wait, daemon=True)  # should a wait never end
    try:
        thread.start()
        deadline = monotonic() + 20
        while thread.is_alive() and monotonic() < deadline:
            signal.pthread_kill(thread.ident or 0, signal.SIGUSR1)
            thread.join(0.000_3)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not thread.is_alive()
    assert max(lasted) < 5
