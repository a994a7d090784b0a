"""What others say of the files in ``deploy/``: run by ``make test-deployment``, which installs them."""

import shutil
import subprocess
from typing import Final

import pytest

from tests.deploy.manifests import DEPLOY, documents

OTHERS: Final = {"Kustomization", "ServiceMonitor"}
"""Kinds that are not of Kubernetes itself."""


def test_the_manifests_follow_the_schemas_of_the_oldest_and_the_newest_kubernetes() -> None:
    kubernetes = pytest.importorskip("kubernetes_validate")
    seen = set()
    for path in sorted((DEPLOY / "kubernetes").rglob("*.yaml")):
        for manifest in documents(path):
            if manifest["kind"] not in OTHERS:
                seen.add(manifest["kind"])
                for version in ("1.30", kubernetes.latest_version()):
                    kubernetes.validate(manifest, version, strict=True)
    assert seen == {"StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy"}


@pytest.mark.process
def test_hadolint_has_no_complaint() -> None:
    if shutil.which("hadolint") is None:
        pytest.skip("needs hadolint")
    command = ["hadolint", str(DEPLOY / "docker" / "Dockerfile")]
    linted = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert linted.returncode == 0, linted.stdout
