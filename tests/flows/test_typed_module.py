"""The module that is made of declared flows: any flows give one that is valid, formatted and true."""

import ast
import hashlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args, get_origin

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import failpath_otel
from failpath_otel.flows.flow import Flow, Node
from failpath_otel.flows.names import flow_names, step_names
from failpath_otel.flows.typed_module import MARK, flows_hash, typed_module
from failpath_otel.testing import MockFailpath

ODD: Final = [
    *("", " ", "class", "type", "None", "l", "__init__", "_private", "3d-secure", "charge-card", "charge_card"),
    *("chargeCard", "HTTPCall", "a.b", "a b", "a-1", "a1", "typing", "str", "typed", "typed-failpath", "steps", "slug"),
    *(
        "Zahlung prüfen",
        "支付",
        "支付-步骤",
        "Straße",
        "ﬁn",
        "²",
        "\u200b",
        "🚚",
        "e\u0301",
        "\x00",
        "\n",
        "\\",
        '"',
        "'",
    ),
    *("a \"quoted\" 'key'", "x" * 66, "x" * 74, "x" * 80, "x" * 200, "支" * 40, "\u0445" * 80, "issue-token", "{run}"),
]
KEYS: Final = st.sampled_from(ODD[1:]) | st.text(min_size=1, max_size=90).filter(
    lambda key: not any("\ud800" <= char <= "\udfff" for char in key)
)
FLOWS: Final = st.lists(
    st.tuples(KEYS, st.lists(KEYS, unique=True, max_size=6)), min_size=1, max_size=4, unique_by=lambda flow: flow[0]
)
ALL_ODD: Final = [(slug, ODD[1:]) for slug in ODD[1:]]


def declared(flows: list[tuple[str, list[str]]]) -> list[Flow]:
    return [Flow(slug, tuple(Node(key, key) for key in keys)) for slug, keys in flows]


def imported(source: str) -> Any:
    module = ModuleType("failpath_flows")
    exec(compile(source, "failpath_flows.py", "exec", dont_inherit=True), vars(module))
    return module


def constants(module: Any, flows: list[Flow]) -> dict[str, list[str]]:
    found = {}
    for slug, name in flow_names(flow.slug for flow in flows).items():
        flow = getattr(module, name)
        keys = [node.key for declared in flows if declared.slug == slug for node in declared.nodes]
        found[flow.slug] = [getattr(flow.steps, step) for step in step_names(keys).values()]
    return found


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(flows=FLOWS)
@example(flows=ALL_ODD)
def test_any_flows_give_a_module_whose_constants_and_types_are_the_keys(flows: list[tuple[str, list[str]]]) -> None:
    source = typed_module(declared(flows))
    ast.parse(source, feature_version=(3, 10))
    module = imported(source)

    assert constants(module, declared(flows)) == dict(flows)
    assert list(get_args(module.FlowSlug)) == [slug for slug, _ in flows]
    keys = list(dict.fromkeys(key for _, keys in flows for key in keys))
    assert list(get_args(module.StepKey)) == keys
    assert typed_module(declared(flows)) == source


def test_typed_returns_the_same_client_and_the_types_of_clients_can_stand_in_annotations(
    failpath: MockFailpath,
) -> None:
    module = imported(typed_module(declared([("checkout", ["charge-card"])])))
    assert module.typed(failpath) is failpath
    assert isinstance(failpath, (module.TypedFailpath, module.TypedFailpathClient, module.TypedMockFailpath))
    assert module.typed(failpath).run(module.checkout.slug).step(module.checkout.steps.charge_card, lambda: 5) == 5
    assert (get_origin(module.CheckoutRun), get_args(module.CheckoutRun)) == (failpath_otel.Run, (module.CheckoutStep,))


def test_two_keys_of_one_name_both_lose_it_and_the_others_keep_theirs() -> None:
    before = step_names(["charge-card", "ship"])
    after = step_names(["charge_card", "charge-card", "ship"])
    assert before == {"charge-card": "charge_card", "ship": "ship"}
    assert len(set(after.values())) == 3
    assert "charge_card" not in after.values()
    assert after == step_names(["ship", "charge-card", "charge_card"])
    assert after["ship"] == "ship"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("charge-card", "charge_card"),
        ("chargeCard", "charge_card"),
        ("HTTPCall", "http_call"),
        ("class", "class_"),
        ("None", "none"),
        ("l", "l_"),
        ("type", "type"),
        ("__init__", "init"),
        ("3d-secure", "step_3d_secure"),
        ("a  b/c", "a_b_c"),
        ("Zahlung prüfen", "zahlung_prufen"),
        ("Straße", "strasse"),
        ("支付", "支付"),
        ("--", f"step_{hashlib.sha256(b'--').hexdigest()[:8]}"),
        ("x-" * 90, f"{'x_' * 23}x_{hashlib.sha256(b'x-' * 90).hexdigest()[:8]}"),
    ],
)
def test_the_name_of_a_step_is_that_of_its_key(key: str, name: str) -> None:
    assert step_names([key]) == {key: name}


@pytest.mark.parametrize(
    ("slug", "name"),
    [
        ("type", "type_"),
        ("typed", "typed_"),
        ("3d", "flow_3d"),
        ("a-1", "a_1"),
        ("支付", "支付"),
        ("datetime", "datetime_"),
    ],
)
def test_the_name_of_a_flow_shadows_no_name_that_the_module_uses(slug: str, name: str) -> None:
    assert flow_names([slug])[slug] == name


def test_flows_whose_classes_would_have_one_name_have_other_names() -> None:
    names = flow_names(["a-1", "a1"])
    assert names["a-1"].startswith("a_1_")
    assert names["a1"].startswith("a1_")


def test_the_names_of_builtins_are_not_the_names_of_flows() -> None:
    import builtins  # noqa: PLC0415

    ours = [name for name in vars(builtins) if name.islower() and not name.startswith("_") and name.isidentifier()]
    assert [name for name in ours if flow_names([name])[name] == name] == []


def test_the_hash_is_that_of_slugs_and_keys_and_stands_at_the_head() -> None:
    flow = Flow("checkout", (Node("a", "A"), Node("b", "B")), (("a", "b"),))
    digest = flows_hash([flow])
    assert typed_module([flow]).startswith(f'{MARK}{digest}."""\n\n#')  # the empty line is Black's
    assert flows_hash([Flow("checkout", (Node("a", "Another label"), Node("b", "b")))]) == digest
    assert flows_hash([Flow("checkout", (Node("b", "B"), Node("a", "A")))]) != digest


def parameters(method: ast.FunctionDef) -> list[tuple[str, str | None]]:
    given = method.args
    defaults = [None] * (len(given.args) - len(given.defaults)) + given.defaults
    named = [*zip(given.args, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return [(each.arg, None if default is None else ast.unparse(default)) for each, default in named]


@pytest.mark.parametrize("name", ["run", "run_from_headers", "current_run", "step", "record_step"])
def test_a_typed_client_has_the_methods_with_keys_as_the_library_has_them(name: str) -> None:
    (keys,) = (
        node
        for node in ast.walk(ast.parse(typed_module(declared([("checkout", ["a"]), ("delivery", ["b"])]))))
        if isinstance(node, ast.ClassDef) and node.name == "_Keys"
    )
    ours = inspect.signature(getattr(failpath_otel.Failpath, name)).parameters.values()
    known = [(each.name, None if each.default is each.empty else repr(each.default)) for each in ours]
    typed = [parameters(node) for node in keys.body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert typed
    for found in typed:
        # Of the overloads by `flow`, those of one flow have no default.
        assert [(each, default or dict(known)[each]) for each, default in found] == known
    methods = {node.name for node in keys.body if isinstance(node, ast.FunctionDef)}
    taking = {
        method
        for method, value in vars(failpath_otel.Failpath).items()
        if not method.startswith("_")
        and {"flow_key", "step_key", "flow"} & inspect.signature(value).parameters.keys() | ({method} & {"current_run"})
    }
    assert methods == taking


@pytest.mark.process
def test_the_linter_and_the_formatter_have_nothing_to_change(tmp_path: Path) -> None:
    pytest.importorskip("ruff")
    made = {
        "few.py": [("checkout", ["validate-cart", "charge-card"])],
        "two.py": [("checkout", ["validate-cart", "charge-card"]), ("delivery", [])],
        "odd.py": ALL_ODD,
        **{f"long{size}.py": [("a" * size, ["b" * size]), ("c" * size, [])] for size in range(20, 90, 3)},
    }

    @settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
    @given(flows=FLOWS)
    def make_any(flows: list[tuple[str, list[str]]]) -> None:
        made[f"any{len(made)}.py"] = flows

    make_any()
    for name, flows in made.items():
        (tmp_path / name).write_text(typed_module(declared(flows)), encoding="utf-8")
    # D203 and D213 contradict D211 and D212, INP001 is about where the file is.
    rules = ["check", "--select=ALL", "--ignore=D203,D213,INP001", "--target-version=py310"]
    for command in (["format", "--diff"], rules):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
