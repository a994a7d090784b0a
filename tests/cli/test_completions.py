"""Completions, as the shells themselves make them."""

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from failpath_otel.cli.main import main

_BASH = """
complete_words() {
  COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
  _shtab_failpath_otel failpath-otel "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
  echo "${COMPREPLY[*]}"
}
"""

CASES = {
    "r": {"runs", "rules"},
    "runs --fo": {"--follow"},
    "runs order-17 --json --exit": {"--exit-status"},
    "runs --status g": {"gone"},
    "rules t": {"try"},
    "rules check r": {"rules.toml"},
    "local --flows r": {"rules.toml"},
    "export order-17 --without m": {"metadata"},
    "import r": {"rules.toml"},
    "completions ": {"bash", "zsh", "fish"},
}
"""The line so far, and the words that complete it."""


def _script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completions", shell]) == 0
    return capsys.readouterr().out


def _needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"there is no {shell}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.toml").touch()
    (tmp_path / "runs").mkdir()
    return tmp_path


@pytest.mark.process
@_needs("bash")
def test_bash_completes_commands_options_choices_and_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"complete_words failpath-otel {line}" + "''" * line.endswith(" ") for line in CASES]
    lines.append("complete_words failpath-otel drain --journal r")
    lines.append("complete -p failpath-otel")
    script = _script("bash", capsys) + _BASH + "\n".join(lines)
    done = subprocess.run(["bash", "-u"], input=script, cwd=folder, capture_output=True, text=True, check=True)
    *shown, folders, known = done.stdout.splitlines()
    assert done.stderr == ""
    assert dict(zip(CASES, map(set, map(str.split, shown)), strict=True)) == CASES | {
        line: {"rules.toml", "runs"} for line, words in CASES.items() if words == {"rules.toml"}
    }
    assert folders == "runs"
    assert "_shtab_failpath_otel" in known


@pytest.mark.process
@_needs("fish")
def test_fish_completes_commands_options_choices_and_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"complete -C 'failpath-otel {line}' | string split -f 1 \\t | string join ' '" for line in CASES]
    script = _script("fish", capsys) + "\n".join(lines)
    done = subprocess.run(["fish", "--no-config"], input=script, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    shown = map(set, map(str.split, done.stdout.splitlines()))
    assert dict(zip(CASES, shown, strict=True)) == CASES | {
        line: {"rules.toml", "runs/"} for line, words in CASES.items() if words == {"rules.toml"}
    }


@pytest.mark.process
@_needs("zsh")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")
def test_zsh_completes_commands_options_choices_and_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pty  # noqa: PLC0415 - Windows has none

    (folder / "_failpath-otel").write_text(_script("zsh", capsys))
    ours, theirs = pty.openpty()
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb"}
    command = ["zsh", "-f", "-i"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=variables) as process:
        try:
            os.write(ours, b"autoload -U compinit; fpath=($PWD $fpath); compinit -u -D; print ready $((40 + 2))\n")
            _read_until(ours, "ready 42")
            for line, words in CASES.items():
                if len(words) == 1 and words != {"rules.toml"}:
                    os.write(ours, f"failpath-otel {line}\t".encode())
                    _read_until(ours, next(iter(words)))
                    os.write(ours, b"\x15")
        finally:
            process.kill()
            os.close(ours)
            os.close(theirs)


def _read_until(terminal: int, text: str) -> None:
    shown = ""
    deadline = time.monotonic() + 20
    while text not in shown:
        assert select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0], (text, shown)
        shown += os.read(terminal, 65_536).decode()


def test_no_script_has_a_token_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("FAILPATH_LOCAL_TOKEN", "FAILPATH_GATEWAY_TOKEN", "FAILPATH_DEV_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/hunter2")
    for shell in ("bash", "zsh", "fish"):
        script = _script(shell, capsys)
        assert "exit-status" in script
        assert "hunter2" not in script


def test_without_the_extra_the_command_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completions", "bash"]) == 1
    assert 'pip install "failpath-otel[completions]"' in capsys.readouterr().err
