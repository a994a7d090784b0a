"""Where servers listen: sockets, and the URLs by which senders reach them."""

import socket
import sys
from ipaddress import ip_address
from typing import Final

from failpath_otel.addresses import LOOPBACK

_IPV4: Final = 4


def authority_of(host: str, port: int) -> str:
    """Return an IP address with a port, as URLs have it."""
    return f"{host}:{port}" if ip_address(host).version == _IPV4 else f"[{host}]:{port}"


def address_of(host: str, port: int, *, is_secure: bool = False) -> str:
    """Return the URL for this machine; an unspecified address becomes the loopback one."""
    address = ip_address(host)
    if address.is_unspecified:
        address = ip_address(LOOPBACK if address.version == _IPV4 else "::1")
    return f"{'https' if is_secure else 'http'}://{authority_of(str(address), port)}"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an IP address; port 0 picks a free port. Raise ``OSError``."""
    family = socket.AF_INET if ip_address(host).version == _IPV4 else socket.AF_INET6
    # Named, because asyncio sends without delay only on sockets that say that they are of TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":
            # A port that was just closed is free; on Windows the option would take a port in use.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener
