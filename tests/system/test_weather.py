# SPDX-License-Identifier: MIT
"""Bad weather between nginx and its backend: requests are answered as ever, spans wait, the exporter knocks now and then
with few connections, the log has a line for the beginning and one for the end; and every span arrives."""

import calendar
import contextlib
import json
import os
import pathlib
import re
import resource
import struct
import time

import pytest

import client
import polling
from backend import Answer, Backends, Stall
from load import Clients
from longer import times
from names import FAILURE, SILENCE, UNKNOWN, NameServer
from nginx import is_sanitized
from traced import TracedNginx

HTTP = """
    tracez on;
    server {
        listen 127.0.0.1:{port_shop};
        location / { return 200 "hello\\n"; }
    }
"""

CONNECTIONS = 3
QUICK = "connections %d; connect_timeout 300ms; timeout 500ms; retry 10ms 50ms;" % CONNECTIONS
NAME = "backend.example"
PRELOADS = pathlib.Path(os.environ["TRACEZ_PRELOAD_DIR"])
WALL = PRELOADS / "libtracez_test_wall.so"
DROUGHT = PRELOADS / "libtracez_test_drought.so"
HOUR = 3600


def open_nginx(backend, exporter=QUICK, **settings):
    return TracedNginx(HTTP, backend, exporter=exporter, workers=1, **settings)


def ask(nginx, count=20):
    for _ in range(count):
        assert client.get(nginx.port["shop"]).body == b"hello\n"


def is_down(nginx, failures=3):
    exporter = nginx.status()["exporter"]
    return exporter["state"] == "down" and exporter["failed_attempts"] >= failures


def sockets_to(port):
    """How many there are, of anybody's, that are connected to a port or try to be."""
    table = pathlib.Path("/proc/thread-self/net/tcp").read_bytes()
    return len(re.findall(rb":[0-9A-F]{4} [0-9A-F]{8}:%04X 0[128] " % port, table))


def sit_out(nginx, begin, end):
    """Spans before, in and after bad weather that begin() and end() make."""
    ask(nginx)
    nginx.settle()
    begin()
    ask(nginx)
    sockets = []

    def is_bad():
        sockets.append(sockets_to(nginx.backend.port))
        return is_down(nginx)
    polling.until("attempts fail", is_bad, 20)
    polling.until("the log tells of it", lambda: nginx.log_lines("tracez: export to .* failed"))
    end()
    ask(nginx)

    assert nginx.settle(seconds=30)["exported"] == 60
    polling.until("the log tells of the end", lambda: nginx.log_lines("works again"))
    assert len(nginx.log_lines("tracez:")) == 2
    assert max(sockets) <= CONNECTIONS


# ---- The network ---------------------------------------------------------------------------------

WEATHER = {
    "refused": (lambda backend: backend.stop(), lambda backend: backend.start()),
    "black hole": (lambda backend: backend.drop_packets(), lambda backend: backend.pass_packets()),
    "no answer": (lambda backend: backend.script(otherwise=Stall()), lambda backend: backend.script()),
}


@pytest.mark.parametrize("begin, end", WEATHER.values(), ids=WEATHER)
def test_what_waits_for_the_backend_is_delivered_when_the_weather_clears(backend, begin, end):
    with open_nginx(backend) as nginx:
        sit_out(nginx, lambda: begin(backend), lambda: end(backend))


def pass_seconds(seconds, look=lambda: None):
    over = time.monotonic() + seconds
    polling.until("the time is over", lambda: (look(), time.monotonic() >= over)[1], seconds + 10)


def test_a_backend_that_is_back_gets_all_within_31_seconds(backend, figure):
    """At the defaults; after a long outage the wait between two attempts is at its longest."""
    with open_nginx(backend, exporter="") as nginx:
        backend.stop()
        ask(nginx)
        pass_seconds(times(2, 70))
        backend.start()
        back = time.monotonic()
        polling.until("all is there", lambda: backend.span_count() == 20, 31)

        figure("an outage of %d s, all there %.1f s after it", times(2, 70), time.monotonic() - back)


def memory_bytes(pid):
    resident_pages = int(pathlib.Path("/proc/%d/statm" % pid).read_text().split()[1])
    return resident_pages * resource.getpagesize()


def test_a_backend_that_flaps_every_second_gets_every_span(backend, figure):
    sockets, rounds = [], times(2, 60)
    with open_nginx(backend) as nginx:
        worker, = nginx.workers()
        ask(nginx)
        nginx.settle()
        before = memory_bytes(worker)
        with Clients(nginx.port["shop"], 2, pause_seconds=0.01):
            for _ in range(rounds):
                backend.stop()
                pass_seconds(1, lambda: sockets.append(sockets_to(backend.port)))
                backend.start()
                pass_seconds(1, lambda: sockets.append(sockets_to(backend.port)))
        ledger = nginx.settle()
        grown = memory_bytes(worker) - before

        figure("%d spans, %d times gone and back, %d sockets at most, %d KiB more of memory", ledger["exported"],
               rounds, max(sockets), grown // 1024)
        assert sum(ledger["dropped"].values()) == 0
        assert 1 <= max(sockets) <= CONNECTIONS
        assert len(nginx.log_lines(r"\[(warn|notice)\].* tracez:")) <= 2 + 2 * rounds * 2 // 30
        assert is_sanitized() or grown < 8 * 1024 * 1024


# ---- Names ---------------------------------------------------------------------------------------

def by_name(backend):
    """Its URL, for a name server to be asked."""
    return "http://%s:%d" % (NAME, backend.port)


@pytest.mark.parametrize("answer", [UNKNOWN, FAILURE, SILENCE])
def test_what_waits_for_a_name_is_delivered_when_there_is_one(backend, answer):
    def wait_for_a_name(names):
        names.answer = answer
        with backend.moved_here(), open_nginx(backend, endpoint=by_name(backend)) as nginx:
            ask(nginx)
            polling.until("names are asked for in vain", lambda: names.questions >= 2 and is_down(nginx), 20)
            names.answer = "127.0.0.1"
            assert nginx.settle(seconds=30)["exported"] == 20

    NameServer.run_inside(wait_for_a_name)


def test_a_backend_that_moved_is_found_at_its_new_address(backend, other_backend):
    """Within a second or so, though the record says that it may be kept for a minute."""
    other_backend.stop()
    other_backend.port, other_backend.address = backend.port, "127.0.0.2"

    def move(names):
        names.answer = backend.address
        both = Backends(backend, other_backend)
        with backend.moved_here(), open_nginx(both, endpoint=by_name(backend)) as nginx:
            ask(nginx)
            nginx.settle()
            backend.stop()
            ask(nginx)
            polling.until("it is missed", lambda: is_down(nginx))
            names.answer = other_backend.address
            with other_backend.moved_here():
                assert nginx.settle(seconds=30)["exported"] == 40

    NameServer.run_inside(move)
    assert backend.span_count() == other_backend.span_count() == 20


# ---- Clocks --------------------------------------------------------------------------------------

def seconds_taken(backend):
    """How long each span took, by its times."""
    times_ns = re.findall(rb'"startTimeUnixNano":"(\d+)","endTimeUnixNano":"(\d+)"',
                          b"".join(attempt.body for attempt in backend.accepted()))
    return [(int(end) - int(start)) / 1e9 for start, end in times_ns]


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_wall_clock_that_jumps_changes_no_duration_and_no_wait(backend, jump):
    backend.script(Answer(503, retry_after="1"))
    nginx = open_nginx(backend, preload=[WALL], environment={"TRACEZ_WALL": "{prefix}/wall"})
    wall = nginx.prefix / "wall"
    wall.write_bytes(struct.pack("q", 0))
    with nginx, client.connect(nginx.port["shop"]) as slow:
        begin, rest = client.request()[:20], client.request()[20:]
        slow.sendall(begin)
        ask(nginx)  # one worker: it has read the beginning before
        polling.until("the backend asks for a pause", lambda: backend.attempts)
        with open(wall, "r+b") as file:
            file.write(struct.pack("q", jump))
        # Over a second since the tracer has looked at the wall clock: it does so again.
        polling.until("the pause is over", lambda: len(backend.attempts) > 1)
        date = client.get(nginx.port["shop"]).header("Date")
        slow.sendall(rest)
        assert b"hello" in client.read_all(slow)

        assert nginx.settle()["exported"] == 22
        assert abs(calendar.timegm(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")) - time.time() - jump) < 60
    assert 1 <= backend.attempts[1].at - backend.attempts[0].at < 30
    assert len(seconds_taken(backend)) == 22
    assert all(0 <= seconds < 60 for seconds in seconds_taken(backend))


# ---- Memory --------------------------------------------------------------------------------------

@pytest.mark.skipif(is_sanitized(), reason="memory is the sanitizer's affair")
def test_an_exporter_without_memory_costs_no_response_and_no_span(backend):
    nginx = open_nginx(backend, preload=[DROUGHT], environment={"TRACEZ_DROUGHT": "{prefix}/drought"})
    drought = nginx.prefix / "drought"
    drought.write_bytes(b"\0")
    with nginx:
        for spans in (20, 40):  # before there ever was a batch, and with memory that is kept from one
            with open(drought, "r+b") as file:
                file.write(b"\1")
            ask(nginx)
            polling.until("memory is missed", lambda: "memory" in nginx.status()["exporter"]["last_error"])
            assert nginx.ledger()["exported"] == spans - 20
            with open(drought, "r+b") as file:
                file.write(b"\0")
            assert nginx.settle()["exported"] == spans


# ---- Descriptors ---------------------------------------------------------------------------------

DESCRIPTORS = 50


def keep_asking(connection, target):
    connection.sendall(client.request(target=target, keep=True))
    return client.Reply(client.read_response(connection), None).body


def test_without_descriptors_requests_are_served_and_spans_wait_until_there_are_some(backend):
    with open_nginx(backend, main="worker_rlimit_nofile %d;" % DESCRIPTORS) as nginx, contextlib.ExitStack() as crowd:
        nginx.expected_log.append(r"accept4\(\) failed \(24: Too many open files\)")
        shop, status, *_ = [crowd.enter_context(client.connect(nginx.port[name]))
                            for name in ("shop", "status", *["shop"] * DESCRIPTORS)]
        polling.until("it can open none", lambda: nginx.log_lines(r"accept4\(\) failed"))

        for _ in range(20):
            assert keep_asking(shop, "/") == b"hello\n"
        polling.until("attempts fail", lambda: (
            json.loads(keep_asking(status, "/ledger"))["exporter"]["failed_attempts"] >= 3))
        assert backend.connections_taken == 0
        crowd.close()

        assert nginx.settle()["exported"] == 20
