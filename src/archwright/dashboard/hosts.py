"""Who may ask: a page elsewhere can point its own name at 127.0.0.1, so requests must name this machine."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress

LOOPBACK = "127.0.0.1"


def is_loopback(host: str) -> bool:
    """Return whether an address is of this machine only."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return host == "localhost"


def allowed(header: str, bound: str) -> bool:
    """Return whether a Host header names this server, which is bound to the address or name `bound`.

    On loopback that is loopback. Otherwise also the machine's name, and any address: what names an address cannot have
    been pointed here by somebody else's name server.
    """
    name = header.rpartition(":")[0] if header.rpartition(":")[2].isdecimal() and not header.endswith("]") else header
    if is_loopback(name) or is_loopback(bound):
        return is_loopback(name)
    with suppress(ValueError):
        ipaddress.ip_address(name.strip("[]"))
        return True
    return name.lower() in {bound.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
