"""A finding: what is wrong, and where."""

from typing import Final, Literal, NamedTuple

from failpath_otel.checking.files.place import Place

Severity = Literal["error", "warning"]

UNKNOWN_FLOW: Final = "unknown-flow"
UNKNOWN_STEP: Final = "unknown-step"
UNUSED_FLOW: Final = "unused-flow"
UNUSED_STEP: Final = "unused-step"
UNSEEN_FLOW: Final = "unseen-flow"
UNSEEN_STEP: Final = "unseen-step"
OTHER_ORDER: Final = "other-order"
CODES: Final = (UNKNOWN_FLOW, UNKNOWN_STEP, UNUSED_FLOW, UNUSED_STEP, UNSEEN_FLOW, UNSEEN_STEP, OTHER_ORDER)
"""All that can be found."""


class Finding(NamedTuple):
    """One finding.

    ``flow`` and ``step`` are the keys that it is about; ``suggestion`` is the key that may have been meant.
    """

    place: Place
    severity: Severity
    code: str
    message: str
    flow: str | None = None
    step: str | None = None
    suggestion: str | None = None
