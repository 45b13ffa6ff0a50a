# SPDX-License-Identifier: MIT
"""What a worker's main thread does while the backend hangs: exactly what it does where nothing is traced, and
one write to an eventfd for each batch at most. Each test compares two nginxes that differ in "tracez on" alone."""

import gc
import math
import os
import pathlib
import re
import statistics
import struct
import subprocess
import time
from collections import Counter

import pytest

import client
import polling
from backend import Stall
from longer import IS_LONG
from nginx import stat_fields
from traced import TracedNginx

HTTP = """
    tracez {tracez};
    tracez_buffer_size {spans};
    tracez_monitor off;  # its line comes once a minute, in the midst of some request or other
    keepalive_requests 1000000;
    server {
        listen 127.0.0.1:{port_shop};
        access_log {prefix}/access.log combined;
        location / { return 200 "hello\\n"; }
    }
"""

REQUESTS = 2000
BATCH_SPANS = 512  # the default
ALLOCATIONS = pathlib.Path(os.environ["TRACEZ_PRELOAD_DIR"]) / "libtracez_test_allocations.so"

# With room for all spans that come, and full from the start on.
BUFFERS = [pytest.param(8192, id="a buffer with room"), pytest.param(256, id="a full buffer")]


def open_nginx(backend, tracez, spans, **settings):
    return TracedNginx(HTTP, backend, tracez=tracez, spans=spans, workers=1,
                       exporter="shutdown_timeout 0;", **settings)


class Shop:
    """One connection to the one worker, one request after the other."""

    def __init__(self, nginx):
        self.nginx = nginx
        self.worker, = nginx.workers()  # which is its main thread too
        self._connection = client.connect(nginx.port["shop"])

    def ask(self, count=1):
        for _ in range(count):
            self._connection.sendall(client.request(keep=True))
            assert client.read_response(self._connection).startswith(b"HTTP/1.1 200 ")

    def wait_until_idle(self):
        """The worker sleeps in one place only: where it waits for events."""
        polling.until("the worker is idle", lambda: stat_fields(self.worker)[0] == "S")

    def close(self):
        self._connection.close()


def hang(backend, shop, spans):
    """Enough requests for the backend to hang on a batch; more than a small buffer holds."""
    backend.script(otherwise=Stall())
    shop.ask(BATCH_SPANS + 100)
    polling.until("the backend has a batch", lambda: backend.attempts)
    if spans < BATCH_SPANS:
        polling.until("the log tells that spans are dropped", lambda: (
            shop.nginx.log_lines(r"tracez: \d+ spans dropped \(queue_full\)")))


def vanish(backend, shop, spans):
    """Packets to the backend are dropped, and the exporter has noticed."""
    backend.drop_packets()
    shop.ask(BATCH_SPANS + 100)
    polling.until("the backend is missed", lambda: shop.nginx.status()["exporter"]["state"] == "down")


def measure(backend, tracez, spans, run, trouble=hang, **settings):
    """run(shop) at an nginx that is idle before and after."""
    backend.attempts.clear()
    with open_nginx(backend, tracez, spans, **settings) as nginx:
        shop = Shop(nginx)
        if tracez == "on":
            trouble(backend, shop, spans)
        else:
            shop.ask(BATCH_SPANS + 100)
        shop.wait_until_idle()
        result = run(shop)
        if tracez == "on":
            assert not any(attempt.accepted for attempt in backend.attempts)
        shop.close()
        assert nginx.quit() == 0
    return result


# ---- System calls --------------------------------------------------------------------------------

def system_calls(shop):
    """Counter of the calls that the worker's main thread makes for the requests, by name, and the seconds that they took.
    A write to an eventfd is "eventfd", a wait that a timer ended is "timer"."""
    trace = shop.nginx.prefix / "trace"
    strace = subprocess.Popen(["strace", "-qq", "-y", "-o", trace, "-p", str(shop.worker)])
    status = pathlib.Path("/proc/%d/status" % shop.worker)
    polling.until("strace is attached", lambda: "TracerPid:\t0\n" not in status.read_text())
    began = time.monotonic()
    shop.ask(REQUESTS)
    shop.wait_until_idle()
    seconds = time.monotonic() - began
    strace.terminate()
    strace.wait(timeout=10)
    text = trace.read_text()
    lines = text[text.index("recvfrom("):].splitlines()  # before that it notices that strace came
    return Counter(name_of(line) for line in lines), seconds


def name_of(line):
    if re.match(r"write\(\d+<anon_inode:\[eventfd\]>", line):
        return "eventfd"
    if re.match(r"epoll_wait.* = 0$", line):
        return "timer"
    return line.partition("(")[0]


def assert_same_system_calls(backend, spans, trouble, figure):
    off, _ = measure(backend, "off", spans, system_calls)
    hung, seconds = measure(backend, "on", spans, system_calls, trouble)

    wakes, timers, getpids = (hung.pop(name, 0) for name in ("eventfd", "timer", "getpid"))
    figure("%d requests, %d system calls with and without; %d writes to the eventfd", REQUESTS,
           sum(off.values()), wakes)
    assert hung == off
    assert min(off[name] for name in ("epoll_wait", "recvfrom", "writev", "write")) == REQUESTS
    assert wakes <= math.ceil(REQUESTS / BATCH_SPANS)
    # The report, once a second, whatever the load.
    assert timers <= seconds + 1
    assert getpids <= 2 * (seconds + 1)


@pytest.mark.parametrize("spans", BUFFERS)
def test_beside_a_backend_that_hangs_the_worker_makes_the_same_system_calls(backend, spans, figure):
    assert_same_system_calls(backend, spans, hang, figure)


def test_beside_a_black_hole_the_worker_makes_the_same_system_calls(backend, figure):
    """Connecting to it is tried again and again meanwhile, by the exporter's thread."""
    assert_same_system_calls(backend, 8192, vanish, figure)


# ---- Allocations ---------------------------------------------------------------------------------

def allocations(shop):
    """(allocated, reallocated, freed) by the worker's main thread for the requests."""
    def read():
        return struct.unpack("3Q", (shop.nginx.prefix / "allocations").read_bytes())
    before = read()
    shop.ask(REQUESTS)
    shop.wait_until_idle()
    return tuple(now - then for now, then in zip(read(), before))


@pytest.mark.parametrize("spans", BUFFERS)
def test_beside_a_backend_that_hangs_the_worker_allocates_nothing_more(backend, spans, figure):
    probe = {"preload": [ALLOCATIONS], "environment": {"TRACEZ_ALLOCATIONS": "{prefix}/allocations"}}

    off = measure(backend, "off", spans, allocations, **probe)
    hung = measure(backend, "on", spans, allocations, **probe)

    figure("%d requests, %d allocations with and without", REQUESTS, off[0])
    assert off[0] >= REQUESTS  # a pool for each request: the probe counts
    assert hung == off


# ---- Latency -------------------------------------------------------------------------------------

ROUNDS = 10
SAMPLES = 5000


def p99(seconds):
    return statistics.quantiles(seconds, n=100)[98]


def share_a_processor(shops):
    """All main threads on one processor, so that none has the quieter neighbours; the exporter's thread stays free."""
    last = max(os.sched_getaffinity(0))
    for shop in shops:
        os.sched_setaffinity(shop.worker, {last})


def measure_round(shops):
    """p99 of each shop; one request of each after the other, so that all see the same machine."""
    seconds = [[] for _ in shops]
    for sample in range(SAMPLES):
        for step in range(len(shops)):
            index = (sample + step) % len(shops)
            began = time.perf_counter()
            shops[index].ask()
            seconds[index].append(time.perf_counter() - began)
    return [p99(one) for one in seconds]


@pytest.mark.skipif(not IS_LONG, reason="latencies need a machine of one's own: scripts/test --long")
def test_beside_a_backend_that_hangs_requests_take_as_long_as_without(backend, figure):
    with open_nginx(backend, "off", 8192) as off, open_nginx(backend, "off", 8192) as again, \
            open_nginx(backend, "on", 8192) as hung:
        shops = [Shop(nginx) for nginx in (off, again, hung)]
        share_a_processor(shops)
        hang(backend, shops[2], 8192)
        gc.disable()
        try:
            rounds = [measure_round(shops) for _ in range(ROUNDS)]
        finally:
            gc.enable()
        for shop, nginx in zip(shops, (off, again, hung)):
            shop.close()
            assert nginx.quit() == 0

    same = statistics.median(again / off for off, again, _ in rounds)
    with_hung = statistics.median(hung / off for off, _, hung in rounds)
    figure("p99 %.0f us without, %.0f us beside a hung backend; median of %d rounds: %.3f, A/A %.3f",
           1e6 * statistics.median(off for off, _, _ in rounds),
           1e6 * statistics.median(hung for _, _, hung in rounds), ROUNDS, with_hung, same)
    assert with_hung <= max(1.10, same)
