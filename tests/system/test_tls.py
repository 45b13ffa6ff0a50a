# SPDX-License-Identifier: MIT
"""TLS between the exporter and its backend, from a program and from nginx: nothing is sent to who can't prove that he
is the one, and all of it as soon as he can; certificates of our own; HTTP/2."""

import re
import ssl
import urllib.request

import pytest

import polling
from backend import Late, plain, secure, stalled
from certificates import Certificates
from nginx import Nginx
from proxy import Proxy
from sender import BOTH, HTTP, Program, Server


@pytest.fixture(scope="module")
def made():
    with Certificates() as certificates:
        yield certificates


@pytest.fixture
def good(made, backend):
    """A backend that is who it says."""
    backend.greet = secure(made.server)
    backend.url = backend.url.replace("http://", "https://")
    return backend


# ---- Who answers ---------------------------------------------------------------------------------

TIMEOUT = "timeout|timed out"

# How the handshake goes, and what last_error says of it.
BAD = {
    "self-signed": (lambda made: secure(made.self_signed), "self-signed certificate"),
    "expired": (lambda made: secure(made.expired), "certificate has expired"),
    "not yet valid": (lambda made: secure(made.not_yet_valid), "certificate is not yet valid"),
    "of another host": (lambda made: secure(made.other_host), "127.0.0.1"),
    "of a name with a line break": (lambda made: secure(made.line_breaking), "certificate subject name 'evil\\?name'"),
    "of another authority": (lambda made: secure(made.of_another_authority), "unable to get local issuer"),
    "a handshake that stalls": (lambda made: stalled, TIMEOUT),
    "no TLS": (lambda made: plain, "SSL"),
}


@pytest.mark.parametrize("greeting, error", BAD.values(), ids=BAD)
@pytest.mark.parametrize("sender", BOTH)
def test_who_does_not_prove_who_he_is_gets_no_span_and_all_when_he_does(made, good, sender, greeting, error):
    good.greet = greeting(made)
    patience = 500 if error == TIMEOUT else 5000
    with sender(good, trusted_certificate=made.authority, connect_timeout=patience) as sending:
        sending.send(20)
        polling.until("attempts fail", lambda: sending.exporter()["failed_attempts"] >= 2, 20)
        exporter = sending.exporter()
        assert (exporter["state"], good.attempts) == ("down", [])
        assert re.search(error, exporter["last_error"])

        good.greet = secure(made.server)
        good.release()

        assert sending.settle()["exported"] == 20
        assert sending.exporter()["state"] == "up"


@pytest.mark.parametrize("sender", BOTH)
def test_a_certificate_that_signed_itself_is_its_own_authority(made, good, sender):
    good.greet = secure(made.self_signed)
    with sender(good, trusted_certificate=made.self_signed.path) as sending:
        sending.send(20)

        assert sending.settle()["exported"] == 20


@pytest.mark.parametrize("sender", BOTH)
def test_without_verification_whoever_answers_gets_all(made, good, sender):
    good.greet = secure(made.of_another_authority)
    with sender(good, verify="off") as sending:
        sending.send(20)

        assert sending.settle()["exported"] == 20
        if sender is Server:
            assert len(sending.nginx.log_lines("with verify off spans, and headers with them, go to whoever")) == 1


# ---- Who asks ------------------------------------------------------------------------------------

@pytest.mark.parametrize("sender", BOTH)
def test_a_backend_that_wants_a_certificate_gets_ours(made, good, sender):
    good.greet = secure(made.server, made.authority)
    with sender(good, trusted_certificate=made.authority, certificate=made.client.path,
                certificate_key=made.client.key) as sending:
        sending.send(20)

        assert sending.settle()["exported"] == 20


@pytest.mark.parametrize("sender", BOTH)
def test_a_backend_that_wants_a_certificate_and_gets_none_takes_nothing(made, good, sender):
    good.greet = secure(made.server, made.authority)
    with sender(good, trusted_certificate=made.authority) as sending:
        sending.send(20)
        polling.until("attempts fail", lambda: sending.exporter()["failed_attempts"] >= 2, 20)
        assert (sending.exporter()["state"], good.attempts) == ("down", [])

        good.greet = secure(made.server)

        assert sending.settle()["exported"] == 20


@pytest.mark.parametrize("sender", BOTH)
def test_variables_name_them_too(made, good, sender):
    good.greet = secure(made.server, made.authority)
    with sender(good, environment={
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(made.authority),
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(made.server.path),
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE": str(made.client.path),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(made.client.key)}) as sending:
        sending.send(20)

        assert sending.settle()["exported"] == 20


@pytest.mark.parametrize("are_variables", [False, True])
def test_workers_read_no_file(made, good, are_variables):
    """Whose user may not read it: the key is its owner's alone, and gone after the start."""
    path = made.client.key
    path.chmod(0o600)
    good.greet = secure(made.server, made.authority)
    files = dict(trusted_certificate=made.authority, certificate=made.client.path, certificate_key=path)
    names = dict(trusted_certificate="CERTIFICATE", certificate="CLIENT_CERTIFICATE", certificate_key="CLIENT_KEY")
    if are_variables:
        files = {"environment": {"OTEL_EXPORTER_OTLP_" + names[what]: str(path) for what, path in files.items()}}
    with Server(good, **files) as sending:
        away = path.rename(path.with_suffix(".away"))
        try:
            sending.nginx.kill(sending.pid)
            sending.nginx.wait_for_workers()
            sending.send(20)

            assert sending.settle()["exported"] == 20
        finally:
            away.rename(path)


# ---- Configuration -------------------------------------------------------------------------------

MISTAKES = {
    "no such file": (dict(trusted_certificate="/nowhere/ca.pem"), r'file "/nowhere/ca.pem" rejected: No such file'),
    "a key for an authority": (dict(trusted_certificate="{client.key}"),
                               "trusted_certificate rejected: no certificate"),
    "half of a pair": (dict(certificate="{client.path}"), "certificate rejected: it needs a certificate_key"),
    "a pair of two": (dict(certificate="{client.path}", certificate_key="{server.key}"),
                      "certificate_key rejected: it does not fit the certificate"),
    "neither on nor off": (dict(verify="maybe"), 'verify "maybe" rejected: it must be "on" or "off"'),
    "a proxy without a port": (dict(proxy="http://user:s3cret@proxy"),
                               r'proxy "http://\*\*\*@proxy" rejected: a port is needed'),
}


@pytest.mark.parametrize("settings, reason", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_fails_the_test_of_the_configuration(made, settings, reason):
    lines = " ".join("%s %s;" % (name, value.format(client=made.client, server=made.server))
                     for name, value in settings.items())
    nginx = Nginx(http="tracez on; tracez_exporter { %s }" % lines)
    status, said = nginx.test()
    nginx.discard()

    assert status == 1
    assert re.search(r"\[emerg\] .*tracez_exporter: .*%s.* in \S+nginx.conf:\d+" % reason, said), said
    assert "s3cret" not in said and "BEGIN" not in said


def test_a_reload_with_a_bad_key_leaves_all_as_it_was_and_no_trace(made, good):
    """A library's errors that nobody asked about would come up in nginx's own TLS later."""
    front = """
        server {
            listen 127.0.0.1:{port_front} ssl;
            ssl_certificate %s;
            ssl_certificate_key %s;
            location / { return 200 "hello\\n"; }
        }
    """ % (made.server.path, made.server.key)
    context = ssl.create_default_context(cafile=made.authority)
    with Server(good, http=HTTP + front, values={"key": made.client.key}, trusted_certificate=made.authority,
                certificate=made.client.path, certificate_key="{key}") as sending:
        nginx = sending.nginx
        nginx.expected_log.append("does not fit the certificate")
        nginx.write(key=made.server.key)
        nginx.send_signal("HUP")
        polling.until("it is refused", lambda: nginx.log_lines("does not fit the certificate"))
        nginx.wait_until_gone(nginx.reload(key=made.client.key))
        url = "https://127.0.0.1:%d/" % nginx.port["front"]
        with urllib.request.urlopen(url, context=context, timeout=20) as reply:
            assert reply.read() == b"hello\n"

        assert sending.settle()["exported"] == 1


# ---- HTTP/2 --------------------------------------------------------------------------------------

HTTP2 = """
    server {
        listen 127.0.0.1:{port_front} ssl http2;
        ssl_certificate %s;
        ssl_certificate_key %s;
        client_max_body_size 8m;
        location / {
            proxy_pass http://127.0.0.1:%d;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Protocol $server_protocol;
            proxy_set_header X-Connection $connection;
        }
    }
"""


@pytest.mark.parametrize("sender", BOTH)
def test_a_backend_that_speaks_http_2_gets_all_over_one_connection(made, backend, sender):
    """The backend's front is a stock nginx, whose HTTP/2 is not ours."""
    backend.script(otherwise=Late(0.05))
    with Nginx(http=HTTP2 % (made.server.path, made.server.key, backend.port), load_module=False) as front:
        url = "https://127.0.0.1:%d" % front.port["front"]
        with sender(backend, endpoint=url, trusted_certificate=made.authority, batch_size=10, connections=10,
                    compression="gzip") as sending:
            sending.send(100)

            assert sending.settle()["exported"] == 100
            assert sending.exporter()["connections_opened"] == 1
    assert {attempt.headers["x-protocol"] for attempt in backend.attempts} == {"HTTP/2.0"}
    assert len({attempt.headers["x-connection"] for attempt in backend.attempts}) == 1
    assert len(backend.attempts) >= 10


class Behind:
    """What a proxy needs to know of a backend."""

    def __init__(self, port):
        self.port = port


def test_a_connection_of_http_2_that_has_died_is_not_asked_again(made, backend):
    """Each batch would go to it, and none arrive, for as long as its other end acknowledges packets."""
    with Nginx(http=HTTP2 % (made.server.path, made.server.key, backend.port), load_module=False) as front:
        port = front.port["front"]
        with Proxy(Behind(port)) as proxy, Program(
                backend, endpoint="https://localhost:%d" % port, trusted_certificate=made.authority,
                proxy="http://127.0.0.1:%d" % proxy.port, batch_size=5, timeout=3000) as sending:
            sending.send(20)
            assert sending.settle()["exported"] == 20
            proxy.make_deaf()  # to several requests at once
            sending.send(20)
            assert sending.settle()["exported"] == 40
    assert {attempt.headers["x-protocol"] for attempt in backend.attempts} == {"HTTP/2.0"}
