# SPDX-License-Identifier: MIT
"""How bodies get to the backend, from a program and from nginx: compressed, through unix sockets and proxies; and what
a backend can't do with whoever calls: keep him for ever, fill his memory, send him somewhere else."""

import contextlib
import pathlib
import socket
import tempfile

import pytest

import ledger as ledgers
import polling
from backend import Answer, Drip, Flood, plain, secure
from certificates import Certificates
from conftest import run_backend
from nginx import is_sanitized
from proxy import Proxy
from sender import BOTH, Program, forget_peak, memory_peak_bytes

MIB = 1 << 20
FAR = "far.example"  # nobody's: whoever asks a name server for it gets nowhere (RFC 2606)


# ---- Bodies --------------------------------------------------------------------------------------

@pytest.mark.parametrize("sender", BOTH)
def test_compressed_bodies_are_read_by_who_has_never_seen_ours(backend, sender):
    backend.script(Answer(503))
    with sender(backend, compression="gzip", connections=1) as sending:
        sending.send(200)
        assert sending.settle()["exported"] == 200
        exporter = sending.exporter()

    assert {attempt.headers["content-encoding"] for attempt in backend.attempts} == {"gzip"}
    assert backend.attempts[0].body == backend.attempts[1].body
    assert exporter["wire_bytes"] < exporter["body_bytes"] / 2
    assert exporter["body_bytes"] == sum(len(attempt.body) for attempt in backend.accepted())


# ---- Unix sockets --------------------------------------------------------------------------------

@pytest.fixture
def socket_backend(codec):
    with tempfile.TemporaryDirectory(prefix="tracez-socket-") as folder:
        pathlib.Path(folder).chmod(0o755)  # workers are somebody else
        yield from run_backend(codec, pathlib.Path(folder) / "otel.sock")


@pytest.mark.parametrize("endpoint, path", [("%s", "/v1/traces"), ("http://%s:/in?key=1", "/in?key=1")])
@pytest.mark.parametrize("sender", BOTH)
def test_a_unix_socket_is_a_backend_as_others_are(socket_backend, sender, endpoint, path):
    with sender(socket_backend, endpoint=endpoint % socket_backend.url) as sending:
        sending.send(20)
        assert sending.settle()["exported"] == 20
        socket_backend.stop()
        sending.send(20)
        polling.until("attempts fail", lambda: sending.exporter()["failed_attempts"] >= 2, 20)
        socket_backend.start()
        assert sending.settle()["exported"] == 40
        assert socket_backend.url in sending.exporter()["endpoint"]

    assert {attempt.path for attempt in socket_backend.attempts} == {path}
    assert {attempt.headers["host"] for attempt in socket_backend.attempts} == {"localhost"}


# ---- Proxies -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def made():
    with Certificates() as certificates:
        yield certificates


@pytest.mark.parametrize("sender", BOTH)
def test_a_proxy_gets_the_whole_url_and_its_password_and_nobody_else_does(backend, sender):
    """The proxy is the backend itself: it answers for whomever it is asked."""
    proxy = backend.url.replace("//", "//user:s3cret@")
    with sender(backend, endpoint="http://%s:4318" % FAR, proxy=proxy) as sending:
        sending.send(20)
        assert sending.settle()["exported"] == 20
        assert "s3cret" not in str(sending.exporter())

    for attempt in backend.attempts:
        assert attempt.path == "http://%s:4318/v1/traces" % FAR
        assert attempt.headers["proxy-authorization"] == "Basic dXNlcjpzM2NyZXQ="


@pytest.mark.parametrize("sender", BOTH)
def test_a_proxy_of_the_environment_leads_away_from_here_only(backend, other_backend, sender):
    environment = {"http_proxy": other_backend.url, "HTTP_PROXY": "http://127.0.0.1:1", "no_proxy": "near.example"}
    with sender(backend, environment=environment) as sending:
        sending.send(20)
        assert sending.settle()["exported"] == 20
    assert other_backend.connections_taken == 0

    with sender(other_backend, environment=environment, endpoint="http://%s:4318" % FAR) as sending:
        sending.send(20)
        assert sending.settle()["exported"] == 20


@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("sender", BOTH)
def test_a_proxy_that_makes_tunnels_sees_the_name_and_no_more(made, backend, sender, is_secure):
    backend.greet = secure(made.server)
    with Proxy(backend) as proxy, contextlib.ExitStack() as stack:
        if is_secure:
            proxy.greet = secure(made.server)
        scheme = "https" if is_secure else "http"
        sending = stack.enter_context(sender(
            backend, endpoint="https://localhost:%d" % backend.port, trusted_certificate=made.authority,
            proxy="%s://user:s3cret@127.0.0.1:%d" % (scheme, proxy.port)))
        sending.send(20)

        assert sending.settle()["exported"] == 20

        for method, target, headers in proxy.asked:
            assert (method, target) == ("CONNECT", "localhost:%d" % backend.port)
            assert headers["proxy-authorization"] == "Basic dXNlcjpzM2NyZXQ="
        assert "proxy-authorization" not in {name for attempt in backend.attempts for name in attempt.headers}


def test_a_proxy_that_refuses_is_not_the_backends_answer(made, backend):
    backend.greet = secure(made.server)
    with Proxy(backend, status=407) as proxy:
        with Program(backend, endpoint="https://localhost:%d" % backend.port, trusted_certificate=made.authority,
                     proxy="http://127.0.0.1:%d" % proxy.port) as sending:
            sending.send(20)
            polling.until("attempts fail", lambda: sending.exporter()["failed_attempts"] >= 2, 20)
            assert sending.exporter()["last_error"] == "the proxy answered HTTP 407"
            assert backend.attempts == []
            proxy.status = 200

            assert sending.settle()["exported"] == 20


def test_a_proxy_without_a_tunnel_that_wants_a_password_is_not_the_backends_answer_either(backend):
    """The proxy is the backend itself: it answers for whomever it is asked."""
    backend.script(otherwise=Answer(407))
    with Program(backend, endpoint="http://%s:4318" % FAR, proxy=backend.url) as sending:
        sending.send(20)
        polling.until("attempts fail", lambda: sending.exporter()["failed_attempts"] >= 2, 20)
        assert sending.exporter()["last_error"] == "the proxy answered HTTP 407"
        backend.script()

        assert sending.settle()["exported"] == 20


# ---- Time ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("settings", [dict(low_speed_timeout=1000), dict(timeout=1500)], ids=["too slow", "too long"])
@pytest.mark.parametrize("sender", BOTH)
def test_an_answer_of_one_byte_a_second_is_not_waited_for(backend, sender, settings):
    backend.script(Drip())
    with sender(backend, **settings) as sending:
        sending.send(20)
        polling.until("it is given up", lambda: sending.exporter()["failed_attempts"] >= 1, 30)
        assert "timed out" in sending.exporter()["last_error"]

        assert sending.settle()["exported"] == 20


@pytest.mark.parametrize("settings", [dict(low_speed_timeout=1000), dict(timeout=1500)], ids=["too slow", "too long"])
def test_a_backend_that_reads_nothing_is_not_waited_for(backend, settings):
    """A window of zero: what no buffer takes any more can't be sent."""
    backend.greet = deaf
    with Program(backend, connections=1, batch_size=2000, max_batch_bytes=32 * MIB, **settings) as sending:
        sending.send(2000, each_bytes=7000)
        polling.until("it is given up", lambda: sending.exporter()["failed_attempts"] >= 1, 30)
        assert "timed out" in sending.exporter()["last_error"]
        assert backend.attempts == []
        backend.greet = plain
        backend.release()

        assert sending.settle()["exported"] == 2000


def deaf(connection, backend):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    backend.released.wait()
    raise ConnectionAbortedError


# ---- Memory --------------------------------------------------------------------------------------

@pytest.mark.parametrize("piece", [Flood.BODY, Flood.HEADERS], ids=["body", "headers"])
@pytest.mark.parametrize("sender", BOTH)
def test_an_answer_without_end_is_cut_off_and_takes_no_memory(backend, figure, sender, piece):
    flood = Flood(piece)
    backend.script(flood, flood)
    with sender(backend, connections=1) as sending:
        for sent in (1, 2):  # the first one makes what is kept from then on
            sending.send(1)
            assert sending.settle()["exported"] == sent
        forget_peak(sending.pid)
        before = memory_peak_bytes(sending.pid)
        backend.script(*[flood] * 5)
        for sent in range(3, 8):
            sending.send(1)
            assert sending.settle()["exported"] == sent
        grown = memory_peak_bytes(sending.pid) - before
        sending.send(1)  # and now an answer that ends

        assert sending.settle()["exported"] == 8
        assert sending.exporter()["malformed_responses"] == 7
        figure("%d KiB more of memory, %d KiB taken of an answer", grown // 1024, flood.taken_bytes // 1024)
        assert flood.taken_bytes < 32 * MIB  # what is in the kernel's buffers counts too
        assert is_sanitized() or grown <= MIB


# ---- Elsewhere -----------------------------------------------------------------------------------

@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("sender", BOTH)
def test_a_redirect_leads_nowhere(backend, other_backend, sender, status):
    backend.script(otherwise=Answer(status, headers=[("Location", other_backend.url + "/v1/traces")]))
    with sender(backend) as sending:
        sending.send(5)
        ledger = sending.settle()
        assert (ledger["exported"], ledgers.drops(ledger)) == (0, {"rejected": 5})
        backend.script()
        sending.send(5)
        assert sending.settle()["exported"] == 5

    assert other_backend.connections_taken == 0
