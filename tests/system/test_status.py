# SPDX-License-Identifier: MIT
"""The status page: one truth, as JSON and as Prometheus text."""

import json

import pytest

import client
import metrics
import polling
from backend import Answer, Stall
from traced import TracedNginx

HTTP = """
    tracez on;
    server {
        listen 127.0.0.1:{port_shop};
        server_name "shop\\"\\\\é.example";
        tracez_buffer_size 500;
        tracez_sample_rate 0;
        location / { return 200; }
        location /always { tracez_sample_rate 1; return 200; }
    }
    server {
        listen 127.0.0.1:{port_pages};
        tracez off;
        location /json { tracez_status format=json; }
        location /prometheus { tracez_status format=prometheus; }
        location /plain { tracez_status; }
    }
"""


@pytest.fixture
def nginx(backend):
    """With three requests that were sampled and two that were not."""
    with TracedNginx(HTTP, backend) as opened:
        for target in ("/always", "/", "/always", "/", "/always"):
            client.get(opened.port["shop"], target)
        opened.settle()
        yield opened


def page(nginx, target, **request):
    reply = client.get(nginx.port["pages"], target, **request)
    assert reply.status == 200, reply.raw
    return reply


def metrics_of(reply):
    return metrics.read(reply.body.decode())


@pytest.mark.parametrize("target, kind", [
    ("/json", "application/json"), ("/plain", "application/json"),
    ("/prometheus", "text/plain; version=0.0.4"),
    ("/json?format=prometheus", "text/plain; version=0.0.4"),
    ("/prometheus?format=json", "application/json")])
def test_the_format_is_configured_and_may_be_asked_for(nginx, target, kind):
    answer = page(nginx, target)

    assert answer.header("Content-Type") == kind
    assert answer.header("Cache-Control") == "no-store"


def test_an_unknown_format_is_refused(nginx):
    assert client.get(nginx.port["pages"], "/json?format=xml").status == 400


def test_other_methods_than_get_and_head_are_refused(nginx):
    assert client.exchange(nginx.port["pages"], client.request("POST", "/json")).status == 405
    head = client.exchange(nginx.port["pages"], client.request("HEAD", "/json"))
    assert (head.status, head.body) == (200, b"")


def test_json_has_ledger_collectors_and_exporter(nginx, backend):
    said = json.loads(page(nginx, "/json").body)

    assert said["version"] == "0.1.0"
    assert {name: said["ledger"][name] for name in (
        "traced", "started", "not_recorded", "recorded", "exported")} == {
            "traced": 3, "started": 5, "not_recorded": 2, "recorded": 3, "exported": 3}
    collectors = {collector["name"]: collector for collector in said["collectors"]}
    assert set(collectors) == {"default", 'shop"\\é.example'}
    own = collectors['shop"\\é.example']
    assert (own["spans_max"], own["sample_rate"], own["exported"]) == (500, "0", 3)
    exporter = said["exporter"]
    assert (exporter["state"], exporter["endpoint"]) == ("up", backend.url + "/v1/traces")


def test_prometheus_says_what_json_says(nginx):
    ledger = json.loads(page(nginx, "/json").body)["ledger"]
    found = metrics_of(page(nginx, "/prometheus"))

    assert found['tracez_requests_total{traced="true"}'] == ledger["traced"] == 3
    assert found['tracez_requests_total{traced="false"}'] == ledger["not_traced"] + 1
    assert found["otel_sdk_exporter_span_exported_total"] == ledger["exported"] == 3
    assert found["otel_sdk_span_live"] == 0
    assert {name for name in found if name.startswith("tracez_spans_dropped_total")} == {
        'tracez_spans_dropped_total{reason="%s"}' % reason for reason in ledger["dropped"]}
    assert found['otel_sdk_processor_span_queue_capacity{collector="default"}'] == 8192
    assert found["tracez_exporter_up"] == 1


# ---- The exporter's own figures --------------------------------------------------------------------

DURATION = "otel_sdk_exporter_operation_duration_seconds"
FAILED = 'error_type="_OTHER"'
EXPORTED = "otel_sdk_exporter_span_exported_total"


def open_nginx(backend, exporter=""):
    """One worker, whose figures are as fresh as the page."""
    return TracedNginx("""
        tracez on;
        server { listen 127.0.0.1:{port_shop}; location / { return 200; } }
    """, backend, exporter="retry 1ms 5ms; " + exporter)


def metrics_from(nginx):
    reply = client.get(nginx.port["status"], "/ledger?format=prometheus")
    assert reply.status == 200, reply.raw
    return metrics_of(reply)


def count_of(histogram):
    assert len(histogram["counts"]) == len(histogram["bounds"]) + 1 == 15
    return sum(histogram["counts"])


def test_three_retries_and_then_success_are_counted_exactly(backend):
    backend.script(Answer(503), Answer(502), Answer(429))

    with open_nginx(backend) as nginx:
        client.get(nginx.port["shop"])
        nginx.settle()
        said = nginx.status()["exporter"]
        found = metrics_from(nginx)

    assert {name: said[name] for name in (
        "attempts", "batches", "failed_attempts", "retries", "requests_inflight", "inflight")} == {
            "attempts": 4, "batches": 1, "failed_attempts": 3, "retries": 3,
            "requests_inflight": 0, "inflight": 0}
    assert (count_of(said["duration_ns"]), count_of(said["failed_duration_ns"])) == (1, 3)
    assert (count_of(said["batch_spans"]), said["batch_spans"]["sum"]) == (1, 1)
    assert 0 < said["last_error_unix_ns"] <= said["last_success_unix_ns"]
    assert said["last_error"] == "HTTP 429"

    assert found["tracez_exporter_retries_total"] == 3
    assert found['tracez_exporter_attempts_total{outcome="failed"}'] == 3
    assert found[DURATION + "_count"] == 1
    assert found["%s_count{%s}" % (DURATION, FAILED)] == 3
    assert found[DURATION + "_sum"] == pytest.approx(said["duration_ns"]["sum"] / 1e9, abs=1e-9)
    assert found["tracez_exporter_last_success_timestamp_seconds"] == pytest.approx(
        said["last_success_unix_ns"] / 1e9)
    for name, histogram, labels in ((DURATION, said["duration_ns"], ""),
                                    (DURATION, said["failed_duration_ns"], FAILED)):
        bounds = ["%.3f" % (bound / 1e9) for bound in histogram["bounds"]]
        assert {("%.3f" % float(bound) if bound != "+Inf" else bound): count
                for bound, count in metrics.buckets(found, name, labels).items()} == {
                    bound: count for bound, count in zip([*bounds, "+Inf"], histogram["counts"])
                    if count}


def test_the_size_of_each_batch_is_in_the_bucket_of_its_bound(backend):
    with open_nginx(backend, "batch_size 4;") as nginx:
        for _ in range(9):
            client.get(nginx.port["shop"])
        nginx.settle()
        found = metrics_from(nginx)
        sent = [len(attempt.heads) for attempt in backend.accepted()]

    assert found["tracez_exporter_batch_spans_sum"] == sum(sent) == 9
    assert found["tracez_exporter_batch_spans_count"] == len(sent)
    assert metrics.buckets(found, "tracez_exporter_batch_spans") == {
        bound: count for bound, count in (
            ("1", sent.count(1)), ("4", len(sent) - sent.count(1))) if count}


def test_refused_spans_have_their_reason_for_an_error_type(backend):
    backend.script(Answer(400))

    with open_nginx(backend) as nginx:
        client.get(nginx.port["shop"])
        nginx.settle()
        client.get(nginx.port["shop"])
        nginx.settle()
        found = metrics_from(nginx)

    assert found[EXPORTED] == 1
    assert found[EXPORTED + '{error_type="rejected"}'] == 1
    assert found[EXPORTED + '{error_type="partial_rejected"}'] == 0
    assert found['tracez_collector_spans_exported_total{collector="default"}'] == 1


def test_what_is_on_its_way_is_shown_until_it_is_answered(backend):
    backend.script(Stall())

    with open_nginx(backend, "timeout 2s;") as nginx:
        client.get(nginx.port["shop"])
        polling.until("the backend has it", lambda: backend.attempts)
        under_way = polling.until("the page shows it", lambda: (
            nginx.status()["exporter"]["requests_inflight"] and metrics_from(nginx)))
        assert under_way["tracez_exporter_requests_inflight"] == 1
        assert under_way["otel_sdk_exporter_span_inflight"] == 1
        backend.release()
        nginx.settle()

        assert metrics_from(nginx)["tracez_exporter_requests_inflight"] == 0
