# SPDX-License-Identifier: MIT
"""Loopback ports for servers, below the range from which the kernel takes clients' ports, so that
no outgoing connection of a parallel test can be sitting on one."""

import random
import socket

LOWEST, HIGHEST = 10240, 32000

_given_out = set()


def free_port():
    for _ in range(1000):
        port = random.randint(LOWEST, HIGHEST)
        if port in _given_out:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given_out.add(port)
        return port
    raise RuntimeError("no free loopback port between %d and %d" % (LOWEST, HIGHEST))
