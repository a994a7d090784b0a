"""Stack traces in text form that other libraries have written."""

import re
from typing import Final

_FRAME: Final = re.compile(
    # Lines of exception groups have a margin; the source lines of a frame are indented further.
    r'^(?P<margin>[ |]*  )File "[^"\n]*[/\\]failpath_otel[/\\]steps[/\\]\w+\.py", line \d+[^\n]*(?:\n|\Z)'
    r"(?:(?P=margin) [^\n]*(?:\n|\Z))*",
    re.MULTILINE,
)


def without_our_frames(stack: str) -> str:
    """Remove the frames of this package's ``steps`` from *stack*, a traceback of any process.

    Stack traces that this package writes have none of them.
    """
    return _FRAME.sub("", stack) if "failpath_otel" in stack else stack
