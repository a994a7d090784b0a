"""What the log says of a database that is busy or full, which every request of that time meets."""

import logging
from time import monotonic
from typing import Final

from failpath_otel.local.store.database import StoreError

_SECONDS: Final = 60.0
"""How long the same failure is not logged again."""

_log: Final = logging.getLogger(__name__)
_logged: Final[dict[str, float]] = {}


def log_failure(error: StoreError) -> None:
    """Log why requests were refused, once a minute for each reason."""
    text, now = str(error), monotonic()
    if now - _logged.get(text, -_SECONDS) < _SECONDS:
        return
    _logged[text] = now
    _log.error("%s (not logged again for %d s)", text, _SECONDS)
