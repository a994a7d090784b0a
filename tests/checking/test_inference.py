"""How keys are found in the code: every planted mistake at its place, and nothing else."""

from pathlib import Path

import pytest

from tests.checking.planted import check, places, write

HEAD = """\
import failpath_otel
from failpath_otel import Run, configure
failpath = configure()
run = failpath.run("checkout", run_id=17)
"""

CASES = {
    "literals": """
failpath.run(«"chekout"»)
run.step(«"charge-crad"», str)
run.step("charge-card", str)
run.skip(«"ship"»)
failpath.run(flow_key=«"x"», run_id=1).step(fn=str, step_key=«'y'»)
""",
    "other ways to a client": """
import failpath_otel as fp, failpath_otel.testing
from failpath_otel.testing import MockFailpath
from failpath_otel.configure import FailpathClient
fp.configure(enabled=False).run(«"a"»)
failpath_otel.testing.MockFailpath().run(«"b"»)
MockFailpath().run(«"c"»)
failpath_otel.Failpath(tracer_provider=None).run(«"d"»)
""",
    "constants of the module": """
CHARGE = "charge-crad"
PACK: str = "pakc"
OK = "ship"
CHARGE_2 = "charge" + "-crad"
run.step(«CHARGE», str)
def later():
    with failpath.run("delivery") as other:
        other.step(«PACK», str)
        other.step(OK, str)
        run.step(«CHARGE_2», str)
""",
    "conditionals, both branches": """
run.step(«"a"» if failpath else "charge-card", str)
run.step("charge-card" if failpath else «"b"», str)
run.step("charge-card" if run else ("pack" and «"c"») if 1 else «"d"», str)
flow = "checkout" if failpath else "delivery"
either = failpath.run(flow)
either.step("pack", str)
either.step("charge-card", str)
either.step(«"pay-back"», str)
""".replace('("pack" and «"c"»)', '(«"pack"» and «"c"»)'),
    "keys that are computed": """
import os
name = os.environ["STEP"]
run.step(name, str)
run.step(f"charge-{name}", str)
run.step("charge-%s" % name, str)
run.step("-".join(["charge", name]), str)
run.step(*name)
run.step(**name)
constant = "crad"
run.step(«f"charge-{constant}"», str)
run.step(«f"plain"», str)
""",
    "aliases": """
client = failpath
other = another = client
again = other.run("delivery")
step, skip = again.step, again.skip
step("ship", str)
step(«"charge-card"», str)
skip(«"x"»)
first, (second, *_) = failpath.run("delivery"), (failpath.run("refund"), 1, 2)
first.step(«"pay-back"»)
second.step("pay-back")
second.step(«"ship"»)
(walrus := failpath.run("refund")).step(«"pack"»)
walrus.step(«"ship"»)
""",
    "a name that is bound again": """
run.step(«"pack"», str)
run = failpath.run("delivery")
run.step("pack", str)
run = object()
run.step("anything")
for run in failpath.run("refund"), failpath.run("delivery"):
    run.step("pay-back")
    run.step("ship")
    run.step(«"charge-card"»)
""",
    "branches": """
if failpath:
    it = failpath.run("delivery")
else:
    it = failpath.run("refund")
it.step("ship"), it.step("pay-back"), it.step(«"charge-card"»)
def f(order):
    if order is None:
        it = failpath.run("refund")
        it.step("pay-back")
        return
    else:
        it = failpath.run("delivery")
    it.step(«"pay-back"»)
    try:
        it = failpath.run("refund")
    except ValueError as error:
        it.step("ship")
        raise
    it.step(«"ship"»)
    while order:
        if order.done:
            it = failpath.run("checkout")
            break
    it.step("pay-back"), it.step("charge-card"), it.step(«"ship"»)
    match order:
        case {"kind": kind, **rest}:
            it = failpath.run("delivery")
        case [*_]:
            it = failpath.run("delivery")
        case _ if order:
            return
    it.step("ship")
    it.step(«"x"»)
""",
    "a loop that binds what it has used": """
it = None
for order in []:
    if it is not None:
        it.step(«"pack"»)
    it = failpath.run("refund")
""",
    "loops over keys": """
for key in ("validate-cart", "charge-card"):
    run.step(key, str)
for key in ["charge-card", "chrage"]:
    run.step(«key», str)
STEPS = {"validate-cart": str, "x": int}
for key, fn in STEPS.items():
    run.step(«key», fn)
[run.step(«key», fn) for key, fn in [("charge-card", str), ("y", int)]]
{run.skip(«key»): key for key in STEPS}
for number, key in enumerate(("z",)):
    run.skip(«key»)
run.step(«STEPS_BY["a"]», str) if (STEPS_BY := {"a": "nope", "b": "charge-card"}) else 0
run.step(STEPS_BY["b"], str)
run.step(STEPS_BY[name], str) if (name := input()) == "b" else None
""".replace("run.step(STEPS_BY[name], str)", "run.step(«STEPS_BY[name]», str)"),
    "blocks": """
with failpath.run("delivery") as inside, inside.step(«"charge-card"»):
    inside.step("pack")
async def main():
    async with failpath.run("refund") as inside:
        async with inside.step(«"ship"») as step:
            step.set_metadata(a=1)
        await inside.step(«"pack"», main)
import contextlib
with contextlib.ExitStack() as stack:
    entered = stack.enter_context(failpath.run("delivery"))
    entered.step(«"pay-back"»)
""",
    "decorators": """
@run.step(«"pack"»)
def pack(): ...
@failpath.step(«"charge-crad"»)
async def charge(): ...
@failpath.step("ship")
def ship(): ...
@run.step("charge-card", metadata={})
class Odd: ...
""",
    "parameters": """
from typing import Annotated, Literal, Optional
import typing as t
def a(run: Run): run.step(«"nowhere"»); run.step("ship")
def b(run: "Run | None" = None): run.skip(«"nowhere"»)
def c(run: Optional[failpath_otel.Run], *, fp: failpath_otel.FailpathClient): run.skip(«"no"»); fp.run(«"no"»)
def d(run: Annotated[Run, 17]): run.skip(«"no"»)
def e(runs: list[Run], by: dict[str, Run]):
    for each in runs: each.skip(«"no"»)
    by["a"].skip(«"no"»)
def f(key: Literal["charge-card", "chagre"]): run.step(«key», str)
def g(it=failpath.run("delivery")): it.skip(«"charge-card"»)
def h(run, step): run.step("anything"); step("anything")
def i(run: Run["Key"]): run.step(«"no"», str)
Key = Literal["charge-card", "k"]
def j(key: Key): run.step(«key», str)
def k(fp: "failpath_otel.testing.MockFailpath"): fp.run(«"no"»)
""",
    "attributes": """
class Shop:
    failpath = failpath_otel.configure()
    STEP = "stpe"
    def __init__(self):
        self.run = self.failpath.run("delivery")
        self.fp: failpath_otel.FailpathClient = make()
    def go(self):
        self.run.step(«"charge-card"»)
        self.run.step("ship")
        self.run.step(«self.STEP»)
        self.fp.run(«"x"»)
        self.other.run("anything")
        self.late.step(«"pack"»)
        self.make().step(«"ship"»)
        self.current.step(«"ship"»)
    def set_up(self): self.late = failpath.run("refund")
    def make(self): return failpath.run("refund")
    @property
    def current(self): return self.late
    @classmethod
    def of(cls): cls.failpath.run(«"y"»)
    @staticmethod
    def free(it): it.run("anything")
class Branch(Shop):
    def more(self):
        self.run.step(«"pay-back"»)
        self.STEP.upper()
Shop().run.step(«"validate-cart"»)
shop = Branch()
shop.run.step(«"validate-cart"»)
""",
    "class bodies and enumerations": """
import enum
class Steps(str, enum.Enum):
    CHARGE = "charge-card"
    PACK = "pakc"
class Flows(enum.StrEnum):
    SHIP = "delivery"
class Keys:
    run.skip(«"inside"»)
    class Inner:
        KEY = "inner"
run.step(Steps.CHARGE, str)
run.step(«Steps.PACK», str)
run.step(«Steps.PACK.value», str)
run.step(«Keys.Inner.KEY», str)
failpath.run(Flows.SHIP).step(«"charge-card"»)
""",
    "nested functions, lambdas and closures": """
def outer():
    it = failpath.run("delivery")
    def inner():
        def innermost():
            nonlocal it
            it.step(«"charge-card"»)
        return lambda key="x": it.step(«"pay-back"») or it.step(«key»)
    later.step("ship"), later.step(«"pack"»)
    return inner
later = failpath.run("refund")
later = failpath.run("checkout")
""".replace('later.step("ship"), later.step(«"pack"»)', 'later.step("pay-back"), later.step(«"pack"»)'),
    "what functions return": """
import functools, contextlib
_client = None
def client():
    global _client
    if _client is None:
        _client = configure()
    return _client
@functools.cache
def cached(): return client()
def typed() -> "failpath_otel.FailpathClient": ...
@contextlib.contextmanager
def checkout_run():
    with cached().run("checkout") as it:
        yield it
def runs():
    yield failpath.run("delivery")
async def later(): return failpath.run("refund")
client().run(«"a"»)
cached().run(«"b"»)
typed().run(«"c"»)
with checkout_run() as it: it.skip(«"ship"»)
for it in runs(): it.skip(«"pay-back"»)
async def main(): (await later()).skip(«"ship"»)
class Manager:
    def __enter__(self): return failpath.run("refund")
    def __exit__(self, *_): ...
    def __call__(self): return failpath.run("delivery")
with Manager() as it: it.skip(«"ship"»)
Manager()().skip(«"pay-back"»)
""",
    "dataclasses": """
import dataclasses
@dataclasses.dataclass
class Context:
    run: Run
    client: failpath_otel.FailpathClient
def go(context: Context):
    context.run.skip(«"no"»)
    context.client.run(«"no"»)
Context(run, client=failpath).run.skip(«"no"»)
""",
    "partial functions and casts": """
from functools import partial
from typing import cast
charge = partial(run.step, «"charge-crad"»)
cast("Run", object()).skip(«"no"»)
cast(Run, object()).skip(«"no"»)
""",
    "records by hand": """
failpath.record_step(flow_key="delivery", run_id=1, step_key=«"charge-card"», status="success")
failpath.record_step(flow_key=«"x"», run_id=1, step_key="ship", status="success")
failpath.record_step(flow_key=«"x"», run_id=1, step_key=«"y"», status="success")
record = failpath.record_step
record(status="skipped", run_id=1, step_key=«"pack"», flow_key="refund")
""",
    "runs that came from elsewhere": """
failpath.run_from_headers({}, flow=«"x"»).step(«"y"»)
failpath.run_from_headers({}, flow="checkout").step("ship")
failpath.run_from_headers({}, flow=None).step("ship")
failpath.current_run().step(«"y"»)
current = failpath.current_run() or failpath.run("delivery")
current.step("pay-back")
failpath.run(run.flow_key).step(«"ship"»)
""",
    "rules in code": """
from failpath_otel import StepRule
StepRule(«"x"», «"y"», span_name="POST /*")
StepRule("checkout", "charge-{1}", span_name="POST /*")
StepRule(flow="{1}", step=«"y"», span_name="POST /*")
rules = [StepRule(step=«"ship"», flow="checkout", span_name="a"), failpath_otel.StepRule("delivery", "ship", kind="b")]
StepRule.preset("celery", flow=«"x"»)
StepRule.preset("celery")
""",
    "attributes that make a span a step": """
from opentelemetry import trace
STEP = "failpath.step.key"
with trace.get_tracer("shop").start_as_current_span("any", attributes={
    "failpath.step.key": «"charge-card"», "failpath.run.id": "17", "failpath.flow.key": "delivery", **{},
}): ...
attributes = {"failpath.flow.key": «"x"», STEP: «"y"»}
attributes = {STEP: "ship", "flow": "x", "step.key": "y"}
""",
    "what is not of this package": """
import subprocess, asyncio, somewhere
from somewhere import Run as Other, configure as set_up
subprocess.run("chekout")
asyncio.run(somewhere.main("x"))
set_up().run("chekout").step("x")
somewhere.failpath.run("chekout").step("x")
class Machine:
    def run(self, key): self.step(key)
    def step(self, key): ...
Machine().run("x")
Machine().step("x")
def test(other: Other, configure): other.step("x"); configure().run("x")
def failpath_of(failpath): failpath.run("x")
run.headers().step("x")
run.step("charge-card").step("x")
run.flow_key.step("x")
""",
    "a library's class made one's own": """
class Client(failpath_otel.FailpathClient):
    def current_run(self): return failpath.run("refund")
    def go(self): self.run(«"x"»)
class Own(Run):
    def go(self): self.step(«"x"»)
def f(client: Client): client.run("delivery").step(«"pack-it"»); client.current_run().step(«"ship"»)
""",
    "lines that are not to be reported": """
run.step("charge-crad", str)  # failpath: ignore
run.step("charge-crad", str)  # Failpath:ignore[unknown-step]
run.step(«"charge-crad"», str)  # failpath: ignore[unknown-flow]
run.step(
    "x",  # noqa: E501  # failpath: ignore[unknown-flow, unknown-step]
    str,
)
""",
    "columns that count characters": """
naïve = "ß"; run.step(«"charge-crad"», str); "😀" and run.step(«"ship"», str)
\trun2 = 1
""".replace("\trun2 = 1\n", ""),
    "code that cannot be followed": """
from nowhere import *
from . import sibling
from .missing import thing
del run.something
def f(): yield from f()
def g(): return g()
x = lambda *a, **k: (yield)
class A(A): pass
A().run("x")
global_name: "not an expression (" = 1
print(f"{run!r:>{10}}", x[1:2], [*x], {**x}, ~1, -1, x @ 2, not x, x < 1 < 2, await_ if 0 else 1)
assert run, run.step(«"y"», str)
""",
}


@pytest.mark.parametrize("case", CASES)
def test_every_planted_mistake_is_found_at_its_place_and_nothing_else(case: str, tmp_path: Path) -> None:
    planted = write(tmp_path, shop=HEAD + CASES[case])

    checked = check(tmp_path / "shop.py")

    assert checked.errors == []
    assert places(checked) == planted, "\n".join(map(str, checked.findings))
