"""Splits the text of a stack into frames, and marks the application's own.

Python, JavaScript, Java, .NET, Go, Ruby and PHP are known; in any other language each line is a frame.
"""

import re
from typing import Final

import msgspec

MAX_FRAMES: Final = 500
"""The most frames; those in the middle of a longer stack become one."""

_PYTHON: Final = re.compile(r'([ |+]*)File "([^"]*)"')
_PYTHON_REPEATED: Final = "[Previous line repeated "
_AT: Final = re.compile(r"[ \t]*at (?:async |new )*([^\s(]*)")
_GO_PLACE: Final = re.compile(r"[ \t]+([^ \t].*\.(?:go|s)):[0-9]+")
_RUBY: Final = re.compile(r"(?:[ \t]*from )?[ \t]*([^ \t].*):[0-9]+:in ")
_PHP: Final = re.compile(r"#[0-9]+ (.*)\([0-9]+\): ")
_JAVA_OMITTED: Final = re.compile(r"[ \t]*\.\.\. [0-9]+ (?:more|common frames)")

_LIBRARY_PLACES: Final = re.compile(
    r"[/(]site-packages/|/dist-packages/|/lib/python3|/python3?[0-9.]*/lib/|<frozen "
    r"|/node_modules/|\bnode:|[(/ ]internal/modules/|\(<anonymous>\)|\(native\)"
    r"|/vendor/|/usr/local/go/src/|/lib/go[^/]*/src/|/sdk/go[0-9.]+/src/|/program files/go/src/"
    r"|/go/[0-9.]+/[^/]+/src/|/pkg/mod/|@v[0-9]+\."
    r"|/gems/|/lib/ruby/|<internal:",
    re.IGNORECASE,
)
_LIBRARY_NAMES: Final = (
    *("java.", "javax.", "jdk.", "sun.", "com.sun.", "jakarta.", "kotlin.", "kotlinx.", "scala.", "groovy."),
    *("org.springframework.", "org.apache.", "org.hibernate.", "org.junit.", "org.eclipse.jetty.", "org.jboss."),
    *("com.fasterxml.", "io.netty.", "io.undertow.", "io.quarkus.", "reactor.", "System.", "Microsoft."),
)
_GO_LIBRARY_NAMES: Final = ("runtime.", "runtime/", "reflect.", "panic(", "net/http.", "testing.")


class Frame(msgspec.Struct, frozen=True, rename="camel"):
    """One frame, or a line between frames: a message, or what a language prints around its frames.

    ``application`` is false for the code of the language and of libraries; what is no frame is true.
    """

    text: str
    application: bool


def split_stack(stack: str) -> list[Frame]:
    r"""Return the frames of a stack in its own order; their texts, joined by ``\n``, are the stack again."""
    if not stack:
        return []
    frames: list[_Growing] = []
    for line in stack.split("\n"):
        if frames and frames[-1].takes(line):
            frames[-1].add(line)
        else:
            frames.append(_Growing(line))
    if len(frames) <= MAX_FRAMES:
        return [frame.done() for frame in frames]
    # Python puts the place of the error last, most others put it first.
    head = MAX_FRAMES // 2
    tail = len(frames) - (MAX_FRAMES - head - 1)
    middle = "\n".join(frame.done().text for frame in frames[head:tail])
    return [
        *(frame.done() for frame in frames[:head]),
        Frame(middle, application=False),
        *(frame.done() for frame in frames[tail:]),
    ]


class _Growing:
    """A frame that is still growing by the lines that belong to it."""

    __slots__ = ("_application", "_is_text", "_lines", "_python_lead")

    def __init__(self, line: str) -> None:
        self._lines = [line]
        self._python_lead: int | None = None
        application = _of_one_line(line)
        self._is_text = application is None
        self._application = application is not False
        if python := _PYTHON.match(line):
            self._python_lead = len(python[1])
            self._is_text = False
            self._application = not _is_library(python[2])

    def takes(self, line: str) -> bool:
        """Return whether a line that follows belongs to this frame."""
        if not line.strip():
            return True
        if self._python_lead is not None:
            lead = len(line) - len(line.lstrip(" |"))
            repeated = lead == self._python_lead and line.startswith(_PYTHON_REPEATED, lead)
            return repeated or (lead > self._python_lead and not _PYTHON.match(line))
        # Go names the function on one line and its place on the next.
        return self._is_text and not self._lines[0][:1].isspace() and _GO_PLACE.match(line) is not None

    def add(self, line: str) -> None:
        self._lines.append(line)
        if self._is_text and (place := _GO_PLACE.match(line)):
            function = self._lines[0].removeprefix("created by ")
            self._application = not (_is_library(place[1]) or function.startswith(_GO_LIBRARY_NAMES))
            self._is_text = False

    def done(self) -> Frame:
        return Frame("\n".join(self._lines), self._application)


def _of_one_line(line: str) -> bool | None:
    """Return whether a line that is a whole frame is the application's; ``None`` if it is no known frame."""
    if at := _AT.match(line):
        # Java names a module before the class: java.base/java.util.ArrayList.get(ArrayList.java:427)
        name = at[1].rpartition("/")[2]
        return not (name.startswith(_LIBRARY_NAMES) or _is_library(line))
    if _JAVA_OMITTED.match(line):
        return False
    place = _RUBY.match(line) or _PHP.match(line)
    return None if place is None else not _is_library(place[1])


def _is_library(place: str) -> bool:
    # With a slash in front, a path that is relative begins like one in the middle of another.
    return _LIBRARY_PLACES.search("/" + place.replace("\\", "/")) is not None
