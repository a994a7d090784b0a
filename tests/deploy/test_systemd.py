"""The units for systemd, held against the commands that they run; systemd itself reads them where it is installed."""

import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Final

import pytest

from failpath_otel import limits
from failpath_otel.options.variables import VARIABLES
from tests.deploy.manifests import DEPLOY, ENDS_WITHIN, HTTP_PORT, JOURNAL, started_with

UNITS: Final = sorted((DEPLOY / "systemd").glob("*.service"))
COMMAND: Final = "failpath-otel"

each_unit: Final = pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)


def settings(path: Path) -> dict[str, list[str]]:
    """The settings of all sections; those that are given several times with all of their values."""
    found = defaultdict(list)
    for name, value in re.findall(r"^(\w+)=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE):
        found[name].append(value)
    return found


def commands(path: Path) -> dict[str, list[str]]:
    """The words of the commands of this package, by what runs them, after its name."""
    named = {name: shlex.split(values[0].lstrip("-")) for name, values in settings(path).items() if name[:4] == "Exec"}
    return {name: words[1:] for name, words in named.items() if PurePosixPath(words[0]).name == COMMAND}


@each_unit
def test_what_a_killed_process_has_left_is_drained_from_its_journal_before_the_unit_is_over(
    path: Path, tmp_path: Path
) -> None:
    given, started = settings(path), started_with(commands(path)["ExecStopPost"], tmp_path / "key")
    assert given["ExecStopPost"][0].startswith("-"), "a drain that fails is no failure of the unit"
    [allowed] = given["TimeoutStopSec"]
    assert started.timeout + limits.EXIT_TIMEOUT < int(allowed)
    variables = dict(pair.split("=", 1) for line in given["Environment"] for pair in line.split())
    # By a variable of the unit, so that the process and `drain` have the same one.
    assert PurePosixPath(variables[JOURNAL]).is_relative_to(f"%S/{given['StateDirectory'][0]}")
    assert {name for name in variables if name.startswith("FAILPATH_")} <= set(VARIABLES)


def test_the_gateway_is_one_for_other_machines_and_has_time_to_end(tmp_path: Path) -> None:
    unit = DEPLOY / "systemd" / "failpath-gateway.service"
    started = started_with(commands(unit)["ExecStart"], tmp_path / "key")
    assert (started.host, started.port) == ("0.0.0.0", HTTP_PORT)
    assert int(settings(unit)["TimeoutStopSec"][0]) > ENDS_WITHIN
    # Without the whole of /proc, its metrics of memory, processor and files are missing.
    assert "ProcSubset" not in settings(unit)


@pytest.fixture
def as_installed(tmp_path: Path) -> list[str]:
    """The units with programs that this machine has."""
    made = []
    for path in UNITS:
        text = re.sub(r"(?<=[=-])/(?:opt|srv)/\S+", "/bin/true", path.read_text(encoding="utf-8"))
        unit = tmp_path / path.name
        unit.write_text(re.sub(r"^User=.*$", "User=root", text, flags=re.MULTILINE))
        made.append(str(unit))
    return made


@pytest.mark.process
def test_systemd_knows_every_setting_and_finds_the_gateway_well_confined(as_installed: list[str]) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")

    def analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)

    verified = analyze("verify", "--man=no", *as_installed)
    # It also reports what it finds in other units of this machine.
    complaints = [line for line in verified.stderr.splitlines() if any(path in line for path in as_installed)]
    assert (verified.returncode, complaints) == (0, [])
    [gateway] = [path for path in as_installed if "gateway" in path]
    # From 0, no exposure, to 10. Threshold is ten times that.
    judged = analyze("security", "--offline=true", "--threshold=20", gateway)
    assert judged.returncode == 0, judged.stdout.splitlines()[-1]
