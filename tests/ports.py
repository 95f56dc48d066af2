"""Ports for what has to know its own before it starts."""

import secrets  # noqa: TID251 - of the system, and no test hangs on it
import socket

OWN = range(20_000, 32_000)
"""None that the system gives to who asks for any (net.ipv4.ip_local_port_range begins at 32768)."""


def free_port() -> int:
    """One that nobody listens on now, and that nobody is given by chance until it is taken."""
    while True:
        port = secrets.choice(OWN)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
