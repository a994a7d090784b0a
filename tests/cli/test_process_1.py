"""SIGTERM while a server starts as process 1 of a container, where the kernel ignores what nothing handles."""

import os
import signal

import pytest

from failpath_otel.cli.commands.command import end_on_sigterm_as_process_1


@pytest.mark.parametrize("pid", [1, 2])
def test_only_process_1_needs_a_handler_before_the_server_has_one(pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(os, "getpid", lambda: pid)
    monkeypatch.setattr(os, "_exit", ended.append)
    try:
        end_on_sigterm_as_process_1()
        if pid == 1:
            signal.raise_signal(signal.SIGTERM)
        else:
            assert signal.getsignal(signal.SIGTERM) is before
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended == [128 + signal.SIGTERM] * (pid == 1)
