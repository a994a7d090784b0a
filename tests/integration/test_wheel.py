"""What is installed: the wheel, built as for a release, in an environment of its own outside of this tree."""

import http.client
import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

import failpath_otel
from failpath_otel._version import __version__
from failpath_otel.local.api.assets.joined_page import joined_page
from tests.fault_server import FaultServer
from tests.receiver import first_line

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = Path(failpath_otel.__file__).parent
PAGE: Final = PACKAGE / "local" / "page"
VENDOR: Final = "failpath_otel/local/page/vendor"
LICENCES: Final = ("LICENSE-htm.txt", "LICENSE-preact.txt")

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="there is no source tree to build"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    _pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(directory), str(ROOT))
    (found,) = directory.glob("*.whl")
    return found


@pytest.mark.process
def test_the_wheel_holds_the_page_and_every_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        information = f"failpath_otel-{__version__}.dist-info"
        kept = f"{information}/licenses"
        assert {f"{kept}/LICENSE", *(f"{kept}/{VENDOR}/{name}" for name in LICENCES)} <= names
        for name in LICENCES:
            assert archive.read(f"{kept}/{VENDOR}/{name}") == (PAGE / "vendor" / name).read_bytes()
        page = {path.relative_to(PACKAGE.parent).as_posix() for path in PAGE.rglob("*") if path.is_file()}
        page -= {f"{VENDOR}/{name}" for name in LICENCES}  # are among the licences of the metadata
        assert {name for name in names if name.startswith("failpath_otel/local/page/")} == page
        assert "License-Expression: Apache-2.0 AND MIT" in archive.read(f"{information}/METADATA").decode()
    assert not [name for name in names if not name.startswith(("failpath_otel", information))]


@pytest.mark.process
@pytest.mark.timeout(240)  # installs packages from the network
def test_in_an_environment_of_its_own_the_wheel_examines_and_drains_and_with_an_extra_it_serves_the_page(
    wheel: Path, tmp_path: Path, server: FaultServer
) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=os.name == "posix")
    scripts = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    _pip(sys.executable, "--python", str(scripts / "python"), "install", "--no-compile", str(wheel))
    report = json.loads(_said(scripts / "failpath-otel", tmp_path, server.url, "doctor", "--send", "--json"))
    assert report["ok"], report
    assert [event["flowKey"] for event in server.taken] == ["failpath-doctor"]
    [versions] = [each["facts"]["packages"] for each in report["checks"] if "packages" in each["facts"]]
    assert "opentelemetry-sdk" in versions
    assert not {"starlette", "uvicorn", "opentelemetry-instrumentation"} & versions.keys()
    assert json.loads(_said(scripts / "failpath-otel", tmp_path, server.url, "drain", "--json"))["left"] == 0
    _pip(sys.executable, "--python", str(scripts / "python"), "install", "--no-compile", f"{wheel}[local]")
    # All of the source tree but the licences, which are among those of the metadata.
    files = {path.relative_to(PAGE).as_posix(): path.read_bytes() for path in PAGE.rglob("*") if path.is_file()}
    served = {name: body for name, body in files.items() if not name.endswith(LICENCES)} | joined_page(files)
    with _serving(scripts / "failpath-otel", tmp_path) as port:
        for path, file in (
            ("/", "index.html"),
            ("/flows/some%2Fflow", "index.html"),
            ("/page/joined.js", "joined.js"),
            ("/page/app.js", "app.js"),
            ("/page/vendor/preact.mjs", "vendor/preact.mjs"),
            *((f"/page/vendor/{name}", f"vendor/{name}") for name in LICENCES),
        ):
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
                connection.request("GET", path)
                response = connection.getresponse()
                body = response.read()
            assert response.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
            assert response.status == (200 if file in served else 404), path
            assert file not in served or body == served[file]


def _pip(python: str, *arguments: str) -> None:
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _environment() -> dict[str, str]:
    # Without PYTHONPATH, so that nothing of this tree can be imported.
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FAILPATH"))}


def _said(command: Path, directory: Path, endpoint: str, *arguments: str) -> str:
    variables = {
        "FAILPATH_PROJECT_KEY": "fp_project_of_a_wheel",
        "FAILPATH_DEV_ENDPOINT": endpoint,
        "FAILPATH_JOURNAL": str(directory / "journal"),
    }
    done = subprocess.run(
        [str(command), *arguments],
        cwd=directory,
        env=_environment() | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout


@contextmanager
def _serving(command: Path, directory: Path) -> Iterator[int]:
    options = [str(command), "local", "--port", "0", "--db", str(directory / "local.db")]
    with subprocess.Popen(options, cwd=directory, env=_environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            ready = first_line(process)
            found = re.search(r" at http://127\.0\.0\.1:(\d+) ", ready)
            assert found, ready
            yield int(found[1])
        finally:
            process.terminate()
