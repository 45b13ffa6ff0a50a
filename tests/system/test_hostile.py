# SPDX-License-Identifier: MIT
"""Every byte, and every pair of bytes, that nginx lets into a path, a query or a header ends as valid
JSON in valid UTF-8 (the codec of the backend's fixture reads each batch strictly), costs no other
span, and never adds a header to what is passed on."""

import pytest

import client
from spans import parse
from traced import TracedNginx
from traceparents import Traceparent
from upstream import Upstream, answer

HTTP = """
    tracez on;
    tracez_max_tag_size 8000;
    large_client_header_buffers 4 16k;
    upstream application { server {upstream}; }
    server {
        listen 127.0.0.1:{port_shop};
        keepalive_requests 100000;
        tracez_tag copied $http_x_copied;
        tracez_span_name "GET $arg_name";
        location / { return 200; }
        location /proxy { proxy_pass http://application; }
    }
"""

REFUSED_IN_HEADERS = {0x00, 0x0a, 0x0d}
REFUSED_IN_TARGETS = set(range(0x21)) | {0x7f}
ENDS_A_PATH = {ord("?"), ord("#"), ord("%")}  # and an escape must be whole
ENDS_A_QUERY = {ord("#")}
ENDS_AN_ARGUMENT = ENDS_A_QUERY | {ord("&")}


def pairs_with(first, refused):
    """A text with every pair that begins with this byte."""
    return b"".join(bytes([first, second]) for second in range(256) if second not in refused)


def request(target, headers):
    lines = [b"GET " + target + b" HTTP/1.1", b"Host: shop.example"]
    return b"\r\n".join(lines + [name + b": " + value for name, value in headers]) + b"\r\n"


def send_all(nginx, requests):
    """On one connection; each must get a 200."""
    with client.connect(nginx.port["shop"]) as connection:
        for text in requests:
            connection.sendall(text + b"\r\n")
            response = client.read_response(connection)
            assert response.startswith(b"HTTP/1.1 200"), (text, response)


def numbered(requests):
    """Each with a trace id that is its number: batches may overtake each other on their way."""
    return [text + b"traceparent: 00-%032x-00000000000000aa-01\r\n" % number
            for number, text in enumerate(requests, 1)]


def spans_by_number(backend):
    return sorted(parse(backend.accepted()), key=lambda span: span.trace_id)


PLACES = {
    # the bytes that nginx refuses there, the request, where the span says it, and how
    "path": (REFUSED_IN_TARGETS | ENDS_A_PATH, lambda text: request(b"/x" + text + b"x", []),
             lambda span: span.tags["url.path"], b"/x%sx"),
    "query": (REFUSED_IN_TARGETS | ENDS_A_QUERY, lambda text: request(b"/?x" + text + b"x", []),
              lambda span: span.tags["url.query"], b"x%sx"),
    "user agent": (REFUSED_IN_HEADERS, lambda text: request(b"/", [
        (b"User-Agent", b"x" + text + b"x")]),
                   lambda span: span.tags["user_agent.original"], b"x%sx"),
    "tag": (REFUSED_IN_HEADERS, lambda text: request(b"/", [(b"X-Copied", b"x" + text + b"x")]),
            lambda span: span.tags["copied"], b"x%sx"),
    "span name": (REFUSED_IN_TARGETS | ENDS_AN_ARGUMENT, lambda text: request(
        b"/?name=x" + text + b"x", []), lambda span: span.name, b"GET x%sx"),
}


@pytest.mark.parametrize("place", PLACES)
def test_every_pair_of_bytes_becomes_valid_text(backend, place):
    refused, request_of, text_of, frame = PLACES[place]
    sent = [pairs_with(first, refused) for first in range(256) if first not in refused]

    with TracedNginx(HTTP, backend, upstream="127.0.0.1:1") as nginx:
        send_all(nginx, numbered(request_of(text) for text in sent))
        nginx.settle()

    found = spans_by_number(backend)
    assert len(found) == len(sent)
    for span, text in zip(found, sent):
        assert text_of(span) == (frame % text).decode("utf-8", "replace")


@pytest.mark.parametrize("header", [b"traceparent", b"tracestate", b"User-Agent", b"X-Other"])
def test_no_byte_in_a_header_changes_how_many_headers_the_application_gets(backend, header):
    """But for a bad tracestate, which is left out, and a traceparent, of which there is one."""
    parent = Traceparent().text.encode()
    values = {b"traceparent": parent[:-1], b"tracestate": b"vendor=val"}
    beside = [(b"traceparent", parent)] if header != b"traceparent" else []
    upstream = Upstream({"/proxy": answer()})

    with TracedNginx(HTTP, backend, upstream=upstream.address) as nginx:
        sent = [(header, values.get(header, b"text") + bytes([byte]) + b"e")
                for byte in range(256) if byte not in REFUSED_IN_HEADERS]
        send_all(nginx, [request(b"/proxy", [line, *beside]) for line in sent])
        nginx.settle()
        received = upstream.take()
    upstream.close()

    assert len(received) == len(sent)
    others = {got.header_count - len(got.traceparents) - len(got.tracestates) for got in received}
    assert len(others) == 1, others
    assert {len(got.traceparents) for got in received} == {1}
    assert {len(got.tracestates) for got in received} == ({0, 1} if header == b"tracestate" else {0})
    assert header in (b"traceparent", b"tracestate") or all(
        line[1].decode("latin-1").rstrip(" ") == got.header(header.decode())
        for line, got in zip(sent, received))


def test_a_poisoned_span_costs_no_other_span(backend):
    poison = b"\xff\xfe\xf8\x80\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\x01\x1f\x7f\"\\</script>"

    with TracedNginx(HTTP, backend, upstream="127.0.0.1:1", interval="1s") as nginx:
        send_all(nginx, numbered(request(b"/", [(b"User-Agent", b"agent" if i % 2 else poison)])
                                 for i in range(100)))
        nginx.settle()

    agents = [span.tags["user_agent.original"] for span in spans_by_number(backend)]
    assert agents == [poison.decode("utf-8", "replace"), "agent"] * 50
