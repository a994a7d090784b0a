"""``failpath-otel local`` as a user without a home, as an arbitrary uid of a container: one line, and no traceback."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

# Modules are read before the change of the user, to whom those of this interpreter may not be there to read.
PROGRAM = """
import os, sys
import failpath_otel.cli.parser, failpath_otel.errors, failpath_otel.records.rules_file
import failpath_otel.local.flows.flows_file
import failpath_otel.local.receiver, failpath_otel.local.server, failpath_otel.local.api.guard, pwd
from failpath_otel.cli.main import main

os.setgroups([])
os.setgid(54321)
os.setuid(54321)
sys.exit(main(["local", "--port", "0"]))
"""


def run(home: str | None, directory: Path) -> subprocess.CompletedProcess[str]:
    """A process, because there is no way back from another user."""
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("FAILPATH_", "XDG_", "HOME"))
    }
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path.cwd()), variables.get("PYTHONPATH")]))
    if home is not None:
        variables["HOME"] = home
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(
        command, env=variables, cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def directory() -> Iterator[Path]:
    """One that every user may reach and write to, where a directory that is made by mistake would be seen."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o777)
        yield Path(made)


as_root = pytest.mark.skipif(
    sys.platform == "win32" or os.getuid() != 0, reason="only root can become a user that is not there"
)


@as_root
@pytest.mark.parametrize(
    ("home", "folder"),
    [(None, "no home"), ("/", "/.local/state/failpath-otel"), ("/root/none", "/root/none/.local/state/failpath-otel")],
    ids=["no home", "the root directory", "of another user"],
)
def test_a_user_without_a_home_gets_the_folder_and_the_option_in_one_line(
    directory: Path, home: str | None, folder: str
) -> None:
    ended = run(home, directory)
    [line] = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert line.startswith("failpath-otel: ")
    assert folder in line
    assert "--db" in line
    assert "serve" not in line
    assert list(directory.iterdir()) == []
