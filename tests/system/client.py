# SPDX-License-Identifier: MIT
"""A client that sends exactly the bytes it is given: real HTTP libraries refuse the odd shapes."""

import re
import socket
import ssl

SECONDS = 20
AGENT = "system-test/1.0"


def connect(port, tls=False):
    connection = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls:
        connection = trusting_context().wrap_socket(connection)
    return connection


def trusting_context():
    """The tests' certificate is signed by itself."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


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


def exchange(port, *pieces, tls=False):
    """Sends the pieces, each in a segment of its own, and takes all bytes until the server closes.
    Ask for "Connection: close"."""
    with connect(port, tls) as connection:
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


def read_response(connection):
    """One response on a kept connection; its body has a Content-Length, or there is none."""
    taken = b""
    while response_bytes(taken) is None:
        taken += read_some(connection)
    return taken


def split_responses(raw):
    """Several such responses in a row, one by one."""
    found = []
    while raw:
        found.append(raw[:response_bytes(raw)])
        raw = raw[len(found[-1]):]
    return found


def response_bytes(taken):
    """How long the first response is; None when it is not all there."""
    head, blank, rest = taken.partition(b"\r\n\r\n")
    length = re.search(rb"^content-length: (\d+)", head, re.IGNORECASE | re.MULTILINE)
    body_bytes = int(length.group(1)) if length else 0
    return len(head + blank) + body_bytes if blank and len(rest) >= body_bytes else None


def read_some(connection):
    chunk = connection.recv(65536)
    assert chunk, "the server closed in the middle of a response"
    return chunk


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
