"""The lowest versions that pyproject.toml claims: safe, without upper bounds, and those of ``make test-floor``."""

import os
import re
import shutil
import subprocess
import tracemalloc
import zlib
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.version import Version

from failpath_otel.delivery.http.client import HttpClient
from failpath_otel.options.options import Options
from tests.fault_server import FaultServer, answer
from tools.floors import EXTRAS, floors, project

MIB: Final = 1_048_576
ROOT: Final = Path(__file__).parents[1]
UPGRADING: Final = ROOT / "docs" / "production" / "upgrading.md"
PINS: Final = [Requirement(pin) for pin in floors(project())]
SAFE: Final = [
    # A few kilobytes of an answer could become hundreds of megabytes of memory.
    ("urllib3", "2.6.3"),
    # An authority that Mozilla had removed was trusted.
    ("certifi", "2024.7.4"),
    # A `.netrc` entry could be sent to another host.
    ("requests", "2.32.4"),
    # A chunked body could be read in another way than a proxy in front reads it.
    ("h11", "0.16"),
]


def claimed() -> list[Requirement]:
    """What the package that is installed asks for: in its core, and in the extras that are part of it."""
    found = []
    for text in requires("failpath-otel") or ():
        requirement = Requirement(text)
        extras = [extra for extra in ("", *EXTRAS) if _holds(requirement, extra)]
        if extras and not requirement.url and requirement.name != "failpath-otel":
            found.append(requirement)
    return found


def _holds(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def test_each_package_that_is_asked_for_is_among_the_floors_with_the_version_that_is_asked_for() -> None:
    pins = {pin.name: str(pin.specifier) for pin in PINS}
    assert {(each.name, str(each.specifier).replace(">=", "==")) for each in claimed()} <= set(pins.items())
    assert len(pins) >= 14


def test_no_package_has_an_upper_bound() -> None:
    """A library that holds back what an application may have is the one that is taken out."""
    assert [str(each) for each in claimed() if not re.fullmatch(r">=[0-9.]+", str(each.specifier))] == []


@pytest.mark.parametrize("requirement", ["requests>=2,<3", "requests~=2.31", "requests", "requests==2.31"])
def test_what_is_no_floor_is_not_passed_over(requirement: str) -> None:
    with pytest.raises(ValueError, match="no upper bound"):
        floors({"dependencies": [requirement], "optional-dependencies": {name: [] for name in EXTRAS}})


def test_a_package_has_one_floor_in_all_extras() -> None:
    extras: dict[str, Any] = {name: [] for name in EXTRAS} | {"local": ["anyio>=4"], "gateway": ["anyio>=4.7"]}
    with pytest.raises(ValueError, match="anyio has two floors"):
        floors({"dependencies": [], "optional-dependencies": extras})


@pytest.mark.parametrize(("name", "safe"), SAFE)
def test_the_floor_is_not_below_the_first_safe_version(name: str, safe: str) -> None:
    (pin,) = [pin for pin in PINS if pin.name == name]
    (specifier,) = pin.specifier
    assert Version(specifier.version) >= Version(safe)


def test_an_answer_that_is_a_gzip_bomb_is_not_held_as_a_whole(server: FaultServer) -> None:
    compressor = zlib.compressobj(9, wbits=31)
    block = b" " * MIB
    bomb = b"".join([compressor.compress(block) for _ in range(64)]) + compressor.flush()
    assert len(bomb) < 100_000
    server.answer_with(answer(200, bomb, Content_Type="application/json", Content_Encoding="gzip"))
    delivery = HttpClient(Options("fp_project_any", server.url))
    tracemalloc.start()
    try:
        said = delivery.send([b"{}"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        delivery.close()
    assert said.failure
    assert peak < 8 * MIB


@pytest.mark.parametrize("extra", ["local", "gateway"])
def test_the_servers_name_the_parser_of_http_whose_version_matters(extra: str) -> None:
    assert "h11" in {Requirement(each).name for each in project()["optional-dependencies"][extra]}


@pytest.mark.parametrize("name", ["requests", "urllib3", "certifi"])
def test_the_page_of_upgrading_names_the_floor(name: str) -> None:
    (specifier,) = next(pin.specifier for pin in PINS if pin.name == name)
    _, _, libraries = UPGRADING.read_text(encoding="utf-8").partition("## Python and libraries")
    assert f"{name} {specifier.version}" in libraries


@pytest.mark.process
@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_what_the_floor_run_leaves_out_is_there_to_be_left_out() -> None:
    said = subprocess.run(["make", "-n", "test-floor"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    ignored = re.findall(r"--ignore=(\S+)", said)
    assert len(ignored) > 20
    assert [path for path in ignored if not (ROOT / path).exists()] == []
    kept = ("local", "gateway", "serving", "delivery", "records", "spans", "options")
    assert not {f"tests/{room}" for room in kept} & set(ignored)


@pytest.mark.skipif("FLOORS" not in os.environ, reason="only `make test-floor` installs the lowest versions")
@pytest.mark.parametrize("pin", PINS, ids=[pin.name for pin in PINS])
def test_the_floor_run_has_exactly_the_lowest_versions(pin: Requirement) -> None:
    if pin.marker is not None and not pin.marker.evaluate(default_environment()):  # type: ignore[arg-type]
        pytest.skip(f"not on this Python: {pin.marker}")
    assert pin.specifier.contains(version(pin.name)), f"{pin.name} is {version(pin.name)}, not {pin.specifier}"
