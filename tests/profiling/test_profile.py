# SPDX-License-Identifier: MIT
"""CPU profiles over HTTP: off unless asked for, on loopback unless told otherwise, one at a time, of bounded length,
whatever is asked; and what comes opens in pprof and names our functions, those of the exporter's thread too."""

import contextlib
import http.server
import os
import re
import select
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

PROFILED = os.environ["TRACEZ_PROFILED"]
DEADLINE_S = 60


class Backend(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def backend():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield "http://127.0.0.1:%d" % server.server_port
        server.shutdown()


@contextlib.contextmanager
def profiled(backend, **environment):
    """The program, and what it prints first: where profiles are to be had, or "off"."""
    clean = {name: value for name, value in os.environ.items() if "PROFIL" not in name}
    with subprocess.Popen([PROFILED, backend], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**clean, **environment}) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def listening(backend):
    return profiled(backend, ENABLE_PROFILING="true", TRACEZ_PROFILING_ADDRESS="127.0.0.1:0")


@pytest.fixture(scope="module")
def program(backend):
    """(process, address), for tests that leave it as it was."""
    with listening(backend) as running:
        yield running


@pytest.fixture
def address(program):
    return program[1]


def get(address, path):
    """(status, body) of a request that may be refused."""
    try:
        with urllib.request.urlopen("http://%s%s" % (address, path), timeout=DEADLINE_S) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host.strip("[]"), int(port)), timeout=DEADLINE_S)


def raw(address, request):
    """All that is answered to these bytes until the connection is closed."""
    with connect(address) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := client.recv(65536):
                answer += chunk
        return answer


def until(condition, what):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, what
        select.select([], [], [], 0.02)


def open_files(pid):
    found = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
    return found


def listeners(pid):
    """Local addresses of the process's listening TCP sockets, as /proc has them."""
    inodes = set(re.findall(r"socket:\[(\d+)\]", " ".join(open_files(pid))))
    rows = [line.split() for name in ("tcp", "tcp6") for line in open("/proc/%d/net/%s" % (pid, name)).readlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]


# ---- Whether, and where --------------------------------------------------------------------------

@pytest.mark.parametrize("value", [None, "", "false", "0"])
def test_nothing_listens_unless_it_is_asked_for(backend, value):
    environment = {} if value is None else {"ENABLE_PROFILING": value}
    with profiled(backend, **environment) as (process, address):
        assert address == "off"
        assert listeners(process.pid) == []


def test_a_word_that_is_not_known_is_told_and_changes_nothing(backend):
    with profiled(backend, ENABLE_PROFILING="perhaps", TRACEZ_PROFILING_ADDRESS=":6060") as (process, address):
        assert address == "off"
        assert listeners(process.pid) == []
        process.stdin.close()
        assert process.stderr.read().splitlines() == [
            'profiled: ENABLE_PROFILING "perhaps" ignored: true or false',
            'profiled: TRACEZ_PROFILING_ADDRESS ":6060" ignored: an IP address and a port, as in 127.0.0.1:6060 or '
            "[::1]:6060"]


def test_it_listens_at_port_6060_of_loopback(backend):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 6060))
        except OSError:
            pytest.skip("somebody has port 6060")
    with profiled(backend, ENABLE_PROFILING="true") as (process, address):
        assert address == "127.0.0.1:6060"
        assert listeners(process.pid) == ["0100007F:17AC"]


def test_it_listens_elsewhere_when_told_so(backend):
    with profiled(backend, ENABLE_PROFILING="1", TRACEZ_PROFILING_ADDRESS="0.0.0.0:0") as (process, address):
        assert address.startswith("0.0.0.0:")
        assert [local.split(":")[0] for local in listeners(process.pid)] == ["00000000"]
    with profiled(backend, ENABLE_PROFILING="true", TRACEZ_PROFILING_ADDRESS="[::1]:0") as (process, address):
        assert address.startswith("[::1]:")
        assert get(address, "/")[0] == 404


def test_an_address_that_is_taken_is_refused_with_its_name(backend):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken_address = "127.0.0.1:%d" % taken.getsockname()[1]
        with profiled(backend, ENABLE_PROFILING="true", TRACEZ_PROFILING_ADDRESS=taken_address) as (process, said):
            assert said == ""
            assert process.wait(DEADLINE_S) == 1
            assert "cannot listen at %s: Address already in use" % taken_address in process.stderr.read()


# ---- What may be asked ---------------------------------------------------------------------------

@pytest.mark.parametrize("seconds", ["0", "301", "-1", "+1", "1.5", "1e2", " 1", "", "x", "1x", "0x10", "9" * 100, "%00",
                                     "99999999999999999999"])
def test_seconds_that_are_none_are_refused_with_the_range(address, seconds):
    status, body = get(address, "/debug/pprof/profile?seconds=" + seconds.replace(" ", "%20"))

    assert (status, body) == (400, b"seconds must be a number from 1 to 300\n")


@pytest.mark.parametrize("path", ["/", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile/", "/../etc/passwd",
                                  "/debug/pprof/profil", "//debug/pprof/profile", "/%00"])
def test_another_path_is_not_found_and_says_which_there_is(address, path):
    status, body = get(address, path)

    assert (status, body) == (404, b"there is /debug/pprof/profile?seconds=N, N from 1 to 300\n")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_another_method_is_refused(address, method):
    answer = raw(address, b"%s /debug/pprof/profile?seconds=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                 % method.encode())

    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET\r\n" in answer


@pytest.mark.parametrize("request_bytes", [
    b"", b"\r\n" * 1000, b"\x00" * 4096, b"\xff" * 100000, b"GET", b"GET / HTTP/9.9\r\n\r\n", b"GET /%s" % (b"a" * 100000),
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10000 + b"\r\n", b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"GET /debug/pprof/profile?%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"seconds=0&" * 1000),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
def test_nonsense_costs_nobody_else(address, request_bytes):
    raw(address, request_bytes)

    assert get(address, "/")[0] == 404


# ---- One at a time -------------------------------------------------------------------------------

def profiles(process):
    """Open files that are profiles."""
    return {name for name in open_files(process.pid) if "tracez-profile" in name}


def begin(process, address, seconds):
    """Asks for a profile, and returns the connection once it is being taken."""
    client = connect(address)
    client.sendall(b"GET /debug/pprof/profile?seconds=%d HTTP/1.1\r\nHost: x\r\n\r\n" % seconds)
    until(lambda: profiles(process), "the profile does not begin")
    return client


def test_while_one_is_taken_another_is_refused_until_the_first_hangs_up(program):
    process, address = program

    with begin(process, address, 300):
        status, body = get(address, "/debug/pprof/profile?seconds=1")
        assert (status, body) == (503, b"a profile is being taken already, and there is one at a time\n")

    until(lambda: not profiles(process), "the profile does not end")
    assert get(address, "/debug/pprof/profile?seconds=1")[0] == 200


def test_a_profile_lies_in_no_folder(program):
    process, address = program

    with begin(process, address, 300):
        assert [name.split(":")[0] for name in profiles(process)] == ["/memfd"]
    until(lambda: not profiles(process), "the profile does not end")


def test_stopping_does_not_wait_for_a_profile_to_end(backend):
    with listening(backend) as (process, address), begin(process, address, 300) as client:
        process.stdin.close()

        assert process.wait(DEADLINE_S) == 0
        assert client.recv(100) == b""


def test_idle_connections_keep_nobody_out_for_ever(address):
    idle = [connect(address) for _ in range(20)]

    def is_answered():
        with contextlib.suppress(OSError):
            return get(address, "/")[0] == 404

    until(is_answered, "idle connections are kept")
    for client in idle:
        client.close()


# ---- What comes ----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def profile(program, tmp_path_factory):
    """A profile in a file."""
    status, body = get(program[1], "/debug/pprof/profile?seconds=3")
    assert status == 200
    path = tmp_path_factory.mktemp("profile") / "cpu"
    path.write_bytes(body)
    return path


@pytest.fixture(scope="module")
def percent(profile):
    """{function: percent of the samples that it, or what it called, was in}, as google-pprof has it."""
    text = subprocess.run(["google-pprof", "--text", "--cum", PROFILED, profile], capture_output=True, text=True,
                          timeout=DEADLINE_S, check=True).stdout
    rows = re.findall(r"^ *\d+ +[\d.]+% +[\d.]+% +\d+ +([\d.]+)% (.*)$", text, re.MULTILINE)
    return {name: float(number) for number, name in rows}


def test_a_profile_opens_in_pprof_and_names_our_functions(percent):
    assert percent["trace_requests"] > 1
    assert percent["tracez_span_finish"] > 0
    assert percent["tracez_span_start"] > 0


def test_what_the_exporters_thread_burns_shows_under_its_functions(percent):
    assert percent["exporter_run"] > 1
    assert percent["gzip_compress"] > 1


def test_a_profile_opens_in_the_pprof_of_go(profile):
    text = subprocess.run(["go", "tool", "pprof", "-top", PROFILED, profile], capture_output=True, text=True,
                          timeout=DEADLINE_S, check=True).stdout

    assert "Type: cpu" in text
    assert re.search(r" trace_requests$", text, re.MULTILINE)
    assert re.search(r" exporter_run$", text, re.MULTILINE)
