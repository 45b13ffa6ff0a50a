# SPDX-License-Identifier: MIT
"""The trace context of a request: taken over from the caller, given out in variables, and sent on to
the application, whatever the caller's headers look like (W3C Trace Context level 2)."""

import pytest

import client
import polling
from spans import SAMPLED, parse
from traced import TracedNginx
from traceparents import Traceparent, fields_of
from upstream import Upstream, answer

VARIABLES = ["trace_id", "span_id", "parent_id", "parent_sampled", "sampled", "traceparent",
             "sampling_reason"]

HTTP = """
    tracez on;
    log_format ids "$tracez_trace_id $tracez_span_id";
    upstream application { server {upstream}; }
    server {
        listen 127.0.0.1:{port_shop};
        access_log {prefix}/access.log ids;
        large_client_header_buffers 4 64k;

        location / { proxy_pass http://application; }
        location /no-extract { tracez_extract off; proxy_pass http://application; }
        location /no-inject { tracez_inject off; proxy_pass http://application; }
        location /neither {
            tracez_extract off;
            tracez_inject off;
            proxy_pass http://application;
        }
        location /by-hand {
            tracez_inject off;
            proxy_pass_request_headers off;
            proxy_set_header traceparent $tracez_traceparent;
            proxy_pass http://application;
        }
        location /untraced { tracez off; proxy_pass http://application; }
        location /never { tracez_sample_rate 0; proxy_pass http://application; }
        location /variables { return 200 "%s"; }
        location /variables-untraced { tracez off; return 200 "%s"; }
        location /variables-never { tracez_sample_rate 0; return 200 "%s"; }
    }
""" % ((r"\n".join("%s=$tracez_%s" % (name, name) for name in VARIABLES),) * 3)


class Site:
    """One nginx and its application for all tests of this file."""

    def __init__(self, nginx, upstream, backend):
        self.nginx = nginx
        self.upstream = upstream
        self.backend = backend
        self.spans_seen = 0

    def exchange(self, target, *headers):
        """Sends a GET; returns the reply, what the application received (None: nothing), and the
        spans that came of it."""
        self.upstream.take()
        reply = client.get(self.nginx.port["shop"], target, headers)
        self.nginx.settle()
        spans = parse(self.backend.accepted())[self.spans_seen:]
        self.spans_seen += len(spans)
        received = self.upstream.take()
        return reply, received[0] if received else None, spans


@pytest.fixture(scope="module")
def site(module_backend):
    upstream = Upstream({path: answer() for path in (
        "/", "/no-extract", "/no-inject", "/neither", "/by-hand", "/untraced", "/never")})
    with TracedNginx(HTTP, module_backend, upstream=upstream.address) as nginx:
        yield Site(nginx, upstream, module_backend)
    upstream.close()


# ---- A caller's context ---------------------------------------------------------------------------


def test_a_trace_goes_on(site):
    parent = Traceparent()

    _, received, (span,) = site.exchange("/", parent.header)

    assert (span.trace_id, span.parent_id) == (parent.trace_id, parent.parent_id)
    assert [fields_of(text) for text in received.traceparents] == [
        (parent.trace_id, span.span_id, "01")]
    assert received.tracestates == []


@pytest.mark.parametrize("sent, passed_on", [("01", "01"), ("03", "03"), ("ff", "03"),
                                             ("fd", "01"), ("09", "01")])
def test_known_flags_are_kept_and_others_cleared(site, sent, passed_on):
    parent = Traceparent(sent)

    _, received, (span,) = site.exchange("/", parent.header)

    assert fields_of(received.traceparents[0])[2] == passed_on
    assert span.flags & 0xff == int(passed_on, 16)


@pytest.mark.parametrize("sent, passed_on", [("00", "00"), ("02", "02"), ("fe", "02")])
def test_an_unsampled_trace_goes_on_unsampled_and_makes_no_span(site, sent, passed_on):
    parent = Traceparent(sent)

    _, received, spans = site.exchange("/", parent.header)

    trace_id, parent_id, flags = fields_of(received.traceparents[0])
    assert (trace_id, flags, spans) == (parent.trace_id, passed_on, [])
    assert parent_id != parent.parent_id


def test_a_new_trace_has_the_random_flag(site):
    _, received, (span,) = site.exchange("/")

    assert fields_of(received.traceparents[0]) == (span.trace_id, span.span_id, "03")
    assert span.parent_id is None


TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"

READABLE = {
    "blanks around": " \t00-%s-%s-01\t " % (TRACE, PARENT),
    "a later version": "01-%s-%s-01" % (TRACE, PARENT),
    "a later version with more": "cc-%s-%s-01-what-the-future-brings" % (TRACE, PARENT),
}

INVALID = {
    "nothing": "",
    "version ff": "ff-%s-%s-01" % (TRACE, PARENT),
    "an upper-case version": "0A-%s-%s-01" % (TRACE, PARENT),
    "a version of one digit": "0-%s-%s-01" % (TRACE, PARENT),
    "more in version 00": "00-%s-%s-01-more" % (TRACE, PARENT),
    "a dash at the end": "00-%s-%s-01-" % (TRACE, PARENT),
    "more without a dash in a later version": "cc-%s-%s-01.more" % (TRACE, PARENT),
    "an upper-case trace id": "00-%s-%s-01" % (TRACE.upper(), PARENT),
    "an upper-case parent id": "00-%s-%s-01" % (TRACE, PARENT.upper()),
    "upper-case flags": "00-%s-%s-0A" % (TRACE, PARENT),
    "a trace id of zeros": "00-%s-%s-01" % ("0" * 32, PARENT),
    "a parent id of zeros": "00-%s-%s-01" % (TRACE, "0" * 16),
    "a short trace id": "00-%s-%s-01" % (TRACE[1:], PARENT),
    "a long trace id": "00-%s-%s-01" % (TRACE + "0", PARENT),
    "a short parent id": "00-%s-%s-01" % (TRACE, PARENT[1:]),
    "short flags": "00-%s-%s-1" % (TRACE, PARENT),
    "no flags": "00-%s-%s" % (TRACE, PARENT),
    "other dashes": "00_%s_%s_01" % (TRACE, PARENT),
    "a letter that is no digit": "00-%s-%s-01" % ("g" + TRACE[1:], PARENT),
    "two in one line": "00-%s-%s-01,00-%s-%s-01" % (TRACE, PARENT, TRACE, PARENT),
    "a high byte": "00-%s-%s-01\xff" % (TRACE, PARENT),
    "64 KiB less a little": "00-%s" % ("a" * 60000),
}


@pytest.mark.parametrize("shape", READABLE)
def test_a_readable_traceparent_is_continued_as_version_00(site, shape):
    _, received, (span,) = site.exchange("/", ("traceparent", READABLE[shape]))

    assert (span.trace_id, span.parent_id) == (TRACE, PARENT)
    assert received.traceparents == ["00-%s-%s-01" % (TRACE, span.span_id)]


@pytest.mark.parametrize("shape", INVALID)
def test_an_invalid_traceparent_starts_a_new_trace_without_its_state(site, shape):
    _, received, (span,) = site.exchange("/", ("traceparent", INVALID[shape]),
                                         ("tracestate", "vendor=value"))

    assert span.parent_id is None and span.trace_id != TRACE and span.trace_state is None
    assert fields_of(*received.traceparents) == (span.trace_id, span.span_id, "03")
    assert received.tracestates == []


def test_the_header_may_be_written_in_any_case(site):
    parent = Traceparent()

    _, received, (span,) = site.exchange("/", ("TraceParent", parent.text))

    assert (span.trace_id, len(received.traceparents)) == (parent.trace_id, 1)


# ---- tracestate -----------------------------------------------------------------------------------

VALID_STATES = {
    "one member": (["vendor=value"], "vendor=value"),
    "several members": (["a=1,b=2,c=3"], "a=1,b=2,c=3"),
    "several lines": (["a=1", "b=2,c=3", "d=4"], "a=1,b=2,c=3,d=4"),
    "a multi-tenant key": (["tenant@vendor=x y"], "tenant@vendor=x y"),
    "32 members": ([",".join("k%d=v" % i for i in range(32))],
                   ",".join("k%d=v" % i for i in range(32))),
    "a key of digits": (["1a-_*/=!~"], "1a-_*/=!~"),
}

INVALID_STATES = {
    "33 members": [",".join("k%d=v" % i for i in range(33))],
    "33 members in two lines": [",".join("k%d=v" % i for i in range(20)),
                                ",".join("l%d=v" % i for i in range(13))],
    "an upper-case key": ["A=1"],
    "no value": ["a"],
    "an empty value": ["a="],
    "no key": ["=1"],
    "two equal signs": ["a=1=2"],
    "one bad member of three": ["a=1,B=2,c=3"],
    "a high byte": ["a=\xff"],
    "a control character": ["a=\x01"],
    "a long key": ["a" * 257 + "=1"],
    "a long value": ["a=" + "1" * 257],
}


@pytest.mark.parametrize("shape", VALID_STATES)
def test_a_tracestate_is_passed_on_in_one_line_and_kept_in_the_span(site, shape):
    lines, joined = VALID_STATES[shape]

    _, received, (span,) = site.exchange("/", Traceparent().header,
                                         *[("tracestate", line) for line in lines])

    assert received.tracestates == [joined]
    assert span.trace_state == joined


@pytest.mark.parametrize("shape", INVALID_STATES)
def test_a_bad_tracestate_is_left_out_and_the_trace_goes_on(site, shape):
    parent = Traceparent()

    _, received, (span,) = site.exchange("/", parent.header, *[
        ("tracestate", line) for line in INVALID_STATES[shape]])

    assert (span.trace_id, span.trace_state) == (parent.trace_id, None)
    assert (len(received.traceparents), received.tracestates) == (1, [])


def test_a_tracestate_alone_is_not_passed_on(site):
    _, received, (span,) = site.exchange("/", ("tracestate", "vendor=value"))

    assert (span.parent_id, span.trace_state, received.tracestates) == (None, None, [])


# ---- Switched off ---------------------------------------------------------------------------------


def test_without_extraction_each_request_is_a_trace_of_its_own(site):
    parent = Traceparent()

    _, received, (span,) = site.exchange("/no-extract", parent.header, ("tracestate", "a=1"))

    assert span.trace_id != parent.trace_id and span.parent_id is None
    assert fields_of(*received.traceparents) == (span.trace_id, span.span_id, "03")
    assert received.tracestates == []


@pytest.mark.parametrize("target", ["/no-inject", "/neither", "/untraced"])
def test_without_injection_the_callers_headers_pass_untouched(site, target):
    headers = [("traceparent", "anything"), ("tracestate", "A=1"), ("TRACEPARENT", "something")]

    _, received, _ = site.exchange(target, *headers)

    assert (received.traceparents, received.tracestates) == (["anything", "something"], ["A=1"])


def test_without_injection_nothing_is_added(site):
    _, received, (span,) = site.exchange("/no-inject")

    assert (received.traceparents, received.tracestates, span.parent_id) == ([], [], None)


def test_without_injection_the_trace_still_goes_on(site):
    parent = Traceparent()

    _, received, (span,) = site.exchange("/no-inject", parent.header)

    assert span.trace_id == parent.trace_id
    assert received.traceparents == [parent.text]


def test_the_traceparent_may_be_passed_on_by_hand(site):
    parent = Traceparent()

    _, received, (span,) = site.exchange("/by-hand", parent.header)

    assert fields_of(*received.traceparents) == (parent.trace_id, span.span_id, "01")


# ---- Variables ------------------------------------------------------------------------------------


def variables_of(reply):
    return dict(line.split("=", 1) for line in reply.body.decode().split("\n"))


def test_variables_of_a_continued_trace(site):
    parent = Traceparent()

    reply, _, (span,) = site.exchange("/variables", parent.header)

    assert variables_of(reply) == {
        "trace_id": parent.trace_id, "span_id": span.span_id, "parent_id": parent.parent_id,
        "parent_sampled": "1", "sampled": "1", "sampling_reason": "parent",
        "traceparent": "00-%s-%s-01" % (parent.trace_id, span.span_id)}


def test_variables_of_a_new_trace(site):
    reply, _, (span,) = site.exchange("/variables")

    assert variables_of(reply) == {
        "trace_id": span.trace_id, "span_id": span.span_id, "parent_id": "", "parent_sampled": "",
        "sampled": "1", "sampling_reason": "always",
        "traceparent": "00-%s-%s-03" % (span.trace_id, span.span_id)}


def test_variables_of_a_trace_that_is_not_sampled(site):
    parent = Traceparent("00")

    reply, _, spans = site.exchange("/variables", parent.header)

    found = variables_of(reply)
    trace_id, span_id, flags = fields_of(found["traceparent"])
    assert (trace_id, flags, spans) == (parent.trace_id, "00", [])
    assert (found["trace_id"], found["span_id"]) == (parent.trace_id, span_id)
    assert (found["parent_sampled"], found["sampled"], found["sampling_reason"]) == (
        "0", "0", "parent")


def test_variables_where_nothing_is_sampled(site):
    reply, _, spans = site.exchange("/variables-never")

    found = variables_of(reply)
    assert (found["sampled"], found["sampling_reason"], spans) == ("0", "never", [])
    assert fields_of(found["traceparent"]) == (found["trace_id"], found["span_id"], "02")


def test_variables_are_empty_where_nothing_is_traced(site):
    reply, _, _ = site.exchange("/variables-untraced", Traceparent().header)

    assert variables_of(reply) == {name: "" for name in VARIABLES}


def test_variables_in_the_access_log(site):
    _, _, (span,) = site.exchange("/")

    polling.until("the line is written", lambda: "%s %s" % (span.trace_id, span.span_id) in (
        site.nginx.prefix / "access.log").read_text().splitlines())


def test_an_unsampled_request_still_passes_its_trace_on(site):
    _, received, spans = site.exchange("/never")

    trace_id, _, flags = fields_of(*received.traceparents)
    assert (int(flags, 16) & SAMPLED, spans) == (0, [])
    assert int(trace_id, 16) != 0
