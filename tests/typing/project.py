"""A project with right and wrong uses of this package, and with typed keys, for type checkers and an editor."""

import json
import sys
from pathlib import Path
from typing import Final

from failpath_otel.cli.main import main

ROOT: Final = Path(__file__).parents[2]
SURFACE: Final = Path(__file__).with_name("surface.py")

WRONG: Final = """\
from typing import Literal

import failpath_otel

failpath = failpath_otel.configure(project_key="fp_project_xxx")
run = failpath.run("checkout")


def some_steps() -> failpath_otel.Run[Literal["a"]]:
    return run


few = some_steps()


@run.step("x")
def decorated(number: int) -> int:
    return number


failpath.run(1)  # a flow key that is no string
run.step(1)  # a step key that is no string
some: failpath_otel.Run[Literal['a', 'b']] = few  # a run that takes fewer steps
plain: failpath_otel.Run = few  # a run of some steps, where any can be meant
few.step('b')  # a step that is none of the run
run.step('x', lambda number: number)  # a function that takes an argument
run.step('x', 5)  # a value instead of a function
text: str = run.step('x', lambda: 1)  # the type of a value
decorated('text')  # the type of a decorated function
failpath.run_from_headers(17)  # headers that are a number
failpath_otel.configure(colour='red')  # an unknown option
run.step('x', metadata=['a'])  # metadata that is no mapping
failpath.record_step(flow_key='a', run_id='b', step_key='c')  # a record without a status
failpath.record_step(flow_key='a', run_id='b', step_key='c', status='error', timestamp='now')  # a time that is a text
"""

FLOWS: Final = {
    "flows": [
        {"slug": "checkout", "nodes": [{"sdkStepKey": "validate-cart"}, {"sdkStepKey": "charge-card"}]},
        {"slug": "delivery", "nodes": [{"sdkStepKey": "pack"}, {"sdkStepKey": "ship"}]},
        {"slug": "without-steps", "nodes": []},
    ]
}

KEYS_HEAD: Final = """\
from collections.abc import Iterator
from typing import Literal

import pytest
from typing_extensions import assert_type

import failpath_otel
from failpath_otel import Run
from failpath_otel.testing import MockFailpath
from shop import failpath_flows
from shop.failpath_flows import CheckoutRun, TypedFailpathClient, TypedMockFailpath, checkout, delivery

failpath = failpath_flows.typed(failpath_otel.configure())
run = failpath.run("checkout", run_id=17)


def charge() -> str:
    return "ch_1"


async def pack() -> int:
    return 1


def pay(run: CheckoutRun) -> None:
    run.step("charge-card", charge)


"""

RIGHT_KEYS: Final = f"""{KEYS_HEAD}
def plain(run: Run, client: failpath_otel.Failpath) -> None:
    run.step("any", charge)
    client.run("any").skip("any")


def only_charges(run: Run[Literal["charge-card"]]) -> None:
    run.skip("charge-card")


async def steps() -> None:
    assert_type(failpath, TypedFailpathClient)
    assert_type(run, CheckoutRun)
    assert_type(run.step("charge-card", charge), str)
    assert_type(run.step(checkout.steps.charge_card, charge, metadata={{"amount": 5}}), str)
    assert_type(await failpath.run(delivery.slug).step(delivery.steps.pack, pack), int)
    with failpath.run(checkout.slug) as entered, entered.step("validate-cart") as step:
        assert_type(entered, CheckoutRun)
        step.set_metadata(lines=5)
        pay(entered)
    async with failpath.run("checkout") as entered, entered.step("validate-cart"):
        only_charges(entered)
    run.skip(checkout.steps.charge_card)
    failpath.record_step(flow_key="delivery", run_id=17, step_key="ship", status="error", error="the van broke down")
    failpath.record_step(flow_key=checkout.slug, run_id=17, step_key=checkout.steps.charge_card, status="running")
    assert_type(failpath.run_from_headers({{}}, flow="checkout"), CheckoutRun)
    failpath.run_from_headers(run.headers()).step("ship", charge)
    current = failpath.current_run()
    if current is not None:
        pay(current)
    failpath.run("without-steps")
    assert_type(failpath.flush(), bool)
    failpath.stats()
    plain(failpath_otel.configure().run("any"), failpath)


@run.step("charge-card")
@failpath.step("ship")
def decorated(number: int) -> int:
    return number


assert_type(decorated(1), int)


def uses(client: TypedFailpathClient) -> None:
    client.run("checkout")


@pytest.fixture
def typed_failpath(failpath: MockFailpath) -> Iterator[TypedMockFailpath]:
    yield failpath_flows.typed(failpath)


def test_an_order(typed_failpath: TypedMockFailpath) -> None:
    uses(typed_failpath)
    pay(typed_failpath.run("checkout"))
    assert [event.step_key for event in typed_failpath.events] == ["charge-card"] * 2
    typed_failpath.reset()
"""

WRONG_KEYS: Final = f"""{KEYS_HEAD}
run.step("charge-crad", charge)  # a misspelt step
run.step("ship", charge)  # a step of another flow
failpath.run("checkuot")  # a flow that is not there
run.step(delivery.steps.ship, charge)  # a constant of another flow
failpath.record_step(flow_key="checkout", run_id=17, step_key="ship", status="running")  # a record of another flow
pay(failpath.run("delivery"))  # a run of another flow, passed to a function


@run.step("charge-crad")  # a decorator with a misspelt step
def decorated() -> None: ...


checkout.steps.charge_crad.upper()  # a constant that is not there
run.skip("ship")  # a step of another flow that is left out
failpath.run_from_headers({{}}, flow="checkuot")  # a flow that is not there, for headers
failpath_flows.typed(MockFailpath()).run("checkuot")  # a flow that is not there, in a test


@failpath.step("charge-crad")  # a decorator of the client, with a misspelt step
def decorated_by_client() -> None: ...


with run.step("charge-crad"):  # a block with a misspelt step
    pass


async def deliver() -> None:
    await failpath.run("delivery").step("charge-card", pack)  # a step of another flow that is awaited
"""


def expected(source: str) -> dict[int, str]:
    """Return the lines of wrong uses, and what each says of itself in its comment."""
    return {at: line.partition("  # ")[2] for at, line in enumerate(source.splitlines(), 1) if "  # " in line}


def make_project(folder: Path) -> None:
    """Write the project, set up for each checker to be strict."""
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "flows.json").write_text(json.dumps(FLOWS))
    assert main(["types", "--flows", f"{folder}/flows.json", "--out", f"{folder}/shop/failpath_flows.py"]) == 0
    (folder / "surface.py").write_text(SURFACE.read_text())
    (folder / "wrong.py").write_text(WRONG)
    (folder / "right_keys.py").write_text(RIGHT_KEYS)
    (folder / "wrong_keys.py").write_text(WRONG_KEYS)
    (folder / "mypy.ini").write_text(f"[mypy]\nstrict = true\npython_version = 3.10\nmypy_path = {ROOT}\n")
    strict = {"typeCheckingMode": "strict", "reportUnusedImport": False, "pythonVersion": "3.10"}
    # As in `pyproject.toml`.
    unknown = {f"reportUnknown{what}Type": False for what in ("Argument", "Lambda", "Member", "Parameter", "Variable")}
    (folder / "pyrightconfig.json").write_text(json.dumps({**strict, **unknown, "extraPaths": [str(ROOT)]}))
    (folder / "pyrefly.toml").write_text(
        f'preset = "strict"\nsearch-path = [".", "{ROOT}"]\npython-version = "3.10"\n'
        f'python-interpreter-path = "{sys.executable}"\n'
    )
