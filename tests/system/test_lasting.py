# SPDX-License-Identifier: MIT
"""Requests that last: a websocket, a long poll, server-sent events. Each is one span, at its end; and
where they keep an old worker alive beyond a reload, their spans go where the new configuration says."""

import time

import pytest

import client
import ledger as ledgers
import polling
from backend import Backends, Stall
from books import join
from load import Clients
from spans import parse
from traceparents import Traceparent
from traced import TracedNginx
from upstream import Conversation, Upstream, answer

HTTP = """
    tracez on;
    upstream application { server {upstream}; }
    server {
        listen 127.0.0.1:{port_shop};
        proxy_http_version 1.1;
        proxy_buffering off;
        location / { return 200 "hello\\n"; }
        location /poll { proxy_pass http://application; }
        location /events { proxy_pass http://application; }
        location /socket {
            proxy_pass http://application;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }
    }
"""

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\r\n"
HAND_OVER_SECONDS = 2


class Lasting:
    """One request of each kind, and its upstream."""

    STATUS = {"/socket": 101, "/poll": 200, "/events": 200}

    def __init__(self):
        self.conversation = {"/socket": Conversation(SWITCHING), "/poll": Conversation(),
                             "/events": Conversation(EVENTS)}
        self.upstream = Upstream(self.conversation)
        self.sent, self.over, self.answered = set(), set(), set()
        self._connection = {}

    def open(self, nginx):
        for target in self.STATUS:
            traceparent = Traceparent()
            self.sent.add(traceparent.trace_id)
            self._connection[target] = connection = client.connect(nginx.port["shop"])
            connection.sendall(client.request("GET", target, [
                traceparent.header, ("Upgrade", "echo")]))
        assert self._read("/socket").startswith(b"HTTP/1.1 101 ")
        assert self._read("/events").startswith(b"HTTP/1.1 200 ")
        polling.until("all have started", lambda: nginx.ledger()["live"] == len(self.STATUS))
        self.use()

    def _read(self, target):
        return client.read_some(self._connection[target])

    def use(self):
        """They work."""
        self._connection["/socket"].sendall(b"anybody there?")
        assert self._read("/socket") == b"anybody there?"
        self.conversation["/events"].say(b"data: something\n\n")
        assert b"data: something\n\n" in self._read("/events")

    def end(self):
        """The socket and the events by the application, the poll by its answer."""
        self.conversation["/poll"].say(answer(body=b"at last"))
        assert self._read("/poll").endswith(b"at last")
        for target, connection in self._connection.items():
            self.conversation[target].end()
            client.read_all(connection)
            connection.close()


@pytest.fixture
def lasting():
    opened = Lasting()
    yield opened
    opened.upstream.close()


def open_nginx(backend, lasting, **settings):
    return TracedNginx(HTTP, backend, workers=2, upstream=lasting.upstream.address, key="old",
                       exporter="header X-Key {key}; retry 10ms 50ms;", **settings)


def test_what_lasts_is_one_span_at_its_end(backend, lasting):
    with open_nginx(backend, lasting) as nginx:
        lasting.open(nginx)
        assert nginx.ledger()["live"] == 3
        assert backend.span_count() == 0

        lasting.end()

        assert nginx.settle()["exported"] == 3
    spans = {span.tags["url.path"]: span for span in parse(backend.accepted())}
    assert {path: span.tags["http.response.status_code"] for path, span in spans.items()} == (
        lasting.STATUS)
    assert {span.status for span in spans.values()} == {None}
    assert {span.trace_id for span in spans.values()} == lasting.sent


def wait_for_the_hand_over(nginx, old):
    """Until the exporters of old workers have ended: the moment on both clocks."""
    polling.until("old workers export no more", lambda: not any(
        nginx.is_exporting(pid) for pid in old & set(nginx.workers())), HAND_OVER_SECONDS)
    return time.monotonic(), time.time_ns()


def keys_of(backend):
    return {attempt.headers["x-key"] for attempt in backend.attempts}


def test_beyond_a_reload_all_spans_go_where_the_new_configuration_says(backend, other_backend,
                                                                       lasting):
    with open_nginx(backend, lasting) as nginx:
        nginx.backend = Backends(backend, other_backend)
        with Clients(nginx.port["shop"], 2) as clients:
            lasting.open(nginx)
            polling.until("spans arrive", lambda: backend.span_count() >= 100)
            old = nginx.reload(endpoint=other_backend.url, key="new")
            at, at_unix_ns = wait_for_the_hand_over(nginx, old)
            lasting.use()
            assert old & set(nginx.workers())
            lasting.end()
            nginx.wait_until_gone(old)
            polling.until("spans arrive again", lambda: other_backend.span_count() >= 100)
        ledger, _ = join(nginx, nginx.backend, clients, lasting)

        assert (ledger["exported"], ledgers.drops(ledger)) == (
            len(clients.sent | lasting.sent), {})
    assert (keys_of(backend), keys_of(other_backend)) == ({"old"}, {"new"})
    assert max(attempt.at for attempt in backend.attempts) <= at
    assert max(attempt.newest_end_ns for attempt in backend.attempts) <= at_unix_ns
    assert lasting.sent <= {span.trace_id for span in parse(other_backend.accepted())}


def test_beyond_two_reloads_too_and_what_hung_at_the_old_backend_as_well(backend, other_backend,
                                                                         lasting):
    backend.script(otherwise=Stall())
    with open_nginx(backend, lasting) as nginx:
        nginx.backend = Backends(backend, other_backend)
        lasting.open(nginx)
        for key in "between", "new":
            client.get(nginx.port["shop"])
            old = nginx.reload(endpoint=backend.url if key == "between" else other_backend.url,
                               key=key)
            wait_for_the_hand_over(nginx, old)
        lasting.use()
        lasting.end()

        assert nginx.settle()["exported"] == 5
    assert keys_of(other_backend) == {"new"}
    assert lasting.sent <= {span.trace_id for span in parse(other_backend.accepted())}
