# SPDX-License-Identifier: MIT
"""What a span says beyond what HTTP gives by itself: tags of the configuration, names, who the sender
is; and what it must not say: secrets in queries, texts beyond their bound."""

import pytest

import client
from spans import parse
from traced import TracedNginx

HTTP = """
    tracez on;
    tracez_tag level http;
    tracez_tag from.http yes;
    tracez_tag removed yes;
    tracez_resource_attr deployment.environment.name test;
    tracez_resource_attr zone http;
    server {
        listen 127.0.0.1:{port_shop};
        tracez_tag level server;
        tracez_tag removed "";
        location / { return 200; }
        location /location { tracez_tag level location; return 200; }
        location /again { tracez_tag removed again; return 200; }
        location /default { tracez_tag user_agent.original ""; return 200; }
        location /replaced { tracez_tag user_agent.original me; return 200; }
        location /variable { tracez_tag argument "a $arg_value"; return 200; }
        location /empty { tracez_tag argument $arg_value; return 200; }
        location /late { tracez_tag sent $status:$bytes_sent; return 200; }
        location /if { tracez_tag asked yes if=$arg_tag; return 200; }
        location /twice { tracez_tag key first; tracez_tag key second; return 200; }

        location /name { tracez_span_name "$request_method to $arg_name"; return 200; }
        location /name-empty { tracez_span_name $arg_name; return 200; }

        location /short { tracez_max_tag_size 64; tracez_tag long $arg_value; return 200; }
        location /query-own { tracez_redact_query token id; return 200; }
        location /query-off { tracez_redact_query off; return 200; }
        location /query-all { tracez_redact_query all; return 200; }
        location /return-404 { return 404; }
    }
    server {
        listen 127.0.0.1:{port_billing};
        tracez_service_name billing;
        location / { return 200; }
    }
    server {
        listen 127.0.0.1:{port_zone};
        tracez_resource_attr zone server;
        tracez_resource_attr shelf 7;
        location / { return 200; }
    }
"""

ENVIRONMENT = {"deployment.environment.name": "test"}


@pytest.fixture(scope="module")
def span_of(module_backend):
    """A function: sends a GET, returns its span."""
    with TracedNginx(HTTP, module_backend) as nginx:
        def send(target, port="shop", *headers):
            before = module_backend.span_count()
            client.get(nginx.port[port], target, headers)
            nginx.settle()
            span, = parse(module_backend.accepted())[before:]
            return span
        yield send


# ---- Tags of the configuration --------------------------------------------------------------------


@pytest.mark.parametrize("target, tags", [
    ("/", {"level": "server", "from.http": "yes"}),
    ("/location", {"level": "location", "from.http": "yes"}),
    ("/again", {"level": "server", "from.http": "yes", "removed": "again"}),
    ("/variable?value=b", {"level": "server", "from.http": "yes", "argument": "a b"}),
    ("/empty?value=", {"level": "server", "from.http": "yes"}),
    ("/if?tag=1", {"level": "server", "from.http": "yes", "asked": "yes"}),
    ("/if?tag=0", {"level": "server", "from.http": "yes"}),
    ("/if", {"level": "server", "from.http": "yes"}),
    ("/twice", {"level": "server", "from.http": "yes", "key": "second"})])
def test_levels_of_tags_merge_and_an_empty_value_removes(span_of, target, tags):
    http = ("http.", "url.", "server.", "client.", "network.", "user_agent.")

    found = {key: value for key, value in span_of(target).tags.items()
             if not key.startswith(http)}

    assert found == tags


def test_a_tag_that_http_gives_can_be_removed(span_of):
    assert "user_agent.original" not in span_of("/default").tags


def test_a_tag_that_http_gives_can_be_replaced(span_of):
    assert span_of("/replaced").tags["user_agent.original"] == "me"


def test_a_tag_is_evaluated_when_the_response_is_over(span_of):
    status, sent = span_of("/late").tags["sent"].split(":")

    assert status == "200" and int(sent) > 0


# ---- Names ----------------------------------------------------------------------------------------


def test_the_span_name_may_have_variables(span_of):
    assert span_of("/name?name=users").name == "GET to users"


def test_an_empty_span_name_leaves_the_method(span_of):
    assert span_of("/name-empty").name == "GET"


@pytest.mark.parametrize("port, resource", [
    ("shop", {"service.name": "shop", "zone": "http", **ENVIRONMENT}),
    ("billing", {"service.name": "billing", "zone": "http", **ENVIRONMENT}),
    ("zone", {"service.name": "shop", "zone": "server", "shelf": "7", **ENVIRONMENT})])
def test_a_server_has_a_service_name_and_resource_attributes_of_its_own(span_of, port, resource):
    assert span_of("/", port).resource == resource


def test_the_scope_names_tracez(span_of):
    assert span_of("/").scope == {"name": "tracez", "version": "0.1.0"}


# ---- Bounds ---------------------------------------------------------------------------------------

MARK = "...[truncated]"


@pytest.mark.parametrize("sent, kept", [
    ("a" * 64, "a" * 64),
    ("a" * 65, "a" * 50 + MARK),
    ("a" * 2000, "a" * 50 + MARK),
    ("a" * 49 + "\u00e9" * 20, "a" * 49 + MARK),
    ("a" * 48 + "\u20ac" * 20, "a" * 48 + MARK),
    ("a" * 47 + "\u20ac" * 20, "a" * 47 + "\u20ac" + MARK),
    ("a" * 47 + "\U0001f600" * 20, "a" * 47 + MARK)])
def test_a_long_tag_is_cut_at_a_character(span_of, sent, kept):
    span = span_of("/short?value=" + sent.encode().decode("latin-1"))

    assert span.tags["long"] == kept


def test_the_default_bound_of_a_tag_is_1000_bytes(span_of):
    tags = span_of("/" + "a" * 999).tags
    assert tags["url.path"] == "/" + "a" * 999

    assert span_of("/" + "a" * 1000).tags["url.path"] == "/" + "a" * (999 - len(MARK)) + MARK


# ---- Queries --------------------------------------------------------------------------------------


@pytest.mark.parametrize("target, query", [
    ("/", None),
    ("/?", None),
    ("/?a=1&b=2", "a=1&b=2"),
    ("/?sig=s3cret", "sig=REDACTED"),
    ("/?a=1&Signature=s3cret&b=2", "a=1&Signature=REDACTED&b=2"),
    ("/?X-Amz-Signature=s3cret&X-Amz-Credential=s3cret&X-Amz-Security-Token=s3cret",
     "X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED"),
    ("/?AWSAccessKeyId=s3cret&X-Goog-Signature=s3cret",
     "AWSAccessKeyId=REDACTED&X-Goog-Signature=REDACTED"),
    ("/?sig=s3cret&sig=s3cret", "sig=REDACTED&sig=REDACTED"),
    ("/?sig=", "sig=REDACTED"),
    ("/?SIG=open&design=open&sig", "SIG=open&design=open&sig"),
    ("/?a=1?sig=open", "a=1?sig=open"),
    ("/query-own?token=s3cret&id=s3cret&sig=open", "token=REDACTED&id=REDACTED&sig=open"),
    ("/query-off?sig=open", "sig=open"),
    ("/query-all?a=s3cret", "REDACTED"),
    ("/query-all", None)])
def test_secrets_in_a_query_are_redacted(span_of, target, query):
    span = span_of(target)

    assert span.tags.get("url.query") == query
    assert not any("s3cret" in str(value) for value in span.tags.values())


def test_a_fragment_is_not_recorded(span_of):
    tags = span_of("/path?a=1#s3cret").tags

    assert (tags["url.path"], tags["url.query"]) == ("/path", "a=1")
