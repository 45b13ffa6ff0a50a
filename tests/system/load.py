# SPDX-License-Identifier: MIT
"""Load on nginx: h2load for a number of requests at a fixed rate, wrk for as many as it can."""

import re
import socket
import subprocess
import threading

import client
from traceparents import Traceparent


class Known:
    """Clients whose every request has a trace id of its own, so that its span can be told apart. With
    may_break, a connection that breaks off is followed by the next; else it is a failure."""

    def __init__(self, port, count, may_break=False):
        self.sent = set()
        self.over = set()  # the next response came on the same connection: its span has ended
        self.answered = set()
        self._port = port
        self._may_break = may_break
        self._is_over = threading.Event()
        self._failures = []
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self._is_over.set()
        self.let_go()
        for thread in self._threads:
            thread.join()
        assert kind is not None or not self._failures, self._failures[:3]

    def _run(self):
        while not self._is_over.is_set():
            try:
                with client.connect(self._port) as connection:
                    self._converse(connection)
            except OSError as failure:
                if not self._may_break:
                    self._failures.append(failure)
                    return
            except AssertionError as failure:
                self._failures.append(failure)
                return

    def _request(self, target, keep=True):
        """The bytes of a request, and the trace id that it has for itself."""
        traceparent = Traceparent()
        self.sent.add(traceparent.trace_id)
        return client.request("GET", target, [traceparent.header], keep=keep), traceparent.trace_id

    def let_go(self):
        """Breaks off what would not end by itself."""


class Clients(Known):
    """Come and go: each request on a connection of its own."""

    def __init__(self, port, count=4, pause_seconds=0, **more):
        super().__init__(port, count, **more)
        self._pause_seconds = pause_seconds

    def _converse(self, connection):
        self._is_over.wait(self._pause_seconds)
        request, trace_id = self._request("/", keep=False)
        connection.sendall(request)
        reply = client.Reply(client.read_all(connection), None)
        if client.response_bytes(reply.raw) is None:
            raise ConnectionResetError("closed before the end of the response")
        assert reply.status == 200, reply.raw
        self.answered.add(trace_id)


class Pipelines(Known):
    """Ask for / several times in one segment, again and again, at a pace that Python can keep."""

    REQUESTS = 8
    PAUSE_SECONDS = 0.01

    def __init__(self, port, count=4, **more):
        super().__init__(port, count, **more)

    def _converse(self, connection):
        stream = connection.makefile("rb")
        last = None
        while not self._is_over.wait(self.PAUSE_SECONDS):
            requests, trace_ids = zip(*[self._request("/") for _ in range(self.REQUESTS)])
            connection.sendall(b"".join(requests))
            for trace_id in trace_ids:
                self._read_response(stream)
                self.answered.add(trace_id)
                if last is not None:
                    self.over.add(last)
                last = trace_id

    @staticmethod
    def _read_response(stream):
        line = stream.readline()
        if not line:
            raise ConnectionResetError("closed before the response")
        assert line == b"HTTP/1.1 200 OK\r\n", line
        body_bytes = 0
        while line not in (b"\r\n", b""):
            line = stream.readline()
            if line.lower().startswith(b"content-length:"):
                body_bytes = int(line.split(b":")[1])
        if line == b"" or len(stream.read(body_bytes)) != body_bytes:
            raise ConnectionResetError("closed in the middle of a response")


class Hanging(Known):
    """Ask for something that never answers, and wait until they may leave."""

    def __init__(self, port, target, count=12, **more):
        super().__init__(port, count, **more)
        self._target = target
        self._connections = {}

    def _converse(self, connection):
        connection.settimeout(None)
        self._connections[threading.get_ident()] = connection
        connection.sendall(self._request(self._target)[0])
        if not self._is_over.is_set():
            assert not connection.recv(1), "an answer to what has none"

    def let_go(self):
        for connection in list(self._connections.values()):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # broken, or not used any more


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
