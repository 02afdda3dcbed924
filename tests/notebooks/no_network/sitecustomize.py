"""Python starts with this module when its folder is on PYTHONPATH: sockets then reach this machine only.

The substitute where `unshare` is not there. It stops Python's own sockets, not those of compiled libraries.
"""

import ipaddress
import socket


def is_here(host: object) -> bool:
    """Is `host` this machine? Names other than localhost would have to be asked for outside."""
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(str(name).split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def guarded(method: str) -> None:
    """Make `socket.socket.<method>` refuse addresses outside."""
    original = getattr(socket.socket, method)

    def checked(self: socket.socket, *arguments: object) -> object:
        address = arguments[-1]
        if isinstance(address, tuple) and not is_here(address[0]):
            raise OSError(f"no network in this test: {method} to {address[0]}")
        return original(self, *arguments)

    setattr(socket.socket, method, checked)


for name in ("connect", "connect_ex", "sendto"):
    guarded(name)

_getaddrinfo = socket.getaddrinfo


def getaddrinfo(host: object, *arguments: object, **named: object) -> object:
    if not is_here(host):
        raise socket.gaierror(socket.EAI_NONAME, f"no network in this test: the name {host!r}")
    return _getaddrinfo(host, *arguments, **named)


socket.getaddrinfo = getaddrinfo
