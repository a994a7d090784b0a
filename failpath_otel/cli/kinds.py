"""What arguments of the command line may be: converters, whose errors :mod:`argparse` prints."""

import argparse
import errno
import ipaddress
import os
import re
import select
import stat
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from failpath_otel.addresses import LOOPBACK

_T = TypeVar("_T")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_LONGEST_SECRET: Final = 4096
_PIPE_SECONDS: Final = 5.0
_LONGEST_SECONDS: Final = 36_500 * 86_400


def matching(pattern: str, what: str, kind: Callable[[str], _T]) -> Callable[[str], _T]:
    """Return a converter of texts that match all of *pattern*; *what* names them in the error."""

    def convert(text: str) -> _T:
        if re.fullmatch(pattern, text):
            return kind(text)
        msg = f"expected {what}, got {text!r}"
        raise argparse.ArgumentTypeError(msg)

    return convert


def number(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a converter of whole numbers from *lowest* to *highest*."""

    def convert(text: str) -> int:
        number = int(text) if re.fullmatch("[0-9]{1,9}", text) else -1
        if not lowest <= number <= highest:
            msg = f"expected a number from {lowest} to {highest}, got {text!r}"
            raise argparse.ArgumentTypeError(msg)
        return number

    return convert


def number_or_off(lowest: int, highest: int) -> Callable[[str], int | str]:
    """Return a converter of whole numbers, and of the word ``off``."""
    convert = number(lowest, highest)
    return lambda text: text if text == "off" else convert(text)


def pair(text: str) -> str:
    """Return ``NAME=VALUE`` as it is."""
    if not text.partition("=")[1]:
        msg = f"expected NAME=VALUE, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return text


def duration(text: str) -> timedelta:
    """Return a duration, such as ``90s``, ``15m``, ``1h``, ``1h30m``, ``2d`` or ``1w``."""
    found = re.fullmatch("([0-9]{1,6}[wdhms])+", text)
    parts = re.findall("([0-9]+)([wdhms])", text) if found else []
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in parts)
    if not 0 < seconds <= _LONGEST_SECONDS:
        msg = f"expected a duration, as 90s, 15m, 1h, 1h30m, 2d or 1w, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return timedelta(seconds=seconds)


def address(text: str) -> str:
    """Return an IP address as text; ``localhost`` is the loopback one."""
    try:
        return LOOPBACK if text == "localhost" else str(ipaddress.ip_address(text))
    except ValueError:
        msg = f"expected an IP address, as 0.0.0.0, got {text!r}"
        raise argparse.ArgumentTypeError(msg) from None


def token(text: str) -> str:
    """Return a token, which has to be one word of a header."""
    # One word of a header. The text itself is not repeated: it may be a secret.
    if re.fullmatch(r"[!-~]{8,1000}", text):
        return text
    msg = "expected at least 8 letters, digits and signs of ASCII, without spaces"
    raise argparse.ArgumentTypeError(msg)


def secret(text: str) -> str:
    """Return what a file has, such as a Docker secret or a credential of systemd, without white space around it.

    A pipe may be named, as by the shell's ``<(...)``, if something is written to it soon.
    """
    try:
        # The opening of a pipe alone waits for a writer.
        with open(text, encoding="utf-8-sig", opener=_open_at_once) as opened:
            _prepare(opened.fileno())
            content = opened.read(_LONGEST_SECRET + 1)
    except (OSError, ValueError) as error:
        # A text that is not UTF-8 is not repeated: it may be a secret.
        reason = error.strerror if isinstance(error, OSError) else "expected UTF-8"
        msg = f"cannot read {text!r}: {reason}"
        raise argparse.ArgumentTypeError(msg) from None
    if len(content) > _LONGEST_SECRET:
        msg = f"the file {text!r} is longer than a secret: at most {_LONGEST_SECRET} characters"
        raise argparse.ArgumentTypeError(msg)
    if not (found := content.strip()):
        msg = f"the file {text!r} is empty"
        raise argparse.ArgumentTypeError(msg)
    return found


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _prepare(descriptor: int) -> None:
    """Have reads wait again, but those of a pipe only once something was written to it."""
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode) and not select.select([descriptor], [], [], _PIPE_SECONDS)[0]:
        raise OSError(errno.ETIMEDOUT, "nothing was written to this pipe")
    if sys.platform != "win32":
        os.set_blocking(descriptor, True)


def file(text: str) -> Path:
    """Return the path of a file that exists."""
    if Path(text).is_file():
        return Path(text)
    msg = f"there is no file {text!r}"
    raise argparse.ArgumentTypeError(msg)


def trace_url(text: str) -> str:
    """Return the template of a link to a trace."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if usable and text.isprintable() and " " not in text and "{trace_id}" in text:
        return text
    msg = f"expected a URL of http or https with {{trace_id}} in it, got {text!r}"
    raise argparse.ArgumentTypeError(msg)


def origin(text: str) -> str:
    """Return the origin of web pages, as browsers serialise it in the header ``Origin``."""
    msg = f"expected the origin of web pages, as https://shop.example or http://localhost:3000, got {text!r}"
    try:
        parts = urlsplit(text)
        port = parts.port
        host = parts.hostname or ""
        if ":" in host:
            host = f"[{ipaddress.IPv6Address(host)}]"
    except ValueError:
        raise argparse.ArgumentTypeError(msg) from None
    beside = parts.path.removeprefix("/") or parts.query or parts.fragment or "@" in parts.netloc
    if beside or parts.scheme not in _DEFAULT_PORTS or not re.fullmatch(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]", host):
        raise argparse.ArgumentTypeError(msg)
    default = port is None or port == _DEFAULT_PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" if default else f"{parts.scheme}://{host}:{port}"
