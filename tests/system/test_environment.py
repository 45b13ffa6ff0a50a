# SPDX-License-Identifier: MIT
"""Environment variables, as the master that reads the configuration finds them: they are the defaults; what is
written in the configuration wins; a bad one is told once and ignored; secrets never."""

import re

import pytest

import client
import polling
from backend import Backend
from nginx import Nginx
from spans import parse
from traced import TracedNginx
from traceparents import Traceparent

HTTP = """
    tracez on;
    {directives}
    server {
        listen 127.0.0.1:{port_shop};
        add_header X-Parent $tracez_parent_id always;
        add_header X-Sent $http_traceparent always;
        location / { return 200; }
    }
"""

SECRET = "s3cret"


def open_nginx(backend, environment, directives="", **settings):
    """The endpoint, and that spans leave soon, come from the environment."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": backend.url, "OTEL_BSP_SCHEDULE_DELAY": "20", **environment}
    return TracedNginx(HTTP, backend, says_where=False, environment=environment, directives=directives, **settings)


def warnings(nginx):
    return nginx.log_lines(r"\[warn\]")


# ---- What is bad ------------------------------------------------------------------------------------

BAD = {
    "OTEL_TRACES_SAMPLER": ("sometimes", "one of always_on"),
    "OTEL_BSP_MAX_QUEUE_SIZE": ("many", "1 to 16777216"),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": ("0", "1 to 65536"),
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": ("1\n2026/01/01 [error] forged", "16 to 32000"),
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ("ftp://me:%s@example" % SECRET, "scheme must be http or https"),
    "OTEL_EXPORTER_OTLP_HEADERS": ("Host=%s" % SECRET, "tracez sets it itself"),
    "OTEL_EXPORTER_OTLP_PROTOCOL": ("grpc", "http/json"),
    "OTEL_RESOURCE_ATTRIBUTES": ("zone", "key=value,key=value"),
    "OTEL_PROPAGATORS": ("tracecontext,b3", '"b3" is none of tracecontext, baggage, none'),
    "TRACEZ_EXTRACT": ("jaeger", '"jaeger" is none of w3c, off'),
    "OTEL_SDK_DISABLED": ("perhaps", "true or false"),
    "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS": ("GET,LINK", "known are those of the conventions"),
}


def test_bad_values_are_told_once_a_reading_and_change_nothing(backend):
    with open_nginx(backend, {name: value for name, (value, _) in BAD.items()}) as nginx:
        client.get(nginx.port["shop"])
        assert nginx.settle()["exported"] == 1
        told = warnings(nginx)
        nginx.wait_until_gone(nginx.reload())
        again = warnings(nginx)[len(told):]
        assert nginx.status()["collectors"][0]["spans_max"] == 8192
        assert SECRET not in nginx.log()

    assert len(told) == len(again) == len(BAD)
    for name, (_, reason) in BAD.items():
        for lines in (told, again):
            [line] = [line for line in lines if " tracez: %s " % name in line]
            assert "ignored: " in line and reason in line
    assert parse(backend.accepted())[0].resource == {"service.name": "unknown_service:nginx"}


def test_the_check_of_a_configuration_tells_them_too(backend):
    nginx = open_nginx(backend, {"OTEL_TRACES_SAMPLER": "sometimes"})

    status, said = nginx.test()

    assert status == 0
    assert said.count('tracez: OTEL_TRACES_SAMPLER "sometimes" ignored: ') == 1
    nginx.discard()


def test_who_traces_nothing_is_told_nothing(backend):
    with Nginx(http="server { listen 127.0.0.1:{port_shop}; return 200; }",
               environment={"OTEL_TRACES_SAMPLER": "sometimes", "OTEL_SDK_DISABLED": "true"}) as nginx:
        client.get(nginx.port["shop"])

        assert nginx.log_lines("tracez") == []


@pytest.fixture
def any_backend():
    """One that takes spans in each format."""
    opened = Backend().start()
    yield opened
    opened.stop()


# ---- What is good -----------------------------------------------------------------------------------

@pytest.mark.parametrize("environment, endpoint, authorization", [
    ({}, "http://localhost:9411/api/v2/spans", None),
    ({"TRACEZ_EXPORTER_ENDPOINT": "{backend}", "TRACEZ_EXPORTER_HEADERS": "authorization=mine"},
     "{backend}/api/v2/spans", "mine"),
])
def test_where_otlp_goes_is_not_where_the_directive_format_leads(any_backend, environment, endpoint, authorization):
    """Neither its endpoint, which would refuse each batch, nor its secrets."""
    backend = any_backend
    environment = {name: value.format(backend=backend.url) for name, value in environment.items()}
    with open_nginx(backend, {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=%s" % SECRET, **environment},
                    directives="tracez_exporter { format zipkin; }") as nginx:
        assert nginx.status()["exporter"]["endpoint"] == endpoint.format(backend=backend.url)
        if authorization:
            client.get(nginx.port["shop"])
            assert nginx.settle()["exported"] == 1
            assert backend.attempts[0].headers["authorization"] == authorization


def test_where_to_and_who_come_from_the_environment(backend):
    with open_nginx(backend, {
            "OTEL_EXPORTER_OTLP_ENDPOINT": backend.url + "/otlp/",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%%20%s" % SECRET,
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,service.name=other,zone=a%2Cb",
            "OTEL_SERVICE_NAME": "shop"}) as nginx:
        client.get(nginx.port["shop"])
        nginx.settle()
        assert SECRET not in nginx.log()
        assert nginx.status()["exporter"]["endpoint"] == backend.url + "/otlp/v1/traces"

    [attempt] = backend.attempts
    assert (attempt.path, attempt.headers["authorization"]) == ("/otlp/v1/traces", "Bearer " + SECRET)
    assert parse([attempt])[0].resource == {
        "service.name": "shop", "deployment.environment.name": "test", "zone": "a,b"}


def test_the_attributes_may_name_the_service(backend):
    with open_nginx(backend, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=cart"}) as nginx:
        client.get(nginx.port["shop"])
        nginx.settle()

    assert parse(backend.accepted())[0].resource == {"service.name": "cart"}


def test_what_the_configuration_says_wins(backend, other_backend):
    directives = """
        tracez_service_name written;
        tracez_resource_attr zone written;
        tracez_sample_rate 1;
        tracez_buffer_size 500;
        tracez_max_tag_size 30;
        tracez_exporter { endpoint %s; header X-Written 1; batch_size 7; }
    """ % backend.url
    with open_nginx(backend, {
            "OTEL_EXPORTER_OTLP_ENDPOINT": other_backend.url + "/otlp",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=" + SECRET,
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_RESOURCE_ATTRIBUTES": "zone=environment,rack=4",
            "OTEL_TRACES_SAMPLER": "always_off",
            "OTEL_BSP_MAX_QUEUE_SIZE": "100",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1",
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "20"}, directives) as nginx:
        client.get(nginx.port["shop"], headers=[("User-Agent", "u" * 100)], agent=None)
        nginx.settle()
        [collector] = nginx.status()["collectors"]
        assert (collector["spans_max"], collector["sample_rate"]) == (500, "1")

    [attempt] = backend.attempts
    assert other_backend.attempts == []
    assert (attempt.path, attempt.headers.get("x-written"), attempt.headers.get("authorization")) == (
        "/v1/traces", "1", None)
    [span] = parse([attempt])
    assert span.resource == {"service.name": "written", "zone": "written", "rack": "4"}
    assert span.tags["user_agent.original"] == "u" * 16 + "...[truncated]"


def test_limits_and_batches_come_from_the_environment(backend):
    with open_nginx(backend, {
            "OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "20",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1", "OTEL_SERVICE_NAME": ""}) as nginx:
        for _ in range(3):
            client.get(nginx.port["shop"], headers=[("User-Agent", "u" * 100)], agent=None)
        nginx.settle()
        assert nginx.status()["collectors"][0]["spans_max"] == 100

    assert [len(attempt.heads) for attempt in backend.attempts] == [1, 1, 1]
    span = parse(backend.accepted())[0]
    assert span.tags["user_agent.original"] == "u" * 6 + "...[truncated]"
    assert span.resource == {"service.name": "unknown_service:nginx"}  # empty is unset


@pytest.mark.parametrize("sampler, argument, flags, is_recorded", [
    ("always_on", "", "00", True), ("always_off", "", "01", False),
    ("parentbased_always_off", "", None, False), ("parentbased_always_off", "", "01", True),
    ("parentbased_always_on", "", "00", False), ("traceidratio", "0", "01", False),
    ("parentbased_traceidratio", "0", None, False), ("traceidratio", "1", "00", True)])
def test_the_sampler_comes_from_the_environment(backend, sampler, argument, flags, is_recorded):
    headers = [Traceparent(flags).header] if flags else []
    with open_nginx(backend, {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}) as nginx:
        client.get(nginx.port["shop"], headers=headers)

        assert nginx.settle()["recorded"] == is_recorded


@pytest.mark.parametrize("environment, directives, extracted, injected", [
    ({"OTEL_PROPAGATORS": "none"}, "", False, False),
    ({"OTEL_PROPAGATORS": "baggage tracecontext"}, "", True, True),
    ({"TRACEZ_EXTRACT": "off"}, "", False, True),
    ({"OTEL_PROPAGATORS": "none", "TRACEZ_EXTRACT": "w3c"}, "", True, False),
    ({"OTEL_PROPAGATORS": "none"}, "tracez_extract w3c; tracez_inject w3c;", True, True)])
def test_propagators_come_from_the_environment(backend, environment, directives, extracted, injected):
    sent = Traceparent()
    with open_nginx(backend, environment, directives) as nginx:
        reply = client.get(nginx.port["shop"], headers=[sent.header])

        assert (reply.header("X-Parent") == sent.parent_id) == extracted
        assert (reply.header("X-Sent") != sent.text) == injected


# ---- Reload, and off --------------------------------------------------------------------------------

def test_a_reload_finds_the_same_environment_and_keeps_the_buffer(backend):
    backend.stop()
    with open_nginx(backend, {"OTEL_BSP_MAX_QUEUE_SIZE": "300", "OTEL_SERVICE_NAME": "shop",
                              "OTEL_RESOURCE_ATTRIBUTES": "zone=a"}) as nginx:
        for _ in range(5):
            client.get(nginx.port["shop"])
        polling.until("they wait", lambda: nginx.ledger()["recorded"] == 5)

        nginx.wait_until_gone(nginx.reload())
        waiting = nginx.ledger()
        [collector] = nginx.status()["collectors"]
        backend.start()

        assert waiting["queued"] + waiting["inflight"] == 5  # a fresh buffer would have lost them
        assert collector["spans_max"] == 300
        assert nginx.settle()["exported"] == 5
    assert parse(backend.accepted())[-1].resource == {"service.name": "shop", "zone": "a"}


def test_the_environment_may_end_tracing_and_nothing_is_left_of_it(backend):
    sent = Traceparent()
    http = HTTP + "server { listen 127.0.0.1:{port_status}; location / { tracez_status; } }"
    with Nginx(http=http, directives="", log_level="notice",
               environment={"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": backend.url}) as nginx:
        for is_reloaded in (False, True):
            reply = client.get(nginx.port["shop"], headers=[sent.header])
            assert (reply.status, reply.header("X-Sent"), reply.header("X-Parent")) == (200, sent.text, None)
            assert '"started":0,' in client.get(nginx.port["status"], "/").body.decode()
            [worker] = nginx.workers()
            assert not nginx.is_exporting(worker)
            assert len(nginx.log_lines(re.escape("[notice]") + ".*OTEL_SDK_DISABLED is true")) == 1 + is_reloaded
            if not is_reloaded:
                nginx.wait_until_gone(nginx.reload())

    assert backend.attempts == []
