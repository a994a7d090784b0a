"""``.failpath/flows.json`` is read strictly: what is declared, or where the mistake is."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from failpath_otel.flows.flow import Flow, Node
from failpath_otel.flows.flows_file import FlowsFileError, read_flows

CHECKOUT: dict[str, Any] = {
    "slug": "checkout",
    "nodes": [{"sdkStepKey": "validate-cart", "label": "Validate Cart"}, {"sdkStepKey": "charge"}],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flows.json"


def _write(path: Path, *flows: Any, **others: Any) -> Path:
    path.write_text(json.dumps({"flows": flows, **others}), encoding="utf-8")
    return path


def test_flows_and_nodes_are_read_in_the_order_of_the_file(path: Path) -> None:
    assert read_flows(_write(path, CHECKOUT, {"slug": "a", "nodes": []})) == (
        Flow("checkout", (Node("validate-cart", "Validate Cart"), Node("charge", "charge"))),
        Flow("a", ()),
    )


def test_fields_that_are_not_known_are_left_alone(path: Path) -> None:
    node = {"sdkStepKey": "a", "position": {"x": 1}, "data": None, "label": {"en": "A"}}
    flow = {"slug": "checkout", "version": 3, "nodes": [node], "viewport": [1.5]}
    assert read_flows(_write(path, flow, projectId="p")) == (Flow("checkout", (Node("a", "a"),)),)


def test_edges_are_read_where_they_are_understood_and_are_no_fault_where_they_are_not(path: Path) -> None:
    nodes = [{"id": 1, "sdkStepKey": "a"}, {"sdkStepKey": "b"}]
    edges: list[Any] = [None, {"source": "1", "target": "b"}, {"from": "b", "to": "nowhere"}, {"via": "a"}]
    known = {"slug": "known", "nodes": nodes, "edges": edges}
    unknown = {"slug": "unknown", "nodes": nodes, "edges": {"a": "b"}}
    assert [flow.edges for flow in read_flows(_write(path, known, unknown))] == [(("a", "b"),), ()]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not JSON: Input data was truncated, at line 1, column 1"),
        (
            b'{"flows": [\n{"slug": }]}',
            "is not JSON: JSON is malformed: invalid character (byte 21), at line 2, column 10",
        ),
        (b'{"flows":\n\n ["\xff"]}', "is not JSON: .*, at line 3, column 4"),
        (b'{"flows": [{"slug": "\\ud800", "nodes": []}]}', "is not JSON: .*, at line 1, column "),
        (b'\xef\xbb\xbf{"flows": [\n', "is not JSON: Input data was truncated, at line 2, column 1"),
        (b"[]", 'is not a list of flows as {"flows": [...]}: Expected `object`, got `array`'),
        (b'{"flows": []}', "has no flow"),
        (b'{"flows": [null]}', "flows[0]: Expected `object`, got `null`"),
        (b'{"flows": [{"nodes": []}]}', "flows[0]: Object missing required field `slug`"),
        (b'{"flows": [{"slug": "", "nodes": []}]}', "flows[0].slug: Expected `str` of length >= 1"),
        (b'{"flows": [{"slug": "a"}]}', "flows[0] of 'a': Object missing required field `nodes`"),
        (b'{"flows": [{"slug": "a", "nodes": {}}]}', "flows[0].nodes of 'a': Expected `array`, got `object`"),
    ],
)
def test_what_cannot_be_used_is_one_line_with_the_place(path: Path, content: bytes, reason: str) -> None:
    path.write_bytes(content)
    with pytest.raises(FlowsFileError) as caught:
        read_flows(path)
    text = str(caught.value)
    before, any_, after = reason.partition(".*")
    assert text.startswith(f"{path}: {before}")
    assert after in text
    assert any_ or text == f"{path}: {reason}"
    assert "\n" not in text


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ({"label": "Start"}, "flows[1].nodes[2] of 'b': Object missing required field `sdkStepKey`"),
        ({"sdkStepKey": ""}, "flows[1].nodes[2].sdkStepKey of 'b': Expected `str` of length >= 1"),
        ({"sdkStepKey": "x" * 201}, "flows[1].nodes[2].sdkStepKey of 'b': Expected `str` of length <= 200"),
        ({"sdkStepKey": 5}, "flows[1].nodes[2].sdkStepKey of 'b': Expected `str`, got `int`"),
        ({"sdkStepKey": "y"}, "flows[1].nodes[2] of 'b': has the sdkStepKey 'y', as nodes[1] has"),
    ],
)
def test_a_node_without_a_key_of_its_own_is_named(path: Path, node: object, reason: str) -> None:
    _write(path, CHECKOUT, {"slug": "b", "nodes": [{"sdkStepKey": "x"}, {"sdkStepKey": "y"}, node]})
    with pytest.raises(FlowsFileError) as caught:
        read_flows(path)
    assert str(caught.value) == f"{path}: {reason}"


def test_two_flows_of_one_slug_are_named(path: Path) -> None:
    with pytest.raises(FlowsFileError) as caught:
        read_flows(_write(path, CHECKOUT, {"slug": "b", "nodes": []}, CHECKOUT))
    assert str(caught.value) == f"{path}: flows[2]: has the slug 'checkout', as flows[0] has"


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(FlowsFileError, match="No such file or directory"):
        read_flows(path)


def test_a_pipe_is_refused_and_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(FlowsFileError, match="is not a regular file"):
        read_flows(path)
