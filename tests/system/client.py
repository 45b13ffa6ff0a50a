# SPDX-License-Identifier: MIT
"""A client that sends exactly the bytes it is given: real HTTP libraries refuse the odd shapes."""

import socket

SECONDS = 10
AGENT = "system-test/1.0"


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class Reply:
    """Everything that the server sent, and from which port we asked."""

    def __init__(self, raw, port):
        self.raw = raw
        self.port = port

    @property
    def status(self):
        """200 for b"HTTP/1.1 200 OK…"; None where there is no status line (HTTP/0.9, nothing)."""
        return int(self.raw.split(b" ", 2)[1]) if self.raw.startswith(b"HTTP/") else None

    @property
    def body(self):
        return self.raw.split(b"\r\n\r\n", 1)[1]

    def header(self, name):
        """The header's value, None where it is missing."""
        head = self.raw.split(b"\r\n\r\n", 1)[0].decode("latin-1")
        for line in head.split("\r\n")[1:]:
            key, value = line.split(":", 1)
            if key.lower() == name.lower():
                return value.strip()
        return None


def exchange(port, *pieces):
    """Sends the pieces, each in a segment of its own, and takes all bytes until the server closes.
    Ask for "Connection: close"."""
    with connect(port) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return Reply(read_all(connection), connection.getsockname()[1])


def read_all(connection):
    chunks = []
    while True:
        try:
            chunk = connection.recv(65536)
        except ConnectionResetError:
            chunk = b""  # the server refused more than it read
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


def request(method="GET", target="/", headers=(), body=b"", version="1.1", host="shop.example",
            agent=AGENT, keep=False):
    """The bytes of a plain request, which closes its connection unless told to keep it."""
    lines = ["%s %s HTTP/%s" % (method, target, version)]
    if host is not None:
        lines.append("Host: %s" % host)
    if agent is not None:
        lines.append("User-Agent: %s" % agent)
    lines.append("Connection: %s" % ("keep-alive" if keep else "close"))
    lines += ["%s: %s" % header for header in headers]
    if body:
        lines.append("Content-Length: %d" % len(body))
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def get(port, target="/", headers=(), **more):
    return exchange(port, request("GET", target, headers, **more))
