"""Stacks as texts, which others have written."""

import re
from typing import Final

_FRAME: Final = re.compile(
    # In a group of exceptions every line has a margin. What belongs to a frame, as its line of source, is indented.
    r'^(?P<margin>[ |]*  )File "[^"\n]*[/\\]failpath_otel[/\\]steps[/\\]\w+\.py", line \d+[^\n]*(?:\n|\Z)'
    r"(?:(?P=margin) [^\n]*(?:\n|\Z))*",
    re.MULTILINE,
)


def without_our_frames(stack: str) -> str:
    """``stack``, a traceback of any process, without the frames by which its exception has passed through steps.

    Of the stacks that this package writes it leaves them out itself.
    """
    return _FRAME.sub("", stack) if "failpath_otel" in stack else stack
