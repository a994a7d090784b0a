"""Signal handlers and garbage collections that record steps come anywhere in our code: nothing is lost or doubled."""

import errno
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import pytest

from failpath_otel import limits
from failpath_otel.delivery.figures.stats import Stats
from failpath_otel.delivery.pipeline import Pipeline
from failpath_otel.delivery.worker import Worker
from failpath_otel.journal.directory import LockedDirectory
from failpath_otel.journal.location import JournalLocation
from failpath_otel.records.request import Answer

LIVES = 40
OURS = tuple(
    str(Path("failpath_otel", name))
    for name in (
        "delivery/admission.py",
        "delivery/attempts.py",
        "delivery/journal_upkeep.py",
        "delivery/ledger.py",
        "delivery/memory.py",
        "delivery/queue.py",
        "delivery/wakeup.py",
        "journal/journal.py",
        "journal/reader.py",
        "journal/segments/segment.py",
    )
)


class Life:
    """A pipeline without a thread of its own, with a disk and an endpoint that fail by chance."""

    def __init__(self, seed: int, place: Path) -> None:
        self.chance = Random(seed)
        self.accepted: list[bytes] = []
        self.delivered: list[bytes] = []
        self.full = self.up = False
        self._rate = self.chance.choice([0.002, 0.02])
        self._handling = False
        self.queue = Pipeline(self, journal=JournalLocation(str(place), "0123456789abcdef"), max_records=1_000_000)

    url = "http://127.0.0.1:9/life"

    def send(self, records: Sequence[bytes], within: float | None = None) -> Answer:
        if not self.up and self.chance.random() < 0.4:
            return Answer("is down", retryable=True)
        self.delivered += records
        return Answer()

    def close(self) -> None:
        """Has no connections."""

    def put(self) -> None:
        record = json.dumps({"number": self.chance.random(), "text": "x" * self.chance.choice([1, 50, 300])}).encode()
        assert self.queue.put(record)
        self.accepted.append(record)

    def deliver(self) -> None:
        self.queue.sender.retries._next_try = 0.0
        self.queue.attempts.make()

    def act(self) -> None:
        acts = [self.put, self.deliver, self.queue.upkeep.tidy, lambda: self.queue.upkeep.save(1), self.turn_disk]
        with self.interrupted():
            self.chance.choices(acts, [60, 15, 10, 5, 10])[0]()

    def turn_disk(self) -> None:
        self.full = not self.full

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """Python calls handlers where a function begins, and where a built-in one has returned."""
        sys.setprofile(self._interrupt)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _interrupt(self, frame: FrameType, event: str, _: Any) -> None:
        if self._handling or event not in {"call", "c_return"} or not frame.f_code.co_filename.endswith(OURS):
            return
        if self.chance.random() >= self._rate:
            return
        self._handling = True
        try:
            for _ in range(self.chance.choice([1, 1, 2, 5])):
                self.put()
            if self.chance.random() < 0.1:
                self.turn_disk()
        finally:
            self._handling = False


@pytest.mark.parametrize("plain", [False, True], ids=["mapped", "by system calls"])
def test_records_of_handlers_that_come_anywhere_are_delivered_once_and_the_counts_add_up(
    plain: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"JOURNAL_SEGMENT_BYTES": 2_048, "JOURNAL_SEGMENTS": 1_000_000}.items():
        monkeypatch.setattr(limits, name, value)
    for name in ("JOURNAL_RETRY_FIRST_SECONDS", "SCHEDULE_DELAY", "RETRY_FIRST_DELAY"):
        monkeypatch.setattr(limits, name, 0.0)
    monkeypatch.setattr(Worker, "start", lambda _: None)
    if plain:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    new_file = LockedDirectory.new_file

    def checked(directory: LockedDirectory, name: str) -> int:
        if life.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return new_file(directory, name)

    monkeypatch.setattr(LockedDirectory, "new_file", checked)
    for seed in range(LIVES):
        life = Life(seed, tmp_path / str(seed))
        for _ in range(life.chance.randrange(5, 120)):
            life.act()
            stats = life.queue.stats()
            assert stats.accepted == len(life.accepted) == stats.delivered + stats.waiting, (seed, stats)
        life.full, life.up = False, True
        while life.queue.attempts.has_work():
            life.queue.upkeep.tidy()
            life.deliver()
        assert Counter(life.delivered) == Counter(life.accepted), seed
        assert life.queue.stats() == Stats(len(life.accepted), len(life.accepted), 0)
        life.queue.close_at_exit()
