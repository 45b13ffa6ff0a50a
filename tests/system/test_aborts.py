# SPDX-License-Identifier: MIT
"""Clients that leave, at every stage of a request: each request that nginx counts ends as exactly one
span, with the status of the access log, and nothing stays behind."""

import collections
import random
import socket
import struct

import pytest

import client
import h2
import polling
from spans import ERROR, parse
from traced import TracedNginx
from upstream import Upstream, answer

HTTP = """
    tracez on;
    log_format status "$remote_port $status";
    upstream application { server {upstream}; }
    server {
        listen 127.0.0.1:{port_shop};
        listen 127.0.0.1:{port_h2} http2;
        access_log {prefix}/access.log status;
        root {prefix}/html;
        http2_max_concurrent_streams 1000;
        keepalive_requests 100000;
        location / { return 200 "hello\\n"; }
        location /big { limit_rate 1m; }
        location /hangs { proxy_pass http://application; }
        location /mirror { mirror /hangs; return 200; }
        location /body { proxy_pass http://application; }
    }
"""

ABORTS = 400
TARGETS = ["/", "/big", "/hangs", "/mirror", "/body"]


@pytest.fixture
def nginx(backend):
    upstream = Upstream({"/hangs": None, "/body": answer()})
    with TracedNginx(HTTP, backend, upstream=upstream.address,
                     files={"big": b"x" * 1024 * 1024}) as opened:
        yield opened
    upstream.close()


def compare_with_access_log(nginx, backend):
    """The spans, which must be those of the access log."""
    nginx.settle()
    spans = parse(backend.accepted())
    logged = (nginx.prefix / "access.log").read_text().splitlines()
    assert collections.Counter(logged) == collections.Counter(
        "%d %d" % (span.tags["network.peer.port"], span.tags["http.response.status_code"])
        for span in spans)
    return spans


def leave_at_random(port, chance):
    """Sends a part of a request or all of it, reads a part of the response or nothing, and closes or
    resets."""
    text = client.request(chance.choice(["GET", "POST"]), chance.choice(TARGETS), body=b"a body" * 99)
    with client.connect(port) as connection:
        is_whole = chance.random() < 0.5
        connection.sendall(text if is_whole else text[:chance.randint(1, len(text))])
        if is_whole and chance.random() < 0.5:
            connection.settimeout(0.02)
            try:
                connection.recv(chance.choice([1, 100, 100000]))
            except TimeoutError:
                pass  # it hangs: leave then
        if chance.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_client_that_leaves_at_any_stage_leaves_one_span(nginx, backend):
    chance = random.Random(20261125)

    for _ in range(ABORTS):
        leave_at_random(nginx.port["shop"], chance)

    spans = compare_with_access_log(nginx, backend)
    statuses = {span.tags["http.response.status_code"] for span in spans}
    assert {200, 400, 499} <= statuses
    for span in spans:
        status, error = span.tags["http.response.status_code"], span.tags.get("error.type")
        assert (span.status == ERROR) == (error is not None)
        assert error in (None, "client_aborted")
        assert status != 499 or error == "client_aborted"


def test_a_thousand_streams_of_one_connection_are_a_thousand_spans(nginx, backend):
    with h2.Connection(nginx.port["h2"]) as connection:
        streams = [connection.request("/?%d" % number) for number in range(1000)]
        connection.wait(streams)
        assert {connection.status[stream] for stream in streams} == {200}

    spans = compare_with_access_log(nginx, backend)
    assert sorted(span.tags["url.query"] for span in spans) == sorted(
        str(number) for number in range(1000))
    assert {span.tags["network.protocol.version"] for span in spans} == {"2"}


@pytest.mark.parametrize("target", ["/", "/hangs", "/big"])
def test_a_stream_that_is_reset_at_once_is_one_span(nginx, backend, target):
    with h2.Connection(nginx.port["h2"]) as connection:
        for _ in range(300):
            connection.reset(connection.request(target))
        connection.ping()

    assert len(compare_with_access_log(nginx, backend)) == 300


def test_a_connection_that_is_lost_ends_all_of_its_streams(nginx, backend):
    with h2.Connection(nginx.port["h2"]) as connection:
        for _ in range(100):
            connection.request("/hangs")
        polling.until("all are under way", lambda: nginx.ledger()["live"] == 100)

    spans = compare_with_access_log(nginx, backend)
    assert collections.Counter(span.tags["error.type"] for span in spans) == {
        "client_aborted": 100}
