"""The manifests for Kubernetes, held against the image, the gateway and each other."""

import copy
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec
import pytest
from starlette.testclient import TestClient

from failpath_otel.options.variables import VARIABLES
from tests.deploy.manifests import (
    DEPLOY,
    ENDS_WITHIN,
    GRPC_PORT,
    HTTP_PORT,
    JOURNAL,
    documents,
    image,
    image_variables,
    only,
    started_with,
)
from tests.fault_server import FaultServer
from tests.gateway.apps import gateway_app

FOLDER: Final = DEPLOY / "kubernetes"
BASE: Final = FOLDER / "base"
LABELS: Final = {"app.kubernetes.io/name": "failpath-gateway"}
STATEFUL_SET: Final = only(BASE / "statefulset.yaml")
POD: Final = STATEFUL_SET["spec"]["template"]
[GATEWAY] = POD["spec"]["containers"]
SERVICES: Final = list(documents(BASE / "service.yaml"))
PORTS: Final = {"otlp-http": HTTP_PORT, "otlp-grpc": GRPC_PORT}


def test_the_gateway_takes_spans_from_other_pods_at_the_ports_of_the_services(tmp_path: Path) -> None:
    started = started_with(GATEWAY["args"], tmp_path / "key")
    assert (started.host, started.port) == ("0.0.0.0", HTTP_PORT)
    assert {each["name"]: each["containerPort"] for each in GATEWAY["ports"]} == PORTS
    for service in SERVICES:
        assert {each["targetPort"]: each["port"] for each in service["spec"]["ports"]} == PORTS
        assert service["spec"]["selector"] == LABELS
    assert STATEFUL_SET["spec"]["serviceName"] in {
        service["metadata"]["name"] for service in SERVICES if service["spec"].get("clusterIP") == "None"
    }


def test_all_that_selects_pods_selects_those_of_the_gateway() -> None:
    assert POD["metadata"]["labels"] == LABELS
    budget, policy = only(BASE / "poddisruptionbudget.yaml"), only(BASE / "networkpolicy.yaml")
    selectors = [STATEFUL_SET["spec"]["selector"], budget["spec"]["selector"], policy["spec"]["podSelector"]]
    selectors += [each["labelSelector"] for each in POD["spec"]["topologySpreadConstraints"]]
    assert [each["matchLabels"] for each in selectors] == [LABELS] * len(selectors)
    allowed = {each["port"] for rule in policy["spec"]["ingress"] for each in rule["ports"]}
    assert allowed == PORTS.keys()


def test_it_runs_as_the_user_of_the_image_with_no_rights_and_writes_the_volume_of_its_journal_alone() -> None:
    context, container = POD["spec"]["securityContext"], GATEWAY["securityContext"]
    assert image()["USER"] == [f"{context['runAsUser']}:{context['runAsGroup']}"]
    assert context["fsGroup"] == context["runAsGroup"]
    assert context["runAsNonRoot"] is True
    assert container["readOnlyRootFilesystem"] is True
    assert container["capabilities"] == {"drop": ["ALL"]}
    [mount] = GATEWAY["volumeMounts"]
    assert PurePosixPath(image_variables()[JOURNAL]).is_relative_to(mount["mountPath"])
    [claim] = STATEFUL_SET["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == mount["name"]
    assert {each["name"] for each in GATEWAY["env"]} <= set(VARIABLES)


def test_a_pod_has_time_for_its_pause_and_for_the_end_of_the_gateway() -> None:
    pause = GATEWAY["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert POD["spec"]["terminationGracePeriodSeconds"] > pause + ENDS_WITHIN


def test_probes_ask_what_a_gateway_answers_without_a_token(server: FaultServer, tmp_path: Path) -> None:
    with gateway_app(server.url, tmp_path / "journal", "a-long-token") as app:
        client: TestClient = app.client
        for name in ("startupProbe", "livenessProbe"):
            probe = GATEWAY[name]["httpGet"]
            assert PORTS[probe["port"]] == HTTP_PORT
            assert client.get(probe["path"]).status_code == 200
        # Which is why readiness is asked by gRPC: tests/gateway/test_grpc.py has that probes need no token there.
        assert client.get("/readyz").status_code == 401
        [endpoint] = only(FOLDER / "monitoring" / "servicemonitor.yaml")["spec"]["endpoints"]
        assert client.get(endpoint["path"], headers={"Authorization": "Bearer a-long-token"}).status_code == 200
    assert GATEWAY["readinessProbe"]["grpc"] == {"port": GRPC_PORT}
    monitor = only(FOLDER / "monitoring" / "servicemonitor.yaml")["spec"]
    # One of the two services, so that each gateway is scraped once.
    matching = [each for each in SERVICES if each["metadata"].get("labels") == monitor["selector"]["matchLabels"]]
    assert len(matching) == 1
    assert endpoint["port"] in {each["name"] for each in matching[0]["spec"]["ports"]}


@pytest.mark.parametrize("folder", ["base", "monitoring"])
def test_kustomize_takes_every_manifest_of_a_folder(folder: str) -> None:
    there = {path.name for path in (FOLDER / folder).glob("*.yaml")} - {"kustomization.yaml"}
    assert set(only(FOLDER / folder / "kustomization.yaml")["resources"]) == there


@pytest.mark.process
def test_without_volumes_of_their_own_only_the_place_of_the_journal_differs() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl")
    command = ["kubectl", "kustomize", str(FOLDER / "emptydir")]
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    found = [msgspec.yaml.decode(text) for text in made.split("\n---\n")]
    [ephemeral] = [each["spec"] for each in found if each["kind"] == STATEFUL_SET["kind"]]
    usual = copy.deepcopy(STATEFUL_SET["spec"])
    [claim] = usual.pop("volumeClaimTemplates")
    assert usual.pop("persistentVolumeClaimRetentionPolicy") == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    [volume] = ephemeral["template"]["spec"].pop("volumes")
    assert volume["name"] == claim["metadata"]["name"]
    assert "emptyDir" in volume
    [image_of_base] = only(BASE / "kustomization.yaml")["images"]
    [container] = ephemeral["template"]["spec"]["containers"]
    assert container["image"] == f"{image_of_base['newName']}:{image_of_base['newTag']}"
    container["image"] = image_of_base["name"]
    assert ephemeral == usual
