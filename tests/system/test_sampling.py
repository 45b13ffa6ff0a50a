# SPDX-License-Identifier: MIT
"""Head sampling: a share of new traces, chosen by their ids, so that whoever sees a trace decides
alike; and the caller's decision wherever there is one."""

import collections
import math

import pytest

import client
import ledger as ledgers
import polling
from load import h2load
from nginx import is_sanitized
from spans import parse
from traced import TracedNginx
from traceparents import Traceparent
from upstream import Upstream, answer

HTTP = """
    tracez on;
    tracez_sample_rate {rate};
    upstream application { server {upstream}; }
    server {
        listen 127.0.0.1:{port_shop};
        keepalive_requests 1000000;
        location / { return 200; }
        location /decision { return 200 "$tracez_trace_id $tracez_sampled $tracez_sampling_reason"; }
        location /proxy { proxy_pass http://application; }
        location /rate { tracez_sample_rate $arg_rate; return 200; }
    }
"""

BITS = 56  # of a trace id's end, that decide (OpenTelemetry, consistent probability sampling)


def open_nginx(backend, rate="1", upstream="127.0.0.1:1", **settings):
    return TracedNginx(HTTP, backend, rate=rate, upstream=upstream, **settings)


def is_kept_by_id(trace_id, rate):
    return int(trace_id[-BITS // 4:], 16) >= int((1 - rate) * 2 ** BITS)


def test_ten_percent_of_new_traces_within_four_sigma(backend):
    requests, rate = (4000 if is_sanitized() else 20000), 0.1

    with open_nginx(backend, "10%", workers=2) as nginx:
        h2load(nginx.port["shop"], requests, 4000)
        ledger = nginx.settle()

    sigma = math.sqrt(requests * rate * (1 - rate))
    assert ledger["started"] == requests
    assert abs(ledger["exported"] - requests * rate) <= 4 * sigma
    assert ledger["recorded"] == ledger["exported"] and not ledgers.drops(ledger)


@pytest.mark.parametrize("flags, exported", [("01", 50), ("00", 0)])
@pytest.mark.parametrize("rate", ["0", "10%", "1"])
def test_the_decision_follows_the_parents_flag(backend, rate, flags, exported):
    with open_nginx(backend, rate) as nginx:
        for _ in range(50):
            client.get(nginx.port["shop"], "/", [Traceparent(flags).header])

        assert nginx.settle()["exported"] == exported


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_new_traces_id_alone_decides(backend, rate):
    """So two servers of one rate decide alike, and one of a lower rate keeps a part of what one of a
    higher rate keeps."""
    with open_nginx(backend, str(rate), workers=2) as nginx:
        decisions = [client.get(nginx.port["shop"], "/decision").body.decode().split()
                     for _ in range(300)]
        nginx.settle()

    kept = [trace_id for trace_id, sampled, _ in decisions if sampled == "1"]
    assert kept == [trace_id for trace_id, _, _ in decisions if is_kept_by_id(trace_id, rate)]
    assert 0 < len(kept) < 300
    assert {reason for _, _, reason in decisions} == {"ratio"}
    assert sorted(span.trace_id for span in parse(backend.accepted())) == sorted(kept)


CHAIN = """
    tracez on;
    server {
        listen 127.0.0.1:{port_first};
        tracez_sample_rate 50%;
        location / { proxy_pass http://127.0.0.1:{port_second}; }
    }
    server {
        listen 127.0.0.1:{port_second};
        tracez_sample_rate 1%;
        location / { proxy_pass http://127.0.0.1:{port_third}; }
    }
    server {
        listen 127.0.0.1:{port_third};
        tracez_sample_rate 100%;
        location / { return 200; }
    }
"""


def test_servers_that_see_the_same_trace_keep_it_whole_or_not_at_all(backend):
    with TracedNginx(CHAIN, backend) as nginx:
        for _ in range(200):
            client.get(nginx.port["first"])
        nginx.settle()

    by_trace = collections.Counter(span.trace_id for span in parse(backend.accepted()))
    assert set(by_trace.values()) == {3}
    assert 0 < len(by_trace) < 200


@pytest.mark.parametrize("rate, expected", [("1", None), ("0.5", "ot=th:8"), ("25%", "ot=th:c"),
                                            ("10%", "ot=th:e6666666666668")])
def test_the_threshold_is_published_with_sampled_traces(backend, rate, expected):
    upstream = Upstream({"/proxy": answer()})

    with open_nginx(backend, rate, upstream.address) as nginx:
        while backend.span_count() == 0:
            client.get(nginx.port["shop"], "/proxy")
            nginx.settle()
        received = upstream.take()
    upstream.close()

    span, = parse(backend.accepted())
    assert span.trace_state == expected
    for got in received:
        is_sampled = got.traceparents[0].split("-")[1] == span.trace_id
        assert got.tracestates == ([expected] if is_sampled and expected else [])


@pytest.mark.parametrize("rate, exported", [
    ("1", 1), ("100%", 1), ("0", 0), ("0%", 0), ("", 0), ("junk", 0), ("-1", 0), ("2", 0)])
def test_a_rate_may_be_a_variable_and_what_is_none_samples_nothing(backend, rate, exported):
    with open_nginx(backend) as nginx:
        client.get(nginx.port["shop"], "/rate?rate=" + rate)

        assert nginx.settle()["exported"] == exported


ADAPTIVE = """
    tracez on;
    tracez_sample_rate adaptive;
    tracez_buffer_size 100;
    server {
        listen 127.0.0.1:{port_shop};
        location / { return 200; }
    }
"""


def test_an_adaptive_rate_falls_while_spans_are_dropped_and_says_so(backend):
    """The backend is down at first, so that the buffer fills."""
    backend.stop()

    with TracedNginx(ADAPTIVE, backend, exporter="retry 10ms 50ms;") as nginx:
        def is_sampled_less():
            client.get(nginx.port["shop"])
            return nginx.ledger()["not_recorded"] > 0

        for _ in range(150):
            client.get(nginx.port["shop"])
        assert ledgers.drops(nginx.ledger()) == {"queue_full": 50}
        polling.until("a request that is not recorded", is_sampled_less, 30)
        refused = nginx.ledger()["dropped"]["queue_full"]

        def is_dropped():
            client.get(nginx.port["shop"])
            return nginx.ledger()["dropped"]["queue_full"] > refused

        polling.until("a drop, so that the rate does not rise at the next look", is_dropped, 30)
        backend.start()
        nginx.settle()

        def is_recorded():
            before = nginx.ledger()["recorded"]
            client.get(nginx.port["shop"])
            return nginx.ledger()["recorded"] > before

        polling.until("a request that is recorded", is_recorded, 30)
        nginx.settle()

    newest = parse(backend.accepted())[-1]
    assert newest.tags["tracez.sampling.strategy"] == "adaptive"
    assert newest.tags["tracez.sampling.reason"] == "adaptive"
    assert 0.01 <= newest.tags["tracez.sampling.rate"] < 1
