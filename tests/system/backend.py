# SPDX-License-Identifier: MIT
"""A tracing backend that does as it is told, and remembers everything.

It speaks just enough HTTP/1.1 to take posts on kept connections, one thread a connection.
What it answers is a script: one action per attempt, then `otherwise` for all further ones.

    backend.script(Answer(503), Answer(429, retry_after="1"), Stall())   # then 200 again

Bodies are kept as bytes, as they were before they were compressed, and parsed only when a test asks, so that it keeps up
with 5,000 spans a second on half a processor. stop() makes the port refuse connections; start() brings it back on the
same port. greet is what happens to a connection before its first request: TLS, mostly. Who touches what: connection
threads append to `attempts` under the lock; the test reads. Nothing here sleeps: a stall waits on an event that
release() or stop() sets.
"""

import contextlib
import ctypes
import gzip
import re
import socket
import ssl
import struct
import threading
import time

import ports

SPAN_HEAD = re.compile(  # in each of the formats
    rb'"trace(?:Id|_id)":"([0-9a-f]{32})","(?:spanId|span_id|id)":"([0-9a-f]{16})"')
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
DROP_ALL = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # one instruction: return 0
DROP_FILTER = struct.pack("HP", 1, ctypes.addressof(DROP_ALL))
SPAN_END = re.compile(rb'"endTimeUnixNano":"(\d+)"')
HEAD_BYTES_MAX = 65536
IDLE_SECONDS = 120


class Answer:
    """Answers with a status, and whatever headers and body."""

    rejected = 0

    def __init__(self, status=200, body=b"{}", retry_after=None, headers=()):
        self.status = status
        self.body = body
        self.headers = list(headers)
        if retry_after is not None:
            self.headers.append(("Retry-After", retry_after))

    def perform(self, connection, backend):
        head = "HTTP/1.1 %d Scripted\r\nContent-Type: application/json\r\n" % self.status
        head += "".join("%s: %s\r\n" % header for header in self.headers)
        head += "Content-Length: %d\r\n\r\n" % len(self.body)
        connection.sendall(head.encode() + self.body)
        return True

    @property
    def accepts(self):
        return 200 <= self.status < 300


class Late(Answer):
    """Answers after a while."""

    def __init__(self, seconds, status=200):
        super().__init__(status)
        self._seconds = seconds

    def perform(self, connection, backend):
        backend.released.wait(self._seconds)
        return super().perform(connection, backend)


class Partial(Answer):
    """A 200 that refuses some of the spans: span_count() is without them."""

    def __init__(self, rejected, message="refused by the script"):
        self.rejected = rejected
        super().__init__(200, b'{"partialSuccess":{"rejectedSpans":"%d","errorMessage":"%s"}}'
                         % (rejected, message.encode()))


class Stall:
    """Takes the request and says nothing until release() or stop()."""

    accepts = False

    def perform(self, connection, backend):
        backend.released.wait()
        return False


class Close:
    """Takes the request and closes without an answer."""

    accepts = False

    def perform(self, connection, backend):
        return False


class Reset(Close):
    """Takes the request and resets the connection."""

    def perform(self, connection, backend):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


class Cut(Reset):
    """Takes the request and resets the connection in the middle of its answer."""

    def perform(self, connection, backend):
        connection.sendall(b"HTTP/1.1 200 Scripted\r\nContent-Length: 100\r\n\r\n{")
        return super().perform(connection, backend)


class Drip(Stall):
    """Takes the request and answers a byte a second, for as long as that is listened to."""

    def perform(self, connection, backend):
        for byte in b"HTTP/1.1 200 Slowly\r\nContent-Length: 1000\r\n\r\n" + bytes(1000):
            connection.sendall(bytes([byte]))
            if backend.released.wait(1):
                break
        return False


class Flood(Answer):
    """Answers with a body of a GiB, or headers without end, for as long as the exporter takes it. taken_bytes is how
    much of the last one that was."""

    BODY = b"x" * 65536
    HEADERS = b"X-Flood: " + b"y" * 1013 + b"\r\n"

    def __init__(self, piece):
        super().__init__(200)
        self._piece = piece
        self.taken_bytes = 0

    def perform(self, connection, backend):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if self._piece is self.BODY else b""))
        self.taken_bytes = 0
        while self.taken_bytes < 1 << 30:
            connection.sendall(self._piece)
            self.taken_bytes += len(self._piece)
        return False


class Link:
    """A connection of an exporter's, by the port that it came from."""

    def __init__(self, port):
        self.port = port
        self.began_at = time.monotonic()
        self.attempts = []


class Attempt:
    """One request as it came in, and what was done with it."""

    def __init__(self, link, method, path, headers, body, action):
        self.at = time.monotonic()
        self.link = link
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.action = action
        self._heads = None

    @property
    def accepted(self):
        return self.action.accepts

    @property
    def heads(self):
        """(trace id, span id) of each span, in the order of the body, found without a parser."""
        if self._heads is None:
            self._heads = SPAN_HEAD.findall(self.body)
        return self._heads

    @property
    def newest_end_ns(self):
        """When the last of its spans ended."""
        return max(map(int, SPAN_END.findall(self.body)), default=0)


def secure(certificate, authority=None):
    """A greeting: TLS with this certificate, and with an authority only for who has one of its certificates."""
    context = certificate.context(authority)
    return lambda connection, backend: context.wrap_socket(connection, server_side=True)


def plain(connection, backend):
    """A greeting: none."""
    return connection


def stalled(connection, backend):
    """A greeting: takes the other's and says nothing until release() or stop()."""
    backend.released.wait()
    raise ConnectionAbortedError


class Backend:
    def __init__(self, path=None):
        """At a port, or at the path of a unix socket."""
        self.address = "127.0.0.1"
        self.path = path
        self.port = ports.free_port() if path is None else None
        self.url = "http://%s:%d" % (self.address, self.port) if path is None else "unix:%s" % path
        self.greet = plain
        self.attempts = []
        self.connections_taken = 0
        self.otherwise = Answer(200)
        self.released = threading.Event()
        self._script = []
        self._lock = threading.Lock()
        self._listener = None
        self._connections = set()
        self._threads = []

    # ---- The script ------------------------------------------------------------------------------

    def script(self, *actions, otherwise=None):
        with self._lock:
            self._script = list(actions)
            self.otherwise = otherwise or Answer(200)

    def _next_action(self):
        return self._script.pop(0) if self._script else self.otherwise

    # ---- What came -------------------------------------------------------------------------------

    def accepted(self):
        with self._lock:
            return [attempt for attempt in self.attempts if attempt.accepted]

    def span_heads(self):
        """(trace id, span id) of every span in an accepted batch, duplicates included."""
        return [head for attempt in self.accepted() for head in attempt.heads]

    def span_count(self):
        return sum(len(attempt.heads) - attempt.action.rejected for attempt in self.accepted())

    # ---- Coming and going ------------------------------------------------------------------------

    def start(self):
        self.released.clear()
        self._listener = self._listen()
        self._spawn(self._accept, self._listener)
        return self

    def _listen(self):
        if self.path is None:
            return socket.create_server((self.address, self.port), backlog=64)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        self.path.chmod(0o777)  # for workers, which are somebody else
        listener.listen(64)
        return listener

    def stop(self):
        """Refuses connections from now on, and drops those that are open. Who has sent a whole
        request still gets its answer: whether it was taken is never in doubt."""
        if self._listener is None:
            return
        self.released.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._listener = None
        if self.path is not None:
            self.path.unlink()
        with self._lock:
            for connection in self._connections:
                self._shut(connection)
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(timeout=10)
            assert not thread.is_alive(), "a backend thread is stuck"

    @contextlib.contextmanager
    def moved_here(self):
        """Runs in the network of the calling thread, until the end of the block."""
        self.stop()
        self.start()
        yield self
        self.stop()

    def drop_packets(self):
        """From now on whatever comes is lost on its way: connections are neither made nor refused, and those that
        are open hear nothing more, for ever."""
        with self._lock:
            for opened in (self._listener, *self._connections):
                opened.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, DROP_FILTER)

    def pass_packets(self):
        """New connections are made again."""
        self._listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)

    def release(self):
        self.released.set()

    @staticmethod
    def _shut(connection):
        try:
            connection.shutdown(socket.SHUT_RD)
        except OSError:
            pass  # the peer was first

    # ---- Threads ---------------------------------------------------------------------------------

    def _spawn(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener):
        while True:
            try:
                connection, address = listener.accept()
            except OSError:
                return  # stopped
            with self._lock:
                if self._listener is not listener:
                    connection.close()
                    return
                self._connections.add(connection)
                self.connections_taken += 1
                self._spawn(self._serve, connection, address[1] if self.path is None else None)

    def _serve(self, connection, port):
        connection.settimeout(IDLE_SECONDS)
        link = Link(port)
        try:
            # TLS takes a socket over; stop() goes on with this one.
            with connection, self.greet(connection.dup(), self) as greeted, greeted.makefile("rb") as stream:
                while self._serve_one(greeted, stream, link):
                    pass
        except (OSError, ssl.SSLError):
            pass  # the peer left; what it had sent in full is recorded
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _serve_one(self, connection, stream, link):
        head = read_head(stream)
        if head is None:
            return False
        method, path, headers = head
        body_bytes = int(headers.get("content-length", "0"))
        body = stream.read(body_bytes)
        if len(body) != body_bytes:
            return False
        with self._lock:
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            attempt = Attempt(link, method, path, headers, body, self._next_action())
            self.attempts.append(attempt)
            link.attempts.append(attempt)
        return attempt.action.perform(connection, self)


class Backends:
    """Several, of which each has got a part: what all of them have."""

    def __init__(self, *members):
        self._members = members

    def accepted(self):
        return sorted((attempt for member in self._members for attempt in member.accepted()),
                      key=lambda attempt: attempt.at)

    def span_heads(self):
        return [head for member in self._members for head in member.span_heads()]

    def span_count(self):
        return sum(member.span_count() for member in self._members)


def read_head(stream):
    """(method, path, {lower-case name: value}) of the next request, None at the end."""
    line = stream.readline(HEAD_BYTES_MAX)
    if not line.endswith(b"\r\n"):
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    headers = {}
    while True:
        line = stream.readline(HEAD_BYTES_MAX)
        if line == b"\r\n":
            return method, path, headers
        if not line.endswith(b"\r\n"):
            return None
        name, value = line.decode("latin-1").rstrip("\r\n").split(":", 1)
        headers[name.lower()] = value.strip()
