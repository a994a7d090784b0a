"""The check of whole projects: modules that import each other, fixtures, generated keys, rules, what nothing uses."""

import os
from pathlib import Path
from time import perf_counter

import pytest

from failpath_otel.checking.checker import Checked, Checker
from failpath_otel.checking.files import source
from failpath_otel.checking.finding import Finding
from failpath_otel.flows.flow import Flow, Node
from failpath_otel.flows.known_keys import KnownKeys
from failpath_otel.flows.typed_module import typed_module
from tests.checking.planted import KEYS, check, places, write

GENERATED = typed_module([Flow(slug, tuple(Node(key, key) for key in keys), ()) for slug, keys in KEYS.steps.items()])


def messages(checked: Checked, *codes: str) -> list[str]:
    return [finding.message for finding in checked.findings if not codes or finding.code in codes]


def test_a_message_says_what_may_have_been_meant_or_which_flow_has_the_step(tmp_path: Path) -> None:
    write(
        tmp_path,
        shop="""\
from failpath_otel import Run, configure
failpath = configure()
run = failpath.run("checkout")
run.step("charge-crad"); run.step("Charge_Card"); run.step("ship"); run.step("qqq")
failpath.run("chekout"); failpath.run("qqq")
def f(it: Run): it.step("shipp"); it.step("qqq")
failpath.run("checkout" if run else "delivery").step("pay-back")
""",
    )

    assert messages(check(tmp_path / "shop.py")) == [
        "flow 'checkout' has no step 'charge-crad'; did you mean 'charge-card'?",
        "flow 'checkout' has no step 'Charge_Card'; did you mean 'charge-card'?",
        "flow 'checkout' has no step 'ship'; it is a step of 'delivery'",
        "flow 'checkout' has no step 'qqq'",
        "there is no flow 'chekout'; did you mean 'checkout'?",
        "there is no flow 'qqq'",
        "no flow has a step 'shipp'; did you mean 'ship' of 'delivery'?",
        "no flow has a step 'qqq'",
        "flows 'checkout' and 'delivery' have no step 'pay-back'; it is a step of 'refund'",
    ]


def test_keys_clients_and_runs_are_followed_through_the_modules_of_a_project(tmp_path: Path) -> None:
    planted = write(
        tmp_path,
        shop__init="from .clients import failpath as client\n",
        shop__clients="""\
import failpath_otel
failpath = failpath_otel.configure()
def run_of(order): return failpath.run("checkout", run_id=order)
class Base:
    def __init__(self): self.run = failpath.run("delivery")
""",
        shop__keys='CHARGE = "charge-crad"\nPACK = "pack"\n',
        shop__more__init="",
        shop__more__keys='SHIP = "shipp"\n',
        shop__pay="""\
from shop.clients import *
from shop.clients import run_of as new_run
from shop import client, keys
from shop.keys import CHARGE, PACK as WRAP
from . import clients
from .more import keys as more
import shop.clients
import shop.more.keys
import shop.more.keys as third
failpath.run(«"a"»)
run = new_run(1)
run.step(«CHARGE»)
run.step(«WRAP»)
run.step(«keys.CHARGE»)
client.run(«"b"»)
clients.failpath.run(«"c"»)
shop.clients.run_of(2).step(«more.SHIP»)
shop.client.run("delivery").step(«shop.more.keys.SHIP»)
run.step(«third.SHIP»)
class Branch(clients.Base):
    def go(self): self.run.step(«"pay-back"»)
""",
        shop__first="from shop import last\nrun = last.failpath.run('refund')\ndef f(): run.skip(«'ship'»)\n",
        shop__last="from shop import first, clients\nfailpath = clients.failpath\ndef f(): first.run.skip(«'ship'»)\n",
        elsewhere="from shop.nothing import run\nrun.step('x')\n",
    )

    assert places(check(tmp_path)) == planted
    # Each file by itself as well: what it imports is found beside it.
    assert places(check(tmp_path / "shop" / "pay.py")) == {place for place in planted if place[0].endswith("pay.py")}


def test_a_project_is_found_below_src_and_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        tmp_path,
        src__shop__clients="import failpath_otel\nfailpath = failpath_otel.configure()\n",
        tests__unit__checks="from shop.clients import failpath\nfailpath.run('x')\n",
    )
    monkeypatch.chdir(tmp_path)

    assert places(check(Path("tests"))) == {("tests/unit/checks.py", 2, 14)}


def test_constants_and_types_of_the_generated_module_are_known(tmp_path: Path) -> None:
    planted = write(
        tmp_path,
        shop__init="",
        shop__failpath_flows=GENERATED,
        shop__pay="""\
import failpath_otel
from shop import failpath_flows
from shop.failpath_flows import CheckoutRun, TypedFailpathClient, checkout, delivery, typed
failpath = failpath_flows.typed(failpath_otel.configure())
run = failpath.run("checkout", run_id=1)
run.step("charge-card", str)
run.step(checkout.steps.charge_card, str)
run.step(«failpath_flows.delivery.steps.ship», str)
failpath.run(checkout.slug).skip(«delivery.steps.pack»)
typed(failpath_otel.configure()).run(«"x"»)
def f(run: CheckoutRun, client: TypedFailpathClient, key: failpath_flows.StepKey):
    run.skip(«"ship"»), client.run(«"y"»), run.skip(key)
""",
    )

    assert places(check(tmp_path)) == planted


def test_constants_of_a_generated_module_that_is_stale_are_wrong(tmp_path: Path) -> None:
    planted = write(
        tmp_path,
        failpath_flows=GENERATED,
        shop="""\
import failpath_otel, failpath_flows
run = failpath_otel.configure().run(«failpath_flows.refund.slug»)
run = failpath_otel.configure().run(failpath_flows.checkout.slug)
run.step(«failpath_flows.checkout.steps.charge_paypal»)
""",
    )
    keys = KnownKeys({"checkout": ["charge-card"]})

    assert places(check(tmp_path, keys=keys)) == planted


def test_fixtures_of_pytest_are_clients_and_runs_in_files_of_tests_alone(tmp_path: Path) -> None:
    body = """\
def test_a(failpath, run, own, it):
    failpath.run(«"x"»)
    run.step(«"ship"»)
    own.step(«"pack"»)
    it.step("anything")
class TestB:
    def test_c(self, run): run.step(«"ship"»)
"""
    planted = write(
        tmp_path,
        tests__conftest="""\
import pytest
@pytest.fixture
def run(failpath):
    with failpath.run("checkout") as it:
        yield it
@pytest.fixture()
def own(): raise NotImplementedError
""",
        tests__unit__test_a=f"""\
import pytest
@pytest.fixture(name="other")
def own(own, failpath) -> object: return failpath.run("refund")
{body}""",
    )
    write(tmp_path, tests__unit__helper=body.replace("«", "").replace("»", ""))

    assert places(check(tmp_path)) == planted


def test_keys_in_files_of_rules_are_checked(tmp_path: Path) -> None:
    planted = write(
        tmp_path,
        **{
            "rules.toml": """\
[[rules]]
flow = "checkout"
step = «"charge-crad"»
span_name = "POST /charge"

[[rules]]
flow=«"chekout"»
"step"  =  "{1}"  # computed
span_name = "GET *"

[[rules]]
flow = "{resource:service.name}"
step = «'nowhere'»
span_name = "PUT"

[[rules]]
flow = "checkout"
step = "nowhere"  # failpath: ignore
span_name = "DELETE"
""",
            "inline.toml": 'rules = [{ flow = "delivery", step = «"shipp"», span_name = "a" }]\n',
            "pyproject.toml": '[tool.rules]\nstep = "x"\n',
        },
    )

    checked = check(tmp_path)

    assert places(checked) == planted
    assert (checked.files, checked.computed) == (2, 2)


def test_rules_that_cannot_work_are_an_error_with_the_line(tmp_path: Path) -> None:
    write(tmp_path, **{"rules.toml": '\n[[rules]]\nflow = "a"\nstep = "{2}"\nspan_name = "b"\n'})

    (error,) = check(tmp_path).errors

    assert error.place == (str(tmp_path / "rules.toml"), 4, None)
    assert "span_name has no wildcard" in error.reason


def test_what_no_code_uses_is_a_warning_where_a_folder_is_checked(tmp_path: Path) -> None:
    write(
        tmp_path,
        shop="""\
import failpath_otel
def helper(key): ...
run = failpath_otel.configure().run("checkout")
run.step("charge-card")
run.step(f"charge-{provider}")
run.step("send-receipt-emial")
helper("pack")
failpath_otel.configure().run("delivery")
""",
        **{"rules.toml": '[[rules]]\nflow = "delivery"\nstep = "shi{1}"\nspan_name = "*"\n'},
    )

    # `charge-paypal` matches the f-string, `send-receipt-email` was meant, `pack` is passed to a helper.
    assert [finding for finding in check(tmp_path).findings if finding.severity == "warning"] == [
        Finding(
            (".failpath/flows.json", None, None),  # type: ignore[arg-type] # a tuple is equal
            "warning",
            "unused-step",
            "step 'validate-cart' of 'checkout' is nowhere in the code",
            "checkout",
            "validate-cart",
        ),
        Finding(
            (".failpath/flows.json", None, None),  # type: ignore[arg-type] # as above
            "warning",
            "unused-flow",
            "flow 'refund' is nowhere in the code",
            "refund",
        ),
    ]
    assert messages(check(tmp_path / "shop.py"), "unused-step", "unused-flow") == []


def test_keys_that_a_generated_module_names_are_used_only_where_the_code_names_its_constants(tmp_path: Path) -> None:
    write(
        tmp_path,
        failpath_flows=GENERATED,
        shop="from failpath_flows import checkout, refund\nhelp(checkout.steps.charge_card, refund.slug)\n"
        "import failpath_otel\nfailpath_otel.configure().run(checkout.slug)\n",
    )

    unused = [finding.step or finding.flow for finding in check(tmp_path).findings]

    assert unused == ["validate-cart", "send-receipt-email", "charge-paypal", "delivery", "pay-back"]


def test_a_preset_in_code_and_a_computed_step_of_a_rule_may_be_any_step_of_their_flow(tmp_path: Path) -> None:
    write(
        tmp_path,
        shop="from failpath_otel import StepRule\nStepRule.preset('celery', flow='delivery')\n"
        "StepRule('checkout', '{1}', span_name='*')\n",
    )

    assert messages(check(tmp_path)) == ["flow 'refund' is nowhere in the code"]


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("import failpath_otel\nrun.step(\n", 2, 9, "is not Python: '(' was never closed"),
        ("# -*- coding: no-such -*-\nrun.step('failpath')\n", 1, 1, "is not Python: "),
        ("# failpath run\n" + "-" * 100_000 + "1", None, None, "cannot be parsed: "),
        ("# failpath run \0\n", None, None, "cannot be parsed: source code string cannot contain null bytes"),
    ],
    ids=["syntax", "encoding", "depth", "null"],
)
def test_bad_input_a_file_that_is_not_python_is_an_error_with_its_place_and_others_are_checked(
    text: str, line: int | None, column: int | None, reason: str, tmp_path: Path
) -> None:
    planted = write(tmp_path, bad=text, good="import failpath_otel\nfailpath_otel.configure().run(«'x'»)\n")

    checked = check(tmp_path)

    assert places(checked) == planted
    (error,) = checked.errors
    if line is not None:
        assert error.place == (str(tmp_path / "bad.py"), line, column)
    assert error.reason.startswith(reason) or line is None


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")

    (error,) = check(tmp_path).errors

    assert (str(error.place), error.reason) == (str(tmp_path / "gone.py"), "cannot be read: No such file or directory")


def test_hidden_folders_virtual_environments_and_caches_are_left_out(tmp_path: Path) -> None:
    wrong = "import failpath_otel\nfailpath_otel.configure().run('x')\n"
    names = (".hidden", "venv", "node_modules", "__pycache__", "lib/site-packages")
    for name in names:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "wrong.py").write_text(wrong)
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    (tmp_path / "shop.txt").write_text(wrong)

    assert check(tmp_path).files == 0
    # A path that is named is checked, whatever it is called.
    assert len(places(check(tmp_path / ".hidden", tmp_path / "shop.txt"))) == 2


def test_the_text_of_an_import_names_its_modules(tmp_path: Path) -> None:
    path = tmp_path / "shop.py"
    path.write_text(
        "import a, b.c as d\n  from .e import (\n f, # g\n h as i)\n"
        "from . import j\nfrom k.l import m\nfrom ..n import o\n"
    )
    assert source.Source(path).imported_names() == {
        *((0, ("a",)), (0, ("b", "c"))),
        *((1, ("e",)), (1, ("e", "f")), (1, ("e", "h"))),
        *((1, ()), (1, ("j",))),
        *((0, ("k", "l")), (0, ("k", "l", "m"))),
        *((2, ("n",)), (2, ("n", "o"))),
    }


def test_a_project_that_does_not_use_this_package_is_not_even_parsed(tmp_path: Path) -> None:
    machine = "class Machine:\n    def run(self, key):\n        self.step(key)\n" * 50
    write(tmp_path, **{f"room__part_{number}": machine for number in range(50)}, broken="run.step(")
    started = perf_counter()

    checked = check(tmp_path, keys=KnownKeys({}))

    assert (checked.findings, checked.errors, checked.files) == ([], [], 51)
    assert perf_counter() - started < 5


def test_a_pipe_among_the_files_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "shop.py")
    assert [error.reason for error in check(tmp_path).errors] == ["cannot be read: is not a regular file"]


def test_texts_that_double_with_each_line_fill_no_memory(tmp_path: Path) -> None:
    doubled = "key = key + key\n" * 60
    write(tmp_path, shop=f"import failpath_otel\nkey = 'a'\n{doubled}failpath_otel.configure().run(key)\n")
    assert check(tmp_path / "shop.py").computed == 1


def test_a_key_of_many_computed_parts_is_matched_within_bounds(tmp_path: Path) -> None:
    key = "-{key}" * 30 + "."
    code = f"import failpath_otel\ndef f(key): failpath_otel.configure().run('checkout').step(f'a{key}', str)\n"
    write(tmp_path, shop=code)
    steps = ["a" + "-" * 150, "a" + "-" * 150 + ".", "b" + "-" * 150 + "."]
    checked = Checker(KnownKeys({"checkout": steps}), Path("flows.json")).check([tmp_path])
    assert [finding.step for finding in checked.findings] == [steps[0], steps[2]]


def test_a_message_shows_the_beginning_of_a_key_that_is_too_long(tmp_path: Path) -> None:
    write(tmp_path, shop=f"import failpath_otel\nfailpath_otel.configure().run('{'x' * 9_000}')\n")
    assert messages(check(tmp_path / "shop.py")) == [f"there is no flow '{'x' * 200}'…"]
