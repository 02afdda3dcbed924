"""Run a command that has no network: in a network namespace of its own where the system allows it.

`offline(command)` gives the command and environment to hand to subprocess. As a script (inside the namespace)
this file raises the loopback interface, which Jupyter needs to talk to its kernels, and becomes the command.
"""

import os
import socket
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve()
BLOCKER = HERE.parent / "no_network"
# with rights of one's own, else as root of a user namespace
UNSHARE = (["unshare", "-n"], ["unshare", "-rn"])


@cache
def namespace() -> tuple[str, ...]:
    """The `unshare` command that works on this machine, or nothing."""
    for words in UNSHARE:
        probe = [*words, sys.executable, str(HERE), sys.executable, "-c", "print('here')"]
        try:
            done = subprocess.run(probe, capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and done.stdout.strip() == "here":
            return tuple(words)
    return ()


def way() -> str:
    """How notebooks are kept from the network on this machine, in words."""
    return " ".join(namespace()) or "blocked Python sockets (unshare does not work here)"


def offline(command: list[str], unshare: tuple[str, ...] | None = None) -> tuple[list[str], dict[str, str]]:
    """`command` and the environment that run it without network; `unshare` = () blocks sockets instead."""
    words = namespace() if unshare is None else unshare
    if words:
        return [*words, sys.executable, str(HERE), *command], dict(os.environ)
    folders = [str(BLOCKER), *filter(None, [os.environ.get("PYTHONPATH")])]
    return command, {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}


def raise_loopback() -> None:
    """Switch on `lo`, as `ip link set lo up` does, without needing that program."""
    import fcntl

    get_flags, set_flags, up = 0x8913, 0x8914, 0x1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, get_flags, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", answer)[1]
        fcntl.ioctl(control, set_flags, struct.pack("16sh14x", b"lo", flags | up))


if __name__ == "__main__":
    raise_loopback()
    os.execvp(sys.argv[1], sys.argv[1:])
