"""``docs/start.md``: a new user who follows it sees what it shows."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from failpath_otel.cli.main import main
from tests.docs.pages import DOCS, read_page
from tests.receiver import start_receiver, wait_for

PAGE: Final = DOCS / "start.md"
FLOWS: Final = ".failpath/flows.json"


def plain(text: str) -> str:
    """A text without times, durations, processes and hosts."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r" +[\d.]+ (?:ms|s)$", " DURATION", text, flags=re.MULTILINE)
    return re.sub(r"process \d+ on \S+", "process", text)


@pytest.mark.process
def test_its_program_its_kill_and_its_misspelt_key_are_shown_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = read_page(PAGE)
    shown = [tuple(each) for each in re.findall(r"^\$ failpath-otel (.*)\n((?:[^$`].*\n)*)", page.text, re.MULTILINE)]
    monkeypatch.chdir(tmp_path)
    shop = tmp_path / "shop.py"
    shop.write_text(page.programs[0].code.lstrip("\n"))

    def runs(command: str, printed: str) -> Callable[[], bool]:
        def is_so() -> bool:
            main(command.split())
            return plain(capsys.readouterr().out) == plain(printed)

        return is_so

    with start_receiver(tmp_path / "local.db") as receiver:
        monkeypatch.setenv("FAILPATH_PROJECT_KEY", "any")
        monkeypatch.setenv("FAILPATH_DEV_ENDPOINT", receiver.url)
        program = [sys.executable, "shop.py"]
        done = subprocess.run([*program, "order-1", "0.1"], capture_output=True, text=True, check=True)
        assert f"$ python shop.py order-1 0.1\n{done.stdout}" in page.text
        wait_for(runs(*shown[1]), 20)
        with subprocess.Popen([*program, "order-2", "60"]) as killed:
            wait_for(runs(*shown[2]), 20)
            killed.kill()
        wait_for(runs(*shown[3]), 20)
        for command, printed in shown[4:6]:
            assert main(command.split()) == 0
            assert capsys.readouterr().out == printed

    [change] = re.findall(r"^```diff\n(.*?)^```$", page.text, re.MULTILINE | re.DOTALL)
    before, after = ("".join(line[1:] or "\n" for line in change.splitlines(True) if line[0] != sign) for sign in "+-")
    assert before in shop.read_text()
    shop.write_text(shop.read_text().replace(before, after).replace("-card", "-crad"))
    command, printed = shown[6]
    assert main(command.split()) == 1
    captured = capsys.readouterr()
    assert captured.out + captured.err == printed
    assert len(shown) == 7
