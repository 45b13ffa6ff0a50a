# SPDX-License-Identifier: MIT
"""What docs/production.md promises of nginx: limits that hold over all workers and before the cost arises."""

import re
import time

import pytest

import client
import ledger as ledgers
import polling
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
