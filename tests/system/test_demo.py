# SPDX-License-Identifier: MIT
"""scripts/demo: it says yes only when every request came back as one span, no when one is missing,
and leaves nothing running and nothing lying about, however it ends."""

import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import types

import pytest

import client
import polling
from nginx import find_module, find_nginx
from traceparents import Traceparent

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "scripts" / "demo"
ENDED = "17 requests sent, 17 came back as exactly one SERVER span of nginx, nothing more"
TRACE = re.compile(r"^trace ([0-9a-f]{32})$", re.MULTILINE)

sys.path.insert(0, str(ROOT / "examples" / "demo"))
import exchanges  # noqa: E402
import verdict  # noqa: E402


class Demo:
    """A run, with a folder of its own for its temporary files: what it starts has its working
    directory there."""

    def __init__(self, *options, build=None, **environment):
        self._folder = tempfile.TemporaryDirectory(prefix="tracez-test-demo-")
        self.folder = pathlib.Path(self._folder.name)
        self.folder.chmod(0o755)
        self.command = [DEMO, "--build", build or find_module().parents[1], *options]
        self.environment = {"PATH": os.environ["PATH"], "TMPDIR": str(self.folder),
                            "TRACEZ_NGINX_DIR": str(find_nginx().parents[2]), **environment}
        self.child = None

    def run(self):
        """To its end; nothing may be left of it."""
        done = subprocess.run(self.command, env=self.environment, capture_output=True, text=True,
                              timeout=60)
        self.check_nothing_is_left()
        return done

    def start(self, **options):
        self._output = open(self.folder / "output", "w+b")
        self.child = subprocess.Popen(self.command, env=self.environment, stdin=subprocess.DEVNULL,
                                      stdout=self._output, stderr=subprocess.STDOUT, **options)
        return self

    def printed(self):
        return os.pread(self._output.fileno(), 1 << 24, 0).decode()

    def wait_for(self, text):
        polling.until("the demo prints %r" % text,
                      lambda: text in self.printed() or self.child.poll() is not None, 30)
        assert text in self.printed(), self.printed()

    def nginx_port(self):
        return int(re.search(r"nginx +http://127\.0\.0\.1:(\d+)", self.printed()).group(1))

    def end(self, how):
        """By this signal; returns the exit status."""
        self.child.send_signal(how)
        status = self.child.wait(timeout=30)
        self.check_nothing_is_left()
        return status

    def processes(self):
        return [int(entry.name) for entry in pathlib.Path("/proc").iterdir()
                if entry.name.isdigit() and working_directory(entry).startswith(str(self.folder))]

    def check_nothing_is_left(self):
        assert not self.processes()
        assert not list(self.folder.glob("tracez-demo-*"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child is not None:
            self._output.close()
            if self.child.poll() is None:
                self.child.kill()
                self.child.wait(timeout=10)
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self._folder.cleanup()


def working_directory(process):
    try:
        return os.readlink(process / "cwd")
    except OSError:
        return ""  # gone, or not ours


@pytest.fixture(params=[()])
def demo(request):
    with Demo(*request.param) as opened:
        yield opened


with_options = pytest.mark.parametrize("demo", [("--once",)], indirect=True, ids=["once"])


# ---- The first round -----------------------------------------------------------------------------


@with_options
def test_every_request_comes_back_as_one_span(demo):
    done = demo.run()

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert len(set(TRACE.findall(done.stdout))) == 17  # one that grows is shown again
    assert len(re.findall(r"^  ✓ ", done.stdout, re.MULTILINE)) == 18  # and the ledger
    assert "✗" not in done.stdout
    assert ENDED in done.stdout
    assert re.search(r"✓ ledger: \d+ requests = 17 traced \+ \d+ not \(/status\); "
                     r"17 recorded = 17 exported \+ 0 dropped \+ 0 held\n", done.stdout)
    assert "└─ shop  GET /fail → 503  " in done.stdout and "error.type=503" in done.stdout
    assert "url.query=q=tea&sig=REDACTED" in done.stdout
    assert exchanges.SECRET not in done.stdout


@pytest.mark.parametrize("demo", [("--once", "--drop-one")], indirect=True, ids=["drop-one"])
def test_a_span_that_gets_lost_makes_it_fail_and_is_named(demo):
    done = demo.run()

    assert done.returncode == 1
    assert re.findall(r"✗ .*", done.stdout) == re.findall(
        r"✗ [A-Z]+ /\S* +\d{3}  (?:no span of nginx|the application made .*)$", done.stdout,
        re.MULTILINE)
    assert done.stdout.count("✗") == 1
    assert "17 requests sent, 16 came back" in done.stdout
    assert "receiver said:" in done.stderr


def test_colours_are_for_terminals_only_and_not_for_those_who_mind():
    for environment, expected in ({}, True), ({"NO_COLOR": "1"}, False):
        with Demo("--once", **environment) as demo:
            ours, theirs = pty.openpty()
            child = subprocess.Popen(demo.command, env=demo.environment, stdin=subprocess.DEVNULL,
                                     stdout=theirs, stderr=theirs)
            os.close(theirs)
            printed = read_to_end(ours)
            assert child.wait(timeout=30) == 0
            assert ("\033[32m✓\033[0m" in printed) == expected
            assert ("\033[1mGET /hello\033[0m" in printed) == expected
            assert ("\033" in printed) == expected


def read_to_end(terminal):
    read = b""
    while True:
        try:
            read += os.read(terminal, 65536)
        except OSError:  # nobody has the other end any more
            os.close(terminal)
            return read.decode()


@with_options
def test_ports_that_others_have_are_left_alone(demo):
    held = []
    for port in 8080, 8081, 4318:
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", port))
            holder.listen()
        except OSError:
            pass  # somebody else holds it: just as well
        held.append(holder)

    done = demo.run()

    for holder in held:
        holder.close()
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.findall(r"^  (?:nginx|catalog|receiver) +http://127\.0\.0\.1:(?:8080|8081|4318)$",
                          done.stdout, re.MULTILINE)


@with_options
@pytest.mark.skipif(os.getuid() != 0, reason="we are not root as it is")
def test_it_needs_no_root(demo):
    nobody = 65534
    as_nobody = ["setpriv", "--reuid", str(nobody), "--regid", str(nobody), "--clear-groups", "--"]
    if subprocess.run([*as_nobody, "test", "-r", demo.command[0]]).returncode != 0:
        pytest.skip("this tree lies where only root can read: %s" % demo.command[0])
    os.chown(demo.folder, nobody, nobody)
    demo.command = [*as_nobody, *demo.command]

    done = demo.run()

    assert (done.returncode, ENDED in done.stdout) == (0, True), done.stdout + done.stderr


# ---- Further traces ------------------------------------------------------------------------------


def test_further_traces_are_shown_until_ctrl_c(demo):
    demo.start().wait_for("until you press Ctrl-C")
    parent = Traceparent()

    reply = client.exchange(demo.nginx_port(), client.request("GET", "/slow?ms=1", [parent.header]))

    assert reply.status == 200
    demo.wait_for("trace %s\n└─ shop  GET /slow → 200" % parent.trace_id)
    assert demo.end(signal.SIGINT) == 0


def test_what_is_not_shown_yet_is_shown_at_the_end(demo):
    demo.start().wait_for("until you press Ctrl-C")
    parent = Traceparent()
    client.exchange(demo.nginx_port(), client.request("GET", "/hello", [parent.header]))

    demo.end(signal.SIGINT)

    assert "trace %s\n" % parent.trace_id in demo.printed()


def test_ctrl_c_ends_it_in_the_background_of_a_script_too(demo):
    """A shell without job control starts what "&" follows with SIGINT ignored."""
    demo.start(preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    demo.wait_for("until you press Ctrl-C")

    assert demo.end(signal.SIGINT) == 0


@pytest.mark.parametrize("text", ["receiver  http", "catalog   http", "nginx     http"])
def test_ended_by_a_signal_while_it_starts_it_leaves_nothing(demo, text):
    demo.start().wait_for(text)

    assert demo.end(signal.SIGTERM) == 128 + signal.SIGTERM


def test_killed_its_programs_end_too(demo):
    demo.start().wait_for("until you press Ctrl-C")
    assert len(demo.processes()) == 5  # receiver, catalog, nginx and its two workers

    demo.child.kill()

    polling.until("all have ended", lambda: not demo.processes(), 15)


def test_a_program_that_ends_by_itself_ends_the_demo_with_its_log(demo):
    demo.start().wait_for("until you press Ctrl-C")
    pid_file, = demo.folder.glob("tracez-demo-*/nginx.pid")

    os.kill(int(pid_file.read_text()), signal.SIGQUIT)

    assert demo.child.wait(timeout=30) == 1
    demo.check_nothing_is_left()
    assert "demo: nginx has ended; it said:\n" in demo.printed()
    assert "signal 3 (SIGQUIT) received" in demo.printed()


# ---- Mistakes ------------------------------------------------------------------------------------


def test_a_folder_where_nothing_was_built_is_refused():
    with tempfile.TemporaryDirectory() as empty, Demo("--once", build=empty) as demo:
        done = demo.run()

    assert done.returncode == 1
    assert "demo: there is no %s/examples/receiver: scripts/demo without --build" % empty \
        in done.stderr


@pytest.mark.parametrize("options, status", [(["--twice"], 2), (["--build"], 1), (["--help"], 0)])
def test_options(options, status):
    done = subprocess.run([DEMO, *options], capture_output=True, text=True, timeout=20)

    assert done.returncode == status
    assert "--build" in done.stdout + done.stderr


# ---- The verdict itself --------------------------------------------------------------------------


def span(exchange, **changes):
    """The span that this exchange should have."""
    fields = dict(trace_id=exchange.trace_id, span_id="a" * 16, parent_id=exchange.parent_id,
                  kind="SERVER", service="shop", name="GET", start_unix_ns=0, method=exchange.span_method, path=exchange.path, status=str(exchange.status),
                  tags={"url.query": "q=tea&sig=REDACTED"})
    return types.SimpleNamespace(**{**fields, **changes})


def behind(exchange, **changes):
    """What the catalog should have made of it."""
    return span(exchange, **{**dict(span_id="b" * 16, parent_id="a" * 16, service="catalog",
                                    name="GET /hello", start_unix_ns=1), **changes})


@pytest.fixture
def secret():
    """The exchange with a tag of its own to check, answered as it should be."""
    exchange, = [exchange for exchange in exchanges.make_round() if "url.query" in exchange.tags]
    exchange.answer = exchange.status
    return exchange


def test_spans_as_they_should_be_have_no_fault(secret):
    assert verdict.find_fault(secret, [behind(secret), span(secret)]) is None


@pytest.mark.parametrize("changes, fault", [
    ({"trace_id": "0" * 31 + "1"}, "the application made [], not [('SERVER', 'GET /hello')]"),
    ({"name": "GET"}, "the application made [('SERVER', 'GET')]"),
    ({"kind": "CLIENT"}, "the application made [('CLIENT', 'GET /hello')]"),
    ({"parent_id": "c" * 16}, "nobody is the parent of ['GET /hello']"),
    ({"parent_id": None}, "nobody is the parent of"),
    ({"service": "shop"}, "2 spans of nginx"),
])
def test_an_applications_span_that_differs_is_a_fault(secret, changes, fault):
    assert fault in verdict.find_fault(secret, [span(secret), behind(secret, **changes)])


def test_spans_of_the_application_beyond_what_it_should_make_are_a_fault(secret):
    spans = [span(secret), behind(secret), behind(secret, span_id="d" * 16)]

    assert "the application made" in verdict.find_fault(secret, spans)


@pytest.mark.parametrize("changes, fault", [
    ({"trace_id": "0" * 31 + "1"}, "no span of nginx"), ({"kind": "CLIENT"}, "kind is CLIENT"),
    ({"parent_id": None}, "parent is None"), ({"parent_id": "1" * 16}, "parent is 1111"),
    ({"method": "POST"}, "method is POST, not GET"), ({"path": "/"}, "path is /, not /hello"),
    ({"status": "201"}, "status is 201, not 200"), ({"status": None}, "status is None, not 200"),
    ({"tags": {"url.query": "q=tea&sig=" + exchanges.SECRET}}, "url.query is q=tea"),
    ({"tags": {}}, "url.query is None"),
])
def test_a_span_that_differs_is_a_fault(secret, changes, fault):
    assert fault in verdict.find_fault(secret, [span(secret, **changes), behind(secret)])


def test_two_spans_for_a_request_are_a_fault(secret):
    assert verdict.find_fault(secret, [span(secret)] * 2) == "2 spans of nginx"


@pytest.mark.parametrize("answer", [500, None, TimeoutError("timed out")])
def test_another_answer_is_a_fault(secret, answer):
    secret.answer = answer

    assert verdict.find_fault(secret, [span(secret)]) == "its answer is %s, not 200" % answer


def test_bytes_that_nginx_refused_are_known_by_their_connection():
    malformed = exchanges.make_round()[-1]
    malformed.answer, malformed.local_port = 400, 4711
    of_it = span(malformed, tags={"network.peer.port": "4711"})
    of_another = span(malformed, tags={"network.peer.port": "4712"})

    assert verdict.find_fault(malformed, [of_it, of_another]) is None
    assert verdict.find_fault(malformed, [of_another]) == "no span of nginx"


def test_a_span_that_nobody_asked_for_is_counted(secret, capsys):
    stranger = span(secret, trace_id="f" * 32)

    assert verdict.print_spans_of_others([secret], [span(secret), stranger]) == 1
    assert "f" * 32 in capsys.readouterr().out


LEDGER = {"requests": 5, "traced": 3, "not_traced": 2, "started": 3, "not_recorded": 1,
          "recorded": 2, "live": 0, "not_kept": 0, "queued": 0, "inflight": 0, "exported": 1,
          "dropped": {"queue_full": 1, "no_slot": 0}}


def test_a_ledger_that_balances(capsys):
    assert verdict.print_ledger(LEDGER)
    assert "✓ ledger: 5 requests = 3 traced + 2 not (/status); 2 recorded = 1 exported + 1 dropped" \
        in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name in LEDGER if name != "dropped"])
def test_a_ledger_that_is_off_by_one_does_not_balance(name):
    assert not verdict.balances({**LEDGER, name: LEDGER[name] + 1})
