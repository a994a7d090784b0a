"""Flow keys that no project declares."""

from typing import Final

TEST_FLOW: Final = "failpath-doctor"
"""That of the test events of ``failpath-otel doctor --send``."""
