"""TLS of the servers: the files that the command line names, checked before anything is served."""

import ssl
from asyncio import sslproto
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from failpath_otel.errors import ConfigurationError

_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"
_KEY: Final = "PRIVATE KEY-----"
_BUFFER_BYTES: Final = 65_536


@dataclass(frozen=True)
class Tls:
    """The files of a server, which were usable when they were checked.

    Args:
        certificate: PEM, with those of intermediate authorities after it.
        key: PEM, without a password.
        client_ca: PEM; senders must present a certificate of one of these authorities.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def of_uvicorn(self) -> dict[str, Any]:
        """Return Uvicorn's options."""
        options: dict[str, Any] = {"ssl_certfile": str(self.certificate), "ssl_keyfile": str(self.key)}
        if self.client_ca is not None:
            options |= {"ssl_ca_certs": str(self.client_ca), "ssl_cert_reqs": ssl.CERT_REQUIRED}
        return options


def keep_small_buffers() -> None:
    """Have asyncio keep less than its 256 KiB for each connection with TLS, from its first byte on; 64 are as fast."""
    # Not documented, and without effect where it has moved.
    protocol: Any = getattr(sslproto, "SSLProtocol", None)
    if isinstance(getattr(protocol, "max_size", None), int):
        protocol.max_size = min(protocol.max_size, _BUFFER_BYTES)


def check_tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> Tls | None:
    """Return what these files make, ``None`` if none is given. Raise ``ConfigurationError``, which names the file."""
    if certificate is None and key is None:
        if client_ca is not None:
            raise ConfigurationError("--client-ca needs --tls-cert and --tls-key")
        return None
    if certificate is None or key is None:
        missing = "--tls-cert" if certificate is None else "--tls-key"
        raise ConfigurationError(f"--tls-cert and --tls-key go together: {missing} is missing")
    _check_certificates("--tls-cert", certificate)
    if _KEY not in (text := _read("--tls-key", key)):
        raise ConfigurationError(f"--tls-key {key}: it has no private key in PEM")
    if "ENCRYPTED" in text:
        raise ConfigurationError(f"--tls-key {key}: it is encrypted; take the password off, and protect the file")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigurationError(f"--tls-key {key}: it does not match the certificate in {certificate}") from None
        raise ConfigurationError(f"--tls-key {key}: it cannot be used ({error.reason or error})") from None
    if client_ca is not None:
        _check_certificates("--client-ca", client_ca)
    return Tls(certificate, key, client_ca)


def _check_certificates(option: str, path: Path) -> None:
    text = _read(option, path)
    if _CERTIFICATE not in text:
        raise ConfigurationError(f"{option} {path}: it has no certificate in PEM")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=text[text.index(_CERTIFICATE) :])
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(f"{option} {path}: its certificate cannot be read ({error})") from None


def _read(option: str, path: Path) -> str:
    try:
        return path.read_text(encoding="latin-1")
    except OSError as error:
        raise ConfigurationError(f"{option} {path}: {error.strerror or error}") from None
