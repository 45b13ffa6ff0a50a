# SPDX-License-Identifier: MIT
"""W3C Trace Context level 2, as a service of libmicrohttpd and libcurl keeps it: what comes in with a
request goes out with each of the calls that it causes. The cases are those of W3C's own test suite,
by the names that it has for them."""

import json
import os
import re
import signal
import subprocess

import pytest

import client
import polling
from traceparents import fields_of
from upstream import Upstream, answer

TRACE_ID = "12345678901234567890123456789012"
PARENT_ID = "1234567890123456"
TRACEPARENT = ("traceparent", "00-%s-%s-01" % (TRACE_ID, PARENT_ID))


class Service:
    """The example, with an upstream that its calls go to."""

    def __init__(self, messages):
        self._messages = messages
        self.upstream = Upstream({"/call": answer()})
        self.child = subprocess.Popen([os.environ["TRACEZ_TRACE_CONTEXT"], "--port", "0"],
                                      stdin=subprocess.DEVNULL, stderr=messages, env={
                                          "TRACEZ_EXPORTER_ENDPOINT": "http://127.0.0.1:1",
                                          "TRACEZ_EXPORTER_SHUTDOWN_TIMEOUT_MS": "0"})
        polling.until("the service listens", lambda: "listening on" in self.said())
        self.port = int(re.search(r"listening on http://127\.0\.0\.1:(\d+)\n",
                                  self.said()).group(1))

    def said(self):
        return os.pread(self._messages.fileno(), 1 << 20, 0).decode()

    def post(self, body, headers=()):
        return client.exchange(self.port, client.request("POST", "/test", headers, body))

    def call(self, *headers, times=1):
        """What the upstream got of one request with these headers that causes so many calls."""
        calls = [{"url": "http://%s/call" % self.upstream.address, "arguments": []}] * times
        self.upstream.take()
        assert self.post(json.dumps(calls).encode(), headers).status == 200
        received = self.upstream.take()
        assert len(received) == times
        assert all(len(one.traceparents) == 1 and len(one.tracestates) <= 1 for one in received)
        return received

    def close(self):
        self.child.send_signal(signal.SIGTERM)
        assert self.child.wait(timeout=20) == 0, self.said()
        self.upstream.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with open(tmp_path_factory.mktemp("service") / "messages", "w+b") as messages:
        opened = Service(messages)
        yield opened
        opened.close()


def restarts(service, *headers):
    """A new trace, which takes no state over."""
    received, = service.call(*headers)
    trace_id, parent_id, flags = fields_of(received.traceparents[0])
    assert trace_id != TRACE_ID
    assert int(trace_id, 16) and int(parent_id, 16)
    assert flags == "03"  # sampled, random
    assert not received.tracestates
    return trace_id


def continues(service, *headers):
    """The same trace, below a span of the service's own; returns what was sent of the state."""
    received, = service.call(*headers)
    trace_id, parent_id, flags = fields_of(received.traceparents[0])
    assert trace_id == TRACE_ID
    assert parent_id != PARENT_ID
    assert flags == "01"
    return received.tracestates[0] if received.tracestates else None


def traceparent(text):
    return ("traceparent", text)


def state_after(service, *values, name="tracestate"):
    return continues(service, TRACEPARENT, *((name, value) for value in values))


# ---- What is no list of calls --------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"[1]", b"[{}]", b'[{"url": 1, "arguments": []}]',
                                  b'[{"url": "http://127.0.0.1:1/"}]', b"[" + b" " * 70000 + b"]"])
def test_what_is_no_list_of_calls_is_refused(service, body):
    assert service.post(body).status == 400


def test_a_call_that_nobody_takes_harms_nobody(service):
    body = json.dumps([{"url": "http://127.0.0.1:1/", "arguments": []}]).encode()

    assert service.post(body).status == 200


# ---- traceparent ---------------------------------------------------------------------------------

BAD_TRACEPARENTS = {
    "version_0xff": "ff-%s-%s-01" % (TRACE_ID, PARENT_ID),
    "version_illegal_characters": ".0-%s-%s-01" % (TRACE_ID, PARENT_ID),
    "version_upper_case": "CC-%s-%s-01" % (TRACE_ID, PARENT_ID),
    "version_too_long": "000-%s-%s-01" % (TRACE_ID, PARENT_ID),
    "version_too_short": "0-%s-%s-01" % (TRACE_ID, PARENT_ID),
    "version_0x00_and_more": "00-%s-%s-01." % (TRACE_ID, PARENT_ID),
    "version_0x00_and_a_field_more": "00-%s-%s-01-what-the-future-will-be-like"
                                     % (TRACE_ID, PARENT_ID),
    "version_0xcc_and_more": "cc-%s-%s-01.what-the-future" % (TRACE_ID, PARENT_ID),
    "trace_id_all_zero": "00-%s-%s-01" % ("0" * 32, PARENT_ID),
    "trace_id_illegal_characters": "00-.%s-%s-01" % (TRACE_ID[1:], PARENT_ID),
    "trace_id_too_long": "00-%s3-%s-01" % (TRACE_ID, PARENT_ID),
    "trace_id_too_short": "00-%s-%s-01" % (TRACE_ID[:31], PARENT_ID),
    "parent_id_all_zero": "00-%s-%s-01" % (TRACE_ID, "0" * 16),
    "parent_id_illegal_characters": "00-%s-.%s-01" % (TRACE_ID, PARENT_ID[1:]),
    "parent_id_too_long": "00-%s-%s7-01" % (TRACE_ID, PARENT_ID),
    "parent_id_too_short": "00-%s-%s-01" % (TRACE_ID, PARENT_ID[:15]),
    "trace_flags_illegal_characters": "00-%s-%s-.0" % (TRACE_ID, PARENT_ID),
    "trace_flags_upper_case": "00-%s-%s-0A" % (TRACE_ID, PARENT_ID),
    "trace_flags_too_long": "00-%s-%s-001" % (TRACE_ID, PARENT_ID),
    "trace_flags_too_short": "00-%s-%s-1" % (TRACE_ID, PARENT_ID),
    "empty": "",
}


@pytest.mark.parametrize("text", BAD_TRACEPARENTS.values(), ids=BAD_TRACEPARENTS)
def test_traceparent_malformed(service, text):
    restarts(service, traceparent(text), ("tracestate", "foo=1"))


def test_both_traceparent_and_tracestate_missing(service):
    assert restarts(service) != restarts(service)


def test_traceparent_duplicated(service):
    restarts(service, TRACEPARENT, traceparent("00-%s-%s-01" % (TRACE_ID, "f" * 16)))
    restarts(service, TRACEPARENT, TRACEPARENT)


@pytest.mark.parametrize("name", ["trace-parent", "trace.parent", "traceparents"])
def test_traceparent_header_name_of_others(service, name):
    restarts(service, (name, TRACEPARENT[1]))


@pytest.mark.parametrize("name", ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"])
def test_traceparent_header_name_valid_casing(service, name):
    continues(service, (name, TRACEPARENT[1]))


def test_traceparent_included_tracestate_missing(service):
    assert continues(service, TRACEPARENT) is None


@pytest.mark.parametrize("text", ["cc-%s-%s-01" % (TRACE_ID, PARENT_ID),
                                  "cc-%s-%s-01-" % (TRACE_ID, PARENT_ID),
                                  "cc-%s-%s-01-what-the-future-will-be-like"
                                  % (TRACE_ID, PARENT_ID)])
def test_traceparent_version_0xcc(service, text):
    continues(service, traceparent(text))


@pytest.mark.parametrize("text", [" %s", "\t%s", "%s ", "%s\t", "\t %s \t"])
def test_traceparent_ows_handling(service, text):
    continues(service, traceparent(text % TRACEPARENT[1]))


@pytest.mark.parametrize("sent, passed_on", [("00", "00"), ("02", "02"), ("03", "03"), ("ff", "03"),
                                             ("fc", "00")])
def test_traceparent_trace_flags(service, sent, passed_on):
    received, = service.call(traceparent("00-%s-%s-%s" % (TRACE_ID, PARENT_ID, sent)))

    assert fields_of(received.traceparents[0])[0::2] == (TRACE_ID, passed_on)


# ---- tracestate ----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [
    "foo =1", "foo=1,=3", "FOO=1", "foo.bar=1", "@bar=2", "foo=bar=baz", "foo=,bar=3", "foo", "foo=1,bar", "%s=1" % ("t" * 257), "foo=%s" % ("v" * 257),
    ",".join("bar%02d=%02d" % (number, number) for number in range(33)),
])
def test_tracestate_malformed_costs_only_itself(service, value):
    assert state_after(service, value) is None


def test_tracestate_included_traceparent_missing(service):
    restarts(service, ("tracestate", "foo=1"))


def test_tracestate_included_traceparent_included(service):
    assert state_after(service, "foo=1,bar=2") == "foo=1,bar=2"


@pytest.mark.parametrize("name", ["trace-state", "trace.state", "tracestates"])
def test_tracestate_header_name_of_others(service, name):
    assert state_after(service, "foo=1", name=name) is None


@pytest.mark.parametrize("name", ["TraceState", "TrAcEsTaTe", "TRACESTATE"])
def test_tracestate_header_name_valid_casing(service, name):
    assert state_after(service, "foo=1", name=name) == "foo=1"


@pytest.mark.parametrize("values, expected", [
    ([""], None), (["foo=1", ""], ["foo=1"]), (["", "foo=1"], ["foo=1"]),
    (["foo=1,,,bar=2"], ["foo=1", "bar=2"]),
])
def test_tracestate_empty_members(service, values, expected):
    state = state_after(service, *values)

    assert (members(state) if state is not None else None) == expected


def members(state):
    return [member.strip() for member in state.split(",") if member.strip()]


@pytest.mark.parametrize("values, expected", [
    (["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
     ["foo=1", "bar=2", "rojo=1", "congo=2", "baz=3"]),
    (["foo=1"] + ["%s=1" % letter for letter in "abcde"],
     ["foo=1", "a=1", "b=1", "c=1", "d=1", "e=1"]),
])
def test_tracestate_multiple_headers_different_keys(service, values, expected):
    assert members(state_after(service, *values)) == expected


@pytest.mark.parametrize("value", ["foo=1 \t , \t bar=2, \t baz=3", "foo=1\t,bar=2\t,baz=3",
                                   " foo=1,bar=2,baz=3", "foo=1,bar=2,baz=3\t"])
def test_tracestate_ows_handling(service, value):
    assert members(state_after(service, value)) == ["foo=1", "bar=2", "baz=3"]


def test_tracestate_all_allowed_characters(service):
    key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/@"
    value = "".join(map(chr, range(0x21, 0x7f))).replace(",", "").replace("=", "") + " ~"

    assert state_after(service, "%s=%s" % (key, value)) == "%s=%s" % (key, value)


def test_tracestate_member_count_limit(service):
    most = ["bar%02d=%02d" % (number, number) for number in range(32)]

    assert members(state_after(service, ",".join(most))) == most
    assert members(state_after(service, ",".join(most[:16]), ",".join(most[16:]))) == most
    assert state_after(service, ",".join(most), "one=more") is None


def test_tracestate_key_length_limit(service):
    long_one = "t" * 256 + "=1"

    assert members(state_after(service, "foo=1,%s" % long_one))[0] == "foo=1"
    assert state_after(service, "foo=1,%s" % ("t" + long_one)) is None


# ---- Several calls -------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [[TRACEPARENT], [], [traceparent("00-oops")]],
                         ids=["valid", "missing", "illegal"])
def test_multiple_requests(service, headers):
    """One trace, and a parent id for each call."""
    received = service.call(*headers, times=3)
    fields = [fields_of(one.traceparents[0]) for one in received]

    assert len({trace_id for trace_id, _, _ in fields}) == 1
    assert len({parent_id for _, parent_id, _ in fields}) == 3
    assert (fields[0][0] == TRACE_ID) == (headers == [TRACEPARENT])
