"""What arguments of the command line may be."""

import argparse
import os
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest

from failpath_otel.cli import kinds


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://shop.example", "https://shop.example"),
        ("https://Shop.Example/", "https://shop.example"),
        ("HTTPS://shop.example:443", "https://shop.example"),
        ("http://shop.example:80/", "http://shop.example"),
        ("https://shop.example:80", "https://shop.example:80"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://localhost:0080", "http://localhost"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[0:0::0:1]", "http://[::1]"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_becomes_what_browsers_send(text: str, origin: str) -> None:
    assert kinds.origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "null", "shop.example", "//shop.example", "https://", "https://*.shop.example", "file:///page.html"),
        *("https://shop.example/page", "https://shop.example?x", "https://shop.example#x", "https://ada@shop.example"),
        *("https://shop.example:x", "https://shop.example:99999", "https://bücher.example", "https://shop example"),
        *("http://[::1", "http://[::g]", "https://a,https://b", "ws://shop.example"),
    ],
)
def test_what_no_browser_sends_as_an_origin_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected the origin of web pages"):
        kinds.origin(text)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("1h30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("1w", timedelta(weeks=1)),
    ],
)
def test_a_duration_has_units(text: str, duration: timedelta) -> None:
    assert kinds.duration(text) == duration


@pytest.mark.parametrize("text", ["", "5", "h", "1 h", "1.5h", "-1h", "0s", "1y", "999999w", "1h30"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a duration, as 90s"):
        kinds.duration(text)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory"),
        (b" \n", "is empty"),
        (b"fp_\xff_key", "expected UTF-8"),
        (b"fp_" + b"k" * 4094, "is longer than a secret"),
    ],
)
def test_a_file_that_has_no_secret_is_named_without_what_is_in_it(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(argparse.ArgumentTypeError, match=why) as caught:
        kinds.secret(str(path))
    assert str(path) in str(caught.value)
    assert "fp_" not in str(caught.value)


def test_a_byte_order_mark_and_line_ends_of_windows_are_no_part_of_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"\xef\xbb\xbffp_project_xxx\r\n")
    assert kinds.secret(str(path)) == "fp_project_xxx"


def test_a_secret_comes_through_a_pipe_and_one_without_a_writer_does_not_hold_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    monkeypatch.setattr(kinds, "_PIPE_SECONDS", 0.01)
    with pytest.raises(argparse.ArgumentTypeError, match="nothing was written to this pipe"):
        kinds.secret(str(path))
    monkeypatch.undo()
    writer = Thread(target=path.write_text, args=["fp_project_xxx\n"])
    writer.start()
    assert kinds.secret(str(path)) == "fp_project_xxx"
    writer.join()
