# SPDX-License-Identifier: MIT
"""Leaving: whatever the backend, the name server or the exporter's thread do, nginx leaves in time, by itself, with every
span sent or counted and every log line written."""

import os
import pathlib
import re
import signal
import time

import pytest

import client
import polling
from backend import Stall
from deaf import BlackHole, DeafServer
from longer import times
from nginx import find_module, read_proc, sanitizer_libraries
from traced import TracedNginx

HTTP = """
    tracez on;
    {more}
    server {
        listen 127.0.0.1:{port_shop};
        access_log {prefix}/access.log combined buffer=64k flush=1h;
        location / { return 200 "hello\\n"; }
    }
"""

QUIT_SECONDS = 0.5  # shutdown_timeout in these tests
GRACE_SECONDS = 0.2
TERM_SECONDS = 1.2

# A sanitizer's search for leaks takes longer than a worker has.
IN_TIME = {"sanitizer_options": "detect_leaks=0"}

HANG = pathlib.Path(os.environ["TRACEZ_PRELOAD_DIR"]) / "libtracez_test_hang.so"


class Elsewhere:
    """A backend that nobody ever reaches."""

    def __init__(self, url):
        self.url = url

    def span_count(self):
        return 0


UNKNOWN = Elsewhere("http://backend.example:4318")


def open_nginx(backend, timeout="500ms", exporter="", **settings):
    settings.setdefault("workers", 2)
    settings.setdefault("more", "")
    return TracedNginx(HTTP, backend, exporter="shutdown_timeout %s; retry 10ms 50ms; %s" % (
        timeout, exporter), **settings)


def open_hanging_nginx(backend, *functions, **settings):
    """In whose workers some functions never return: see hang.c."""
    nginx = open_nginx(backend, preload=[HANG], environment={"TRACEZ_HANG": "{prefix}/hang"}, **settings)
    folder = nginx.prefix / "hang"
    folder.mkdir()
    for function in functions:
        (folder / function).touch()
    return nginx


def ask(nginx, first, count):
    """Requests with the numbers from first on."""
    for number in range(first, first + count):
        assert client.get(nginx.port["shop"], "/%d" % number).status == 200


def logged(nginx):
    """The numbers of the requests in the access log."""
    lines = (nginx.prefix / "access.log").read_text().splitlines()
    return sorted(int(re.search(r'"GET /(\d+) HTTP', line).group(1)) for line in lines)


def counted_at_the_deadline(nginx):
    return sum(int(re.search(r"(\d+) spans", line).group(1))
               for line in nginx.log_lines(r"tracez: \d+ spans dropped \(shutdown_deadline\): "))


def leave(nginx, how, requests):
    """Leaves, and sees to the books: (seconds, spans that were not sent)."""
    assert nginx.quit(how=how) == 0
    recorded, exported, dropped = nginx.last_words()
    assert recorded == requests
    assert exported == nginx.backend.span_count()
    assert dropped == counted_at_the_deadline(nginx) == requests - exported
    return nginx.quit_seconds, dropped


# ---- In time -------------------------------------------------------------------------------------

WAYS = [pytest.param(signal.SIGQUIT, "500ms", QUIT_SECONDS, QUIT_SECONDS + GRACE_SECONDS, id="QUIT"),
        pytest.param(signal.SIGTERM, "30s", 1.0, TERM_SECONDS, id="TERM")]


def check_times(figure, backend, seconds, least, most):
    figure("a backend that %s, %d exits, from %.3f to %.3f s", backend, len(seconds), min(seconds),
           max(seconds))
    assert least <= min(seconds) and max(seconds) <= most, sorted(seconds)


def goes(backend, nginx):
    backend.stop()
    ask(nginx, 20, 30)
    polling.until("exporting fails", lambda: nginx.status()["exporter"]["state"] == "down")


def stalls(backend, nginx):
    backend.script(otherwise=Stall())
    ask(nginx, 20, 30)
    polling.until("the backend has a batch", lambda: (
        backend.attempts and not backend.attempts[-1].accepted))


@pytest.mark.parametrize("how, timeout, least, most", WAYS)
@pytest.mark.parametrize("fault", [goes, stalls], ids=["gone", "stalled"])
def test_a_backend_that_is_dead_or_stalled_delays_leaving_until_the_deadline_only(
        backend, fault, how, timeout, least, most, figure):
    seconds = []
    for _ in range(times(2, 30)):
        backend.stop()
        backend.start()
        backend.attempts.clear()
        backend.script()
        with open_nginx(backend, timeout, **IN_TIME) as nginx:
            ask(nginx, 0, 20)
            nginx.settle()
            fault(backend, nginx)

            took, dropped = leave(nginx, how, 50)

            assert dropped == 30
            seconds.append(took)
    check_times(figure, fault.__name__, seconds, least, most)


@pytest.mark.parametrize("how, timeout, least, most", WAYS)
def test_a_name_lookup_that_never_returns_delays_leaving_until_the_deadline_only(
        how, timeout, least, most, figure):
    seconds = []
    for _ in range(times(2, 30)):
        with open_hanging_nginx(UNKNOWN, "getaddrinfo", timeout=timeout,
                                exporter="connect_timeout 30s;", **IN_TIME) as nginx:
            ask(nginx, 0, 30)
            polling.until("a lookup hangs", lambda: hanging_threads(nginx))

            took, dropped = leave(nginx, how, 30)

            assert dropped == 30
            seconds.append(took)
    check_times(figure, "hangs in a lookup", seconds, least, most)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may have a network of its own")
@pytest.mark.parametrize("how, timeout, least, most", WAYS)
def test_a_name_server_that_never_answers_delays_leaving_until_the_deadline_only(
        how, timeout, least, most, figure):
    seconds = []

    def leave_once(black_hole):
        with open_nginx(UNKNOWN, timeout, "connect_timeout 30s;", **IN_TIME) as nginx:
            ask(nginx, 0, 30)
            polling.until("the name server is asked", black_hole.is_asked)

            took, dropped = leave(nginx, how, 30)

            assert dropped == 30
            seconds.append(took)

    for _ in range(times(2, 30)):
        BlackHole.run_inside(leave_once)
    check_times(figure, "has a deaf name server", seconds, least, most)


@pytest.mark.parametrize("how", [pytest.param(signal.SIGQUIT, id="QUIT"),
                                 pytest.param(signal.SIGTERM, id="TERM")])
def test_with_a_healthy_backend_nothing_is_lost_on_leaving(backend, how, figure):
    seconds = []
    for round_ in range(times(2, 30)):
        with open_nginx(backend, "30s", interval="1h", **IN_TIME) as nginx:
            ask(nginx, 0, 50)
            assert nginx.quit(how=how) == 0
            assert nginx.last_words() == (50, 50, 0)
            assert backend.span_count() == 50 * (round_ + 1)
            seconds.append(nginx.quit_seconds)
    check_times(figure, "is well", seconds, 0, TERM_SECONDS)


@pytest.mark.parametrize("timeout", [0, 0.1])
def test_a_short_shutdown_timeout_holds_for_the_worker_that_is_not_the_last_too(backend, timeout):
    """Each worker leaves first now and then, with requests on their way that the last one has to count."""
    for _ in range(times(3, 30)):
        backend.attempts.clear()
        with open_nginx(backend, "%dms" % (timeout * 1000), **IN_TIME) as nginx:
            stalls(backend, nginx)

            took, dropped = leave(nginx, signal.SIGQUIT, 30)

            assert dropped == 30
            assert took <= timeout + GRACE_SECONDS


# ---- By itself -----------------------------------------------------------------------------------

def threads(nginx):
    """The directories in /proc of all threads that the workers have beside their first."""
    return [task for pid in nginx.workers() for task in pathlib.Path("/proc/%d/task" % pid).iterdir()
            if int(task.name) != pid]


def hanging_threads(nginx):
    return [task for task in threads(nginx) if read_proc(task / "comm") == "hanging\n"]


def is_computing(nginx):
    """Does an exporter's thread run, in no system call?"""
    return any(read_proc(task / "comm") == "tracez\n" and read_proc(task / "syscall") == "running\n"
               for task in threads(nginx))


def pass_by(nginx, first, count):
    """As ask(), all at once on one connection."""
    with client.connect(nginx.port["shop"]) as connection:
        connection.sendall(b"".join(client.request(target="/%d" % number, keep=number < first + count - 1)
                                    for number in range(first, first + count)))
        assert len(client.split_responses(client.read_all(connection))) == count


def reload_and_quit(nginx, wait_for_state):
    """A reload and a QUIT, each at the moment when an exporter's thread is where the test wants it. wait_for_state sends
    requests, from a number on, until it is, and returns how many that took."""
    with nginx:
        asked = wait_for_state(nginx, 0)
        nginx.wait_until_gone(nginx.reload())
        asked += wait_for_state(nginx, asked)
        assert nginx.quit() == 0
        assert logged(nginx) == list(range(asked))
        recorded, exported, dropped = nginx.last_words()
        assert recorded == asked == exported + dropped + nginx.lost_with_the_buffer()
    return asked


def check_ends(figure, state, requests):
    """No worker ended by a signal: with each nginx that has left, Nginx.check() saw to that."""
    figure("%s, %d reloads and quits, %d requests, all in the log", state, times(3, 50), requests)


def ask_and_wait(what, condition):
    def wait(nginx, first):
        ask(nginx, first, 20)
        polling.until(what, lambda: condition(nginx))
        return 20
    return wait


def test_a_worker_leaves_by_itself_amid_a_tls_handshake(figure):
    requests = 0
    for _ in range(times(3, 50)):
        with DeafServer() as deaf:
            nginx = open_nginx(Elsewhere("https://127.0.0.1:%d" % deaf.port))
            requests += reload_and_quit(nginx, ask_and_wait("a handshake", lambda _: deaf.heard))
    check_ends(figure, "TLS handshake", requests)


HANGING = {"a name lookup": ["getaddrinfo"], "sending": ["curl_multi_add_handle"],
           "every thread": ["curl_multi_poll"]}


@pytest.mark.parametrize("functions", HANGING.values(), ids=HANGING)
def test_a_worker_leaves_by_itself_while_a_call_of_its_thread_never_returns(functions, figure):
    requests = 0
    for _ in range(times(3, 50)):
        nginx = open_hanging_nginx(UNKNOWN, *functions, exporter="connect_timeout 30s;")
        requests += reload_and_quit(nginx, ask_and_wait("a thread hangs", hanging_threads))
    check_ends(figure, "hanging call", requests)


# A body of 500 spans takes tens of milliseconds to write: each byte of the tag is escaped.
LARGE = """
    tracez_buffer_size 100000;
    tracez_max_tag_size 32000;
    tracez_tag large $large;
    map $uri $part { default '%s'; }
    map $uri $large { default $part$part$part; }
""" % ('"' * 4000)


def encode(nginx, first):
    """Batch after batch, until its encoder is seen at work."""
    asked = 0
    while True:
        pass_by(nginx, first + asked, 500)
        asked += 500
        deadline = time.monotonic() + 0.1
        while time.monotonic() < deadline:
            if is_computing(nginx):
                return asked


def test_a_worker_leaves_by_itself_amid_the_encoding_of_a_batch(backend, figure):
    requests = 0
    for _ in range(times(3, 50)):
        nginx = open_nginx(backend, interval="1h", more=LARGE,
                           exporter="batch_size 500; max_batch_bytes 64m;")
        requests += reload_and_quit(nginx, encode)
        backend.attempts.clear()
    check_ends(figure, "encoder", requests)


def test_what_a_thread_that_hangs_held_is_sent_by_the_next_worker(backend):
    for _ in range(times(2, 20)):
        backend.attempts.clear()
        nginx = open_hanging_nginx(backend, "curl_multi_add_handle")
        with nginx:
            ask(nginx, 0, 20)
            polling.until("a thread hangs", lambda: hanging_threads(nginx))
            (nginx.prefix / "hang" / "curl_multi_add_handle").unlink()

            nginx.wait_until_gone(nginx.reload())

            assert nginx.settle()["exported"] == 20


@pytest.mark.skipif(any("tsan" in path for path in sanitizer_libraries(find_module())),
                    reason="ThreadSanitizer's own thread would be the one that can't be made")
def test_a_worker_without_an_exporter_lets_no_other_leave_the_buffer_to_it(backend):
    """Of two workers one could make no thread; it is the last to leave, and the other one sends."""
    nginx = open_hanging_nginx(backend, "pthread_create", interval="1h")
    (nginx.prefix / "hang").chmod(0o777)  # the first one takes the file away
    with nginx:
        [alone] = [pid for pid in nginx.workers() if nginx.threads(pid) == 1]
        ask(nginx, 0, 50)
        os.kill(alone, signal.SIGSTOP)
        os.kill(nginx.master, signal.SIGQUIT)
        polling.until("the other one has left", lambda: nginx.workers() == [alone])
        os.kill(alone, signal.SIGCONT)
        nginx.quit()

        assert nginx.log_lines(r"\[error\].* this worker exports nothing, and leaves that to the others")
    assert backend.span_count() == 50
