"""A journal's directory that is taken away while its process lives."""

import shutil
from pathlib import Path

from failpath_otel.export.queue import JournalPlace
from tests.export.pipelines import HeldDelivery, numbered, pipeline
from tests.journal.conftest import BINDING
from tests.receiver import wait_for


def test_records_of_a_deleted_journal_are_sent_and_later_ones_have_a_new_one(tmp_path: Path) -> None:
    place = JournalPlace(str(tmp_path / "journal"), BINDING)
    delivery = HeldDelivery(held=True)
    with pipeline(delivery, journal=place) as queue:
        queue.put(numbered(0))
        assert delivery.sending.wait(10)
        queue.put(numbered(1))
        assert queue.left == (2, 0, place.path)
        shutil.rmtree(place.path)
        assert queue.left == (0, 2, "")  # the process is the only one that has them
        delivery.gate.set()
        assert queue.flush(10)
        assert delivery.records == [numbered(0), numbered(1)]

        def begins_anew() -> bool:
            queue.put(numbered(2))
            return bool(queue.left[2] == place.path)

        wait_for(begins_anew)
        assert queue.flush(10)
