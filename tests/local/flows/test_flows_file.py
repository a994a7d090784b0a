"""What a project says of its flows is read as far as it can be understood, and again when it changes."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failpath_otel.flows.default_path import DEFAULT_PATH
from failpath_otel.flows.flows_file import MAX_BYTES, FlowsFileError
from failpath_otel.local.flows.flows_file import FlowsFile, find_flows_file, read_flows
from failpath_otel.local.flows.shape import DeclaredFlow, Node

CHECKOUT = {
    "slug": "checkout",
    "nodes": [{"sdkStepKey": "validate-cart", "label": "Validate Cart"}, {"sdkStepKey": "charge", "label": "Charge"}],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flows.json"


def _write(path: Path, *flows: Any, **others: Any) -> Path:
    path.write_text(json.dumps({"flows": flows, **others}), encoding="utf-8")
    return path


def _edges(path: Path, nodes: list[Any], edges: Any) -> list[tuple[str, str]]:
    return list(read_flows(_write(path, {"slug": "checkout", "nodes": nodes, "edges": edges}))["checkout"].edges)


def test_nodes_have_their_keys_and_labels_in_the_order_of_the_file(path: Path) -> None:
    assert read_flows(_write(path, CHECKOUT)) == {
        "checkout": DeclaredFlow("checkout", (Node("validate-cart", "Validate Cart"), Node("charge", "Charge")))
    }


def test_fields_that_are_not_known_are_no_trouble(path: Path) -> None:
    flow = {
        "slug": "checkout",
        "id": "f_1",
        "version": 3,
        "viewport": {"zoom": 1.5},
        "nodes": [{"sdkStepKey": "a", "label": "A", "position": {"x": 1, "y": 2}, "type": "step", "data": None}],
    }
    assert read_flows(_write(path, flow, projectId="p", version=1))["checkout"].nodes == (Node("a", "A"),)


@pytest.mark.parametrize("label", [None, "", "  ", 5, {"en": "A"}, ...])
def test_a_node_without_a_label_is_called_by_its_key(path: Path, label: object) -> None:
    node = {"sdkStepKey": "a"} if label is ... else {"sdkStepKey": "a", "label": label}
    assert read_flows(_write(path, {"slug": "checkout", "nodes": [node]}))["checkout"].nodes == (Node("a", "a"),)


@pytest.mark.parametrize(
    "edge",
    [
        {"source": "n1", "target": "n2"},
        {"source": "a", "target": "b"},
        {"source": "n1", "target": "b", "id": "e1", "label": "then"},
        {"from": "a", "to": "b"},
        {"from": "n1", "to": "n2"},
        {"source": {"handle": 1}, "target": {}, "from": "a", "to": "b"},
    ],
)
def test_edges_are_read_by_id_or_by_key_however_their_ends_are_called(path: Path, edge: dict[str, Any]) -> None:
    nodes = [{"id": "n1", "sdkStepKey": "a"}, {"id": "n2", "sdkStepKey": "b"}]
    assert _edges(path, nodes, [edge]) == [("a", "b")]


def test_ids_may_be_numbers(path: Path) -> None:
    nodes = [{"id": 1, "sdkStepKey": "a"}, {"id": 2, "sdkStepKey": "b"}]
    assert _edges(path, nodes, [{"source": 2, "target": "1"}]) == [("b", "a")]


def test_an_id_comes_before_the_key_of_another_node(path: Path) -> None:
    nodes = [{"id": "b", "sdkStepKey": "a"}, {"id": "a", "sdkStepKey": "b"}, {"id": "z", "sdkStepKey": "c"}]
    assert _edges(path, nodes, [{"source": "a", "target": "c"}]) == [("b", "c")]


@pytest.mark.parametrize(
    "edge",
    [
        None,
        "a->b",
        {},
        [],
        {"source": "a"},
        {"source": "a", "target": "nowhere"},
        {"sourceId": "a", "targetId": "b"},
        {"source": ["a"], "target": {"id": "b"}},
        {"source": True, "target": "b"},
        {"source": "a", "target": "a"},
    ],
)
def test_an_edge_that_is_not_understood_is_left_out_and_the_others_stay(path: Path, edge: object) -> None:
    nodes = [{"sdkStepKey": "a"}, {"sdkStepKey": "b"}, {"sdkStepKey": "1"}]
    good = {"source": "a", "target": "b"}
    assert _edges(path, nodes, [edge, good, good]) == [("a", "b")]


@pytest.mark.parametrize("node", [None, "a", 5, [], {}, {"sdkStepKey": None}, {"sdkStepKey": ""}, {"label": "Start"}])
def test_a_node_that_is_not_understood_is_left_out_and_the_others_stay(path: Path, node: object) -> None:
    flow = {"slug": "checkout", "nodes": [node, {"sdkStepKey": "a"}, {"sdkStepKey": "a", "label": "Again"}]}
    assert read_flows(_write(path, flow))["checkout"].nodes == (Node("a", "a"),)


@pytest.mark.parametrize("flow", [None, "checkout", {}, {"slug": 5}, {"slug": "", "nodes": []}, {"nodes": []}])
def test_a_flow_that_is_not_understood_is_left_out_and_the_others_stay(path: Path, flow: object) -> None:
    assert list(read_flows(_write(path, flow, CHECKOUT))) == ["checkout"]


@pytest.mark.parametrize("nodes", [None, "ab", {"a": {}}, 3])
def test_a_flow_whose_nodes_are_no_list_has_none(path: Path, nodes: object) -> None:
    flow = {"slug": "checkout", "nodes": nodes, "edges": nodes}
    assert read_flows(_write(path, flow)) == {"checkout": DeclaredFlow("checkout", ())}


def test_a_byte_order_mark_is_no_trouble(path: Path) -> None:
    path.write_text(json.dumps({"flows": [CHECKOUT]}), encoding="utf-8-sig")
    assert list(read_flows(path)) == ["checkout"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b'{"flows": [}\n]', "is not JSON"),
        (b'{"flows": ["\xff"]}', "is not JSON"),
        (b'{"flows": ' + b"[" * 100_000, "is not JSON"),
        (b"[]", "is not a list of flows"),
        (b"{}", "is not a list of flows"),
        (b'{"flows": {"checkout": {}}}', "is not a list of flows"),
    ],
)
def test_what_is_no_list_of_flows_is_one_clear_error(path: Path, content: bytes, reason: str) -> None:
    path.write_bytes(content)
    with pytest.raises(FlowsFileError, match=reason) as caught:
        FlowsFile(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text


def test_a_file_that_is_not_there_or_no_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FlowsFileError, match="No such file or directory"):
        FlowsFile(tmp_path / "nowhere.json")
    with pytest.raises(FlowsFileError, match="Is a directory"):
        FlowsFile(tmp_path)


def test_a_file_that_is_far_too_large_is_not_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(FlowsFileError, match="is larger than 16000000 bytes"):
        FlowsFile(path)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["a", "b", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["flows", "slug", "nodes", "edges", "sdkStepKey", "label", "id", "source", "target", "from"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(flows=st.lists(_JSON, max_size=3), top=_JSON)
def test_no_json_is_anything_but_flows_or_the_one_error(
    tmp_path_factory: pytest.TempPathFactory, flows: list[Any], top: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-flows.json"
    for flow in read_flows(_write(path, *flows)).values():
        keys = {node.step_key for node in flow.nodes}
        assert {end for edge in flow.edges for end in edge} <= keys
    path.write_text(json.dumps(top), encoding="utf-8")
    try:
        read_flows(path)
    except FlowsFileError as error:
        assert "\n" not in str(error)  # noqa: PT017


class _Clock:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def test_a_change_is_seen_a_second_later_and_not_before(path: Path, clock: _Clock) -> None:
    file = FlowsFile(_write(path, CHECKOUT), clock)
    _write(path, CHECKOUT, {"slug": "refund", "nodes": []})
    clock.now += 0.9
    assert list(file.flows()) == ["checkout"]
    clock.now += 0.2
    assert list(file.flows()) == ["checkout", "refund"]


def test_a_change_of_the_same_length_is_seen(path: Path, clock: _Clock) -> None:
    file = FlowsFile(_write(path, {"slug": "one"}), clock)
    _write(path, {"slug": "two"})
    os.utime(path, ns=(1, 1))
    clock.now += 2
    assert list(file.flows()) == ["two"]


def test_a_file_that_did_not_change_is_not_read_again(path: Path, clock: _Clock) -> None:
    file = FlowsFile(_write(path, CHECKOUT), clock)
    before = file.flows()
    clock.now += 2
    assert file.flows() is before


def test_a_broken_version_is_logged_once_and_the_last_good_one_stays_until_it_is_mended(
    path: Path, clock: _Clock, caplog: pytest.LogCaptureFixture
) -> None:
    file = FlowsFile(_write(path, CHECKOUT), clock)
    path.write_text("{", encoding="utf-8")
    with caplog.at_level(logging.WARNING, "failpath_otel"):
        for _ in range(3):
            clock.now += 2
            assert list(file.flows()) == ["checkout"]
    (said,) = caplog.messages
    assert "is not JSON" in said
    assert "stay as they were" in said
    _write(path, {"slug": "refund"})
    clock.now += 2
    assert list(file.flows()) == ["refund"]


def test_a_file_that_is_taken_away_leaves_its_flows(
    path: Path, clock: _Clock, caplog: pytest.LogCaptureFixture
) -> None:
    file = FlowsFile(_write(path, CHECKOUT), clock)
    path.unlink()
    with caplog.at_level(logging.WARNING, "failpath_otel"):
        for _ in range(3):
            clock.now += 2
            assert list(file.flows()) == ["checkout"]
    assert len(caplog.messages) == 1


def test_the_file_of_the_working_directory_is_taken_if_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_flows_file(None) is None
    DEFAULT_PATH.mkdir(parents=True)
    assert find_flows_file(None) is None
    DEFAULT_PATH.rmdir()
    _write(DEFAULT_PATH, CHECKOUT)
    found = find_flows_file(None)
    assert found is not None
    assert list(found.flows()) == ["checkout"]
    assert found.path == tmp_path / ".failpath" / "flows.json"


def test_a_file_that_was_given_comes_before_that_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    DEFAULT_PATH.parent.mkdir()
    _write(DEFAULT_PATH, CHECKOUT)
    found = find_flows_file(_write(tmp_path / "other.json", {"slug": "other"}))
    assert found is not None
    assert list(found.flows()) == ["other"]
    with pytest.raises(FlowsFileError):
        find_flows_file(tmp_path / "nowhere.json")
