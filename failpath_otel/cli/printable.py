"""Text from outside that may be printed on a terminal."""


def printable(text: str) -> str:
    r"""Return ``text`` with all but visible characters and plain spaces as escapes (``\x1b``, ``\n``)."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
