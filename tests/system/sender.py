# SPDX-License-Identifier: MIT
"""Two ways to the exporter: the program sender.c, by the C API, and an nginx that traces; with the same settings, the
same questions, and books that must balance before they may leave.

    with Program(backend, compression="gzip") as sender:
        sender.send(20)
        assert sender.settle()["exported"] == 20

Settings have the names of tracez_exporter { }; a number is a time in milliseconds, or a count.
"""

import json
import os
import pathlib
import subprocess

import client
import ledger as ledgers
import polling
from traced import TracedNginx

HTTP = """
    tracez on;
    server { listen 127.0.0.1:{port_shop}; location / { return 200 "hello\\n"; } }
"""

QUICK = dict(retry=(10, 50), connect_timeout=2000, timeout=20000, interval=20, connections=3)
COUNTS = ("batch_size", "max_batch_bytes", "connections")


class Program:
    def __init__(self, backend, environment=None, **settings):
        self._environment = {**os.environ, **(environment or {})}
        settings = {"endpoint": backend.url, **QUICK, **settings}
        settings["retry_min"], settings["retry_max"] = settings.pop("retry")
        self.backend = backend
        self._arguments = ["%s=%s" % setting for setting in settings.items()]

    def __enter__(self):
        self._child = subprocess.Popen([os.environ["TRACEZ_SENDER"], *self._arguments], text=True,
                                       env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
        self.pid = self._child.pid
        return self

    def _order(self, line):
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()

    def send(self, count, each_bytes=0):
        self._order("spans %d %d" % (count, each_bytes))

    def status(self):
        self._order("status")
        return json.loads(self._child.stdout.readline())

    def ledger(self):
        return self.status()["ledger"]

    def exporter(self):
        return self.status()["exporter"]

    def settle(self, seconds=30):
        """Waits until no span is under way; the ledger of that moment, in agreement with the backend."""
        wrong = []

        def is_settled():
            ledger = self.ledger()
            wrong[:] = self._wrong_in(ledger)
            return not wrong and ledger
        try:
            return polling.until("the books are closed", is_settled, seconds)
        except polling.TooLate as late:
            raise AssertionError("\n".join([str(late), *wrong, str(self.exporter())])) from None

    def _wrong_in(self, ledger):
        wrong = ledgers.imbalances(ledger)
        wrong += ["%d spans are still %s" % (ledger[name], name)
                  for name in ("live", "queued", "inflight") if ledger[name] > 0]
        if ledger["exported"] != self.backend.span_count():
            wrong.append("%d spans exported, %d received" % (ledger["exported"], self.backend.span_count()))
        return wrong

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self._child.kill()
        said, complained = self._child.communicate(timeout=60)
        if kind is None:
            assert (self._child.returncode, complained) == (0, "")
            assert self._wrong_in(json.loads(said.splitlines()[-1])["ledger"]) == []


class Server:
    """An nginx of one worker; a request is a span."""

    def __init__(self, backend, http=HTTP, environment=None, values=None, **settings):
        settings = {**QUICK, **settings}
        lines = ["%s %s;" % (name, nginx_value(name, value)) for name, value in settings.items()
                 if name not in ("interval", "endpoint")]
        self.nginx = TracedNginx(http, backend, workers=1, environment=environment, exporter=" ".join(lines),
                                 endpoint=settings.get("endpoint", backend.url), **(values or {}))

    def __enter__(self):
        self.nginx.__enter__()
        self.pid, = self.nginx.workers()
        return self

    def __exit__(self, *error):
        self.nginx.__exit__(*error)

    def send(self, count):
        for _ in range(count):
            assert client.get(self.nginx.port["shop"]).body == b"hello\n"

    def exporter(self):
        return self.nginx.status()["exporter"]

    def settle(self, seconds=30):
        return self.nginx.settle(seconds)


def nginx_value(name, value):
    if isinstance(value, tuple):
        return " ".join(nginx_value(name, part) for part in value)
    return "%dms" % value if isinstance(value, int) and name not in COUNTS else str(value)


BOTH = [Program, Server]


def memory_peak_bytes(pid):
    """The most that it had since forget_peak()."""
    status = pathlib.Path("/proc/%d/status" % pid).read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024


def forget_peak(pid):
    pathlib.Path("/proc/%d/clear_refs" % pid).write_text("5")
