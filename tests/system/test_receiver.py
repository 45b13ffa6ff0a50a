# SPDX-License-Identifier: MIT
"""The example receiver: what it draws, what it refuses, and that nothing which is sent to it can
crash it, fill its memory or reach the terminal as a command."""

import signal
import socket
import subprocess

import pytest

import polling
from receiver import Receiver, batch, find_receiver, span

MIB = 1 << 20


@pytest.fixture
def receiver():
    with Receiver() as opened:
        yield opened

# ---- Traces as trees -----------------------------------------------------------------------------

def test_a_trace_is_printed_as_a_tree_once_nothing_more_comes(receiver):
    http_tags = [("http.request.method", "GET"), ("url.path", "/a"), ("url.scheme", "http")]

    receiver.post(batch(
        span(span_id=3, parent=2, name="grandchild", kind=1, start=1000000002),
        span(span_id=4, parent=1, name="second child", kind=3, start=1000000003),
        span(span_id=2, parent=1, name="first child", kind=3, start=1000000001),
        span(span_id=1, tags=http_tags)))

    assert receiver.wait_until_written() == (
        "trace 00000000000000000000000000000001\n"
        "└─ shop  GET /a  1.5 ms  SERVER\n"
        "   │  url.scheme=http\n"
        "   ├─ shop  first child  1.5 ms  CLIENT\n"
        "   │  └─ shop  grandchild  1.5 ms  INTERNAL\n"
        "   └─ shop  second child  1.5 ms  CLIENT\n"
        "\n")

def test_status_and_error_are_in_the_heading(receiver):
    receiver.post(batch(span(tags=[("http.response.status_code", "503")],
                             status={"code": 2, "message": "no upstream"})))

    assert "GET → 503  1.5 ms  SERVER  error: no upstream\n" in receiver.wait_until_written()

def test_a_trace_that_grows_is_printed_again(receiver):
    receiver.post(batch(span(span_id=1)))
    once = receiver.wait_until_written()

    receiver.post(batch(span(span_id=2, parent=1, name="late")))

    twice = receiver.wait_until_written()
    assert (once.count("trace 0"), twice.count("trace 0")) == (1, 2)
    assert "   └─ shop  late" in twice

def test_values_of_every_type_are_printed(receiver):
    values = {"text": {"stringValue": "x"}, "integer": {"intValue": "-9223372036854775808"},
              "number": {"intValue": 7}, "yes": {"boolValue": True}, "half": {"doubleValue": 0.5},
              "list": {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}}}

    receiver.post(batch(span(attributes=[{"key": k, "value": v} for k, v in values.items()])))

    known, = receiver.known()["spans"]
    assert dict(known["tags"]) == {"text": "x", "integer": "-9223372036854775808", "number": "7",
                                   "yes": "true", "half": "0.5", "list": "a, b"}

@pytest.mark.parametrize("title, spans", {
    "its own parent": [span(span_id=1, parent=1)],
    "a ring of two": [span(span_id=1, parent=2), span(span_id=2, parent=1)],
    "one id, four times, each the other's parent": [span(span_id=1, parent=1)] * 4,
    "an id twice, with children": [span(span_id=1), span(span_id=1, parent=1),
                                   span(span_id=2, parent=1), span(span_id=3, parent=1)],
    "a chain of 256": [span(span_id=n, parent=n - 1 if n > 1 else None) for n in range(1, 257)],
}.items())
def test_whatever_is_said_about_parents_each_span_is_printed_once(receiver, title, spans):
    receiver.post(batch(*spans))

    assert receiver.wait_until_written().count("SERVER") == len(spans), title

# ---- Hostile text --------------------------------------------------------------------------------

def test_no_text_reaches_the_terminal_as_a_command(receiver):
    unseen = "\u202e\u2066\u200b\u061c\ufeff\U000e0041"
    hostile = "\x1b]0;owned\x07\x1b[2J" + unseen + "".join(map(chr, range(0x100)))

    receiver.post(batch(
        span(name=hostile, tags=[(hostile, hostile)], status={"code": 2, "message": hostile}),
        service=hostile))

    printed = receiver.wait_until_written()
    shown = set(printed) - set("\n\xa0")  # a space that does not break is a space
    assert all(c.isprintable() for c in shown), sorted(c for c in shown if not c.isprintable())
    assert printed.count("\\x1b]0;owned\\x07\\x1b[2J") == 5
    assert printed.count("\\u{202e}\\u{2066}\\u{200b}\\u{61c}\\u{feff}\\u{e0041}") == 5

def test_what_the_parser_quotes_is_escaped_in_answer_and_message(receiver):
    status, answer = receiver.post(b'{"a": \x1b[31m\xff}')

    assert status == 400 and answer["message"].isprintable() and answer["message"].isascii()
    polling.until("the refusal is reported", lambda: "refused a request" in receiver.messages())
    assert receiver.messages().replace("\n", "").isprintable()

def test_long_texts_and_many_tags_are_cut(receiver):
    receiver.post(batch(span(tags=[("tag.%d" % n, "v") for n in range(300)]),
                        span(span_id=2, name="é" * 10000)))

    many, long = receiver.known()["spans"]
    assert len(many["tags"]) == 256
    assert long["name"] == "é" * 2048
    printed = receiver.wait_until_written()
    assert "(and 44 further tags)" in printed
    assert "é" * 200 + " (cut)" in printed

# ---- Refused -------------------------------------------------------------------------------------

NOT_JSON = {
    "nothing": b"",
    "text": b"hello",
    "half an object": b'{"resourceSpans": [',
    "two objects": b"{}{}",
    "a byte that is not UTF-8": b'{"a": "\xff"}',
    "an overlong form": b'{"a": "\xc0\xaf"}',
    "half a surrogate pair": b'{"a": "\\ud800"}',
    "a raw control character": b'{"a": "\x01"}',
    "a key twice": b'{"resourceSpans": [], "resourceSpans": []}',
    "an integer over 64 bits": b'{"a": 99999999999999999999}',
    "a number over all bounds": b'{"a": 1e999}',
    "100,000 arrays in each other": b"[" * 100000,
    "100,000 objects in each other": b'{"a":' * 100000,
    "zeros": b"\0" * 1000,
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
}

@pytest.mark.parametrize("title", NOT_JSON)
def test_junk_is_refused_with_a_reason(receiver, title):
    status, answer = receiver.post(NOT_JSON[title])

    assert (status, answer["message"].split(":")[0]) == (400, "not JSON")
    assert receiver.post(batch(span()))[0] == 200

@pytest.mark.parametrize("body", [b"[]", b'{"resourceSpans": {}}', b'{"resourceSpans": null}',
                                  b'{"spans": []}', b'[{"traceId": "1", "id": "2"}]'])
def test_json_that_is_not_otlp_is_refused(receiver, body):
    status, answer = receiver.post(body)

    assert (status, answer["message"][:8]) == (400, "not OTLP")

@pytest.mark.parametrize("body", [
    b"{}", b'{"resourceSpans": []}', b'{"resourceSpans": [1, null, "x", [], {"scopeSpans": 7}]}',
    b'{"resourceSpans": [{"resource": 5, "scopeSpans": [null, {"spans": {}}, {"spans": []}]}]}'])
def test_a_batch_without_spans_is_taken(receiver, body):
    assert receiver.post(body) == (200, {})
    assert receiver.known()["received"] == 0

BAD_SPANS = {
    "no trace id": {"traceId": None}, "a short trace id": {"traceId": "12"},
    "a trace id of zeros": {"traceId": "0" * 32}, "a trace id that is no hex": {"traceId": "g" * 32},
    "a trace id with a NUL": {"traceId": "\0" * 32}, "a numeric span id": {"spanId": 5},
    "a base64 span id": {"spanId": "7uGbfsPBsXQ="}, "a bad parent": {"parentSpanId": "1"},
    "no start": {"startTimeUnixNano": ""}, "a negative end": {"endTimeUnixNano": "-1"},
    "a time that is text": {"startTimeUnixNano": "now"}, "a time with a NUL": {
        "startTimeUnixNano": "1\0002"},
}

@pytest.mark.parametrize("title", BAD_SPANS)
def test_a_bad_span_is_rejected_and_the_others_are_taken(receiver, title):
    status, answer = receiver.post(batch(span(span_id=1), span(span_id=2, **BAD_SPANS[title]),
                                         span(span_id=3)))

    assert (status, answer["partialSuccess"]["rejectedSpans"]) == (200, "1")
    assert [s["span_id"][-1] for s in receiver.known()["spans"]] == ["1", "3"]

@pytest.mark.parametrize("members", [
    {"kind": 99}, {"kind": "SERVER"}, {"kind": -1}, {"status": 5}, {"status": {"code": 77}},
    {"name": 5}, {"name": None}, {"attributes": {"a": 1}},
    {"attributes": [1, None, {}, {"key": 1}, {"key": "k"}, {"key": "k", "value": 3},
                    {"key": "k", "value": {"stringValue": 5}}, {"key": "k", "value": {}}]},
    {"endTimeUnixNano": "0"}, {"startTimeUnixNano": "99999999999999999999"},
])
def test_a_member_of_the_wrong_type_harms_nothing(receiver, members):
    assert receiver.post(batch(span(**members))) == (200, {})

    assert len(receiver.known()["spans"]) == 1
    assert "shop" in receiver.wait_until_written()

@pytest.mark.parametrize("headers, status", [
    ({"Content-Type": "text/plain"}, 415), ({"Content-Type": "application/jsonx"}, 415),
    ({"Content-Type": "application/x-protobuf"}, 415), ({"Content_Encoding": "gzip"}, 415),
    ({"Content-Type": "application/json; charset=utf-8"}, 200),
    ({"Content-Type": "Application/JSON"}, 200), ({"Content_Encoding": "identity"}, 200)])
def test_only_plain_json_is_read(receiver, headers, status):
    assert receiver.post(batch(span()), **headers)[0] == status

@pytest.mark.parametrize("method, path, status, allow", [
    ("GET", "/v1/traces", 405, "POST"), ("PUT", "/v1/traces", 405, "POST"),
    ("POST", "/spans", 405, "GET, HEAD"), ("DELETE", "/", 405, "GET, HEAD"),
    ("OPTIONS", "/v1/traces", 405, "POST"), ("POST", "/v1/metrics", 404, None),
    ("GET", "/v1/traces/", 404, None), ("GET", "/", 200, None), ("HEAD", "/spans", 200, None)])
def test_paths_and_methods(receiver, method, path, status, allow):
    got, headers, _ = receiver.request(method, path, b"{}" if method in ("POST", "PUT") else None)

    assert (got, headers["Allow"]) == (status, allow)

# ---- Size ----------------------------------------------------------------------------------------

def exchange(port, *pieces):
    """Sends these bytes; returns all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        while True:
            received = connection.recv(65536)
            answer += received
            if not received:
                return answer

HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"

@pytest.mark.parametrize("length", [64 * MIB + 1, 2**63, 2**64 - 1])
def test_an_announced_body_over_64_mib_is_refused_at_once(receiver, length):
    answer = exchange(receiver.port, HEAD + b"Content-Length: %d\r\n\r\n" % length)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert receiver.post(batch(span()))[0] == 200

@pytest.mark.parametrize("extra, status", [(0, b"400"), (1, b"413")])
def test_the_limit_is_64_mib_exactly(receiver, extra, status):
    """White space up to the limit is no JSON, but read; the announced length is not what is counted."""
    chunk = b"%x\r\n" % MIB + b" " * MIB + b"\r\n"
    last = b"%x\r\n" % extra + b" " * extra + b"\r\n" if extra else b""

    answer = exchange(receiver.port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 64,
                      last + b"0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 " + status)

def test_a_body_of_a_million_small_values_is_refused_within_bounded_memory(receiver):
    status, answer = receiver.post(b"[" + b"{}," * (4 * MIB) + b"{}]")

    assert (status, answer["message"]) == (413, "the body takes too much memory once it is read")
    assert receiver.post(batch(span()))[0] == 200
    assert receiver.memory_peak_bytes() < 2048 * MIB  # 600 MiB, and thrice that under a sanitizer

def test_announced_lengths_cost_nothing(receiver):
    before = receiver.memory_peak_bytes()
    waiting = [socket.create_connection(("127.0.0.1", receiver.port)) for _ in range(100)]

    for connection in waiting:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n[" % (64 * MIB))

    assert receiver.post(batch(span()))[0] == 200
    assert receiver.memory_peak_bytes() - before < 64 * MIB
    for connection in waiting:
        connection.close()

# ---- What it keeps -------------------------------------------------------------------------------

def test_the_oldest_traces_make_room_and_are_counted(receiver):
    for first in range(1, 1101, 100):
        receiver.post(batch(*[span(trace=n) for n in range(first, first + 100)]))

    known = receiver.known()
    assert (known["received"], known["evicted"], len(known["spans"])) == (1100, 76, 1024)
    assert known["spans"][0]["trace_id"] == "%032x" % 77

def test_a_trace_keeps_256_spans(receiver):
    receiver.post(batch(*[span(span_id=n) for n in range(1, 301)]))

    known = receiver.known()
    assert (known["received"], known["evicted"], len(known["spans"])) == (300, 44, 256)

def test_large_spans_are_kept_within_64_mib(receiver):
    """80 traces of 1 MiB each (256 tags of 4 KiB)."""
    tags = [("tag.%d" % n, "x" * 4096) for n in range(256)]

    for n in range(1, 81):
        assert receiver.post(batch(span(trace=n, tags=tags)))[0] == 200

    known = receiver.known()
    assert known["received"] == 80 and known["evicted"] + len(known["spans"]) == 80
    assert 50 <= len(known["spans"]) <= 63
    assert known["spans"][-1]["trace_id"] == "%032x" % 80

def test_a_flood_of_traces_is_printed_in_part_and_says_so(receiver):
    receiver.post(batch(*[span(trace=n) for n in range(1, 201)]))

    assert "(and 180 further traces, not shown)" in receiver.wait_until_written()

def test_drop_one_loses_the_first_server_span_only():
    with Receiver("--drop-one") as receiver:
        receiver.post(batch(span(span_id=1, kind=3), span(span_id=2), span(span_id=3)))

        known = receiver.known()
        assert (known["received"], known["evicted"]) == (3, 0)
        assert [s["span_id"][-1] for s in known["spans"]] == ["1", "3"]

# ---- Start and end -------------------------------------------------------------------------------

@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_prints_what_it_has_and_leaves_with_status_0(how):
    with Receiver() as receiver:
        receiver.post(batch(span(name="the last")))

        receiver.end(how)

        assert "the last" in receiver.printed()

def test_it_leaves_beside_open_connections():
    with Receiver() as receiver:
        waiting = socket.create_connection(("127.0.0.1", receiver.port))
        waiting.sendall(HEAD)
        receiver.post(batch(span()))

        receiver.end()

        waiting.close()

@pytest.mark.parametrize("options, status, message", [
    (["--port", "70000"], 64, 'port "70000" rejected: 0 to 65535'),
    (["--port", "-1"], 64, 'port "-1" rejected: 0 to 65535'),
    (["--port", ""], 64, 'port "" rejected: 0 to 65535'),
    (["--listen", "localhost", "--port", "0"], 1, '"localhost" is not a numeric IP address'),
    (["--listen", "192.0.2.1", "--port", "0"], 1, "cannot listen on 192.0.2.1 port 0: "),
    (["--unknown"], 64, "unrecognized option"),
])
def test_a_bad_option_is_refused_with_a_reason(options, status, message):
    done = subprocess.run([find_receiver(), *options], capture_output=True, text=True, timeout=20)

    assert done.returncode == status and message in done.stderr, done.stderr

def test_a_port_in_use_is_said(receiver):
    done = subprocess.run([find_receiver(), "--port", str(receiver.port)], capture_output=True,
                          text=True, timeout=20)

    assert done.returncode == 1
    assert "port %d: Address already in use (--port 0 takes one that is free)" % receiver.port \
        in done.stderr

def test_it_ends_when_nobody_reads_its_output():
    child = subprocess.Popen([find_receiver(), "--port", "0"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    port = int(child.stderr.readline().rsplit(":", 1)[1])
    child.stdout.close()
    sender = Receiver()
    sender.port = port

    sender.post(batch(span()))

    assert child.wait(timeout=20) == 1
    assert "cannot print any more: Broken pipe" in child.stderr.read()
    child.stderr.close()
