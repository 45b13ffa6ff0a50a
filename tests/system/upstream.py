# SPDX-License-Identifier: MIT
"""The application behind nginx: answers by path, and keeps every request head as raw bytes.

What a test wants to know of it is which headers arrived, exactly; so nothing is parsed away. One
request a connection, as nginx does by default when proxying.
"""

import re
import socket
import threading

import polling
import ports

TRACEPARENT = re.compile(rb"^traceparent:[ \t]*(.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)
TRACESTATE = re.compile(rb"^tracestate:[ \t]*(.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)


class Received:
    """One request that came through nginx."""

    def __init__(self, head, body):
        self.head = head
        self.body = body
        self.path = head.split(b" ", 2)[1].decode("latin-1")
        lines = head.replace(b"\r\n", b"\n")
        self.traceparents = [value.decode("latin-1") for value in TRACEPARENT.findall(lines)]
        self.tracestates = [value.decode("latin-1") for value in TRACESTATE.findall(lines)]
        self.header_count = lines.strip().count(b"\n")

    def header(self, name):
        """The first header of this name, None where it is missing."""
        match = re.search(rb"^%s:[ \t]*(.*?)[ \t]*\r?$" % re.escape(name.encode()), self.head,
                          re.IGNORECASE | re.MULTILINE)
        return match.group(1).decode("latin-1") if match else None


class Conversation:
    """A response that lasts: its head goes out at once, what is said when it is said, and it is over
    when the test or the peer ends it. What comes in goes back, as a websocket's echo."""

    def __init__(self, head=b""):
        self._head = head
        self._connections = []

    def say(self, text):
        polling.until("somebody listens", lambda: self._connections)
        for connection in self._connections:
            connection.sendall(text)

    def end(self):
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the peer was first
        self._connections = []

    def hold(self, connection):
        self._connections.append(connection)
        connection.sendall(self._head)
        while chunk := connection.recv(65536):
            connection.sendall(chunk)


class Upstream:
    def __init__(self, answers):
        """answers: path without query -> the whole response as bytes, or a function of what was
        received that makes it, or a Conversation, or None to say nothing until the peer leaves; else
        it is a 404."""
        self.port = ports.free_port()
        self.address = "127.0.0.1:%d" % self.port
        self.received = []
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def take(self):
        """What was received since the last call."""
        taken, self.received = self.received, []
        return taken

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(30)
        try:
            with connection:
                received = read_request(connection)
                if received is None:
                    return
                self.received.append(received)
                response = self._answers.get(received.path.split("?")[0], NOT_FOUND)
                if callable(response):
                    response = response(received)
                if isinstance(response, Conversation):
                    response.hold(connection)
                elif response is not None:
                    connection.sendall(response)
                    connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass  # let the peer close first, so that nothing of the answer is lost
        except OSError:
            pass  # nginx left first: an aborted request


def answer(status="200 OK", body=b"", headers=()):
    head = "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n" % (status, len(body))
    head += "".join("%s: %s\r\n" % header for header in headers)
    return head.encode("latin-1") + b"\r\n" + body


NOT_FOUND = answer("404 Not Found", b"no such path upstream\n")


def read_request(connection):
    buffered = b""
    while b"\r\n\r\n" not in buffered:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        buffered += chunk
    head, body = buffered.split(b"\r\n\r\n", 1)
    length = re.search(rb"^content-length:[ \t]*(\d+)", head, re.IGNORECASE | re.MULTILINE)
    wanted = int(length.group(1)) if length else 0
    while len(body) < wanted:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        body += chunk
    return Received(head + b"\r\n", body)
