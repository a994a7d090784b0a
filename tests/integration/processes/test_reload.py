"""``uvicorn --reload``: the process that is replaced dies of its SIGTERM, without ``atexit``, after its requests."""

import re
import sys
from pathlib import Path

import pytest

from tests.integration.processes.site import Site
from tests.integration.processes.web_server import WebServer


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The module that is reloaded when it changes."""
    path = tmp_path / "source" / "reloaded.py"
    path.parent.mkdir()
    path.write_text("from tests.integration.processes.apps.served import application as application\n")
    return path


def start_uvicorn(site: Site, source: Path, *options: str) -> WebServer:
    program = site.start(
        *(sys.executable, "-m", "uvicorn", "--port", "0", "--reload", "--reload-dir", str(source.parent)),
        *("--app-dir", str(source.parent), *options, "reloaded:application"),
    )
    found = site.wait_for(
        lambda: re.search(r"running on (http://127\.0\.0\.1:\d+)(?s:.*)startup complete", program.output()), "uvicorn"
    )
    assert found is not None
    return WebServer(program, found[1])


def reload(site: Site, server: WebServer, source: Path) -> None:
    """Touches the source until uvicorn has seen it: it may not have looked at it a first time yet."""

    def seen() -> bool:
        source.touch()
        return "Reloading" in server.program.output()

    site.wait_for(seen, "reload")


@pytest.mark.parametrize("patient", [True, False], ids=["the request ends", "the request is cancelled"])
def test_the_steps_of_the_process_that_is_replaced_are_there(
    site: Site, source: Path, tmp_path: Path, patient: bool
) -> None:
    go_on = tmp_path / "go-on"
    site.variables["GO_ON"] = str(go_on)
    server = start_uvicorn(site, source, *([] if patient else ["--timeout-graceful-shutdown", "1"]))
    server.get("/")
    server.in_background("/wait")
    site.wait_for_mark("entered", "/wait")
    reload(site, server, source)
    if patient:
        go_on.touch()
    # The new process serves, and has delivered what the old one has left, before it is asked for anything.
    site.wait_for(lambda: server.program.output().count("startup complete") == 2, "new process")
    site.wait_until_shown()
    # uvicorn dies before a request that it cancels has had its turn once more.
    [step] = site.wait_for_mark("success" if patient else "entered", "/wait")
    assert step.possible == {"success" if patient else "running"}

    server.get("/new")
    [new] = site.wait_for_mark("success", "/new")
    assert new.pid != step.pid
    server.program.process.terminate()
    assert server.program.wait() == 0
    site.check()
