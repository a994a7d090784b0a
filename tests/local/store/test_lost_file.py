"""A database that is deleted or replaced under a running receiver: nothing is accepted that would be lost."""

import os
import sys
from pathlib import Path

import pytest

from failpath_otel.local.store.database import StoreError
from failpath_otel.local.store.store import Store
from tests.local.events import event, wire
from tests.local.rows import RECEIVED, opened, received_events
from tests.receiver import start_receiver

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="on Windows an open file cannot be deleted")


@pytest.mark.process
def test_events_are_refused_when_the_file_is_gone(tmp_path: Path) -> None:
    with start_receiver(tmp_path / "db") as receiver:
        assert receiver.post(wire(event("running", 1))).status == 202
        (tmp_path / "db").unlink()
        answer = receiver.post(wire(event("running", 2)))
        assert (answer.status, "was deleted or replaced" in answer.json()["error"]) == (503, True)
        assert receiver.request("/api/page/flows").status == 503
        assert receiver.request("/").status == 200


def test_a_file_that_has_taken_its_place_is_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "new") as new:
        new.add(received_events(event("running", 1, run="new")), RECEIVED)
    store = Store(tmp_path / "db")
    try:
        os.replace(tmp_path / "new", tmp_path / "db")  # noqa: PTH105 - as a shell does it
        with pytest.raises(StoreError, match="deleted or replaced"):
            store.add(received_events(event("running", 1, run="old")), RECEIVED)
        with pytest.raises(StoreError, match="deleted or replaced"):
            store.runs.rows(1)
    finally:
        store.close()
    with opened(tmp_path / "db") as found:
        assert found.find("new") is not None
