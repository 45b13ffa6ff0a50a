# SPDX-License-Identifier: MIT
"""The example receiver as a child process, and spans to send to it.

    with Receiver() as receiver:
        receiver.post(batch(span()))

Leaving the with block ends it (TERM) and checks that it left with status 0.
"""

import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import polling

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]


def find_receiver():
    said = os.environ.get("TRACEZ_RECEIVER")
    if said:
        return pathlib.Path(said)
    for build in sorted(ROOT.glob("build/*")):
        path = build / "examples" / "receiver"
        if path.is_file():
            return path
    raise FileNotFoundError("no receiver: set TRACEZ_RECEIVER")


class Receiver:
    def __init__(self, *options, status=0):
        self.options = options
        self.status = status  # that it must leave with

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="tracez-receiver-")
        self._output = open(pathlib.Path(self._folder.name) / "output", "w+b")
        self._messages = open(pathlib.Path(self._folder.name) / "messages", "w+b")
        self.child = subprocess.Popen([find_receiver(), "--port", "0", *self.options],
                                      stdin=subprocess.DEVNULL, stdout=self._output,
                                      stderr=self._messages)
        polling.until("the receiver listens", lambda: self.child.poll() is not None
                      or "listening on" in self.messages())
        self.port = int(re.search(r"listening on http://127\.0\.0\.1:(\d+)\n",
                                  self.messages()).group(1))
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.end()
        else:
            self.child.kill()
            self.child.wait(timeout=10)
        self._output.close()
        self._messages.close()
        self._folder.cleanup()

    def end(self, how=signal.SIGTERM):
        """Ends it, once; afterwards printed() is complete."""
        if self.child.returncode is None:
            self.child.send_signal(how)
        assert self.child.wait(timeout=20) == self.status, self.messages()

    def printed(self):
        return read_all(self._output)

    def messages(self):
        return read_all(self._messages)

    def memory_peak_bytes(self):
        status = pathlib.Path("/proc/%d/status" % self.child.pid).read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024

    # ---- Requests --------------------------------------------------------------------------------

    def request(self, method, path, body=None, headers=()):
        """(status, headers, body)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def post(self, body, **headers):
        """(status, answer read from JSON); a body that is not bytes is sent as JSON."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        given = {"Content-Type": "application/json"}
        given.update({name.replace("_", "-"): value for name, value in headers.items()})
        status, _, answer = self.request("POST", "/v1/traces", body, given)
        return status, json.loads(answer)

    def known(self):
        """What GET /spans says."""
        status, _, body = self.request("GET", "/spans")
        assert status == 200, body
        return json.loads(body)

    def wait_until_written(self):
        """Waits until every trace is on the screen; returns all that is."""
        polling.until("every trace is printed", lambda: self.known()["unwritten"] == 0)
        return self.printed()


def read_all(file):
    """What our child wrote into this file so far; the file's position is ours and the child's, so it
    is not touched."""
    return os.pread(file.fileno(), 1 << 26, 0).decode()


def span(trace=1, span_id=1, parent=None, name="GET", kind=2, start=1000000000, tags=(), **members):
    """A span of OTLP JSON; trace, span_id and parent are numbers."""
    made = {"traceId": "%032x" % trace, "spanId": "%016x" % span_id, "name": name, "kind": kind,
            "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 1500000),
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in tags]}
    if parent is not None:
        made["parentSpanId"] = "%016x" % parent
    made.update(members)
    return made


def batch(*spans, service="shop"):
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(spans)}]}]}
