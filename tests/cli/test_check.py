"""``failpath-otel check`` and ``flows``: their output in each format, and their exit codes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from failpath_otel.checking.finding import CODES
from failpath_otel.cli.main import main
from failpath_otel.cli.parser import new_parser
from failpath_otel.flows.flows_file import read_flows
from tests.docs.pages import ROOT, read_page
from tests.local.events import event, wire
from tests.receiver import Receiver, start_receiver

FLOWS = {
    "flows": [
        {"slug": "checkout", "nodes": [{"sdkStepKey": "charge-card"}, {"sdkStepKey": "send-receipt-email"}]},
        {"slug": "delivery", "nodes": [{"sdkStepKey": "ship"}]},
    ]
}
CODE = """\
import failpath_otel
run = failpath_otel.configure().run("checkout")
run.step("charge-card", str)
run.step("charge-crad", str)
run.step("ship", str)
failpath_otel.configure().run("delivery").step("ship", str)
run.step(str())
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".failpath").mkdir()
    Path(".failpath", "flows.json").write_text(json.dumps(FLOWS))
    Path("shop").mkdir()
    Path("shop", "pay.py").write_text(CODE)
    return tmp_path


def test_the_text_has_a_line_a_finding_and_how_much_was_checked_is_on_stderr(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "shop/"]) == 1

    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        (
            "shop/pay.py:4:10: error: flow 'checkout' has no step 'charge-crad'; did you mean 'charge-card'?"
            " [unknown-step]"
        ),
        "shop/pay.py:5:10: error: flow 'checkout' has no step 'ship'; it is a step of 'delivery' [unknown-step]",
        ".failpath/flows.json: warning: step 'send-receipt-email' of 'checkout' is nowhere in the code [unused-step]",
    ]
    assert shown.err == (
        "failpath-otel: 2 errors, 1 warning; 6 keys in 1 file checked, 1 other computed when the program runs\n"
    )


def test_annotations_of_github_have_file_line_and_column(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("shop", "a,b%.py").write_text('import failpath_otel\nfailpath_otel.configure().run("a\\n:b%")\n')
    assert main(["check", "shop", "--format", "github", "--ignore", "unused-step"]) == 1

    assert capsys.readouterr().out.splitlines() == [
        "::error file=shop/a%2Cb%25.py,line=2,col=31,title=failpath unknown-flow::there is no flow 'a\\n:b%25'",
        (
            "::error file=shop/pay.py,line=4,col=10,title=failpath unknown-step::flow 'checkout' has no step"
            " 'charge-crad'; did you mean 'charge-card'?"
        ),
        (
            "::error file=shop/pay.py,line=5,col=10,title=failpath unknown-step::flow 'checkout' has no step"
            " 'ship'; it is a step of 'delivery'"
        ),
    ]


def test_json_is_one_object_with_all_that_is_known(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("shop", "bad.py").write_text("import failpath_otel\nrun.step(\n")
    assert main(["check", "shop", "--format", "json"]) == 2

    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert document["findings"][0] == {
        "path": "shop/pay.py",
        "line": 4,
        "column": 10,
        "severity": "error",
        "code": "unknown-step",
        "message": "flow 'checkout' has no step 'charge-crad'; did you mean 'charge-card'?",
        "flowKey": "checkout",
        "stepKey": "charge-crad",
        "suggestion": "charge-card",
    }
    assert document["findings"][-1]["line"] is None
    assert document["errors"] == [
        {"path": "shop/bad.py", "line": 2, "column": 9, "message": "is not Python: '(' was never closed"}
    ]
    assert (document["files"], document["keys"], document["computed"]) == (2, 6, 1)
    assert shown.err == ""


def test_warnings_alone_are_no_failure_unless_that_is_asked_for(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("shop", "pay.py").write_text('import failpath_otel\nfailpath_otel.configure().run("checkout")\n')
    assert main(["check", "shop"]) == 0
    assert main(["check", "shop", "--strict"]) == 1
    assert main(["check", "shop", "--strict", "--ignore", "unused-step", "--ignore", "unused-flow"]) == 0
    capsys.readouterr()

    # Of a single file, nothing is said about what it does not use.
    assert main(["check", "shop/pay.py", "--strict"]) == 0
    assert capsys.readouterr() == ("", "failpath-otel: 1 key in 1 file checked\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "shop", "--flows", "none.json"], "none.json: error: No such file or directory"),
        (["check", "nowhere"], "nowhere: error: there is no such file or folder\n"),
        (["check", "--url", "http://127.0.0.1:9"], "http://127.0.0.1:9: error: no receiver at http://127.0.0.1:9"),
        (["check", "shop", "--flows", "shop/pay.py"], "shop/pay.py: error: is not JSON"),
    ],
)
def test_bad_input_what_cannot_be_checked_is_named_with_exit_code_2(
    arguments: list[str], says: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out.startswith(says)
    assert shown.err == "failpath-otel: 1 could not be checked; 0 keys in 0 files checked\n"

    # For a program too, and for annotations.
    assert main([*arguments, "--format", "json"]) == 2
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert f"{error['path']}: error: {error['message']}\n" == shown.out
    assert main([*arguments, "--format", "github"]) == 2
    assert capsys.readouterr().out.startswith("::error ")


def test_bad_input_what_can_be_checked_is_checked_all_the_same(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "nowhere", "shop/pay.py", "--url", "http://127.0.0.1:9"]) == 2
    shown = capsys.readouterr()
    assert [line.partition(": ")[0] for line in shown.out.splitlines()] == [
        "nowhere",
        "http://127.0.0.1:9",
        "shop/pay.py:4:10",
        "shop/pay.py:5:10",
    ]
    assert shown.err.startswith("failpath-otel: 2 could not be checked; 2 errors, 0 warnings; 6 keys in 1 file checked")


def test_bad_input_nothing_to_check_and_an_unknown_code_are_mistakes_in_the_arguments(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["check"], ["check", "shop", "--ignore", "unknwon-step"]):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
    assert "name the files and folders to check" in capsys.readouterr().err


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with start_receiver(tmp_path_factory.mktemp("receiver") / "local.db") as started:
        events = [
            event("success", number + 0.5, started=number, step=step, span=step)
            for number, step in enumerate(("chrage-card", "charge-card"))
        ]
        # As of `doctor --send`: no flow of the project, for none of the commands.
        events.append(event("success", 2, flow="failpath-doctor", run="doctor-1", step="test-event"))
        assert started.post(*map(wire, events)).status == 202
        yield started


def test_what_a_receiver_has_seen_is_compared_and_becomes_a_graph(
    receiver: Receiver, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--url", receiver.url]) == 1
    shown = capsys.readouterr()
    assert shown.err.endswith("; 0 keys in 0 files checked; runs of 1 flow compared\n")
    assert shown.out.splitlines() == [
        (
            f"{receiver.url}: error: seen in 1 run: flow 'checkout' has no step 'chrage-card'; did you mean"
            " 'charge-card'? [unknown-step]"
        ),
        f"{receiver.url}: warning: step 'send-receipt-email' of 'checkout' was in none of 1 run [unseen-step]",
        f"{receiver.url}: warning: no run of flow 'delivery' was seen [unseen-flow]",
    ]
    assert main(["check", "shop", "--url", receiver.url, "--format", "github"]) == 1
    assert f"::warning title=failpath unseen-flow::{receiver.url}: no run of flow" in capsys.readouterr().out

    out = Path("made", "flows.json")
    capsys.readouterr()
    assert main(["flows", "--url", receiver.url, "--out", str(out)]) == 0
    assert capsys.readouterr() == ("made/flows.json: 1 flow, 2 steps\n", "")
    (flow,) = read_flows(out)
    assert (flow.slug, [node.key for node in flow.nodes]) == ("checkout", ["chrage-card", "charge-card"])
    assert flow.edges == (("chrage-card", "charge-card"),)
    assert main(["check", "--url", receiver.url, "--flows", str(out), "--strict"]) == 0
    assert main(["flows", "--url", receiver.url, "--out", str(out)]) == 1
    assert "made/flows.json exists; --force writes over it" in capsys.readouterr().err
    assert main(["flows", "--url", receiver.url, "--out", str(out), "--force", "--flow", "checkout"]) == 0
    capsys.readouterr()
    assert main(["flows", "--url", receiver.url]) == 0
    assert capsys.readouterr().out == out.read_text()
    assert main(["flows", "--url", receiver.url, "--flow", "refund"]) == 1
    assert "has seen no run of 'refund'" in capsys.readouterr().err


def test_the_receiver_of_a_graph_is_that_to_which_programs_send_or_one_named_by_its_port(
    receiver: Receiver, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["flows", "--port", str(receiver.port)]) == 0
    monkeypatch.setenv("FAILPATH_DEV_ENDPOINT", f"{receiver.url}/")
    assert main(["flows"]) == 0
    monkeypatch.setenv("FAILPATH_ENDPOINT", "http://127.0.0.1:9")
    Path("rules.toml").write_text('[[rules]]\nflow = "a"\nstep = "b"\nspan_name = "c"\n')
    for command in (["flows"], ["rules", "try", "rules.toml"]):
        assert main(command) == 2
        assert "FAILPATH_DEV_ENDPOINT and FAILPATH_ENDPOINT differ" in capsys.readouterr().err


def test_bad_input_a_graph_that_cannot_be_made_or_written_is_named(
    receiver: Receiver, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flows", "--url", "http://127.0.0.1:9"]) == 1
    assert main(["flows", "--url", receiver.url, "--out", "shop/pay.py/flows.json"]) == 1
    shown = capsys.readouterr().err
    assert "no receiver at http://127.0.0.1:9" in shown
    assert "shop/pay.py/flows.json cannot be written" in shown


def test_the_example_of_the_documentation_prints_what_its_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / "guides" / "checking-keys.md").read_text()
    flows, code, printed = (
        re.findall(pattern, text, re.DOTALL)[0]
        for pattern in (
            r"```json\n(\{.*?)```",
            r"```python\n(# shop/pay\.py\n.*?)```",
            r"```console\n\$ failpath-otel check shop/\n(.*?)```",
        )
    )
    monkeypatch.chdir(tmp_path)
    for path, content in ((Path(".failpath", "flows.json"), flows), (Path("shop", "pay.py"), code)):
        path.parent.mkdir()
        path.write_text(content)

    assert main(["check", "shop/"]) == 1
    assert capsys.readouterr().out == printed


def test_the_codes_and_options_of_the_command_are_those_of_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    page = read_page(ROOT / "docs" / "guides" / "checking-keys.md")
    assert {code for row in page.rows("code") for code in re.findall("[a-z-]+", row[0])} == set(CODES)
    documented = {option for row in page.rows("option") for option in re.findall("--[a-z]+", row[0])}
    with pytest.raises(SystemExit, match="0"):
        main(["check", "--help"])
    assert set(re.findall("--[a-z]+", capsys.readouterr().out)) - {"--help"} == documented


def test_the_hook_for_pre_commit_calls_a_command_that_exists() -> None:
    lines = (ROOT / ".pre-commit-hooks.yaml").read_text().splitlines()
    hook = dict(line.strip("- ").split(": ", 1) for line in lines if "#" not in line)
    program, *arguments = [*hook["entry"].split(), hook["args"].strip("[]")]
    assert program == "failpath-otel"
    assert new_parser().parse_args(arguments).paths == [Path()]
    assert re.search(hook["files"], "shop/pay.py")
    assert re.search(hook["files"], ".failpath/flows.json")
