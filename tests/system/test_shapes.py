# SPDX-License-Identifier: MIT
"""Every shape of request becomes exactly one SERVER span, whose every field is checked; what goes on
to the application carries exactly one traceparent with the span's ids; and the answers are, byte by
byte, those of an nginx that does not trace.

All shapes are sent to one nginx, twice: traced, and after a reload with tracing off. Then each test
looks at what became of its shape.
"""

import collections
import re
import time

import pytest

import client
import polling
import shapes
import shop
from shapes import Shape, others, plain, raw, with_headers
from spans import SERVER, parse
from traced import TracedNginx
from traceparents import Traceparent, fields_of

LONG = "a" * 9000  # more than a header buffer of the shop's
CLIENT_HELLO = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\x5a" * 160

SHAPES = [
    plain("/static.txt", 200),
    plain("/static.txt", 200, "HEAD"),
    plain("/static.txt?a=1&sig=secret", 200, title="a query with a signature",
          tags={"url__query": "a=1&sig=REDACTED"}),
    plain("/static%2Etxt?", 200, title="a path with an escape"),
    plain("http://shop.example/return", 200, title="a target with scheme and host",
          tags={"url__path": "/return"}),
    plain("/missing", 404),
    plain("/static.txt", 405, "POST"),
    plain("/return", 200, "PURGE", name="HTTP", tags={
        "http__request__method": "_OTHER", "http__request__method_original": "PURGE"}),
    plain("/return", 405, "TRACE"),
    plain("/return", 200, "OPTIONS"),
    plain("/", 200, title="index"),
    plain("/dir/", 200, title="index in a directory"),
    plain("/dir", 301),
    plain("/return", 200),
    plain("/moved", 301),
    plain("/empty", 204),
    plain("/broken", 500),
    plain("/unavailable", 503),
    plain("/forbidden", 403),
    plain("/internal/report.txt", 404),
    plain("/", 200, port="bare", title="return at server level"),
    Shape("return 444", shapes.send_for_no_answer),

    plain("/try/none", 200, title="try_files, a file"),
    plain("/try-named/none", 200, title="try_files, a named location"),
    plain("/error-page/none", 404, title="error_page"),
    plain("/error-page-200/none", 200, title="error_page with another status"),
    plain("/error-page-named/none", 200, title="error_page, a named location"),
    plain("/error-page-missing/none", 404, title="error_page that is not there"),
    plain("/rewrite/x", 200, title="rewrite, last"),
    plain("/rewrite-break/static.txt", 200, title="rewrite, break"),
    plain("/rewrite-proxy/x", 200, title="rewrite before proxy_pass", upstream=["/proxy/ok"]),

    plain("/proxy/ok", 200, upstream=["/proxy/ok"]),
    plain("/proxy/error", 503, upstream=["/proxy/error"]),
    plain("/proxy/missing", 404, upstream=["/proxy/missing"]),
    plain("/proxy/ok", 200, "POST", body=b"a body", title="a body", upstream=["/proxy/ok"]),
    plain("/refused", 502),
    plain("/twice", 200, title="a second upstream after the first refused", upstream=["/twice"]),
    plain("/accel", 200, title="X-Accel-Redirect to a file", upstream=["/accel"]),
    plain("/accel-named", 200, title="X-Accel-Redirect to a named location",
          upstream=["/accel-named"]),
    plain("/auth-ok/static.txt", 200, title="auth_request that allows", upstream=["/auth/yes"]),
    plain("/auth-no/static.txt", 401, title="auth_request that refuses", upstream=["/auth/no"]),
    plain("/mirror/static.txt", 200, title="mirror", upstream=["/mirrored"]),
    plain("/ssi/page.html", 200, title="SSI", upstream=["/proxy/part"]),
    plain("/addition/index.html", 200, title="addition", upstream=["/proxy/part"]),
    plain("/slice/file", 200, title="slice", upstream=["/slice/file"] * 3),
    plain("/gzip/static.txt", 200, headers=[("Accept-Encoding", "gzip")], title="gzip"),
    plain("/upgrade", 101, headers=[("Upgrade", "echo")], title="an upgraded connection",
          upstream=["/upgrade"]),

    plain("/return", 200, version="1.0", title="HTTP/1.0"),
    plain("/return", 200, version="1.0", host=None, title="HTTP/1.0 without Host"),
    plain("/return", 200, agent=None, title="no User-Agent"),
    Shape("HTTP/0.9", shapes.send_http_0_9),
    Shape("five requests on one connection", shapes.send_on_one_connection(pipelined=False),
          ["/proxy/ok"]),
    Shape("five requests in a pipeline", shapes.send_on_one_connection(pipelined=True),
          ["/proxy/ok"]),
    Shape("a chunked body", shapes.send_chunked, ["/proxy/ok"]),
    Shape("a large upload with Expect", shapes.send_large_upload_with_expect, ["/upload/ok"]),
    plain("/return", 200, tls=True, port="tls", title="TLS"),
    Shape("HTTP/2", shapes.send_http_2, ["/proxy/ok"]),

    plain("/return", 400, host=None, title="400 no Host in HTTP/1.1"),
    plain("/return", 400, headers=[("Host", "other.example")], title="400 two Hosts"),
    plain("/return", 400, port="tls", title="400 plain HTTP to the TLS port"),
    raw("400 junk", b"junk\r\n\r\n", 400, sent_status=400),
    raw("400 TLS to the plain port", CLIENT_HELLO, 400, sent_status=400),
    plain("/proxy/ok", 413, "POST", body=b"x" * 20000),
    raw("414", b"GET /%s HTTP/1.1\r\nHost: shop.example\r\n\r\n" % LONG.encode(), 414,
        sent_status=414),
    plain("/return", 400, headers=[("X-Long", LONG)], title="494, sent as 400"),
    shapes.send_unfinished("408 in the headers", "/return", lambda parent: client.request(
        "GET", "/return", [parent.header])[:-2]),
    shapes.send_unfinished("408 in the body", "/proxy/ok", lambda parent: client.request(
        "POST", "/proxy/ok", [parent.header, ("Content-Length", "10")]) + b"12345"),
    Shape("499 the client leaves", shapes.send_and_leave, ["/hangs"]),
    Shape("the client leaves during the body", shapes.send_and_leave_during_the_body),

    with_headers("a traceparent after 20 others", lambda parent: [*others(20), parent.header]),
    with_headers("a traceparent after 100 others", lambda parent: [*others(100), parent.header]),
    with_headers("two traceparents", lambda parent: [
        parent.header, *others(30), Traceparent().header], root=True),
    with_headers("the same traceparent twice", lambda parent: [parent.header] * 2, root=True),
    with_headers("a malformed traceparent", lambda parent: [
        ("traceparent", parent.text.upper())], root=True),
    with_headers("no traceparent", lambda parent: [], root=True),
    with_headers("the random flag", lambda parent: [parent.header], flags="03"),
    Shape("tracez off", shapes.send_untraced),
]


class Outcome:
    """What became of one shape."""

    def __init__(self, shape):
        self.shape = shape
        self.failure = None
        self.sent = []
        self.sent_untraced = []
        self.upstream = []  # requests that the application got
        self.began_ns = self.ended_ns = 0

    def send(self, nginx):
        # nginx knows the time in milliseconds, and rounds down.
        self.began_ns = time.time_ns() // 1_000_000 * 1_000_000
        try:
            self.sent = self.shape.send(nginx)
            polling.until("the application has its requests", lambda: (
                len(nginx.upstream.received) >= len(self.shape.upstream)))
        except (AssertionError, OSError) as error:
            self.failure = error
        # A span that is made at the log phase begins up to 2 ms late, when we have our answer.
        self.ended_ns = time.time_ns() + 5_000_000
        self.upstream = nginx.upstream.take()

    def send_untraced(self, nginx):
        try:
            self.sent_untraced = self.shape.send(nginx)
        except (AssertionError, OSError) as error:
            self.failure = self.failure or error

    def spans(self, sent, found):
        """The spans of one of the requests: by its trace id, or by when and from where it came."""
        trace_id = sent.expected.fields.get("trace_id") if sent.expected else None
        if trace_id is not None:
            return [span for span in found if span.trace_id == trace_id]
        return [span for span in found if span.tags.get("network.peer.port") == sent.reply.port
                and self.began_ns <= span.start_ns <= self.ended_ns]


class Run:
    """All shapes sent, traced and untraced."""

    def __init__(self, nginx, backend):
        self.outcomes = {shape.title: Outcome(shape) for shape in SHAPES}
        assert len(self.outcomes) == len(SHAPES), "two shapes have the same title"
        for outcome in self.outcomes.values():
            outcome.send(nginx)
        nginx.settle()
        self.ended_ns = time.time_ns()
        self.spans = parse(backend.accepted())
        self.access_log = (nginx.prefix / "access.log").read_text().splitlines()
        nginx.wait_until_gone(nginx.reload(tracez="off"))
        for outcome in self.outcomes.values():
            outcome.send_untraced(nginx)
        nginx.settle()
        self.spans_untraced = parse(backend.accepted())[len(self.spans):]


@pytest.fixture(scope="module")
def run(module_backend):
    upstream = shop.start_application()
    nginx = TracedNginx(shop.HTTP, module_backend, files=shop.FILES, upstream=upstream.address,
                        tracez="on")
    nginx.upstream = upstream
    shop.write_certificate(nginx.prefix / "html")
    with nginx:
        done = Run(nginx, module_backend)
    upstream.close()
    return done


@pytest.fixture(params=[shape.title for shape in SHAPES])
def outcome(run, request):
    found = run.outcomes[request.param]
    if found.failure is not None:
        raise found.failure
    return found


def test_each_request_is_one_span_of_which_every_field_is_right(run, outcome):
    for sent in outcome.sent:
        found = outcome.spans(sent, run.spans)

        assert len(found) == (0 if sent.expected is None else 1), found
        for span in found:
            sent.expected.check(span, outcome.began_ns, run.ended_ns)


def test_the_application_gets_one_traceparent_with_the_ids_of_the_span(run, outcome):
    assert [received.path for received in outcome.upstream] == outcome.shape.upstream
    spans = {(span.trace_id, span.span_id): span for span in run.spans}
    for received in outcome.upstream:
        traceparent, = received.traceparents
        trace_id, parent_id, flags = fields_of(traceparent)

        assert int(flags, 16) == spans[trace_id, parent_id].flags & 0xff
        assert (trace_id, parent_id) in [(span.trace_id, span.span_id) for sent in outcome.sent
                                         for span in outcome.spans(sent, run.spans)]


def test_the_response_is_the_same_without_tracing(outcome):
    assert [without_date(sent.reply.raw) for sent in outcome.sent] == [
        without_date(sent.reply.raw) for sent in outcome.sent_untraced]


def test_there_are_no_further_spans(run):
    expected = sum(sent.expected is not None for outcome in run.outcomes.values()
                   for sent in outcome.sent)

    assert len(run.spans) == expected
    assert {span.kind for span in run.spans} == {SERVER}
    assert len({span.span_id for span in run.spans}) == expected
    assert run.spans_untraced == []


def test_the_spans_agree_with_the_access_log(run):
    untraced = ["%d %d" % (sent.reply.port, sent.reply.status)
                for outcome in run.outcomes.values() for sent in outcome.sent
                if sent.expected is None]
    spans = ["%d %d" % (span.tags["network.peer.port"], span.tags["http.response.status_code"])
             for span in run.spans]

    assert collections.Counter(run.access_log) == collections.Counter(spans + untraced)


def without_date(raw_response):
    """The response, but for the second at which it was made."""
    return re.sub(rb"(?i)^date: .*?\r$", b"date:\r", raw_response, flags=re.MULTILINE)
