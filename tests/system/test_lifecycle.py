# SPDX-License-Identifier: MIT
"""A server's life: workers with their threads, reload, quit. While the backend takes what it gets,
nothing is lost. Reloads under load are in test_reloads.py, deaths in test_kills.py."""

import os
import pathlib
import re
import signal

import client
import polling
from traced import TracedNginx

HTTP = """
    tracez on;
    keepalive_requests 1000000;
    server {
        listen 127.0.0.1:{port_shop};
        location / { return 200 "{text}\\n"; }
    }
"""


def open_nginx(backend, **settings):
    settings.setdefault("workers", 2)
    settings.setdefault("text", "hello")
    return TracedNginx(HTTP, backend, **settings)


def blocked_signals(pid, thread):
    status = pathlib.Path("/proc/%d/task/%s/status" % (pid, thread)).read_text()
    return int(re.search(r"^SigBlk:\s*([0-9a-f]+)", status, re.MULTILINE).group(1), 16)


def bit_of(signal_number):
    return 1 << (signal_number - 1)


def test_the_master_has_one_thread_and_a_worker_two_of_which_one_takes_no_signals(backend):
    with open_nginx(backend) as nginx:
        assert nginx.threads(nginx.master) == 1
        for pid in nginx.workers():
            threads = sorted(os.listdir("/proc/%d/task" % pid), key=int)
            assert len(threads) == 2
            for signal_ in (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1,
                            signal.SIGCHLD, signal.SIGALRM, signal.SIGIO, signal.SIGINT):
                assert blocked_signals(pid, threads[1]) & bit_of(signal_), signal_
                assert not blocked_signals(pid, threads[0]) & bit_of(signal_), signal_


def test_quit_sends_what_is_buffered(backend):
    with open_nginx(backend, interval="1h") as nginx:
        for _ in range(100):
            client.get(nginx.port["shop"])
        assert (nginx.ledger()["queued"], backend.span_count()) == (100, 0)

        assert nginx.quit() == 0

    assert backend.span_count() == 100


def test_term_sends_what_is_buffered(backend):
    with open_nginx(backend, interval="1h") as nginx:
        for _ in range(100):
            client.get(nginx.port["shop"])

        assert nginx.quit(how=signal.SIGTERM) == 0

    assert backend.span_count() == 100


def test_a_reload_keeps_what_is_buffered(backend):
    backend.stop()
    with open_nginx(backend, exporter="retry 10ms 50ms;") as nginx:
        for _ in range(50):
            client.get(nginx.port["shop"])
        old = nginx.reload(text="reloaded")
        nginx.wait_until_gone(old)
        assert client.get(nginx.port["shop"]).body == b"reloaded\n"
        assert nginx.ledger()["exported"] == 0

        backend.start()

        assert nginx.settle()["exported"] == 51


def test_a_reload_with_another_buffer_size_keeps_what_is_buffered(backend):
    with TracedNginx("tracez_buffer_size {size};" + HTTP, backend, workers=2, text="hello",
                     size=1000, interval="1h") as nginx:
        for _ in range(50):
            client.get(nginx.port["shop"])
        old = nginx.reload(size=5000)
        nginx.wait_until_gone(old)

        polling.until("the old buffer is sent", lambda: backend.span_count() == 50)
        collector, = nginx.status()["collectors"]
        assert collector["spans_max"] == 5000
        nginx.settle()
