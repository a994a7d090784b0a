"""The Compose file: a Collector in front of two gateways, held against the image and the schema."""

import json
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, Final

import jsonschema_rs
import pytest

from tests.deploy.manifests import (
    DEPLOY,
    ENDS_WITHIN,
    GRPC_PORT,
    HTTP_PORT,
    JOURNAL,
    image_variables,
    only,
    started_with,
)

FOLDER: Final = DEPLOY / "compose"
COMPOSE: Final = only(FOLDER / "compose.yaml")
COLLECTOR: Final = only(FOLDER / "collector.yaml")
SERVICES: Final = COMPOSE["services"]
GATEWAYS: Final = {name: each for name, each in SERVICES.items() if "command" in each and "gateway" in each["command"]}


def mounts(service: Any) -> dict[PurePosixPath, str]:
    """The volumes of a service, by where they are."""
    return {PurePosixPath(each.partition(":")[2]): each.partition(":")[0] for each in service["volumes"]}


def test_it_follows_the_specification() -> None:
    # Not imported, which takes half a second: it is a package with the schemas of others.
    found = find_spec("check_jsonschema")
    if found is None or found.origin is None:
        pytest.skip("needs the schema that check-jsonschema brings")
    schema = Path(found.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema_rs.validator_for(json.loads(schema.read_text(encoding="utf-8"))).validate(COMPOSE)


def test_two_gateways_have_a_journal_each_the_key_in_a_file_and_time_to_end(tmp_path: Path) -> None:
    assert len(GATEWAYS) == 2
    journals = set()
    for gateway in GATEWAYS.values():
        started = started_with(gateway["command"], tmp_path / "key")
        assert (started.host, started.port) == ("0.0.0.0", HTTP_PORT)
        assert started.project_key == "fp_project_of_a_file"
        assert gateway["secrets"] == list(COMPOSE["secrets"])
        assert f"/run/secrets/{gateway['secrets'][0]}" in gateway["command"]
        [(place, volume)] = mounts(gateway).items()
        assert place in PurePosixPath(image_variables()[JOURNAL]).parents
        journals.add(volume)
        assert int(gateway["stop_grace_period"].removesuffix("s")) > ENDS_WITHIN
        assert set(gateway["expose"]) == {str(GRPC_PORT), str(HTTP_PORT)}
    assert len(journals) == 2
    assert journals < COMPOSE["volumes"].keys()


def test_secrets_and_configs_are_files_which_a_read_only_container_can_have() -> None:
    for each in (*COMPOSE["secrets"].values(), *COMPOSE["configs"].values()):
        assert list(each) == ["file"]
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in SERVICES.values())


def test_the_collector_sends_to_the_name_and_the_port_of_the_gateways_and_its_queue_is_on_its_volume() -> None:
    exporter = COLLECTOR["exporters"]["load_balancing"]
    resolver = exporter["resolver"]["dns"]
    for gateway in GATEWAYS.values():
        assert resolver["hostname"] in gateway["networks"]["default"]["aliases"]
    assert resolver["port"] == str(GRPC_PORT)
    storage = exporter["sending_queue"]["storage"]
    assert storage in COLLECTOR["service"]["extensions"]
    places = mounts(SERVICES["collector"])
    queue = PurePosixPath(COLLECTOR["extensions"][storage]["directory"])
    assert places.keys() & set(queue.parents)
    assert mounts(SERVICES["collector-volume"]) == places
    # Nothing is given up, and nothing waits in memory behind the queue on the disk.
    assert exporter["retry_on_failure"]["max_elapsed_time"] == 0
    assert exporter["protocol"]["otlp"]["sending_queue"] == {"enabled": False}


def test_the_collector_receives_at_the_ports_that_are_published_to_this_machine_alone() -> None:
    received = {each["endpoint"] for each in COLLECTOR["receivers"]["otlp"]["protocols"].values()}
    published = [each.rsplit(":", 2) for each in SERVICES["collector"]["ports"]]
    assert {f"0.0.0.0:{inside}" for _, _, inside in published} == received
    assert {address for address, _, _ in published} == {"127.0.0.1"}
    for kind, each in COLLECTOR["service"]["pipelines"]["traces"].items():
        assert set(each) <= COLLECTOR[kind].keys()
    [config] = SERVICES["collector"]["configs"]
    assert SERVICES["collector"]["command"] == [f"--config={config['target']}"]
    assert (FOLDER / COMPOSE["configs"][config["source"]]["file"]).is_file()
