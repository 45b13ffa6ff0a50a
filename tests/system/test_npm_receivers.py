# SPDX-License-Identifier: MIT
"""OTLP from nginx to receivers that others wrote, with gzip where they take it (Autotel answers it with
400): each span arrives, with what was put in, every pair of bytes that nginx lets into a header among it."""

import pytest

import client
from npm_receiver import Autotel, Genkit
from test_formats import HTTP, broken_request
from test_hostile import REFUSED_IN_HEADERS, pairs_with, request, send_all
from traced import TracedNginx

RECEIVERS = [(Autotel, "none"), (Genkit, "none"), (Genkit, "gzip")]


@pytest.fixture(params=RECEIVERS, ids=lambda pair: "%s-%s" % (pair[0].__name__, pair[1]))
def traced(request):
    """An nginx, and the receiver that it exports to."""
    receiver_class, compression = request.param
    with receiver_class() as receiver:
        with TracedNginx(HTTP, receiver, exporter="compression %s;" % compression) as nginx:
            yield nginx, receiver
            assert nginx.status()["exporter"]["failed_attempts"] == 0, receiver.log()


def test_a_span_arrives_as_it_was(traced):
    nginx, receiver = traced
    reply, parent = broken_request(nginx)
    nginx.settle()

    [span] = receiver.spans()
    expected = {
        "http.request.method": "GET", "url.scheme": "http", "url.path": "/broken", "url.query": "a=1",
        "server.address": "shop.example", "server.port": nginx.port["shop"],
        "client.address": "127.0.0.1", "network.peer.address": "127.0.0.1",
        "network.peer.port": reply.port, "network.protocol.version": "1.1",
        "user_agent.original": client.AGENT, "http.response.status_code": 503, "error.type": "503",
        "copied": "text",
    }
    assert (span["traceId"], span["parentSpanId"]) == (parent.trace_id, parent.parent_id)
    got = {key: int(value) if isinstance(expected[key], int) else value
           for key, value in span["attributes"].items() if key in expected}
    assert got == expected
    assert span.get("name", span.get("displayName")) == "GET"
    assert span.get("kind", span.get("spanKind")) == "SERVER"
    assert span["status"]["code"] in ("ERROR", 2)
    assert 0 <= span["endTime"] - span["startTime"] < 60_000


def test_every_pair_of_bytes_arrives(traced):
    nginx, receiver = traced
    sent = [pairs_with(first, REFUSED_IN_HEADERS) for first in range(256)
            if first not in REFUSED_IN_HEADERS]

    send_all(nginx, [
        request(b"/", [(b"X-Copied", b"x" + text + b"x")]) + b"traceparent: 00-%032x-%016x-01\r\n" % (1, number)
        for number, text in enumerate(sent, 1)])  # in one trace: not all show more than a hundred
    nginx.settle()

    spans = sorted(receiver.spans(), key=lambda span: span["parentSpanId"])
    assert [span["attributes"]["copied"] for span in spans] == [
        (b"x%sx" % text).decode("utf-8", "replace") for text in sent]
