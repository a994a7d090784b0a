"""``failpath-otel types``: the module is written, or said to be stale, or what is wrong is named."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from failpath_otel.cli.main import main

CHECKOUT = {"slug": "checkout", "nodes": [{"sdkStepKey": "validate-cart"}, {"sdkStepKey": "charge-card"}]}
DELIVERY = {"slug": "delivery", "nodes": [{"sdkStepKey": "ship"}]}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".failpath").mkdir()
    (tmp_path / "shop").mkdir()
    _declare(CHECKOUT, DELIVERY)
    return tmp_path


OUT = Path("shop", "failpath_flows.py")
ARGUMENTS = ["types", "--flows", ".failpath/flows.json", "--out", str(OUT)]
AGAIN = "failpath-otel types --flows .failpath/flows.json --out shop/failpath_flows.py"


def _declare(*flows: Any) -> None:
    Path(".failpath", "flows.json").write_text(json.dumps({"flows": flows}), encoding="utf-8")


def _said(capsys: pytest.CaptureFixture[str], code: int, *more: str) -> str:
    """What the command says, in one line, where it ends with ``code``."""
    assert main([*ARGUMENTS, *more]) == code
    shown = capsys.readouterr()
    said = shown.err if code else shown.out
    assert said.count("\n") == 1
    assert shown.out + shown.err == said
    return said.rstrip("\n").removeprefix("failpath-otel: ")


@pytest.mark.usefixtures("project")
def test_the_module_is_written_and_then_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert _said(capsys, 0) == "shop/failpath_flows.py: 2 flows, 3 steps"
    written = OUT.read_bytes()
    OUT.chmod(0o400)
    assert _said(capsys, 0) == "shop/failpath_flows.py is up to date: 2 flows, 3 steps"
    assert _said(capsys, 0, "--check") == "shop/failpath_flows.py is up to date: 2 flows, 3 steps"
    assert OUT.read_bytes() == written


@pytest.mark.usefixtures("project")
def test_the_declared_flows_are_those_of_the_working_directory_unless_others_are_given() -> None:
    assert main(["types", "--out", "one.py"]) == 0
    assert main(["types", "--flows", ".failpath/flows.json", "--out", "two.py"]) == 0
    assert Path("one.py").read_bytes() == Path("two.py").read_bytes()


@pytest.mark.usefixtures("project")
def test_a_check_of_a_module_that_does_not_exist_says_so_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert _said(capsys, 1, "--check") == f"shop/failpath_flows.py does not exist; this makes it: {AGAIN}"
    assert not OUT.exists()


@pytest.mark.usefixtures("project")
def test_a_check_says_that_the_flows_have_changed_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ARGUMENTS) == 0
    written = OUT.read_bytes()
    _declare({**CHECKOUT, "slug": "check-out"}, DELIVERY)
    capsys.readouterr()
    stale = "shop/failpath_flows.py is stale: .failpath/flows.json has changed since; this makes it again: "
    assert _said(capsys, 1, "--check") == stale + AGAIN
    assert OUT.read_bytes() == written
    assert _said(capsys, 0) == "shop/failpath_flows.py: 2 flows, 3 steps"
    assert _said(capsys, 0, "--check")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    "edit",
    ['checkout = ""', "x = (", "\x00", f"x = {'-' * 100_000}1", f"x = a{'.a' * 100_000}"],
    ids=["name", "syntax", "null", "signs", "attributes"],
)
def test_a_check_says_that_the_module_was_edited(capsys: pytest.CaptureFixture[str], edit: str) -> None:
    assert main(ARGUMENTS) == 0
    OUT.write_text(f"{OUT.read_text()}\n{edit}\n")
    capsys.readouterr()
    assert "is stale: it was edited, or made by another version; this" in _said(capsys, 1, "--check")
    assert main(ARGUMENTS) == 0
    assert edit not in OUT.read_text()


@pytest.mark.usefixtures("project")
def test_what_changes_nothing_about_the_keys_makes_no_module_stale(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ARGUMENTS) == 0
    node = {"sdkStepKey": "validate-cart", "label": "Validate", "position": {"x": 5}}
    _declare({**CHECKOUT, "nodes": [node, CHECKOUT["nodes"][1]], "edges": [{"source": "a"}]}, DELIVERY)
    OUT.write_text("# Copyright of the shop\n" + OUT.read_text().replace("    slug:", "    # The slug.\n    slug:"))
    capsys.readouterr()
    assert "is up to date" in _said(capsys, 0, "--check")


@pytest.mark.process
@pytest.mark.usefixtures("project")
def test_a_module_that_the_project_has_formatted_its_own_way_is_not_stale(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ruff")
    _declare({"slug": "a" * 60, "nodes": [{"sdkStepKey": "b" * 80}]})
    assert main(ARGUMENTS) == 0
    written = OUT.read_text()
    narrow = [sys.executable, "-m", "ruff", "format", "--isolated", "--no-cache", "--line-length", "120", str(OUT)]
    subprocess.run(narrow, check=True, capture_output=True, timeout=60)
    assert OUT.read_text() != written
    capsys.readouterr()
    assert "is up to date" in _said(capsys, 0, "--check")


@pytest.mark.usefixtures("project")
def test_a_file_that_was_not_made_by_the_command_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    OUT.write_text("orders = []\n")
    for more in ([], ["--check"]):
        assert "was not made by this command, and is left as it is" in _said(capsys, 2, *more)
    assert OUT.read_text() == "orders = []\n"
    OUT.write_text("\n")
    assert main(ARGUMENTS) == 0


@pytest.mark.usefixtures("project")
def test_a_file_that_quotes_the_beginning_of_a_module_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ARGUMENTS) == 0
    quoting = f"Typed keys look so:\n\n```python\n{OUT.read_text()}```\n"
    OUT.write_text(quoting)
    capsys.readouterr()
    assert "was not made by this command, and is left as it is" in _said(capsys, 2)
    assert OUT.read_text() == quoting


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("before", ["\ufeff", "# Copyright\n\n", "<<<<<<< HEAD\n", "<<<<<<< HEAD\r\n"])
def test_a_module_is_known_with_comments_or_a_merge_conflict_at_its_head(before: str) -> None:
    assert main(ARGUMENTS) == 0
    written = OUT.read_bytes()
    OUT.write_bytes(before.encode() + written + b"=======\n>>>>>>> other\n")
    assert main(ARGUMENTS) == 0
    assert OUT.read_bytes() == written


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("more", [[], ["--check"]], ids=["write", "check"])
def test_flows_that_cannot_be_used_are_named_with_the_place(
    capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    assert main(ARGUMENTS) == 0
    written = OUT.read_bytes()
    capsys.readouterr()
    _declare(CHECKOUT, {"slug": "delivery", "nodes": [{"sdkStepKey": "ship"}, {"label": "\x1b[2J"}]})
    place = ".failpath/flows.json: flows[1].nodes[1] of 'delivery': Object missing required field `sdkStepKey`"
    assert _said(capsys, 2, *more) == place
    _declare(CHECKOUT, CHECKOUT)
    assert "flows[1]: has the slug 'checkout', as flows[0] has" in _said(capsys, 2, *more)
    Path(".failpath", "flows.json").write_text('{"flows": [')
    assert "is not JSON" in _said(capsys, 2, *more)
    Path(".failpath", "flows.json").write_text("")
    assert "is not JSON" in _said(capsys, 2, *more)
    shutil.rmtree(".failpath")
    said = _said(capsys, 2, *more)
    assert said.startswith(".failpath/flows.json: No such file or directory; `npx failpath sync` writes it, or ")
    assert "`failpath-otel flows --out PATH`" in said
    assert OUT.read_bytes() == written


@pytest.mark.usefixtures("project")
def test_a_place_where_no_file_can_be_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["types", "--out", "nowhere/flows.py"]) == 2
    assert "cannot write nowhere/flows.py: No such file or directory" in capsys.readouterr().err
    assert main(["types", "--out", "shop"]) == 2
    assert "cannot read shop: Is a directory" in capsys.readouterr().err
    os.mkfifo("pipe")
    for special in ("pipe", "/dev/zero"):
        assert main(["types", "--out", special]) == 2
        assert f"{special} is not a regular file" in capsys.readouterr().err
    OUT.write_bytes(b"\xff")
    assert "cannot read shop/failpath_flows.py: " in _said(capsys, 2)


@pytest.mark.usefixtures("project")
def test_a_page_for_coding_agents_is_written_with_the_keys_and_is_stale_when_they_change(
    capsys: pytest.CaptureFixture[str],
) -> None:
    agents = [*ARGUMENTS, "--agents", "AGENTS.md"]
    assert main([*agents, "--check"]) == 1
    assert main(agents) == 0
    page = Path("AGENTS.md").read_text(encoding="utf-8")
    assert "\n- `checkout`: `validate-cart`, `charge-card`\n- `delivery`: `ship`\n" in page
    capsys.readouterr()
    assert main([*agents, "--check"]) == 0
    assert "\nAGENTS.md is up to date: 2 flows, 3 steps\n" in capsys.readouterr().out
    Path("AGENTS.md").write_text(f"{page}more", encoding="utf-8")
    assert main([*agents, "--check"]) == 1
    again = f"this makes it again: {AGAIN} --agents AGENTS.md\n"
    edited = "AGENTS.md is stale: it was edited, or made by another version"
    assert capsys.readouterr().err == f"failpath-otel: {edited}; {again}"
    _declare(CHECKOUT)
    assert main(ARGUMENTS) == 0
    assert main([*agents, "--check"]) == 1
    changed = "AGENTS.md is stale: .failpath/flows.json has changed since"
    assert capsys.readouterr().err == f"failpath-otel: {changed}; {again}"


@pytest.mark.usefixtures("project")
def test_a_page_for_coding_agents_that_a_person_has_written_is_left_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("AGENTS.md").write_text("# Ours\n", encoding="utf-8")
    assert main([*ARGUMENTS, "--agents", "AGENTS.md"]) == 2
    assert "name another file by --agents" in capsys.readouterr().err
    assert Path("AGENTS.md").read_text(encoding="utf-8") == "# Ours\n"
    assert not OUT.exists()


@pytest.mark.usefixtures("project")
def test_headings_above_the_page_for_coding_agents_are_not_lost_and_it_is_no_module(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*ARGUMENTS, "--agents", "AGENTS.md"]) == 0
    path = Path("AGENTS.md")
    edited = f"# Shop\n\n## Only tabs here\n\n{path.read_text(encoding='utf-8')}"
    path.write_text(edited, encoding="utf-8")
    _declare(CHECKOUT)
    assert main([*ARGUMENTS, "--agents", "AGENTS.md"]) == 2
    assert path.read_text(encoding="utf-8") == edited
    assert main([*ARGUMENTS, "--agents", f"{OUT.parent}/../{OUT}"]) == 2
    assert "--out and --agents name the same file" in capsys.readouterr().err
