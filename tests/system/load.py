# SPDX-License-Identifier: MIT
"""Load on nginx: h2load for a number of requests at a fixed rate, wrk for as many as it can."""

import re
import subprocess
import threading

import client


class Clients:
    """Clients that come and go while the block runs: each request on a connection of its own."""

    def __init__(self, port, count=4):
        self.answered = 0
        self._port = port
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._failures = []
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        assert kind is not None or not self._failures, self._failures[:3]

    def _run(self):
        while not self._is_over.is_set():
            try:
                status = client.get(self._port).status
                assert status == 200, status
            except (AssertionError, OSError) as failure:
                self._failures.append(failure)
                return
            with self._lock:
                self.answered += 1


def start_h2load(port, requests, per_second, connections=10):
    """The running process; finish_h2load() waits for it."""
    return subprocess.Popen([
        "h2load", "--h1", "--threads=1", "--clients=%d" % connections, "--requests=%d" % requests,
        "--rps=%d" % (per_second // connections), "http://127.0.0.1:%d/" % port],
        stdout=subprocess.PIPE, text=True)


def finish_h2load(process, seconds=120):
    """How many requests succeeded; fails unless all did."""
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, output
    total, succeeded = re.search(
        r"requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded", output).groups()
    assert total == succeeded, output
    return int(succeeded)


def h2load(*arguments, **named):
    return finish_h2load(start_h2load(*arguments, **named))


def wrk(port, seconds, connections=50):
    """Requests that wrk saw answered; those that it broke off at the end are not among them."""
    done = subprocess.run(["wrk", "--threads=1", "--connections=%d" % connections,
                           "--duration=%ds" % seconds, "http://127.0.0.1:%d/" % port],
                          capture_output=True, text=True, timeout=seconds + 60)
    assert done.returncode == 0, done.stderr
    assert "Socket errors" not in done.stdout and "Non-2xx" not in done.stdout, done.stdout
    return int(re.search(r"(\d+) requests in", done.stdout).group(1))
