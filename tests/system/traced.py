# SPDX-License-Identifier: MIT
"""An nginx that traces to a backend, and whose books must balance before it may leave.

    with TracedNginx(HTTP, backend, workers=2) as nginx:
        client.get(nginx.port["shop"], "/")

Around the inside of http{} it puts the exporter, whose {endpoint} reload() may change (not with
says_where=False: the environment does), and a server at port["status"] with the ledger and nginx's own count of requests. What the ledger says is compared
with what nginx counted and with what the backend received, so that no request is forgotten on both
sides.
"""

import json
import os
import pathlib
import re

import client
import ledger as ledgers
import polling
from nginx import Nginx

EXPORTER = """
    tracez_service_name shop;
    tracez_exporter {
        endpoint {endpoint};
        interval %s;
        %s
    }
"""

STATUS = """
    server {
        listen 127.0.0.1:{port_status};
        tracez off;
        access_log off;
        location = /ledger { tracez_status; }
        location = /count { stub_status; }
    }
"""


class TracedNginx(Nginx):
    def __init__(self, http, backend, interval="20ms", exporter="", says_where=True, **settings):
        settings["endpoint"] = settings.get("endpoint") or backend.url
        own = EXPORTER % (interval, exporter) if says_where else ""
        super().__init__(http=own + http + STATUS, **settings)
        self.backend = backend
        self.exported_elsewhere = 0  # by masters whose ledger is gone

    def status(self):
        """All that tracez_status says."""
        reply = client.get(self.port["status"], "/ledger")
        assert reply.status == 200, reply.raw
        return json.loads(reply.body)

    def ledger(self):
        return self.status()["ledger"]

    def counted_requests(self):
        """nginx's own count of requests, this one included."""
        body = client.get(self.port["status"], "/count").body.decode()
        return int(re.search(r"^ \d+ \d+ (\d+) $", body, re.MULTILINE).group(1))

    def received(self):
        """Spans that the backend has taken; those that a killed exporter may have sent before count
        once."""
        received = len(set(self.backend.span_heads())) if self.kills else self.backend.span_count()
        return received - self.exported_elsewhere

    def exporting_worker(self):
        """The pid of the one that is connected to the backend; None while none is."""
        sockets = connected_sockets(self.backend.port)
        for pid in self.workers():
            if open_sockets(pid) & sockets.keys():
                return pid
        return None

    def backend_ports(self, pid):
        """From which a process is connected to the backend."""
        sockets = connected_sockets(self.backend.port)
        return frozenset(sockets[inode] for inode in open_sockets(pid) & sockets.keys())

    def settle(self, seconds=20.0):
        """Waits until all requests are over and all spans exported or dropped; the ledger of that
        moment, in balance and in agreement with nginx's count and the backend's."""
        ledger, wrong = {}, []

        def is_settled():
            ledger.update(self.ledger())
            wrong[:] = self._wrong_in(ledger)
            return not wrong
        try:
            polling.until("the books are closed", is_settled, seconds)
        except polling.TooLate as late:
            raise AssertionError("\n".join([str(late), *wrong, json.dumps(ledger)])) from None
        return ledger

    def _wrong_in(self, ledger):
        wrong = ledgers.imbalances(ledger)
        wrong += ["%d spans are still %s" % (ledger[name], name)
                  for name in ("live", "queued", "inflight") if ledger[name] > 0]
        counted = self.counted_requests() - 2  # without this one, and the one for the ledger
        ended = ledger["requests"] + ledger["dropped"]["worker_lost"]
        # A worker that is killed may be between nginx's count and ours, in one request.
        if abs(ended - counted) > len(self.kills):
            wrong.append("%d requests in the ledger, %d in nginx" % (ended, counted))
        received = self.received()
        if ledger["exported"] != received:
            wrong.append("%d spans exported, %d received" % (ledger["exported"], received))
        return wrong

    # ---- When it has left ------------------------------------------------------------------------

    def last_words(self):
        """(recorded, exported, dropped), as the last process told them."""
        words = re.findall(r"tracez: of (\d+) spans, (\d+) were exported and (\d+) dropped", self.log())
        assert words, "the last process said nothing"
        return tuple(int(figure) for figure in words[-1])

    def lost_with_the_buffer(self):
        """Where the thread of the last process hangs, nobody can say where its spans are."""
        return sum(int(spans) for spans in re.findall(
            r"tracez: (\d+) spans are lost with the buffer: the exporter's thread hangs", self.log()))

    def _check_last_words(self):
        if not re.search(r"\btracez (?!off)\S+;", (self.prefix / "nginx.conf").read_text()):
            return  # nobody traces, so nobody has anything to say
        recorded, exported, dropped = self.last_words()
        assert recorded == exported + dropped + self.lost_with_the_buffer(), self.log_lines("tracez: ")

    def __exit__(self, kind, value, trace):
        try:
            if kind is None and self.master is not None:
                self.settle()
            elif kind is None:
                self._check_last_words()
        except BaseException as error:
            super().__exit__(type(error), error, error.__traceback__)
            raise
        super().__exit__(kind, value, trace)


def connected_sockets(port):
    """{inode: its own port} of all that are connected to a port. The table may be long."""
    lines = re.findall(rb":([0-9A-F]{4}) [0-9A-F]{8}:%04X 01 (?:\S+ +){5}(\d+)" % port,
                       pathlib.Path("/proc/net/tcp").read_bytes())
    return {inode.decode(): int(own_port, 16) for own_port, inode in lines}


def open_sockets(pid):
    """The inodes of a process's; none when it is gone."""
    found = set()
    try:
        for entry in os.listdir("/proc/%d/fd" % pid):
            match = re.fullmatch(r"socket:\[(\d+)\]", link_of("/proc/%d/fd/%s" % (pid, entry)))
            if match:
                found.add(match.group(1))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def link_of(path):
    try:
        return os.readlink(path)
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it was closed meanwhile
