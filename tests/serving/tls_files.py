"""Files of certificates, as users name them: of an authority, of a server on loopback, and of a client."""

from dataclasses import dataclass
from pathlib import Path

import trustme

from failpath_otel.addresses import LOOPBACK


@dataclass(frozen=True)
class TlsFiles:
    """``client`` has the certificate and the key in one file."""

    authority: Path
    certificate: Path
    key: Path
    client: Path

    @property
    def options(self) -> tuple[str, ...]:
        """Those of a server's command line."""
        return ("--tls-cert", str(self.certificate), "--tls-key", str(self.key))


def write_tls_files(directory: Path) -> TlsFiles:
    """Files of an authority that nobody else knows."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    server, client = authority.issue_cert(LOOPBACK), authority.issue_cert("sender@shop.example")
    files = TlsFiles(*(directory / f"{name}.pem" for name in ("authority", "server", "key", "client")))
    authority.cert_pem.write_to_path(files.authority)
    for number, blob in enumerate(server.cert_chain_pems):
        blob.write_to_path(files.certificate, append=number > 0)
    server.private_key_pem.write_to_path(files.key)
    client.private_key_and_cert_chain_pem.write_to_path(files.client)
    return files
