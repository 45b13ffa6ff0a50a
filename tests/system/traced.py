# SPDX-License-Identifier: MIT
"""An nginx that traces to a backend, and whose books must balance before it may leave.

    with TracedNginx(HTTP, backend, workers=2) as nginx:
        client.get(nginx.port["shop"], "/")

Around the inside of http{} it puts the exporter, and a server at port["status"] with the ledger and
nginx's own count of requests. What the ledger says is compared with what nginx counted and with
what the backend received, so that no request is forgotten on both sides.
"""

import json
import re

import client
import ledger as ledgers
import polling
from nginx import Nginx

AROUND = """
    tracez_service_name shop;
    tracez_exporter {
        endpoint %s;
        interval %s;
        %s
    }
%s
    server {
        listen 127.0.0.1:{port_status};
        tracez off;
        access_log off;
        location = /ledger { tracez_status; }
        location = /count { stub_status; }
    }
"""


class TracedNginx(Nginx):
    def __init__(self, http, backend, interval="20ms", exporter="", **settings):
        super().__init__(http=AROUND % (backend.url, interval, exporter, http), **settings)
        self.backend = backend

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
        if ledger["requests"] != counted:
            wrong.append("%d requests in the ledger, %d in nginx" % (ledger["requests"], counted))
        received = self.backend.span_count()
        if ledger["exported"] != received:
            wrong.append("%d spans exported, %d received" % (ledger["exported"], received))
        return wrong

    def __exit__(self, kind, value, trace):
        try:
            if kind is None and self.master is not None:
                self.settle()
        except BaseException as error:
            super().__exit__(type(error), error, error.__traceback__)
            raise
        super().__exit__(kind, value, trace)
