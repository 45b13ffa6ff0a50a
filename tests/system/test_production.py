# SPDX-License-Identifier: MIT
"""What docs/production.md promises of nginx: buffers sized by rate, presets by environment over which everything
that is set wins, limits that hold over all workers and before the cost arises, and a monitor that says what matters once."""

import json
import re
import time

import pytest

import client
import ledger as ledgers
import polling
from backend import Answer
from nginx import Nginx
from spans import parse
from test_config import ARGUMENTS, DUPLICATE, NOT_HERE, assert_refused, say
from traced import TracedNginx
from upstream import Upstream

HTTP = """
    tracez on;
    {lines}
    upstream application { server {upstream}; }
    server {
        listen 127.0.0.1:{port_shop};
        location / { return 200; }
        location /proxy { proxy_pass http://application; }
    }
"""


def open_nginx(backend, lines, upstream="127.0.0.1:1", **settings):
    return TracedNginx(HTTP, backend, lines=lines, upstream=upstream, **settings)


# ---- Sizing and presets --------------------------------------------------------------------------

SETTINGS = """
    {before}
    tracez on;
    {after}
    server { listen 127.0.0.1:{port_default}; }
    server {
        listen 127.0.0.1:{port_status};
        tracez off;
        {server}
        location = / { tracez_status; }
    }
"""


def settings_of(before="", after="", server="", environment=None):
    """[(spans_max, sample_rate)] of the collectors, and what the error log warns of."""
    with Nginx(http=SETTINGS, before=before, after=after, server=server, environment=environment) as nginx:
        status = json.loads(client.get(nginx.port["status"], "/").body)
        warnings = nginx.log_lines(r"\[warn\]")
    return [(collector["spans_max"], collector["sample_rate"]) for collector in status["collectors"]], warnings


@pytest.mark.parametrize("line", ["tracez_buffer_size auto;", "tracez_buffer_size auto rate=0;",
                                  "tracez_buffer_size auto rate=;", "tracez_buffer_size auto rate=many;",
                                  "tracez_buffer_size auto rate=-1;", "tracez_buffer_size auto 1000;",
                                  "tracez_buffer_size auto rate=1000000001;", "tracez_buffer_size 5 rate=5;"])
def test_a_bad_rate_of_a_buffer_fails_with_file_line_and_reason(line):
    assert_refused(line, "http", "rejected: it must be")


@pytest.mark.parametrize("line", ["tracez_buffer_size 5; tracez_buffer_size auto rate=5;",
                                  "tracez_buffer_size auto rate=5; tracez_buffer_size 5;",
                                  "tracez_buffer_size auto rate=5; tracez_buffer_size auto rate=6;",
                                  "tracez_environment staging; tracez_environment staging;"])
def test_what_is_said_twice_fails(line):
    assert_refused(line, "http", DUPLICATE)


def test_an_environment_has_its_place_in_http():
    assert_refused("tracez_environment staging;", "server", NOT_HERE)


@pytest.mark.parametrize("rate, interval, spans", [("10", "5s", 100), ("1000r/s", "15s", 22500), ("50", "60s", 4500),
                                                   ("1000000000", "1s", 50000)])
def test_a_buffer_is_sized_by_rate_and_interval_wherever_that_stands(rate, interval, spans):
    size, block = "tracez_buffer_size auto rate=%s;" % rate, "tracez_exporter { interval %s; }" % interval

    assert settings_of(size, block)[0] == settings_of(block, size)[0] == [(spans, "1")]


def test_a_server_has_a_rate_of_its_own():
    collectors, _ = settings_of("tracez_buffer_size auto rate=1000;", server="tracez_buffer_size auto rate=100;")

    assert [spans for spans, _ in collectors] == [7500, 750]


# spans, rate, and the size of a buffer for a thousand spans a second, which tells the interval
PRESETS = {"production": (15000, "0.1", 45000), "staging": (5000, "0.5", 22500), "development": (1000, "1", 7500)}
UNKNOWN = (1000, "0.1", 15000)
NONE = (8192, "1", 7500)
AUTO = "tracez_buffer_size auto rate=1000;"


@pytest.mark.parametrize("name", PRESETS)
def test_an_environment_brings_its_values(name):
    spans, rate, auto = PRESETS[name]
    line = "tracez_environment %s;" % name

    assert settings_of(line) == ([(spans, rate)], [])
    assert settings_of(line, server=AUTO)[0] == [(spans, rate), (auto, rate)]
    assert settings_of(environment={"TRACEZ_ENVIRONMENT": name}, server=AUTO)[0] == [(spans, rate), (auto, rate)]


def test_an_unknown_environment_is_warned_of_with_its_line_and_is_cautious():
    spans, rate, auto = UNKNOWN
    collectors, warnings = settings_of("tracez_environment prod;", server=AUTO)

    assert collectors == [(spans, rate), (auto, rate)]
    assert len(warnings) == 1
    assert re.search(r'tracez_environment: environment "prod" is unknown: production, staging and development .*'
                     r"in \S+/nginx.conf:\d+$", warnings[0])


def test_no_environment_is_not_an_unknown_one():
    spans, rate, auto = NONE

    for line in ("", 'tracez_environment "";'):
        assert settings_of(line, server=AUTO) == ([(spans, rate), (auto, rate)], [])


def test_every_directive_wins_over_the_environment_wherever_it_stands():
    environment = "tracez_environment production;"
    others = "tracez_buffer_size 77; tracez_sample_rate 50%; tracez_exporter { interval 5s; }"

    assert settings_of(environment, others, AUTO)[0] == settings_of(others, environment, AUTO)[0] == [
        (77, "50%"), (7500, "50%")]


def test_every_variable_wins_over_the_environment_and_every_directive_over_them():
    variables = {"TRACEZ_ENVIRONMENT": "prod", "TRACEZ_SAMPLE_RATE": "1", "TRACEZ_BUFFER_SIZE": "9",
                 "TRACEZ_EXPORTER_INTERVAL_MS": "5000"}

    assert settings_of("tracez_environment staging;", "", AUTO, variables) == ([(9, "1"), (7500, "1")], [])
    assert settings_of("tracez_environment staging;", "tracez_sample_rate 0.2; tracez_buffer_size 8;", "",
                       variables)[0] == [(8, "0.2")]


def test_an_environment_bounds_texts_and_a_directive_wins(backend):
    lines = 'tracez_environment production; tracez_sample_rate 1; tracez_tag long %s;' % ("x" * 900)
    with open_nginx(backend, lines) as nginx:
        client.get(nginx.port["shop"], "/")
        nginx.wait_until_gone(nginx.reload(lines=lines + "tracez_max_tag_size 700;"))
        client.get(nginx.port["shop"], "/")
        nginx.settle()

    lengths = [len(span.tags["long"]) for span in parse(backend.accepted())]
    assert lengths == [500, 700]


# ---- Limits --------------------------------------------------------------------------------------

BAD_LIMITS = {
    "tracez_limit;": ARGUMENTS,
    "tracez_limit 64m;": 'tracez_limit "64m" rejected: it must be memory=, spans= or burst=',
    "tracez_limit memory=;": "a size such as memory=64m",
    "tracez_limit memory=0;": "a size such as memory=64m",
    "tracez_limit memory=-1;": "a size such as memory=64m",
    "tracez_limit memory=much;": "a size such as memory=64m",
    "tracez_limit memory=1m memory=2m;": 'has two of "memory="',
    "tracez_limit spans=0;": "1 to 1000000000",
    "tracez_limit spans=-5;": "1 to 1000000000",
    "tracez_limit spans=1000000001;": "1 to 1000000000",
    "tracez_limit spans=10r/m;": "1 to 1000000000",
    "tracez_limit spans=r/s;": "1 to 1000000000",
    "tracez_limit spans=1 spans=2;": 'has two of "spans="',
    "tracez_limit burst=5;": '"burst=" without "spans="',
    "tracez_limit spans=1 burst=0;": "1 to 1000000000",
    "tracez_limit spans=1; tracez_limit memory=64m;": DUPLICATE,
    "tracez on; tracez_limit memory=1k;": "tracez_limit memory=1024 rejected: it must be at least ",
    "tracez on; tracez_limit memory=4m;": "tracez_limit memory=4194304 rejected: it must be at least ",
}


@pytest.mark.parametrize("line", BAD_LIMITS)
def test_a_bad_limit_fails_with_file_line_and_reason(line):
    assert_refused(line, "http", BAD_LIMITS[line])


def test_a_limit_has_its_place_in_http():
    assert_refused("tracez_limit spans=1;", "server", NOT_HERE)


@pytest.mark.parametrize("line", ["tracez_limit spans=1;", "tracez_limit spans=1000000000r/s burst=1;",
                                  "tracez_limit memory=1g spans=5000;"])
def test_a_good_limit_passes(line):
    status, output, _ = say(line, "http")

    assert status == 0, output


def least_memory(lines):
    """What the error says that would do."""
    _, output, _ = say("tracez on; %s tracez_limit memory=1;" % lines, "http")
    return int(re.search(r"at least (\d+),", output).group(1))


def test_the_least_memory_that_is_named_is_enough_and_a_byte_less_is_not():
    lines = "tracez_buffer_size 100;"
    least = least_memory(lines)

    assert say("tracez on; %s tracez_limit memory=%d;" % (lines, least), "http")[0] == 0
    assert say("tracez on; %s tracez_limit memory=%d;" % (lines, least - 1), "http")[0] == 1
    assert least < least_memory("tracez_buffer_size 10000;")


def test_spans_a_second_are_bounded_over_all_workers(backend):
    rate, burst, requests = 5, 10, 200
    with open_nginx(backend, "tracez_limit spans=%dr/s burst=%d;" % (rate, burst), workers=2) as nginx:
        began = time.monotonic()
        for _ in range(requests):
            assert client.get(nginx.port["shop"], "/").status == 200
        ledger = nginx.settle()
        seconds = time.monotonic() - began

        assert ledger["recorded"] == requests
        assert burst <= ledger["exported"] <= burst + rate * seconds + 1
        assert ledgers.drops(ledger) == {"rate": requests - ledger["exported"]}
        polling.until("the log says so", lambda: nginx.log_lines(
            r"\[warn\].* tracez: \d+ spans dropped \(rate\): more than tracez_limit allows"))


def test_a_reload_gives_no_new_burst(backend):
    """Though the buffer is another one: the bucket is where the books are."""
    with open_nginx(backend, "tracez_limit spans=1 burst=50; tracez_buffer_size 100;") as nginx:
        began = time.monotonic()
        for _ in range(60):
            client.get(nginx.port["shop"], "/")
        nginx.wait_until_gone(nginx.reload(lines="tracez_limit spans=1 burst=50; tracez_buffer_size 200;"))
        for _ in range(60):
            client.get(nginx.port["shop"], "/")
        ledger = nginx.settle()
        seconds = time.monotonic() - began

    assert 50 <= ledger["exported"] <= 50 + seconds + 1
    assert ledger["dropped"]["rate"] == 120 - ledger["exported"]


def test_live_spans_are_bounded_by_memory_before_it_is_touched(backend):
    """The least memory has room for one span of 17 KiB: 17 of 1 KiB."""
    lines = "tracez_buffer_size 100;"
    lines += "tracez_limit memory=%d;" % least_memory(lines)
    upstream = Upstream({"/proxy": None})
    with open_nginx(backend, lines, upstream.address) as nginx:
        waiting = [client.connect(nginx.port["shop"]) for _ in range(20)]
        for connection in waiting:
            connection.sendall(client.request("GET", "/proxy"))
        polling.until("all have arrived", lambda: len(upstream.received) == len(waiting))

        ledger = nginx.ledger()
        for connection in waiting:
            connection.close()
        assert (ledger["live"], ledgers.drops(ledger)) == (17, {"memory_limit": 3})
        assert nginx.settle()["exported"] == 17
    upstream.close()


# ---- The monitor ---------------------------------------------------------------------------------

PARAMETERS = 'it must be interval=, drops= or pressure=, or "off"'
INTERVAL = "interval=1s to interval=1d"
PERCENT = "pressure=1% to pressure=100%"
BAD_MONITORS = {
    "tracez_monitor;": ARGUMENTS,
    "tracez_monitor on;": 'tracez_monitor "on" rejected: ' + PARAMETERS,
    "tracez_monitor off drops=1;": PARAMETERS,
    "tracez_monitor 60s;": PARAMETERS,
    "tracez_monitor interval=;": INTERVAL,
    "tracez_monitor interval=0;": INTERVAL,
    "tracez_monitor interval=999ms;": INTERVAL,
    "tracez_monitor interval=25h;": INTERVAL,
    "tracez_monitor interval=often;": INTERVAL,
    "tracez_monitor drops=;": "drops=number",
    "tracez_monitor drops=-1;": "drops=number",
    "tracez_monitor drops=1k;": "drops=number",
    "tracez_monitor drops=4294967296;": "drops=number",
    "tracez_monitor pressure=80;": PERCENT,
    "tracez_monitor pressure=0%;": PERCENT,
    "tracez_monitor pressure=101%;": PERCENT,
    "tracez_monitor pressure=%;": PERCENT,
    "tracez_monitor drops=1 interval=1s drops=2;": 'tracez_monitor "drops=2" rejected: it must be the only one',
    "tracez_monitor drops=1; tracez_monitor off;": DUPLICATE,
}


@pytest.mark.parametrize("line", BAD_MONITORS)
def test_a_bad_monitor_fails_with_file_line_and_reason(line):
    assert_refused(line, "http", BAD_MONITORS[line])


@pytest.mark.parametrize("line", ["tracez_monitor off;", "tracez_monitor drops=0;",
                                  "tracez_monitor interval=1s drops=4294967295 pressure=100%;",
                                  "tracez_monitor pressure=1% interval=1d;"])
def test_a_good_monitor_passes(line):
    status, output, _ = say(line, "http")

    assert status == 0, output


REPORT = r"\[info\].* tracez: in \d+ s (\d+) spans started, .*; \d+ wait, collector \"default\" is \d+% full"


def reported(nginx):
    """Spans started, by all reports together."""
    return sum(int(re.search(REPORT, line).group(1)) for line in nginx.log_lines(REPORT))


def test_the_monitor_reports_every_interval_at_the_level_info(backend):
    with open_nginx(backend, "tracez_monitor interval=1s;", workers=2) as nginx:
        polling.until("a report", lambda: nginx.log_lines(REPORT))
        before = reported(nginx)  # what came before the first look is in no report
        for _ in range(7):
            client.get(nginx.port["shop"], "/")
        reports = len(nginx.log_lines(REPORT)) + 2
        polling.until("two more reports", lambda: len(nginx.log_lines(REPORT)) >= reports)

        assert reported(nginx) == before + 7


def test_drops_are_warned_of_once_and_told_to_be_over(backend):
    lines = "tracez_monitor interval=1s drops=5; tracez_limit spans=1 burst=1;"
    warned, over = r"\[warn\].* tracez: \d+ spans dropped \(rate \d+\) in \d+ s, more than 5$", r"no more than 5 any more"
    with open_nginx(backend, lines) as nginx:
        polling.until("the first look", lambda: nginx.log_lines(REPORT))
        for _ in range(30):
            client.get(nginx.port["shop"], "/")
        polling.until("the warning", lambda: nginx.log_lines(warned))
        polling.until("it is over", lambda: nginx.log_lines(over))

        assert (len(nginx.log_lines(warned)), len(nginx.log_lines(over))) == (1, 1)


def test_a_full_buffer_is_warned_of_once_and_told_to_be_over(backend):
    lines = "tracez_monitor interval=1s pressure=60%; tracez_buffer_size 100;"
    backend.otherwise = Answer(503)
    warned, over = r"\[warn\].* tracez: collector \"default\" is \d+% full, more than 60%", r"no more than 60% for"
    with open_nginx(backend, lines, exporter="retry 50ms 100ms;") as nginx:
        for _ in range(80):
            client.get(nginx.port["shop"], "/")
        polling.until("the warning", lambda: nginx.log_lines(warned))
        backend.otherwise = Answer()
        polling.until("it is over", lambda: nginx.log_lines(over))

        assert (len(nginx.log_lines(warned)), len(nginx.log_lines(over))) == (1, 1)


def test_a_monitor_that_is_off_says_nothing(backend):
    lines = "tracez_monitor off; tracez_buffer_size 100;"
    with open_nginx(backend, lines) as nginx:
        client.get(nginx.port["shop"], "/")
        backend.otherwise = Answer(503)
        client.get(nginx.port["shop"], "/")
        polling.until("the timer has come by", lambda: nginx.log_lines(r"tracez: export to .* failed"))
        backend.otherwise = Answer()

        assert not nginx.log_lines(r"spans started|% full")
