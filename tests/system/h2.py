# SPDX-License-Identifier: MIT
"""HTTP/2 with prior knowledge, in frames that the test chooses: as many streams as it likes, and
resets whenever it likes (RFC 9113). Header blocks use no table and no Huffman code."""

import struct

import client

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
CANCEL = 8
STATUS_INDEXES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}  # HPACK, appendix A


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """A header field without indexing; name and value under 127 bytes."""
    name, value = name.encode(), value.encode("latin-1")
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def headers(method, target, authority, more):
    return b"".join(literal(name, value) for name, value in [
        (":method", method), (":scheme", "http"), (":path", target), (":authority", authority),
        ("user-agent", client.AGENT), *more])


class Connection:
    """Streams of one connection to port; statuses and bodies by stream as they come in."""

    def __init__(self, port):
        self._connection = client.connect(port)
        self.port = self._connection.getsockname()[1]
        self.status = {}
        self.body = {}
        self.ended = set()
        self._taken = b""
        self._next = 1
        self._connection.sendall(PREFACE + frame(SETTINGS, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()

    def request(self, target, more=(), method="GET", authority="shop.example"):
        """Sends a request without a body; returns its stream."""
        stream = self._next
        self._next += 2
        self._connection.sendall(frame(HEADERS, END_STREAM | END_HEADERS, stream,
                                       headers(method, target, authority, more)))
        return stream

    def reset(self, stream):
        self._connection.sendall(frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))

    def ping(self):
        """Returns when the server has handled everything that was sent before."""
        self._connection.sendall(frame(PING, 0, 0, b"tracez--"))
        while self._read_frame() != (PING, ACK):
            pass

    def wait(self, streams):
        """Returns when these streams have ended."""
        while not self.ended.issuperset(streams):
            self._read_frame()

    def _read_frame(self):
        head = self._read(9)
        payload = self._read(int.from_bytes(head[:3], "big"))
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        assert kind != GOAWAY, payload
        if kind == HEADERS:
            self.status[stream] = STATUS_INDEXES[payload[0] & 0x7f]
        if kind == DATA:
            self.body[stream] = self.body.get(stream, b"") + payload
        if kind == RST_STREAM or kind in (HEADERS, DATA) and flags & END_STREAM:
            self.ended.add(stream)
        return kind, flags

    def _read(self, count):
        while len(self._taken) < count:
            self._taken += client.read_some(self._connection)
        taken, self._taken = self._taken[:count], self._taken[count:]
        return taken
