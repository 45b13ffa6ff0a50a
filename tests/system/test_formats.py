# SPDX-License-Identifier: MIT
"""Batches in each format, from nginx to a reader that is not ours: OpenTelemetry's codec, zipkin-go, a JSON
Schema. A whole span is compared; then every pair of bytes that nginx lets into a header must arrive."""

import json
import pathlib
import re

import jsonschema
import pytest

import client
from backend import Answer, Backend
from codec import Refused
from spans import distinct, parse_body
from test_hostile import REFUSED_IN_HEADERS, numbered, pairs_with, request, send_all
from traced import TracedNginx
from traceparents import Traceparent

DOCS = pathlib.Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "tracez-spans.schema.json").read_text())

HTTP = """
    tracez on;
    tracez_max_tag_size 8000;
    tracez_resource_attr deployment.environment.name Production;
    large_client_header_buffers 4 16k;
    server {
        listen 127.0.0.1:{port_shop};
        keepalive_requests 100000;
        tracez_tag copied $http_x_copied;
        location / { return 200; }
        location /broken { return 503; }
    }
"""

# What a backend of the format says when it has taken a batch.
ANSWERS = {"otlp": Answer(200), "zipkin": Answer(202, b""), "tracez": Answer(204, b"")}
PATHS = {"otlp": "/v1/traces", "zipkin": "/api/v2/spans", "tracez": "/"}


class Readers:
    """Each takes a body, strictly, and gives (trace id, the tag "copied") of its spans."""

    def __init__(self, codec, zipkin):
        self._codec = codec
        self._zipkin = zipkin

    def otlp(self, body):
        self._codec.check(body)
        return [(span.trace_id, span.tags.get("copied")) for span in parse_body(body)]

    def zipkin(self, body):
        return [(span["traceId"], span["tags"].get("copied")) for span in self._zipkin.check(body)]

    def tracez(self, body):
        return [(span["trace_id"], span["tags"].get("copied")) for span in plain_spans(body)]

    def read(self, format_, backend):
        """The copied tags of all spans, in the order of their numbers."""
        read = getattr(self, format_)
        spans = [span for attempt in backend.accepted() for span in read(attempt.body)]
        return [copied for _, copied in sorted(spans)]


def plain_spans(body):
    spans = json.loads(body.decode("utf-8"), object_pairs_hook=distinct)
    jsonschema.validate(spans, SCHEMA, cls=jsonschema.Draft202012Validator,
                        format_checker=jsonschema.FormatChecker())
    return spans


@pytest.fixture
def readers(codec, zipkin):
    return Readers(codec, zipkin)


@pytest.fixture
def any_backend():
    """One that reads nothing itself."""
    opened = Backend().start()
    yield opened
    opened.stop()


ZIPKIN_SPAN = {"traceId": "5b8efff798038103d269b633813fc60c", "id": "eee19b7ec3c1b174", "name": "GET",
               "timestamp": 1795000000000000, "duration": 1, "tags": {"a": "1"}}
PLAIN_SPAN = {"trace_id": "5b8efff798038103d269b633813fc60c", "span_id": "eee19b7ec3c1b174", "name": "GET",
              "start_time": "2026-11-18T11:06:40.000000000Z", "end_time": "2026-11-18T11:06:40.000000001Z",
              "duration": 1, "tags": {"span.kind": "server"}}


def batch(span, **changes):
    return json.dumps([{**span, **changes}]).encode()


@pytest.mark.parametrize("changes", [
    {"duration": 1.5}, {"id": "xyz"}, {"id": "0000000000000000"}, {"tags": {"a": 1}}, {"parentid": "01"},
    {"remoteEndpoint": {"port": 65536}}, {"remoteEndpoint": {"ipv4": "unix:"}}, {"localEndpoint": {}},
    {"annotations": []}, {"annotations": [{"timestamp": 0, "value": "x"}]}, {"timestamp": 0}], ids=str)
def test_zipkin_go_refuses_what_zipkin_would_not_understand(zipkin, changes):
    zipkin.check(batch(ZIPKIN_SPAN))
    with pytest.raises(Refused):
        zipkin.check(batch(ZIPKIN_SPAN, **changes))


@pytest.mark.parametrize("changes", [
    {"duration": 1.5}, {"duration": -1}, {"span_id": "EEE19B7EC3C1B174"}, {"span_id": "0" * 16}, {"tags": {}},
    {"tags": {"span.kind": "server", "a": 1}}, {"kind": "server"}, {"parent_id": None},
    {"end_time": "2026-11-18T11:06:40Z"}, {"tags": {"span.kind": "SERVER"}}], ids=str)
def test_the_schema_refuses_what_is_not_as_it_says(changes):
    plain_spans(batch(PLAIN_SPAN))
    with pytest.raises(jsonschema.ValidationError):
        plain_spans(batch(PLAIN_SPAN, **changes))


def test_the_examples_of_the_docs_are_good_batches(readers):
    sections = (DOCS / "exporter.md").read_text().split("\n### ")[1:]
    examples = [(section.split("\n")[0], found.group(1)) for section in sections
                for found in [re.search("```json\n(.*?)```", section, re.DOTALL)] if found]

    assert [format_ for format_, _ in examples] == list(PATHS)
    for format_, text in examples:
        assert getattr(readers, format_)(text.encode()) == [("5b8efff798038103d269b633813fc60c", None)]


def traced(backend, format_, **settings):
    backend.script(otherwise=ANSWERS[format_])
    return TracedNginx(HTTP, backend, exporter="format %s;" % format_, **settings)


def broken_request(nginx):
    """A request that fails: its reply, and the traceparent that it came with."""
    parent = Traceparent()
    reply = client.exchange(nginx.port["shop"], client.request("GET", "/broken?a=1", [
        parent.header, ("X-Copied", "text")]))
    assert reply.status == 503
    return reply, parent


def string_tags(nginx, reply):
    """What a request of the kind has in the formats whose tags are strings."""
    return {
        "http.request.method": "GET", "url.scheme": "http", "url.path": "/broken", "url.query": "a=1",
        "server.address": "shop.example", "server.port": str(nginx.port["shop"]),
        "client.address": "127.0.0.1", "network.peer.address": "127.0.0.1",
        "network.peer.port": str(reply.port), "network.protocol.version": "1.1",
        "user_agent.original": client.AGENT, "http.response.status_code": "503", "error.type": "503",
        "copied": "text", "deployment.environment.name": "Production", "otel.status_code": "ERROR",
        "error": "503",
    }


def only_attempt(backend):
    [attempt] = backend.accepted()
    assert attempt.headers["content-type"] == "application/json"
    return attempt


def test_a_span_for_zipkin(any_backend, zipkin):
    with traced(any_backend, "zipkin") as nginx:
        reply, parent = broken_request(nginx)
        nginx.settle()
        assert nginx.status()["exporter"]["malformed_responses"] == 0
        expected = {
            "traceId": parent.trace_id, "parentId": parent.parent_id, "kind": "SERVER", "name": "GET",
            "localEndpoint": {"serviceName": "shop"},
            "remoteEndpoint": {"ipv4": "127.0.0.1", "port": reply.port},
            "tags": string_tags(nginx, reply),
        }

    attempt = only_attempt(any_backend)
    [span] = zipkin.check(attempt.body)
    assert attempt.path == "/api/v2/spans"
    assert len(span.pop("id")) == 16
    assert span.pop("timestamp") > 1_700_000_000_000_000
    assert 1 <= span.pop("duration") < 60_000_000
    assert span == expected


def test_a_span_as_a_plain_object(any_backend):
    with traced(any_backend, "tracez") as nginx:
        reply, parent = broken_request(nginx)
        nginx.settle()
        expected = {
            "trace_id": parent.trace_id, "parent_id": parent.parent_id, "name": "GET",
            "tags": {**string_tags(nginx, reply), "span.kind": "server", "service.name": "shop"},
        }

    attempt = only_attempt(any_backend)
    [span] = plain_spans(attempt.body)
    assert attempt.path == "/"
    assert len(span.pop("span_id")) == 16
    start, end = span.pop("start_time"), span.pop("end_time")
    assert start[:4] >= "2023" and start <= end
    seconds_apart = (int(end[17:19]) - int(start[17:19])) % 60
    assert span.pop("duration") == seconds_apart * 10**9 + int(end[20:29]) - int(start[20:29])
    assert span == expected


@pytest.mark.parametrize("format_", PATHS)
def test_every_pair_of_bytes_arrives_in_every_format(any_backend, readers, format_):
    sent = [pairs_with(first, REFUSED_IN_HEADERS) for first in range(256)
            if first not in REFUSED_IN_HEADERS]

    with traced(any_backend, format_) as nginx:
        send_all(nginx, numbered(request(b"/", [(b"X-Copied", b"x" + text + b"x")]) for text in sent))
        nginx.settle()

    assert {attempt.path for attempt in any_backend.attempts} == {PATHS[format_]}
    assert readers.read(format_, any_backend) == [
        (b"x%sx" % text).decode("utf-8", "replace") for text in sent]


@pytest.mark.parametrize("format_", ["zipkin", "tracez"])
def test_whatever_such_a_backend_says_with_a_2xx_it_has_taken_the_batch(any_backend, format_):
    with traced(any_backend, format_) as nginx:
        any_backend.script(otherwise=Answer(
            200, b'{"partialSuccess":{"rejectedSpans":"1"}} <html>'))
        broken_request(nginx)
        ledger = nginx.settle()
        exporter = nginx.status()["exporter"]

    assert (ledger["exported"], ledger["dropped"]["partial_rejected"]) == (1, 0)
    assert exporter["malformed_responses"] == 0
