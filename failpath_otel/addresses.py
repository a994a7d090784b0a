"""Hosts that only this machine can reach."""

from ipaddress import ip_address
from typing import Final

LOOPBACK: Final = "127.0.0.1"

DEFAULT_PORT: Final = 3001
DEFAULT_URL: Final = f"http://{LOOPBACK}:{DEFAULT_PORT}"
"""Of the local receiver."""


def is_loopback(host: str) -> bool:
    """Return whether *host*, a name or an IP address, is this machine as only itself can reach it."""
    name = host.rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
