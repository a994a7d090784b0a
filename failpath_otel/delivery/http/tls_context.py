"""What is trusted where a server is asked by HTTPS."""

import os
import ssl
import sys


def bundle_of_environment() -> str:
    """Return the file or directory of trusted certificates that a variable names; empty if none does."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or ""


def verifying_context(bundle: str) -> ssl.SSLContext:
    """Return a new context, because certificates are renewed: as urllib3's, but that it always verifies.

    ``bundle`` names the certificates that are trusted: a file or a directory; empty for those of certifi.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    context.hostname_checks_common_name = False
    if os.environ.get("SSLKEYLOGFILE"):
        context.keylog_filename = os.path.expandvars(os.environ["SSLKEYLOGFILE"])
    context.set_alpn_protocols(["http/1.1"])
    bundle = bundle or _default_bundle()
    if os.path.isdir(bundle):  # noqa: PTH112
        context.load_verify_locations(capath=bundle)
    else:
        context.load_verify_locations(cafile=bundle)
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        msg = "the certificate would not be verified"
        raise ssl.SSLError(msg)
    return context


def _default_bundle() -> str:
    import certifi  # noqa: PLC0415 - endpoints without TLS need none

    return certifi.where()
