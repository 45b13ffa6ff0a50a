# SPDX-License-Identifier: MIT
"""Configuration: a bad value fails nginx -t with file, line and the reason; a good one passes; what is
not switched on costs nothing."""

import os
import re
import subprocess

import pytest

import client
import polling
from nginx import Nginx, stat_fields
from traced import TracedNginx

HTTP = """
    {http_line}
    server {
        listen 127.0.0.1:{port_shop};
        {server_line}
        location / {
            {location_line}
            return 200;
        }
    }
"""

RATE = "a number from 0 to 1, a percentage from 0% to 100%"
SPANS = "1 to 16777216 spans"
NOT_BYTES = "counts spans, not bytes"
TAG_BYTES = "16 to 32000 bytes"
GRPC = "no scheme; 4317 is usually gRPC, tracez speaks OTLP/HTTP: try http://localhost:4318"
ARGUMENTS = "invalid number of arguments"
NOT_HERE = "directive is not allowed here"
DUPLICATE = "is duplicate"

BAD_AT_HTTP = {
    "tracez maybe;": 'tracez "maybe" rejected: it must be "on", "off" or a variable',
    "tracez ON;": 'tracez "ON" rejected',
    'tracez "";': 'tracez "" rejected',
    "tracez on off;": ARGUMENTS,
    "tracez;": ARGUMENTS,
    "tracez on; tracez on;": DUPLICATE,

    "tracez_sample_rate 1.5;": RATE,
    "tracez_sample_rate 10x;": RATE,
    "tracez_sample_rate -0.1;": RATE,
    "tracez_sample_rate 101%;": RATE,
    "tracez_sample_rate 0.1.2;": RATE,
    "tracez_sample_rate %;": RATE,
    "tracez_sample_rate .5;": RATE,
    "tracez_sample_rate 1e-3;": RATE,
    "tracez_sample_rate nan;": RATE,
    "tracez_sample_rate 0.12345678901;": RATE,
    'tracez_sample_rate "";': RATE,
    'tracez_sample_rate "0.5 ";': RATE,
    "tracez_sample_rate 0.1 0.2;": ARGUMENTS,
    "tracez_sample_rate 1; tracez_sample_rate 1;": DUPLICATE,

    "tracez_buffer_size -1;": SPANS,
    "tracez_buffer_size 0;": SPANS,
    "tracez_buffer_size many;": SPANS,
    "tracez_buffer_size 16777217;": SPANS,
    "tracez_buffer_size 99999999999999999999;": SPANS,
    "tracez_buffer_size 8m;": NOT_BYTES,
    "tracez_buffer_size 64k;": NOT_BYTES,
    "tracez_buffer_size 1.5;": SPANS,
    "tracez_buffer_size 1; tracez_buffer_size 1;": DUPLICATE,

    "tracez_max_tag_size 15;": TAG_BYTES,
    "tracez_max_tag_size 32001;": TAG_BYTES,
    "tracez_max_tag_size 1k;": "plain number of bytes",
    "tracez_max_tag_size -1;": TAG_BYTES,
    "tracez_max_tag_size 100; tracez_max_tag_size 100;": DUPLICATE,

    'tracez_service_name "";': 'tracez_service_name "" rejected',
    "tracez_service_name $host;": "without variables",
    "tracez_service_name a; tracez_service_name b;": DUPLICATE,
    "tracez_service_name a b;": ARGUMENTS,
    'tracez_resource_attr "" x;': "rejected",
    "tracez_resource_attr zone $host;": "without variables",
    "tracez_resource_attr service.name x;": "tracez_service_name sets it",
    "tracez_resource_attr zone;": ARGUMENTS,

    "tracez_span_name a; tracez_span_name b;": DUPLICATE,
    "tracez_tag key;": ARGUMENTS,
    'tracez_tag "" value;': 'tracez_tag key "" rejected',
    "tracez_tag $host value;": "without variables",
    "tracez_tag key value $host;": 'parameter "$host" rejected: it must be if=condition',
    "tracez_tag key value if=;": "it must be if=condition",
    "tracez_tag %s value;" % ("k" * 256): "1 to 255 bytes",
    " ".join("tracez_tag k%d v;" % i for i in range(129)): "at most 128 tags",

    "tracez_extract jaeger;": "rejected",
    "tracez_extract on;": "rejected",
    "tracez_extract w3c; tracez_extract off;": DUPLICATE,
    "tracez_inject W3C;": "rejected",
    "tracez_inject off; tracez_inject off;": DUPLICATE,
    'tracez_redact_query "";': "rejected",
    "tracez_redact_query key $host;": "without variables",
    "tracez_redact_query;": ARGUMENTS,
    "tracez_redact_query off; tracez_redact_query all;": DUPLICATE,

    "tracez_collector errors;": ARGUMENTS,
    "tracez_collector '' size=10;": "it must be 1 to 63 bytes",
    "tracez_collector %s size=10;" % ("n" * 64): "it must be 1 to 63 bytes",
    "tracez_collector $host size=10;": "without variables",
    "tracez_collector default size=10;": 'tracez_collector "default" rejected: tracez_buffer_size sets that one',
    "tracez_collector a size=10; tracez_collector a size=10;": 'tracez_collector "a" rejected: there is one of this name',
    "tracez_collector a match=errors;": 'tracez_collector "a" rejected: size= is missing',
    "tracez_collector a size=0;": 'tracez_collector "a": size "0" rejected: it must be ' + SPANS,
    "tracez_collector a size=64k;": NOT_BYTES,
    "tracez_collector a size=10 size=10;": 'parameter "size=10" rejected: there is one already',
    "tracez_collector a size=10 pace=1s;": 'parameter "pace=1s" rejected: known are size=',
    "tracez_collector a size=10 interval=often;": 'interval "often" rejected: it must be a time from 10ms to 1h',
    "tracez_collector a size=10 interval=5ms;": 'interval_ms 5 of collector "a" rejected: 10 to 3600000',
    "tracez_collector a size=10 interval=2h;": "10 to 3600000",
    "tracez_collector a size=10 batch_size=1k;": 'batch_size "1k" rejected',
    "tracez_collector a size=10 batch_size=65537;": "1 to 65536",
    "tracez_collector a size=10 match=some;": 'match "some" rejected: it must be "all", "errors" or "name:"',
    "tracez_collector a size=10 match=name:;": "the name of a span",
    "tracez_collector a size=10 match=name:$uri;": "without variables",
    " ".join("tracez_collector c%d size=1;" % i for i in range(17)): "more than 16 buffers",

    "tracez_no_such_thing on;": "unknown directive",
    "tracez_status;": NOT_HERE,
    "tracez_exporter { } tracez_exporter { }": DUPLICATE,
    "tracez_exporter on;": 'directive "tracez_exporter" has no opening "{"',
}

BAD_IN_EXPORTER = {
    "endpoint localhost:4317;": GRPC,
    "endpoint localhost;": 'endpoint "localhost" rejected: no scheme: try http://localhost',
    "endpoint ftp://localhost;": "scheme must be http or https",
    'endpoint "";': "a URL is needed",
    'endpoint "http://a b";': "printable ASCII",
    "endpoint http://;": "rejected",
    "endpoint http://localhost:0;": "rejected",
    "endpoint http://localhost:65536;": "rejected",
    "endpoint http://localhost/#part;": "fragment",
    "endpoint;": "endpoint takes 1 value, not 0",
    "endpoint http://a http://b;": "endpoint takes 1 value, not 2",
    "endpoint http://a; endpoint http://a;": "endpoint is duplicate",
    "format grpc;": 'format "grpc" rejected',
    "interval 0;": "10",
    "interval 5ms;": "10",
    "interval 5x;": "a time such as 500ms or 5s",
    "interval -1s;": "a time such as",
    "interval 2h;": "3600000",
    "batch_size 0;": "batch_size",
    "batch_size 65537;": "1 to 65536",
    "batch_size 1k;": "a plain number",
    "max_batch_bytes 1k;": "65536",
    "max_batch_bytes 65m;": "67108864",
    "max_batch_bytes much;": "a size such as 512k or 4m",
    "timeout 0;": "timeout",
    "connect_timeout 0;": "connect_timeout",
    "connections 0;": "1 to 100",
    "connections 101;": "1 to 100",
    "lanes 0;": 'lanes "0" rejected: it must be 1 to 16',
    "lanes 17;": "1 to 16",
    "lanes many;": "1 to 16",
    "lanes 2; lanes 2;": "lanes is duplicate",
    "keepalive_timeout 10ms;": "1000",
    "shutdown_timeout 2h;": "3600000",
    "retry 1s;": "retry takes 2 values, not 1",
    "retry 5s 1s;": "5000",
    "retry 0 1s;": "retry",
    "retry x y;": "two times such as 1s 30s",
    "retry_max_elapsed x;": "a time such as",
    "header Authorization;": "header takes 2 values, not 1",
    'header "Bad Name" x;': "header",
    'header Content-Length 3;': "header",
    'header X "a\x01b";': "line break or another control character",
    "endpoints http://a;": 'unknown parameter "endpoints" in "tracez_exporter"',
    "tracez on;": 'unknown parameter "tracez" in "tracez_exporter"',
}

BAD_AT_SERVER = {
    "tracez_exporter { }": NOT_HERE,
    "tracez_status;": NOT_HERE,
}

BAD_AT_LOCATION = {
    "tracez_exporter { }": NOT_HERE,
    "tracez_buffer_size 100;": NOT_HERE,
    "tracez_service_name shop;": NOT_HERE,
    "tracez_resource_attr zone a;": NOT_HERE,
    "tracez_status xml;": "rejected",
    "tracez_status format=xml;": "rejected",
    "tracez_status format=json x;": ARGUMENTS,
    "tracez_status; tracez_status;": DUPLICATE,
    "if ($host) { tracez off; }": NOT_HERE,
}

GOOD_AT_HTTP = [
    "tracez off;", "tracez $arg_trace;",
    "tracez_sample_rate 0;", "tracez_sample_rate 1;", "tracez_sample_rate 0.000000001;",
    "tracez_sample_rate 0%;", "tracez_sample_rate 12.5%;", "tracez_sample_rate 100%;",
    "tracez_sample_rate $arg_rate;",
    "tracez_buffer_size 1;", "tracez_buffer_size 100000;",
    "tracez_max_tag_size 16;", "tracez_max_tag_size 32000;",
    "tracez_service_name 'a shop';", "tracez_resource_attr deployment.environment.name test;",
    "tracez_span_name '$request_method $uri';", "tracez_tag user $remote_user if=$remote_user;",
    "tracez_tag key '';", "tracez_extract w3c;", "tracez_extract off;", "tracez_inject off;",
    "tracez_redact_query off;", "tracez_redact_query all;", "tracez_redact_query token key;",
    "tracez_exporter { }",
    "tracez_exporter { endpoint http://localhost:4318; }",
    "tracez_exporter { endpoint https://[::1]:443/custom/path?key=value; }",
    "tracez_exporter { interval 10ms; batch_size 1; max_batch_bytes 64k; timeout 1ms; "
    "connect_timeout 1ms; connections 1; keepalive_timeout 1s; shutdown_timeout 0; "
    "retry 1ms 1ms; retry_max_elapsed 0; format otlp; header Authorization 'Bearer x'; "
    "header X-Scope-OrgID 1; }",
    "tracez_exporter { interval 1h; batch_size 65536; max_batch_bytes 64m; timeout 1h; "
    "connections 100; retry 1s 1h; retry_max_elapsed 1d; }",
]

GOOD_AT_LOCATION = [
    "tracez off;", "tracez_sample_rate 10%;", "tracez_max_tag_size 100;", "tracez_span_name x;",
    "tracez_tag key value;", "tracez_extract off;", "tracez_inject off;",
    "tracez_redact_query key;", "tracez_status;", "tracez_status format=json;",
    "tracez_status format=prometheus;",
]


def say(line, level):
    """nginx -t of a configuration with this line at one level: status, output, and the line's
    number."""
    lines = {"http_line": "tracez on;" if level != "http" else "", "server_line": "",
             "location_line": "", level + "_line": line}
    nginx = Nginx(HTTP, **lines)
    status, output = nginx.test()
    number = (nginx.prefix / "nginx.conf").read_text().split(line)[0].count("\n") + 1
    nginx.discard()
    return status, output, "%s:%d" % (nginx.prefix / "nginx.conf", number)


def assert_refused(line, level, reason):
    status, output, place = say(line, level)

    assert status == 1, output
    assert reason in output
    assert place in output


@pytest.mark.parametrize("line", BAD_AT_HTTP)
def test_a_bad_value_fails_with_file_line_and_reason(line):
    assert_refused(line, "http", BAD_AT_HTTP[line])


@pytest.mark.parametrize("line", ["tracez $no_such_variable;", "tracez_span_name $no_such_variable;",
                                  "tracez_sample_rate $no_such_variable;",
                                  "tracez_tag key $no_such_variable;",
                                  "tracez_tag key value if=$no_such_variable;"])
def test_an_unknown_variable_fails_with_its_name(line):
    """nginx itself looks for it, when it no longer knows the line."""
    status, output, _ = say(line, "http")

    assert status == 1
    assert 'unknown "no_such_variable" variable' in output


@pytest.mark.parametrize("line", BAD_IN_EXPORTER)
def test_a_bad_setting_of_the_exporter_fails_with_file_line_and_reason(line):
    assert_refused("tracez_exporter { %s }" % line, "http", BAD_IN_EXPORTER[line])


@pytest.mark.parametrize("line", BAD_AT_SERVER)
def test_what_has_no_place_in_a_server_fails(line):
    assert_refused(line, "server", BAD_AT_SERVER[line])


@pytest.mark.parametrize("line", BAD_AT_LOCATION)
def test_what_has_no_place_or_a_bad_value_in_a_location_fails(line):
    assert_refused(line, "location", BAD_AT_LOCATION[line])


def test_the_exporters_secrets_are_not_repeated():
    line = "tracez_exporter { header Authorization 'Bearer s3cret\x01'; }"
    status, output, _ = say(line, "http")

    assert status == 1
    assert "s3cret" not in output


def assert_accepted(line, level):
    status, output, _ = say(line, level)

    assert status == 0, output
    assert not re.search(r"\[(warn|error|crit|alert|emerg)\]", output), output


@pytest.mark.parametrize("line", GOOD_AT_HTTP)
def test_a_good_value_passes(line):
    assert_accepted(line, "http")


@pytest.mark.parametrize("line", [line for line in GOOD_AT_HTTP if "exporter" not in line])
def test_a_good_value_passes_in_a_server(line):
    assert_accepted(line, "server")


@pytest.mark.parametrize("line", GOOD_AT_LOCATION)
def test_a_good_value_passes_in_a_location(line):
    assert_accepted(line, "location")


# ---- What is switched on, and what is not --------------------------------------------------------


def kinds_of_descriptors(pid):
    """What a process has open, by kind: sockets, pipes, eventfds, files."""
    kinds = []
    for entry in os.listdir("/proc/%d/fd" % pid):
        target = os.readlink("/proc/%d/fd/%s" % (pid, entry))
        kinds.append(re.sub(r"\d+|^/.*", "", target))
    return sorted(kinds)


PLAIN = "server { listen 127.0.0.1:{port_shop}; return 200; }"


def look(http, **settings):
    """Threads of master and worker, and what the worker has open, after a request."""
    with Nginx(http, **settings) as nginx:
        if http is not None:
            assert client.get(nginx.port["shop"]).status == 200
        worker, = nginx.workers()
        return nginx.threads(nginx.master), nginx.threads(worker), kinds_of_descriptors(worker)


def test_loaded_but_not_used_it_has_no_thread_and_opens_nothing():
    without = look(PLAIN, load_module=False)

    assert look(PLAIN) == without
    assert without[:2] == (1, 1)


def test_switched_off_everywhere_it_has_no_thread_and_opens_nothing():
    off = "tracez off; tracez_sample_rate 10%; tracez_exporter { } " + PLAIN

    assert look(off) == look(PLAIN, load_module=False)


def test_it_is_inert_without_http():
    assert look(None) == look(None, load_module=False)


def test_a_worker_has_one_thread_more_when_something_is_traced():
    on = "tracez_exporter { endpoint http://127.0.0.1:{port_nobody}; } server { listen " \
         "127.0.0.1:{port_shop}; location / { return 200; } location /on { tracez on; } }"

    assert look(on)[:2] == (1, 2)


def test_testing_a_configuration_starts_no_thread_and_connects_to_nothing(backend):
    """nginx -T writes the configuration to a pipe that nobody reads: there it stands, with all of
    its start behind it."""
    http = PLAIN + "tracez on; tracez_exporter { endpoint %s; interval 10ms; } %s" % (
        backend.url, "#\n" * 100000)
    nginx = Nginx(http, log_level="notice")
    process = subprocess.Popen(nginx.command("-T"), env=nginx.full_environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        said = process.stderr.readline() + process.stderr.readline()
        assert b"test is successful" in said, said
        polling.until("nginx waits for its reader", lambda: stat_fields(process.pid)[0] == "S")

        assert nginx.threads(process.pid) == 1
        sockets = [kind for kind in kinds_of_descriptors(process.pid) if kind.startswith("socket")]
        assert len(sockets) == 1  # the one it would listen on
    finally:
        process.kill()
        process.communicate()
    assert backend.connections_taken == 0
    nginx.discard()


def test_a_reload_with_a_bad_file_leaves_everything_as_it_was(backend):
    http = "tracez on; tracez_sample_rate {rate}; " + PLAIN
    with TracedNginx(http, backend, rate="1") as nginx:
        nginx.expected_log = ["tracez_sample_rate"]
        worker, = nginx.workers()
        nginx.write(rate="7")
        nginx.send_signal("HUP")
        polling.until("nginx refuses the file", lambda: nginx.log_lines("rejected"))

        assert client.get(nginx.port["shop"]).status == 200
        assert nginx.workers() == [worker]
        assert nginx.settle()["exported"] == 1


# ---- Levels ---------------------------------------------------------------------------------------

TWO_SERVERS = """
    tracez on;
    server {
        listen 127.0.0.1:{port_first};
        server_name first.example;
        tracez_buffer_size 100;
        tracez_sample_rate 25%;
        location / { return 200; }
    }
    server {
        listen 127.0.0.1:{port_second};
        server_name second.example;
        tracez_buffer_size 20000;
        tracez_sample_rate 0.5;
        location / { return 200; }
    }
    server { listen 127.0.0.1:{port_third}; location / { return 200; } }
"""


def test_servers_with_their_own_buffers_and_rates_show_both(backend):
    with TracedNginx(TWO_SERVERS, backend) as nginx:
        for port, requests in ("first", 40), ("second", 30), ("third", 5):
            for _ in range(requests):
                client.get(nginx.port[port])
        ledger = nginx.settle()
        collectors = {collector["name"]: collector for collector in nginx.status()["collectors"]}

        assert {name: (collector["spans_max"], collector["sample_rate"])
                for name, collector in collectors.items()} == {
            "default": (8192, "1"), "first.example": (100, "25%"), "second.example": (20000, "0.5")}
        assert collectors["default"]["exported"] == 5
        assert sum(collector["exported"] for collector in collectors.values()) == (
            ledger["exported"])
        assert ledger["started"] == 75


SWITCHES = """
    map $arg_trace $trace { default off; yes on; }
    tracez $trace;
    server {
        listen 127.0.0.1:{port_shop};
        location / { return 200; }
        location /on { tracez on; return 200; }
        location /off { tracez off; return 200; }
        location /argument { tracez $arg_trace; return 200; }
    }
    server { listen 127.0.0.1:{port_on}; tracez on; location / { return 200; } }
"""


@pytest.mark.parametrize("port, target, is_traced", [
    ("shop", "/", False), ("shop", "/?trace=yes", True), ("shop", "/on", True),
    ("shop", "/off?trace=yes", False), ("on", "/", True),
    ("shop", "/argument", False), ("shop", "/argument?trace=0", False),
    ("shop", "/argument?trace=off", False), ("shop", "/argument?trace=1", True),
    ("shop", "/argument?trace=on", True)])
def test_tracing_is_switched_by_level_and_by_variable(backend, port, target, is_traced):
    with TracedNginx(SWITCHES, backend) as nginx:
        client.get(nginx.port[port], target)

        assert nginx.settle()["exported"] == is_traced


def test_single_process_mode_traces(backend):
    with TracedNginx("tracez on; " + PLAIN, backend, master_process="off") as nginx:
        client.get(nginx.port["shop"])

        assert nginx.settle()["exported"] == 1


def test_a_daemon_traces(backend):
    with TracedNginx("tracez on; " + PLAIN, backend, daemon="on") as nginx:
        client.get(nginx.port["shop"])

        assert nginx.settle()["exported"] == 1
