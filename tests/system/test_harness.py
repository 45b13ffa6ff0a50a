# SPDX-License-Identifier: MIT
"""The tools before the tests: the codec refuses what an OpenTelemetry receiver would lose without a
word, and the backend does what its script says. A checker that accepts everything proves nothing."""

import http.client
import json

import pytest

import books
import client
import polling
from backend import Answer, Attempt, Backend, Close, Link, Partial, Reset, Stall
from codec import Refused
from ledger import imbalances
from nginx import Kill, is_nginx_itself
from spans import ERROR, REMOTENESS_KNOWN, PARENT_IS_REMOTE, SAMPLED, SERVER, Expected, parse_body

GOOD = {
    "resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeSpans": [{
            "scope": {"name": "tracez", "version": "0.1.0"},
            "spans": [{
                "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
                "parentSpanId": "eee19b7ec3c1b173", "flags": 769, "name": "GET /users/{id}",
                "kind": 2, "startTimeUnixNano": "1795000000000000000",
                "endTimeUnixNano": "1795000000012345678",
                "attributes": [
                    {"key": "http.response.status_code", "value": {"intValue": "503"}},
                    {"key": "a.bool", "value": {"boolValue": False}},
                    {"key": "a.double", "value": {"doubleValue": 0.25}},
                    {"key": "a.negative", "value": {"intValue": "-9223372036854775808"}},
                    {"key": "an.array", "value": {"arrayValue": {
                        "values": [{"stringValue": "x"}, {"stringValue": ""}]}}},
                ],
                "events": [{"timeUnixNano": "1795000000000000001", "name": "retry"}],
                "links": [{"traceId": "5b8efff798038103d269b633813fc60d",
                           "spanId": "eee19b7ec3c1b175"}],
                "status": {"code": 2, "message": "no"}}]}],
        "schemaUrl": "https://opentelemetry.io/schemas/1.44.0"}]}


def changed(*path, to):
    """GOOD as a body, with one value replaced, added, or (to=None) removed."""
    batch = json.loads(json.dumps(GOOD))
    node = batch
    for key in path[:-1]:
        node = node[key]
    if to is None:
        del node[path[-1]]
    else:
        node[path[-1]] = to
    return json.dumps(batch).encode()


SPAN = ("resourceSpans", 0, "scopeSpans", 0, "spans", 0)

BAD_BATCHES = {
    "a misspelt key of a span": changed(*SPAN, "parentspanId", to="eee19b7ec3c1b173"),
    "a snake_case key": changed(*SPAN, "trace_state", to="a=b"),
    "a misspelt key of a value": changed(*SPAN, "attributes", 0, "value", to={"intvalue": "1"}),
    "an unknown key at the top": changed("resourcespans", to=[]),
    "an integer as a number": changed(*SPAN, "attributes", 0, "value", to={"intValue": 503}),
    "an integer with a fraction": changed(*SPAN, "attributes", 0, "value", to={"intValue": "1.5"}),
    "a string that is a number": changed(*SPAN, "attributes", 0, "value", to={"stringValue": 5}),
    "a bool as text": changed(*SPAN, "attributes", 1, "value", to={"boolValue": "false"}),
    "a double as text": changed(*SPAN, "attributes", 2, "value", to={"doubleValue": "0.25"}),
    "a value of two types": changed(*SPAN, "attributes", 0, "value",
                                    to={"intValue": "1", "stringValue": "1"}),
    "an attribute twice": changed(*SPAN, "attributes", 1, to={
        "key": "http.response.status_code", "value": {"intValue": "503"}}),
    "a time as a number": changed(*SPAN, "startTimeUnixNano", to=1795000000000000000),
    "an end before the start": changed(*SPAN, "endTimeUnixNano", to="1794999999999999999"),
    "a kind as text": changed(*SPAN, "kind", to="SPAN_KIND_SERVER"),
    "no kind": changed(*SPAN, "kind", to=None),
    "flags as text": changed(*SPAN, "flags", to="769"),
    "an upper-case trace id": changed(*SPAN, "traceId", to="5B8EFFF798038103D269B633813FC60C"),
    "a base64 span id": changed(*SPAN, "spanId", to="7uGbfsPBsXQ="),
    "a trace id of zeros": changed(*SPAN, "traceId", to="0" * 32),
    "an empty parent": changed(*SPAN, "parentSpanId", to=""),
    "an unset status": changed(*SPAN, "status", to={}),
    "status zero": changed(*SPAN, "status", to={"code": 0}),
    "a message without an error": changed(*SPAN, "status", to={"code": 1, "message": "no"}),
    "no spans": changed(*SPAN[:-1], to=[]),
    "no scopes": changed(*SPAN[:3], to=[]),
    "an empty array": changed(*SPAN, "links", to=[]),
    "a byte that is not UTF-8": changed(*SPAN, "name", to="GET x").replace(b"GET x", b"GET \xff"),
    "a raw control character": changed(*SPAN, "name", to="GET x").replace(b"GET x", b"GET \x01"),
    "a body that is cut off": changed(*SPAN, "name", to="x")[:-1],
    "two bodies": changed(*SPAN, "name", to="x") * 2,
    "nothing": b"",
}


def test_the_codec_reads_a_good_batch(codec):
    assert codec.check(json.dumps(GOOD).encode()) == 1
    span, = parse_body(json.dumps(GOOD).encode())
    assert (span.kind, span.flags, span.tags["a.negative"]) == (SERVER, 769, -9223372036854775808)


@pytest.mark.parametrize("fault", BAD_BATCHES)
def test_the_codec_refuses(codec, fault):
    with pytest.raises(Refused):
        codec.check(BAD_BATCHES[fault])


def test_the_reader_refuses_a_key_twice():
    body = json.dumps(GOOD).replace('"kind": 2', '"kind": 2, "kind": 2').encode()

    with pytest.raises(AssertionError, match="twice"):
        parse_body(body)


GOOD_TAGS = {"http.response.status_code": 503, "a.bool": False, "a.double": 0.25,
             "a.negative": -9223372036854775808, "an.array": ["x", ""]}
BEGAN_NS, ENDED_NS = 1795000000000000000, 1795000000012345678


def expected(tags=None, name="GET /users/{id}", **changes):
    """What GOOD says, but for events and links, with some of it changed."""
    fields = dict(parent_id="eee19b7ec3c1b173", flags=SAMPLED | REMOTENESS_KNOWN | PARENT_IS_REMOTE,
                  status=ERROR, message="no")
    wanted = Expected(name, tags or GOOD_TAGS, **{**fields, **changes})
    del wanted.fields["events"], wanted.fields["links"]
    return wanted


def test_an_expected_span_passes():
    span, = parse_body(json.dumps(GOOD).encode())
    expected().check(span, BEGAN_NS, ENDED_NS)


@pytest.mark.parametrize("wrong", [
    {"name": "GET"}, {"status": None}, {"flags": SAMPLED}, {"parent_id": None},
    {"kind": SERVER + 1}, {"trace_id": "0" * 32}, {"service": "other"}, {"trace_state": "a=1"},
    {"tags": {**GOOD_TAGS, "one.more": "x"}}, {"tags": {**GOOD_TAGS, "a.bool": 0}},
    {"tags": {key: GOOD_TAGS[key] for key in list(GOOD_TAGS)[1:]}}], ids=str)
def test_an_unexpected_span_fails(wrong):
    span, = parse_body(json.dumps(GOOD).encode())

    with pytest.raises(AssertionError):
        expected(**wrong).check(span, BEGAN_NS, ENDED_NS)


@pytest.mark.parametrize("began_ns, ended_ns", [(BEGAN_NS + 1, ENDED_NS), (BEGAN_NS, ENDED_NS - 1)])
def test_a_span_outside_its_time_fails(began_ns, ended_ns):
    span, = parse_body(json.dumps(GOOD).encode())

    with pytest.raises(AssertionError):
        expected().check(span, began_ns, ended_ns)


BALANCED = {"requests": 10, "traced": 7, "not_traced": 3, "started": 7, "not_recorded": 1,
            "recorded": 6, "live": 1, "not_kept": 0, "queued": 1, "inflight": 1, "exported": 2,
            "dropped": {"queue_full": 1, "no_slot": 0}, "misuse": 0}


def test_a_balanced_ledger_passes():
    assert imbalances(BALANCED) == []


@pytest.mark.parametrize("counter", [name for name in BALANCED if name != "dropped"])
def test_a_ledger_that_is_off_by_one_fails(counter):
    assert imbalances({**BALANCED, counter: BALANCED[counter] + 1}) != []


def test_a_ledger_with_a_drop_too_many_fails():
    assert imbalances({**BALANCED, "dropped": {"queue_full": 1, "no_slot": 1}}) != []


def batch_of(*numbers):
    return b"".join(b'"traceId":"%032x","spanId":"%016x"' % (number, number) for number in numbers)


class Received:
    """A backend that has accepted batches, each a tuple of spans, link by link."""

    def __init__(self, *links):
        self.links = [Link(port) for port, _ in enumerate(links)]
        for link, batches in zip(self.links, links):
            link.attempts = [Attempt(link, "POST", "/", {}, batch_of(*spans), Answer())
                             for spans in batches]

    def accepted(self):
        return [attempt for link in self.links for attempt in link.attempts]


def kill_of(link):
    return Kill(1, {link.port})


def test_a_batch_may_come_again_after_a_kill_before_its_answer_was_read():
    received = Received([(1, 2), (3, 4)], [(3,), (4, 5)])

    assert books.check_duplicates(received, [kill_of(received.links[0])]) == 1


def test_it_may_also_be_read_after_it_came_again():
    received = Received([(3,), (4, 5)], [(1, 2), (3, 4)])
    kill = kill_of(received.links[1])
    for attempt in received.accepted():
        attempt.at = kill.at + 1

    assert books.check_duplicates(received, [kill]) == 1


@pytest.mark.parametrize("second, reason", [
    ([(1,), (2,)], "whose answer was read"), ([(3,), (5,)], "in part")])
def test_a_batch_that_comes_again_otherwise_is_found(second, reason):
    received = Received([(1, 2), (3, 4)], second)

    with pytest.raises(AssertionError, match=reason):
        books.check_duplicates(received, [kill_of(received.links[0])])


def test_a_batch_that_comes_again_without_a_kill_is_found():
    received = Received([(1, 2)], [(1, 2)])

    with pytest.raises(AssertionError, match="without need"):
        books.check_duplicates(received, [])


class Client:
    def __init__(self, sent, over=(), answered=()):
        self.sent, self.over, self.answered = ({"%032x" % number for number in numbers}
                                               for numbers in (sent, over, answered))


class Settled:
    """An nginx at rest."""

    def __init__(self, exported, lost=0, kills=0):
        self.kills = [Kill(1)] * kills
        self._ledger = {"exported": exported, "dropped": {"worker_lost": lost}}

    def settle(self, seconds):
        return self._ledger


class Taken:
    def __init__(self, *numbers):
        self._heads = [(b"%032x" % number, b"%016x" % number) for number in numbers]

    def span_heads(self):
        return self._heads

    def accepted(self):
        return []


def test_books_with_a_kill_that_agree_pass():
    clients = Client(sent=[1, 2, 3, 4], over=[1], answered=[1, 2, 3])

    books.join(Settled(exported=2, lost=1, kills=1), Taken(1, 2), clients)


@pytest.mark.parametrize("nginx, taken, clients", [
    (Settled(2), Taken(1, 2), Client(sent=[1])),
    (Settled(1), Taken(1), Client(sent=[1, 2], over=[1, 2], answered=[1, 2])),
    (Settled(1, lost=0, kills=1), Taken(1), Client(sent=[1, 2], over=[1], answered=[1, 2])),
    (Settled(1, lost=2, kills=1), Taken(1), Client(sent=[1, 2, 3], answered=[1, 2, 3])),
    (Settled(1, lost=2, kills=2), Taken(1), Client(sent=[1, 2])),
    (Settled(2), Taken(1), Client(sent=[1, 2]))],
    ids=["nobody sent it", "it had ended", "not counted", "more than one a kill", "counted twice",
         "exported but not there"])
def test_books_that_do_not_agree_are_found(nginx, taken, clients):
    with pytest.raises(AssertionError):
        books.join(nginx, taken, clients)


SUPPRESSIONS = "-----\nSuppressions used:\n  count      bytes template\n%s-----\n\n"


def test_nginxs_own_three_allocations_are_no_finding_and_anything_else_is():
    assert is_nginx_itself(SUPPRESSIONS % "      3     221184 ngx_alloc\n")
    assert not is_nginx_itself(SUPPRESSIONS % "      4     221200 ngx_alloc\n")
    assert not is_nginx_itself(SUPPRESSIONS % "      3     221184 ngx_alloc\n"
                               "      1         16 tracez\n")
    assert not is_nginx_itself("ERROR: LeakSanitizer\n" + SUPPRESSIONS
                               % "      3     221184 ngx_alloc\n")


def test_responses_are_split_where_each_one_ends():
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    second = b"HTTP/1.1 204 No Content\r\n\r\n"

    assert client.split_responses(first + second + first) == [first, second, first]
    assert client.response_bytes(first[:-1]) is None
    assert client.response_bytes(b"HTTP/1.1 200 OK\r\n") is None


def post(backend, body=b"{}"):
    connection = http.client.HTTPConnection("127.0.0.1", backend.port, timeout=5)
    try:
        connection.request("POST", "/v1/traces", body)
        response = connection.getresponse()
        return response.status, response.read(), dict(response.getheaders())
    finally:
        connection.close()


@pytest.fixture
def plain_backend():
    opened = Backend().start()
    yield opened
    opened.stop()


def test_the_backend_follows_its_script_and_remembers_each_attempt(plain_backend):
    plain_backend.script(Answer(503, retry_after="7"), Partial(3))

    first, second, third = post(plain_backend, b"1"), post(plain_backend), post(plain_backend)

    assert (first[0], first[2]["Retry-After"]) == (503, "7")
    assert (second[0], json.loads(second[1])["partialSuccess"]["rejectedSpans"]) == (200, "3")
    assert third[0] == 200
    assert [a.accepted for a in plain_backend.attempts] == [False, True, True]
    assert (plain_backend.attempts[0].body, plain_backend.attempts[0].path) == (b"1", "/v1/traces")


def test_the_backend_closes_and_resets_without_an_answer(plain_backend):
    plain_backend.script(Close(), Reset())

    with pytest.raises(http.client.RemoteDisconnected):
        post(plain_backend)
    with pytest.raises(ConnectionResetError):
        post(plain_backend)
    assert [a.accepted for a in plain_backend.attempts] == [False, False]


def test_a_stopped_backend_refuses_and_comes_back_on_its_port(plain_backend):
    plain_backend.stop()
    with pytest.raises(ConnectionRefusedError):
        post(plain_backend)

    plain_backend.start()

    assert post(plain_backend)[0] == 200


def test_a_stall_ends_when_the_backend_is_stopped(plain_backend):
    plain_backend.script(Stall())
    connection = http.client.HTTPConnection("127.0.0.1", plain_backend.port, timeout=5)
    connection.request("POST", "/v1/traces", b"{}")
    polling.until("the request is there", lambda: plain_backend.attempts)

    plain_backend.stop()

    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        connection.getresponse()
    connection.close()
