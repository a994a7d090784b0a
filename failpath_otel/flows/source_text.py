"""Pieces of Python source, formatted as ``ruff format`` does by default."""

import unicodedata
from typing import Final

_WIDTH: Final = 88


def literal(text: str, indent: int = 0) -> str:
    """Return a text as a string literal, as it can stand on a line of its own with this indentation."""
    written = _quoted(text, ascii_only=False)
    # How wide other characters are is not the same everywhere: where it may matter, they are escapes.
    may_be_too_wide = indent + 2 * len(written) > _WIDTH
    return _quoted(text, ascii_only=True) if may_be_too_wide and not text.isascii() else written


def assignment(indent: int, target: str, value: str) -> str:
    """Return ``target = value``; a value that fits only on a line of its own stands there, in parentheses."""
    space = " " * indent
    flat = f"{space}{target} = {value}"
    if _width(flat) <= _WIDTH or indent + 4 + _width(value) > _WIDTH:
        return flat
    return f"{space}{target} = (\n{space}    {value}\n{space})"


def subscript(indent: int, before: str, index: str, after: str = "") -> str:
    """Return ``before[index]after``; an index with which it does not fit stands on a line of its own."""
    space = " " * indent
    flat = f"{space}{before}[{index}]{after}"
    if _width(flat) <= _WIDTH:
        return flat
    return f"{space}{before}[\n{space}    {index}\n{space}]{after}"


def alternatives(target: str, texts: list[str]) -> str:
    """Return a type alias of these texts, ``NoReturn`` where there are none."""
    literals = [literal(text, 4) for text in texts]
    if not literals:
        return f"{target} = NoReturn"
    if len(literals) == 1:
        return subscript(0, f"{target} = Literal", literals[0])
    return "\n".join([f"{target} = Literal[", *(f"    {each}," for each in literals), "]"])


def _quoted(text: str, *, ascii_only: bool) -> str:
    quote = "'" if text.count('"') > text.count("'") else '"'
    return f"{quote}{''.join(_escaped(char, quote, ascii_only=ascii_only) for char in text)}{quote}"


def _escaped(char: str, quote: str, *, ascii_only: bool) -> str:
    if char in (quote, "\\"):
        return f"\\{char}"
    if char.isascii() if ascii_only else char.isprintable():
        return char if char.isprintable() else char.encode("unicode_escape").decode()
    return char.encode("unicode_escape").decode()


def _width(line: str) -> int:
    if line.isascii():
        return len(line)
    return sum(
        2 if unicodedata.east_asian_width(char) in "FW" else int(not unicodedata.combining(char)) for char in line
    )
