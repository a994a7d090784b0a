"""Journals whose processes are killed between any two system calls: what was appended is found, in order and untorn.

Also on a disk that loses some of it.
"""

import errno
import tempfile
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from failpath_otel import limits
from failpath_otel.journal import directory
from failpath_otel.journal.discovery import lock_orphans
from failpath_otel.journal.journal import Journal
from failpath_otel.journal.orphan import Orphan
from failpath_otel.journal.reader import TRANSIENT_ERRORS
from tests.journal.lives import Fate, Life, acting, many_lives
from tests.properties.tape import properties

SEGMENT = 2_048

kills = st.builds(Fate, st.integers(0, 12), st.sampled_from(["before", "within", "after"])) | st.builds(
    Fate, st.integers(0, 2), st.just("within"), name=st.just("write")
)
failures = st.builds(
    Fate, st.integers(0, 12), st.just("fails"), st.sampled_from([errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EACCES])
)
fates = st.integers(0, 9).flatmap(lambda chance: kills if chance > 6 else failures if chance == 6 else st.none())
which = st.integers(0, 2)
sizes = st.integers(1, 700) | st.integers(SEGMENT // 2 - 40, SEGMENT // 2 + 40)


def is_broken(life: Life) -> bool:
    """Whether a call has failed in such a way that what could not be read may be given up."""
    return not TRANSIENT_ERRORS.issuperset(life.failed)


class Story:
    """The records of one process: which of them the next process has to find, and which it may find."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.must: set[int] = set()
        self.may: set[int] = set()
        self.loose = False
        """A call has failed, so that a file may have stayed where it was."""
        self.doomed = 0
        """Records up to this one were dropped, because there was no room."""

    def appended(self, record: bytes) -> None:
        self.must.add(len(self.records))
        self.records.append(record)

    def perhaps_appended(self, record: bytes) -> None:
        self.may.add(len(self.records))
        self.records.append(record)

    def excuse(self, indexes: set[int]) -> None:
        """These may be found, and need not be."""
        self.may |= indexes & self.must
        self.must -= indexes

    def confirmed(self, indexes: list[int], *, surely: bool) -> None:
        """The next process need not find these; if they were confirmed ``surely``, it does not."""
        self.must -= set(indexes)
        last = max(indexes, default=-1)
        if not surely:
            self.may |= set(indexes)
        elif self.loose:
            self.may -= set(indexes)
        else:
            self.may = {index for index in self.may if index > last}


class Owner:
    """A process that has a journal."""

    def __init__(self, path: str, binding: str, *, plain: bool) -> None:
        self.life = Life(plain=plain)
        self.binding = binding
        self.story = Story()
        self.taken: list[int] = []
        """What is in flight."""
        self.next = 0
        self.journal = Journal(path, binding, self.overflow)
        self.name: str | None = None

    def overflow(self, records: int) -> None:
        begin = max(self.next, self.story.doomed)
        self.story.excuse(set(range(begin, begin + records)))
        self.story.doomed = begin + records


class Heir:
    """A process that has taken over what another has left."""

    def __init__(self, life: Life, orphan: Orphan, story: Story) -> None:
        self.life = life
        self.orphan: Orphan | None = orphan
        self.story = story
        self.next = 0
        self.taken: list[int] = []


class Journals(RuleBasedStateMachine):
    """Any number of processes that share a journal directory."""

    on_windows = False

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.path = str(Path(self.stack.enter_context(tempfile.TemporaryDirectory()), "state", "journal"))
        for name, value in (
            ("JOURNAL_SEGMENT_BYTES", SEGMENT),
            ("JOURNAL_SEGMENTS", 8),
            ("JOURNAL_RETRY_SECONDS", 0.0),
        ):
            self.stack.enter_context(patch.object(limits, name, value))
        self.stack.enter_context(patch.object(directory, "_ABANDONED_SECONDS", -1.0))
        self.stack.enter_context(many_lives(on_windows=self.on_windows))
        self.left: dict[str, Story] = {}
        """The stories of those that are gone, by the names of their directories."""
        self.held: list[Heir] = []
        self.living: list[Owner] = []
        self.number = 0
        self.lives: list[Life] = []
        self.is_damaged = False

    def teardown(self) -> None:
        try:
            for owner in list(self.living):
                self.end(owner)
            for heir in list(self.held):
                self.let_go(heir)
            self.deliver_all()
        finally:
            self.stack.close()

    # Processes that record.

    @initialize(plain=st.booleans())
    def begins_first(self, plain: bool) -> None:
        self.begins("a", plain)

    @precondition(lambda self: len(self.living) < 3)
    @rule(binding=st.sampled_from("aab"), plain=st.booleans())
    def begins(self, binding: str, plain: bool) -> None:
        self.living.append(Owner(self.path, binding, plain=plain))
        self.lives.append(self.living[-1].life)

    @precondition(lambda self: self.living)
    @rule(at=which, size=sizes, count=st.integers(1, 6), fate=fates)
    def records(self, at: int, size: int, count: int, fate: Fate | None) -> None:
        owner = self.living[at % len(self.living)]
        record = b""
        returned = True
        with acting(owner.life, fate):
            for _ in range(count):
                self.number += 1
                record, returned = (b"%d " % self.number) * size, False
                record = b"{" + record[:size] + b"!" + str(self.number).encode() + b"}"
                kept = owner.journal.append(record)
                returned = True
                if kept:
                    owner.story.appended(record)
        if not returned:
            owner.story.perhaps_appended(record)
        self.look_at(owner)

    @precondition(lambda self: self.living)
    @rule(at=which, most=st.integers(1, 5), budget=st.sampled_from([0, 300, 5_000]), fate=fates)
    def takes(self, at: int, most: int, budget: int, fate: Fate | None) -> None:
        owner = self.living[at % len(self.living)]
        if owner.taken:
            return
        with acting(owner.life, fate):
            read = owner.journal.read(most, budget, owner.journal.appended)
            taken = owner.journal.take(read)
            assert taken
            if read.lost:
                assert read.reason == "journal_full" or is_broken(owner.life), read
                owner.story.excuse(set(range(owner.next, owner.next + read.lost)))
                owner.next += read.lost
            else:
                found = [each.record for each in read.records]
                assert found == owner.story.records[owner.next : owner.next + len(found)]
                owner.taken = list(range(owner.next, owner.next + len(found)))
                owner.next += len(found)
                assert found or read.retry_later or read.reason or owner.next == len(owner.story.records)
            owner.journal.maintain()
        self.look_at(owner)

    @precondition(lambda self: self.living)
    @rule(at=which, fate=fates)
    def confirms(self, at: int, fate: Fate | None) -> None:
        owner = self.living[at % len(self.living)]
        if owner.taken:
            self.confirm(owner, owner.journal, fate)
            self.look_at(owner)

    def confirm(self, process: Owner | Heir, log: Journal | Orphan, fate: Fate | None) -> None:
        failed = len(process.life.failed)
        done = False
        with acting(process.life, fate):
            log.confirm(len(process.taken))
            done = True
        process.story.loose |= len(process.life.failed) > failed
        process.story.confirmed(process.taken, surely=done and len(process.life.failed) == failed)
        process.taken = []

    @precondition(lambda self: self.living)
    @rule(at=which, fate=fates)
    def closes(self, at: int, fate: Fate | None) -> None:
        owner = self.living[at % len(self.living)]
        if owner.taken:
            return
        before: list[bytes] = []
        with acting(owner.life, fate):
            remove = owner.journal.close_if_empty()
            if remove is not None:
                before = owner.story.records
                left = set(range(owner.next, len(owner.story.records)))
                assert not left & owner.story.must or owner.life.failed
                owner.story = Story()
                owner.next = 0
                remove()
                if not owner.life.failed:
                    assert not owner.life.descriptors, "it has something open"
        if not owner.life.alive:
            owner.story.records = before or owner.story.records  # confirmed, in a file that may still be there
        self.look_at(owner, removed=True)

    @precondition(lambda self: self.living)
    @rule(at=which)
    def is_killed(self, at: int) -> None:
        self.end(self.living[at % len(self.living)])

    @precondition(lambda self: self.living)
    @rule(at=which, size=sizes, count=st.integers(1, 6), most=st.integers(1, 5))
    def works(self, at: int, size: int, count: int, most: int) -> None:
        """As it is most of the time: records, and delivers them."""
        for _ in range(3):
            self.records(at, size, count, None)
            self.takes(at, most, 0, None)
            self.confirms(at, None)

    def end(self, owner: Owner) -> None:
        if owner.life.alive:
            owner.life.die()
        self.look_at(owner)

    def look_at(self, owner: Owner, *, removed: bool = False) -> None:
        """Notes where the records are, and that the process is gone, if it is."""
        held = owner.journal._directory
        if held is not None:
            owner.name = held.name
        if owner.life.alive:
            return
        if owner in self.living:
            self.living.remove(owner)
            if owner.name is not None:
                self.left[owner.name] = owner.story
            else:
                assert not owner.story.must

    # Disks that lose what was written.

    @precondition(lambda self: self.left)
    @rule(at=which, where=st.floats(0, 1), length=st.sampled_from([1, 1, 8, 40, 400]), zeros=st.booleans())
    def is_harmed(self, at: int, where: float, length: int, zeros: bool) -> None:
        """A bit of a file, or some bytes of it, are not what they were; of a journal that no process has locked."""
        held = {heir.orphan.name for heir in self.held if heir.orphan is not None}
        paths = [
            path
            for path in sorted(Path(self.path).glob("*/*.records"))
            if path.parent.name in self.left.keys() - held and path.read_bytes().strip(b"\0")
        ]
        if not paths:
            return
        path = paths[at % len(paths)]
        content = path.read_bytes()
        end = len(content.rstrip(b"\0"))
        begin = int(where * (end - 1))
        harmed = bytearray(content[:end])
        for offset in range(begin, min(begin + length, end)):
            harmed[offset] = 0 if zeros else harmed[offset] ^ 1
        path.write_bytes(bytes(harmed) + content[end:])
        self.is_damaged = True
        story = self.left[path.parent.name]
        for index, record in enumerate(story.records):
            stands = content.find(record)
            if stands < 0:
                continue
            if begin < stands + len(record) and stands - 12 < begin + length:
                story.excuse({index})
            if begin < 16 and index not in story.must:  # what was confirmed may be found again
                story.may.add(index)

    # Processes that deliver what others have left.

    @precondition(lambda self: self.left and len(self.held) < 3)
    @rule(limit=st.integers(1, 3), binding=st.sampled_from(["a", "b", None, None]), fate=fates)
    def adopts(self, limit: int, binding: str | None, fate: Fate | None) -> None:
        self.adopt(limit, binding, fate)

    def adopt(self, limit: int, binding: str | None, fate: Fate | None) -> list[Heir]:
        life = Life()
        self.lives.append(life)
        found: list[Orphan] = []
        with acting(life, fate):
            try:
                found = lock_orphans(self.path, binding, self.never, limit)
            except OSError:
                assert life.failed
        alive = {owner.name for owner in self.living} | {
            heir.orphan.name for heir in self.held if heir.orphan is not None
        }
        heirs = []
        for orphan in found if life.alive else []:
            assert orphan.name not in alive
            assert binding in {None, orphan.name.split(".")[1]}
            story = self.left.get(orphan.name) or Story()
            heirs.append(Heir(life, orphan, story))
        self.held += heirs
        return heirs

    def never(self, reason: str, records: int) -> None:
        raise AssertionError(reason, records)

    @precondition(lambda self: self.held)
    @rule(at=which, most=st.integers(1, 5), budget=st.sampled_from([0, 300, 5_000]), fate=fates)
    def delivers(self, at: int, most: int, budget: int, fate: Fate | None) -> None:
        self.deliver(self.held[at % len(self.held)], most, budget, fate)

    def deliver(self, heir: Heir, most: int, budget: int, fate: Fate | None) -> None:
        assert heir.orphan is not None
        if heir.taken:
            self.confirm(heir, heir.orphan, fate)
        else:
            self.take(heir, heir.orphan, most, budget, fate)
        self.look_after(heir)

    def take(self, heir: Heir, orphan: Orphan, most: int, budget: int, fate: Fate | None) -> None:
        story = heir.story
        with acting(heir.life, fate):
            read = orphan.read(most, budget)
            orphan.take(read)
            if is_broken(heir.life):
                story.loose = True
                story.excuse(set(story.must))
            for written in read.records:
                index = self.index_of(written.record, story, heir.next)
                missing = {at for at in story.must if heir.next <= at < index}
                assert not missing, [story.records[at] for at in missing]
                assert index in story.must | story.may
                heir.next = index + 1
                heir.taken.append(index)
            if read.segment is None and not read.retry_later:
                assert not {at for at in story.must if at >= heir.next}, "something is missing"
                orphan.confirm()
                orphan.remove()
                heir.orphan = None
                self.held.remove(heir)
                if not Path(self.path, orphan.name).exists():  # a file that could not be read for a moment is left
                    self.left.pop(orphan.name, None)

    @staticmethod
    def index_of(record: bytes, story: Story, begin: int) -> int:
        assert record in story.records[begin:], f"torn, repeated or invented: {record!r}"
        return story.records.index(record, begin)

    @precondition(lambda self: self.held)
    @rule(at=which, dies=st.booleans())
    def gives_up(self, at: int, dies: bool) -> None:
        self.let_go(self.held[at % len(self.held)], dies=dies)

    def let_go(self, heir: Heir, *, dies: bool = True) -> None:
        if dies and heir.life.alive:
            heir.life.die()
        elif heir.orphan is not None and heir.life.alive:
            with acting(heir.life):
                heir.orphan.close()
            self.held.remove(heir)
            heir.orphan = None
        self.look_after(heir)

    def look_after(self, heir: Heir) -> None:
        """A process that dies lets go of all that it has adopted."""
        if not heir.life.alive:
            for other in [other for other in self.held if other.life is heir.life]:
                self.held.remove(other)
                other.orphan = None
        elif not any(other.life is heir.life for other in self.held) and not heir.life.failed:
            assert not heir.life.descriptors, "it has something open"

    def deliver_all(self) -> None:
        """A process that nothing happens to delivers all that is left."""
        heirs = self.adopt(1_000, None, None)
        missing = self.left.keys() - {heir.orphan.name for heir in heirs if heir.orphan is not None}
        assert not any(self.left[name].must for name in missing), missing
        for heir in heirs:
            while heir.orphan is not None:
                self.deliver(heir, 5, 0, None)
        left = [path for path in Path(self.path).glob("*/*") if path.suffix]
        assert not left or self.is_damaged or any(life.failed for life in self.lives), left


TestJournals = Journals.TestCase
TestJournals.settings = properties(70, steps=40)
