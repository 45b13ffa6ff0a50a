# SPDX-License-Identifier: MIT
"""The programs that the demo starts, and ends: each a child of ours, in a session of its own (so
that Ctrl-C reaches only us, and we end them in order), and told by the kernel to end should we be
killed. Only these are ever signalled, by their pids."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
START_SECONDS = 15
END_SECONDS = 8


class Failed(Exception):
    """The demo cannot go on; the text says why, and what can be done."""


class PortTaken(Failed):
    """Somebody else listens there."""


class Program:
    def __init__(self, name, log):
        self.name = name
        self.log = log
        self.port = None
        self.url = None
        self._child = None

    def start(self, command, **environment):
        with open(self.log, "ab") as log:
            self._child = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", *command],
                                           cwd=self.log.parents[1], stdin=subprocess.DEVNULL,
                                           stderr=log, start_new_session=True,
                                           env={**os.environ, **environment})

    def has_ended(self):
        return self._child.poll() is not None

    def wait_until(self, condition):
        """Says what the program said when it does not become true."""
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if self.has_ended() or time.monotonic() > deadline:
                what = "ended" if self.has_ended() else "did not start within %d s" % START_SECONDS
                said = last_lines(self.log)
                kind = PortTaken if "Address already in use" in said else Failed
                raise kind("%s %s; it said:\n%s" % (self.name, what, said))
            time.sleep(0.02)

    def end(self, how=signal.SIGTERM):
        """Gracefully, then not."""
        if self._child is None:
            return
        if not self.has_ended():
            self._child.send_signal(how)
        try:
            self._child.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._child.pid, signal.SIGKILL)  # its session is a process group too
            self._child.wait()


class Example(Program):
    """The receiver or the catalog: each takes --port, and says where it listens."""

    def __init__(self, name, log, binary, *options):
        super().__init__(name, log)
        self._command = [binary, *options]

    def listen(self, preferred_port, **environment):
        try:
            self._listen_at(preferred_port, environment)
        except PortTaken:
            self._listen_at(0, environment)

    def _listen_at(self, port, environment):
        self.start([*self._command, "--port", str(port)], **environment)
        self.wait_until(lambda: "listening on" in self.log.read_text())
        self.url, self.port = re.search(r"listening on (http://.*:(\d+))\n",
                                        self.log.read_text()).groups()


class Nginx(Program):
    """The stock server with our module; all its files are below prefix."""

    def __init__(self, prefix, binary, module):
        super().__init__("nginx", prefix / "logs" / "error.log")
        self.prefix = prefix
        self._binary = binary
        for folder in ("logs", "temp", "modules"):
            (prefix / folder).mkdir(exist_ok=True)
        (prefix / "modules" / module.name).symlink_to(module)
        shutil.copytree(HERE / "html", prefix / "html")

    def listen(self, preferred_port, **other_ports):
        """other_ports: of those that nginx.conf.in names, too."""
        try:
            self._listen_at(free_port(preferred_port), other_ports)
        except PortTaken:
            self._listen_at(free_port(0), other_ports)  # somebody was quicker

    def _listen_at(self, port, other_ports):
        self.port, self.url = port, "http://127.0.0.1:%d" % port
        text = (HERE / "nginx.conf.in").read_text()
        for name, value in {"NGINX_PORT": port, **other_ports}.items():
            text = text.replace("@%s@" % name, str(value))
        (self.prefix / "nginx.conf").write_text(text)
        self.start([self._binary, "-p", self.prefix, "-c", "nginx.conf",
                    "-e", "logs/error.log", *user_options()])
        self.wait_until(lambda: can_connect(port))

    def end(self, how=signal.SIGQUIT):
        super().end(how)

    def status(self):
        """What tracez_status says."""
        with urllib.request.urlopen(self.url + "/status", timeout=5) as answer:
            return json.load(answer)


def user_options():
    """Started by root, the workers are nobody; else they are who we are."""
    return ["-g", "user nobody nogroup;"] if os.getuid() == 0 else []


def make_prefix():
    """A folder that nginx's workers may enter, too: as root they are somebody else."""
    folder = pathlib.Path(tempfile.gettempdir()).resolve()
    if not all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents)):
        folder = pathlib.Path("/tmp")
    prefix = pathlib.Path(tempfile.mkdtemp(prefix="tracez-demo-", dir=folder))
    prefix.chmod(0o755)
    return prefix


def free_port(preferred):
    """The preferred one when nobody has it, else any."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise Failed("no free port on 127.0.0.1")


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def last_lines(path, without=None, count=15):
    """Of a log, indented; those with this text are of no interest, except our own."""
    lines = path.read_text(errors="backslashreplace").splitlines() if path.exists() else []
    if without is not None:
        lines = [line for line in lines if without not in line or "tracez:" in line]
    return "\n".join("    " + line for line in lines[-count:]) or "    (nothing)"
