"""The files that a server's command line names for TLS: each mistake is said before anything is served."""

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from failpath_otel.errors import ConfigurationError
from failpath_otel.serving.tls import Tls, check_tls
from tests.serving.tls_files import TlsFiles, write_tls_files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return write_tls_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return write_tls_files(tmp_path_factory.mktemp("other"))


def test_files_that_belong_together_are_usable(files: TlsFiles) -> None:
    assert check_tls(files.certificate, files.key, None) == Tls(files.certificate, files.key)
    with_clients = check_tls(files.certificate, files.key, files.authority)
    assert with_clients == Tls(files.certificate, files.key, files.authority)
    assert check_tls(files.client, files.client, None) is not None, "both may be in one file"


def test_without_files_there_is_no_tls() -> None:
    assert check_tls(None, None, None) is None


def said(certificate: Path | None, key: Path | None, client_ca: Path | None = None) -> str:
    with pytest.raises(ConfigurationError) as failure:
        check_tls(certificate, key, client_ca)
    return str(failure.value)


def test_what_is_missing_is_named(files: TlsFiles) -> None:
    assert said(files.certificate, None) == "--tls-cert and --tls-key go together: --tls-key is missing"
    assert said(None, files.key) == "--tls-cert and --tls-key go together: --tls-cert is missing"
    assert said(None, None, files.authority) == "--client-ca needs --tls-cert and --tls-key"


@pytest.mark.parametrize("option", ["--tls-cert", "--tls-key", "--client-ca"])
def test_a_file_that_is_not_there_or_not_pem_is_named(files: TlsFiles, tmp_path: Path, option: str) -> None:
    field = {"--tls-cert": "certificate", "--tls-key": "key", "--client-ca": "authority"}[option]
    gone, garbage = tmp_path / "gone", tmp_path / "garbage"
    garbage.write_bytes(b"\xff\x00 no PEM")
    for path, reason in ((gone, "No such file"), (garbage, "in PEM"), (tmp_path, "Is a directory")):
        given = replace(files, **{field: path})
        text = said(given.certificate, given.key, given.authority)
        assert text.startswith(f"{option} {path}: ")
        assert reason in text


@pytest.mark.parametrize("option", ["--tls-cert", "--client-ca"])
def test_a_certificate_that_is_damaged_is_named(files: TlsFiles, tmp_path: Path, option: str) -> None:
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    field = {"--tls-cert": "certificate", "--client-ca": "authority"}[option]
    given = replace(files, **{field: damaged})
    assert f"{option} {damaged}: its certificate cannot be read" in said(given.certificate, given.key, given.authority)


def test_a_key_that_is_damaged_is_named(files: TlsFiles, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert said(files.certificate, damaged).startswith(f"--tls-key {damaged}: it cannot be used (")


def test_a_key_of_another_certificate_is_named(files: TlsFiles, others: TlsFiles) -> None:
    expected = f"--tls-key {others.key}: it does not match the certificate in {files.certificate}"
    assert said(files.certificate, others.key) == expected


def test_a_key_with_a_password_is_named_and_nobody_is_asked_for_it(files: TlsFiles, tmp_path: Path) -> None:
    key = load_pem_private_key(files.key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    assert said(files.certificate, locked).startswith(f"--tls-key {locked}: it is encrypted")
