"""``failpath-otel export`` and ``import``, and ``runs --meta``: from one receiver into another, and into a database."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from failpath_otel.cli import local_client
from failpath_otel.cli.main import main
from tests.cli.receiver import Served, served
from tests.local.events import event
from tests.local.page import opened_page
from tests.ports import unused_port


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A receiver with two runs; no test of the module changes it."""
    with served(tmp_path_factory.mktemp("shop") / "runs.db") as receiver:
        receiver.add(
            event("success", 91, run="order-17", started=90, customer="c-814"),
            event("success", 92, run="-x", customer="c-2"),
        )
        yield receiver


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def test_a_run_goes_by_a_file_into_a_database_once(
    shop: Served, call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A large file takes longer than any other answer.
    monkeypatch.setattr(local_client, "_TIMEOUT_SECONDS", 1e-6)
    port, name = str(shop.port), "order-17.failpath-run.json"
    code, out, _ = call("export", "order-17", "--port", port)
    assert (code, out.partition(":")[0]) == (0, name)
    assert call("export", "order-17", "--port", port)[::2] == (
        1,
        f"failpath-otel: {name} exists; --force writes over it\n",
    )
    assert call("export", "order-17", "--port", port, "--force")[0] == 0
    assert call("import", name, "--db", "reports.db") == (0, f"{name}: order-17 of checkout\n", "")
    assert call("import", name, "--db", "reports.db")[1] == f"{name}: order-17 of checkout is here already\n"
    assert call("import", name, "--port", port)[1] == f"{name}: order-17 of checkout is here already\n"
    with opened_page(tmp_path / "reports.db") as page:
        assert [row["imported"] for row in page.get("runs")["runs"]] == [True]


def test_a_file_goes_to_standard_output_without_what_is_not_to_be_passed_on(shop: Served, call: Any) -> None:
    code, out, _ = call("export", "--run=-x", "--port", str(shop.port), "--out", "-", "--without", "metadata")
    file = json.loads(out)
    assert (code, file["runId"], file["without"]) == (0, "-x", ["metadata"])
    assert "c-2" not in out


def test_what_cannot_be_read_is_said_and_the_others_are(shop: Served, call: Any, tmp_path: Path) -> None:
    port, name = str(shop.port), "order-17.failpath-run.json"
    call("export", "order-17", "--port", port)
    (tmp_path / "bad.json").write_text("{}")
    for where in (["--db", "reports.db"], ["--port", port]):
        code, out, err = call("import", "bad.json", "none.json", name, *where)
        assert (code, name in out) == (1, True)
        assert "bad.json: " in err
        assert "its format is not 'failpath-run'" in err
        assert "none.json cannot be read: No such file or directory" in err
    assert call("import", name, "--db", str(tmp_path))[0] == 1
    code, _, err = call("import", name, "--port", str(unused_port()))
    assert (code, "no receiver at" in err) == (1, True)


def test_a_run_that_is_not_there_makes_no_file(shop: Served, call: Any, tmp_path: Path) -> None:
    code, _, err = call("export", "nowhere", "--flow", "checkout", "--port", str(shop.port))
    assert (code, "no such run of flow 'checkout'" in err) == (1, True)
    assert call("export", "order-17", "--port", str(shop.port), "--out", "no/folder.json")[0] == 1
    assert list(tmp_path.iterdir()) == []
    for arguments in ([], ["a", "--run", "b"]):
        with pytest.raises(SystemExit):
            call("export", *arguments)


def test_runs_are_shown_by_metadata(shop: Served, call: Any) -> None:
    code, out, _ = call("runs", "--port", str(shop.port), "--json", "--meta", "customer=c-814")
    assert (code, [json.loads(line)["runId"] for line in out.splitlines()]) == (0, ["order-17"])
    assert call("runs", "--port", str(shop.port), "--meta", "customer=c-9")[1] == "No runs that match.\n"
    with pytest.raises(SystemExit):
        call("runs", "--meta", "customer")
