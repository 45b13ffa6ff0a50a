# SPDX-License-Identifier: MIT
"""The requests of the first round: what is sent, and what the span of each must say.

Every one carries a traceparent of its own, so its span can be told from all others by the trace id.
One cannot: nginx refuses it before it reads any header. Its span begins a trace of its own and is
recognised by the connection that it came over.
"""

import os
import re
import socket
import time

SECONDS_MAX = 10
SECRET = "kept-to-myself"


class Exchange:
    """A request and its answer. tags: what nginx's span must have beside method, path and status.
    behind: what the application must make of it, as kinds and names in the order of their starts;
    the first one is below nginx's span."""

    def __init__(self, shows, method, target, status, *, headers=(), body=b"", version="1.1",
                 span_method=None, tags=None, behind=()):
        self.shows = shows
        self.title = "%s %s" % (method, target.replace(SECRET, "…"))
        self.status = status
        self.expected_answer = status
        self.span_method = span_method or method
        self.path = target.split("?")[0]
        self.tags = tags or {}
        self.behind = behind
        self.trace_id = os.urandom(16).hex()
        self.parent_id = os.urandom(8).hex()
        self.local_port = None
        self.answer = None  # its status, or why there is none
        self._bytes = format_request(method, target, version, body, [
            ("traceparent", "00-%s-%s-01" % (self.trace_id, self.parent_id)), *headers])

    def send(self, nginx):
        try:
            with socket.create_connection(("127.0.0.1", nginx.port), SECONDS_MAX) as connection:
                self.local_port = connection.getsockname()[1]
                connection.sendall(self._bytes)
                self.answer = self._wait(connection, nginx)
        except OSError as error:
            self.answer = error

    def _wait(self, connection, _):
        """For the answer's status."""
        received = b""
        while piece := connection.recv(65536):
            received += piece
        status = re.match(rb"HTTP/1\.[01] (\d{3}) ", received)
        return int(status[1]) if status else "no HTTP: %r" % received[:40]

    def is_mine(self, span):
        return span.trace_id == self.trace_id


class Abandoned(Exchange):
    """The client leaves before the answer: nginx calls that 499. It must not leave before nginx has
    read the request, so it looks whether a span is live: after those of earlier requests are not."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.expected_answer = None

    def send(self, nginx):
        wait_until(lambda: nginx.status()["ledger"]["live"] == 0)
        super().send(nginx)

    def _wait(self, connection, nginx):
        wait_until(lambda: nginx.status()["ledger"]["live"] > 0)


class Malformed(Exchange):
    """Bytes that are no request: no method, no path, no traceparent."""

    def __init__(self, shows, text, status):
        super().__init__(shows, "", "", status)
        self.title = text.decode().rstrip()
        self.span_method = self.path = self.trace_id = self.parent_id = None
        self._bytes = text

    def is_mine(self, span):
        return (span.parent_id is None
                and span.tags.get("network.peer.port") == str(self.local_port))


def wait_until(condition):
    """Or until it takes too long: what follows then goes wrong, and the table says how."""
    deadline = time.monotonic() + SECONDS_MAX
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def format_request(method, target, version, body, headers):
    lines = ["%s %s HTTP/%s" % (method, target, version)]
    if version == "1.1":
        lines += ["Host: localhost", "User-Agent: tracez-demo", "Connection: close"]
    if body:
        lines.append("Content-Length: %d" % len(body))
    lines += ["%s: %s" % header for header in headers]
    return "\r\n".join(lines + ["", ""]).encode() + body


def served(name, *below):
    """The application's spans of a request: its own, and those below it."""
    return (("SERVER", name), *below)


HELLO = served("GET /hello")
ITEM = served("GET /items/{id}", ("CLIENT", "SELECT items"))
ORDER = served("GET /orders/{id}", ("CLIENT", "SELECT orders"), ("CLIENT", "GET /items/{id}"),
               *ITEM)


def make_round():
    return [
        Exchange("a file (nginx redirects to /index.html inside)", "GET", "/", 200),
        Exchange("an application behind nginx", "GET", "/hello", 200, behind=HELLO),
        Exchange("it asks a database", "GET", "/items/7", 200, behind=ITEM),
        Exchange("it asks a database and a service that asks a database", "GET", "/orders/42", 200,
                 behind=ORDER),
        Exchange("a body", "POST", "/hello", 201, body=b"tea=2", behind=served("POST /hello")),
        Exchange("no body in the answer", "HEAD", "/hello", 200, behind=served("HEAD /hello")),
        Exchange("a secret, which the span must not have", "GET", "/hello?q=tea&sig=" + SECRET, 200,
                 tags={"url.query": "q=tea&sig=REDACTED"}, behind=HELLO),
        Exchange("it takes its time", "GET", "/slow?ms=120", 200, behind=served("GET /slow")),
        Exchange("the application fails", "GET", "/fail", 503, tags={"error.type": "503"},
                 behind=served("GET /fail")),
        Exchange("no such file (and an error_page)", "GET", "/missing", 404),
        Exchange("a redirect", "GET", "/old", 301),
        Exchange("X-Accel-Redirect: nginx sends a file instead", "GET", "/report", 200,
                 behind=served("GET /report")),
        Exchange("refused before any handler ran", "POST", "/upload", 413, body=b"x" * 2000),
        Exchange("a method that nobody knows", "BREW", "/", 405, span_method="_OTHER",
                 tags={"http.request.method_original": "BREW"}),
        Exchange("HTTP/1.0, without Host and User-Agent", "GET", "/hello", 200, version="1.0",
                 tags={"network.protocol.version": "1.0"}, behind=HELLO),
        Abandoned("the client leaves before the answer", "GET", "/slow?ms=250", 499,
                  behind=served("GET /slow")),
        Malformed("not HTTP: no traceparent, a trace of its own", b"TEA, PLEASE\r\n\r\n", 400),
    ]
