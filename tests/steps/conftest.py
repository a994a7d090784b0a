from collections.abc import Iterator

import pytest

from failpath_otel import Run
from tests.recording import Recording, recording_with


@pytest.fixture
def recording() -> Iterator[Recording]:
    """A client on a provider of its own."""
    with recording_with() as made:
        yield made


@pytest.fixture
def run(recording: Recording) -> Run:
    """A run of that client, not entered."""
    return recording.run()
