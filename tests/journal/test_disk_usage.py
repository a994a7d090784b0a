"""How much disk space the journals of a directory may take together."""

from types import SimpleNamespace
from typing import cast

import pytest

from failpath_otel import limits
from failpath_otel.journal.disk_usage import max_total_bytes
from failpath_otel.journal.files.file_system import Folder

MIB = 1 << 20
TWO_FULL_JOURNALS = 2 * (limits.JOURNAL_SEGMENTS + 2) * limits.JOURNAL_SEGMENT_BYTES


@pytest.mark.parametrize(
    ("file_system", "journals"),
    [
        (500_000 * MIB, 1_024 * MIB),
        (10_240 * MIB, 512 * MIB),
        (1_024 * MIB, TWO_FULL_JOURNALS),  # 5 % would be less than one
        (100 * MIB, 50 * MIB),
    ],
)
def test_a_small_volume_has_room_for_the_journal_of_a_crash_beside_the_next_one(
    file_system: int, journals: int
) -> None:
    base = cast(Folder, SimpleNamespace(total_bytes=lambda: file_system))
    assert max_total_bytes(base) == journals
