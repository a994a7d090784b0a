"""The environment variables of this package, and warnings about misspelt ones."""

import os
from typing import Final

from failpath_otel.report import warn_once

ENDPOINT_VARIABLES: Final = ("FAILPATH_DEV_ENDPOINT", "FAILPATH_ENDPOINT")
"""Two names for one option: that of Failpath's other SDK, and the obvious one."""
LOCAL_VARIABLE: Final = "FAILPATH_LOCAL_TOKEN"
GATEWAY_VARIABLE: Final = "FAILPATH_GATEWAY_TOKEN"

_PREFIX: Final = "FAILPATH_"
_OF_OPTIONS: Final = (
    *("PROJECT_KEY", "ENABLED", "CAPTURE_STACK", "SEND_ERROR_MESSAGES", "SEND_PROCESS", "DELIVERY", "RULES"),
    *("THROW_ON_SEND_ERROR", "SEND_TIMEOUT", "MAX_QUEUE_SIZE", "JOURNAL", "COMPRESSION", "METRICS", "FLOWS"),
)
VARIABLES: Final = (
    *ENDPOINT_VARIABLES,
    LOCAL_VARIABLE,
    GATEWAY_VARIABLE,
    *(f"{_PREFIX}{name}" for name in _OF_OPTIONS),
)
"""All of them; a test compares them with those that the source names."""

_CLOSE: Final = 0.8
_MAX_NAME: Final = 60


def warn_of_misspelt_variables() -> None:
    """Warn once for each environment variable that is nearly one of ours and therefore ignored."""
    for name in tuple(os.environ):
        if name[: len(_PREFIX)].upper() == _PREFIX and name not in VARIABLES and len(name) <= _MAX_NAME:
            meant = _nearest(name.upper())
            if meant is not None:
                text = "Failpath: the environment variable %s is unknown; did you mean %s?"
                warn_once(f"variable {name}", text, name, meant)


def _nearest(name: str) -> str | None:
    """Return the variable with similar letters, else the only one that contains all words."""
    # Imported on use: most environments have no misspelt variable.
    from difflib import get_close_matches  # noqa: PLC0415

    ours = {variable.removeprefix(_PREFIX): variable for variable in VARIABLES}
    rest = name.removeprefix(_PREFIX)
    close = get_close_matches(rest, ours, 1, _CLOSE)
    if close:
        return ours[close[0]]
    words = set(rest.split("_"))
    holding = [variable for short, variable in ours.items() if words <= set(short.split("_"))]
    return holding[0] if len(holding) == 1 else None
