"""The files of ``deploy/``, as what reads them sees them; and what a gateway is started with, as its parser sees it."""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from failpath_otel import limits
from failpath_otel.cli.parser import new_parser
from failpath_otel.gateway import server

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
HTTP_PORT: Final = 4318
GRPC_PORT: Final = 4317
ENDS_WITHIN: Final = server._GRACE_SECONDS + limits.FLUSH_TIMEOUT + limits.EXIT_TIMEOUT
"""Seconds that a gateway takes to end, at most."""
JOURNAL: Final = "FAILPATH_JOURNAL"


def documents(path: Path) -> Iterator[Any]:
    """The documents of a YAML file."""
    for text in re.split(r"^---$", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        yield msgspec.yaml.decode(text)


def only(path: Path) -> Any:
    """The one document of a YAML file."""
    [document] = documents(path)
    return document


def started_with(arguments: Sequence[str], key_file: Path) -> argparse.Namespace:
    """What the command makes of its arguments; ``key_file`` stands for each secret."""
    key_file.write_text("fp_project_of_a_file")
    return new_parser().parse_args([str(key_file) if word.startswith("/run/secrets/") else word for word in arguments])


def instructions(path: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments, on one line each."""
    lines = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    joined = re.sub(r"\\\n\s*", " ", lines)
    return [(word, rest) for line in joined.splitlines() if line for word, _, rest in [line.partition(" ")]]


def image() -> dict[str, list[str]]:
    """The instructions of the last stage of the image, by their names."""
    found: dict[str, list[str]] = {}
    for word, rest in instructions(DEPLOY / "docker" / "Dockerfile"):
        if word == "FROM":
            found = {}
        found.setdefault(word, []).append(rest)
    return found


def image_variables() -> dict[str, str]:
    """The environment that the image sets."""
    return dict(pair.split("=", 1) for rest in image()["ENV"] for pair in rest.split())


def image_command() -> list[str]:
    """What a container runs that is given no arguments."""
    [entry], [arguments] = image()["ENTRYPOINT"], image()["CMD"]
    return [*json.loads(entry), *json.loads(arguments)]
