"""The image of the gateway: what its Dockerfile says, held against the gateway, the package and the locks."""

import json
import re
import socket
import threading
from pathlib import Path
from queue import Queue
from typing import Any, Final

import msgspec
import pytest
from packaging.requirements import Requirement

from failpath_otel.options.variables import VARIABLES
from tests.deploy.manifests import (
    DEPLOY,
    GRPC_PORT,
    HTTP_PORT,
    JOURNAL,
    ROOT,
    image,
    image_command,
    image_variables,
    instructions,
    started_with,
)

FOLDER: Final = DEPLOY / "docker"
PROJECT: Final[dict[str, Any]] = msgspec.toml.decode((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def lock(name: str) -> dict[str, str]:
    """The pinned versions by their names; each has at least one hash."""
    found = {}
    for entry in re.split(r"\n(?=\S)", (FOLDER / name).read_text(encoding="utf-8")):
        if not entry.startswith("#"):
            pinned = re.match(r"([\w.-]+)==(\S+)", entry)
            assert pinned, entry
            assert "--hash=sha256:" in entry
            found[pinned[1].lower()] = pinned[2]
    return found


def test_its_command_is_a_gateway_for_other_machines_at_the_ports_that_it_exposes(tmp_path: Path) -> None:
    program, *arguments = image_command()
    assert program in PROJECT["project"]["scripts"]
    started = started_with(arguments, tmp_path / "key")
    assert (started.host, started.port) == ("0.0.0.0", HTTP_PORT)
    assert image()["EXPOSE"] == [f"{GRPC_PORT} {HTTP_PORT}"]


def test_it_runs_as_a_number_that_is_not_root_and_its_journal_is_on_the_volume() -> None:
    [user], [volume], [command] = image()["USER"], image()["VOLUME"], image()["RUN"]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    assert Path(image_variables()[JOURNAL]).is_relative_to(volume)
    assert f"--owner={user.partition(':')[0]} " in command
    assert command.endswith(volume)
    assert {name for name in image_variables() if name.startswith("FAILPATH_")} <= set(VARIABLES)
    assert image()["STOPSIGNAL"] == ["SIGTERM"]


class Answering:
    """A server that answers the first request that it gets."""

    def __init__(self, status: str) -> None:
        self.asked: Queue[bytes] = Queue()
        self._status = status
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        with self._listener:
            connection, _ = self._listener.accept()
            with connection:
                self.asked.put(connection.recv(1000))
                connection.sendall(f"HTTP/1.1 {self._status}\r\n\r\n".encode())


@pytest.mark.parametrize(("status", "is_healthy"), [("200 OK", True), ("503 Service Unavailable", False)])
def test_its_health_check_asks_the_gateway_and_fails_where_the_answer_is_not_200(status: str, is_healthy: bool) -> None:
    [check] = image()["HEALTHCHECK"]
    program, options, code = json.loads(check.partition(" CMD ")[2])
    assert (program, options) == ("python", "-ISc")
    assert code.count(f", {HTTP_PORT})") == 1
    answering = Answering(status)
    names: dict[str, Any] = {}
    with pytest.raises(SystemExit) as ended:
        exec(code.replace(f", {HTTP_PORT})", f", {answering.port})"), names)
    names["s"].close()
    assert ended.value.code is not is_healthy
    assert answering.asked.get(timeout=10).startswith(b"GET /healthz HTTP/1.0\r\n")


def test_its_packages_are_those_of_the_extras_at_versions_that_the_package_claims() -> None:
    pinned = lock("requirements.txt")
    extras = PROJECT["project"]["optional-dependencies"]
    for text in (*PROJECT["project"]["dependencies"], *extras["gateway"], *extras["grpc"]):
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"python_version": "3.13"}):
            assert requirement.specifier.contains(pinned[requirement.name.lower()]), text


def test_its_wheel_is_built_by_what_the_project_is_built_with() -> None:
    pinned = lock("build-requirements.txt")
    for requirement in map(Requirement, PROJECT["build-system"]["requires"]):
        assert requirement.specifier.contains(pinned[requirement.name])


def test_what_it_copies_is_not_ignored_and_it_names_where_the_project_is() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split() if line[0] == "!"}
    for word, rest in instructions(FOLDER / "Dockerfile"):
        if word == "COPY" and not rest.startswith("--from="):
            for name in rest.split()[:-1]:
                assert (ROOT / name).exists()
                assert any((ROOT / name) in ROOT.glob(pattern) for pattern in allowed), name
    [labels] = image()["LABEL"]
    assert f'image.source="{PROJECT["project"]["urls"]["Repository"]}"' in labels
    assert f'image.url="{PROJECT["project"]["urls"]["Documentation"]}"' in labels
    assert f'image.licenses="{PROJECT["project"]["license"]}"' in labels
