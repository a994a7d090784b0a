"""What signal handlers append in the midst of an append, and in the midst of what follows it, keeps its order."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from failpath_otel.journal.journal import Journal
from tests.journal.reading import take_all


def once(call: Callable[..., object], handler: Callable[[], object]) -> Callable[..., object]:
    """As ``call``, with a signal before the first one."""
    signals = [handler]

    def called(*arguments: object) -> object:
        while signals:
            signals.pop()()
        return call(*arguments)

    return called


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no room is set aside")
def test_a_handler_that_interrupts_the_writing_of_deferred_records_keeps_the_order_of_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(str(tmp_path), "", lambda _: None)

    def first_handler() -> None:
        assert journal.append(b"running")
        assert journal.append(b"success")
        monkeypatch.setattr(journal, "now", once(journal.now, second_handler))

    def second_handler() -> None:
        assert journal.append(b"another")

    monkeypatch.setattr(os, "posix_fallocate", once(os.posix_fallocate, first_handler))
    assert journal.append(b"interrupted")
    records = take_all(journal)
    assert sorted(records) == [b"another", b"interrupted", b"running", b"success"]
    assert records.index(b"running") < records.index(b"success")
