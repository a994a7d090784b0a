"""Runs the programs and the test files of a page, as ``pages.py`` has read them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.docs.pages import ROOT, Page, Program
from tests.fault_server import FaultServer

PRELUDE: Final = ROOT / "tests" / "docs" / "prelude.py"
RUN: Final = "import runpy, sys; runpy.run_path(sys.argv[2], runpy.run_path(sys.argv[1]), '__main__')"
ENDPOINT: Final = "https://api.failpath.dev"


def environment(server: FaultServer) -> dict[str, str]:
    """The variables of a program whose Failpath and OTLP backend are ``server``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FAILPATH", "OTEL", "PYTEST"))}
    return {
        **kept,
        "FAILPATH_PROJECT_KEY": "fp_project_docs",
        "FAILPATH_DEV_ENDPOINT": server.url,
        "OTEL_EXPORTER_OTLP_ENDPOINT": server.url,
    }


def run_program(program: Program, folder: Path, variables: dict[str, str]) -> list[str]:
    """Runs a program, compares what it prints with what its page says, and returns what it logs."""
    written = folder / "program_of_the_page.py"
    written.write_text(program.code)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(PRELUDE), str(written)],
        env=variables,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    out, errors = (text.replace(variables["FAILPATH_DEV_ENDPOINT"], ENDPOINT) for text in (done.stdout, done.stderr))
    assert done.returncode == 0, errors
    assert program.printed in (None, out)
    logged = errors.splitlines()
    assert all(line.startswith("Failpath: ") for line in logged), errors
    return logged


def run_command(command: str, printed: str, folder: Path, variables: dict[str, str]) -> None:
    """Runs ``failpath-otel`` as a page says, and compares what it prints with what the page says."""
    _, *arguments = shlex.split(command, comments=True)
    if "--out" in arguments:
        (folder / arguments[arguments.index("--out") + 1]).parent.mkdir(parents=True, exist_ok=True)
    whole = [sys.executable, "-m", "failpath_otel.cli", *arguments]
    done = subprocess.run(whole, env=variables, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, printed), done.stdout + done.stderr


def run_page(page: Page, folder: Path, variables: dict[str, str]) -> None:
    """Runs everything on a page, and compares what it prints and logs with what the page says."""
    for name, code in page.files.items():
        (folder / name).write_text(code)
    if page.flows is not None:
        (folder / ".failpath").mkdir()
        (folder / ".failpath" / "flows.json").write_text(page.flows)
    for line, output in page.commands:
        run_command(line, output, folder, variables)
    logged = [line for program in page.programs for line in run_program(program, folder, variables)]
    if page.files:
        command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(folder)]
        done = subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    told = {re.sub(r"\d+", "0", line) for line in logged}
    assert {re.sub(r"\d+", "0", line) for line in page.logged} <= told
