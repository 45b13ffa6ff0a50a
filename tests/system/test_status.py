# SPDX-License-Identifier: MIT
"""The status page: one truth, as JSON and as Prometheus text."""

import json
import re

import pytest

import client
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
    """{name with labels: value}; strict about the text format."""
    found, announced = {}, None
    for line in reply.body.decode().splitlines():
        comment = re.fullmatch(r"# (HELP|TYPE) ([a-z_:]+) (.+)", line)
        if comment:
            announced = comment.group(2)
            assert comment.group(1) == "HELP" or comment.group(3) in ("counter", "gauge")
            continue
        name, labels, value = re.fullmatch(
            r'([a-z_:]+)(\{[a-z_]+="(?:[^"\\]|\\["\\n])*"\})? ([0-9.]+)', line).groups()
        assert name == announced
        assert name + (labels or "") not in found
        found[name + (labels or "")] = float(value)
    return found


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
    metrics = metrics_of(page(nginx, "/prometheus"))

    assert metrics['tracez_requests_total{traced="true"}'] == ledger["traced"] == 3
    assert metrics['tracez_requests_total{traced="false"}'] == ledger["not_traced"] + 1
    assert metrics["otel_sdk_exporter_span_exported_total"] == ledger["exported"] == 3
    assert metrics["otel_sdk_span_live"] == 0
    assert {name for name in metrics if name.startswith("tracez_spans_dropped_total")} == {
        'tracez_spans_dropped_total{reason="%s"}' % reason for reason in ledger["dropped"]}
    assert metrics['otel_sdk_processor_span_queue_capacity{collector="default"}'] == 8192
    assert metrics["tracez_exporter_up"] == 1
