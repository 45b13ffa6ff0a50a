# SPDX-License-Identifier: MIT
"""What scripts/demo runs when everything is built: starts a receiver, an application and nginx in
front of it, sends a round of requests, compares them with the spans that came in, and then either
ends (--once) or shows further traces until Ctrl-C. Everything that it started has ended when it
ends."""

import argparse
import contextlib
import pathlib
import shutil
import signal
import sys
import time

import verdict
from exchanges import make_round
from programs import Example, Failed, Nginx, last_lines, make_prefix
from screen import paint, say, say_step

NGINX_PORT, CATALOG_PORT, RECEIVER_PORT = 8080, 8081, 4318
SETTLE_SECONDS = 15
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

YOUR_TURN = """
Your turn: nginx listens on {url} until you press Ctrl-C.

  curl {url}/orders/42
  curl {url}/items/7
  curl '{url}/slow?ms=300'
  curl -i {url}/fail
  curl {url}/status

  its configuration  {prefix}/nginx.conf
  its logs           {prefix}/logs/
"""


def existing(path):
    if not path.is_file():
        raise Failed("there is no %s: scripts/demo without --build fetches nginx and builds "
                     "everything" % path)
    return path


class Demo:
    """The three programs, with all their files in one folder."""

    def __init__(self, prefix, build, nginx_binary, drop_one):
        self.prefix = prefix
        self.drops = int(drop_one)
        logs = prefix / "logs"
        logs.mkdir()
        self.receiver = Example("receiver", logs / "receiver.log",
                                existing(build / "examples" / "receiver"),
                                *["--drop-one"] * drop_one)
        self.catalog = Example("catalog", logs / "catalog.log",
                               existing(build / "examples" / "catalog"))
        self.nginx = Nginx(prefix, existing(nginx_binary),
                           existing(build / "nginx_module" / "ngx_http_tracez_module.so"))

    def start(self):
        self.receiver.listen(RECEIVER_PORT)
        say_step("receiver", self.receiver.url)
        self.catalog.listen(CATALOG_PORT, TRACEZ_EXPORTER_ENDPOINT=self.receiver.url,
                            TRACEZ_EXPORTER_INTERVAL_MS="200")
        say_step("catalog", self.catalog.url)
        self.nginx.listen(NGINX_PORT, CATALOG_PORT=self.catalog.port,
                          RECEIVER_PORT=self.receiver.port)
        say_step("nginx", self.nginx.url)

    def end(self):
        """The receiver last: the others export what they have while they end."""
        for program in (self.nginx, self.catalog, self.receiver):
            program.end()

    def check(self):
        for program in (self.nginx, self.catalog, self.receiver):
            if program.has_ended():
                raise Failed("%s has ended; it said:\n%s" % (program.name, last_lines(program.log)))


def show_logs(demo):
    """Before they are removed with their folder, because something was wrong."""
    for program in (demo.nginx, demo.catalog, demo.receiver):
        print("\n%s said:\n%s" % (program.name, last_lines(program.log, without="[notice]")),
              file=sys.stderr)


@contextlib.contextmanager
def running(options):
    """A demo that runs; afterwards nothing of it is left."""
    prefix = make_prefix()
    try:
        demo = Demo(prefix, options.build.resolve(), options.nginx.resolve(), options.drop_one)
        try:
            demo.start()
            yield demo
        except OSError:
            show_logs(demo)
            raise
        finally:
            for number in ENDING_SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # this is the end already
            demo.end()
    finally:
        shutil.rmtree(prefix)


def wait_for_spans(demo, exchanges):
    """Until nginx has nothing left to send, and what it and the catalog sent is on the screen; or
    not, when that takes too long: the table then says what is missing."""
    wanted = sum(1 + len(exchange.behind) for exchange in exchanges)
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        demo.check()
        ledger = demo.nginx.status()["ledger"]
        spans, unwritten = verdict.read_spans(demo.receiver)
        is_settled = ledger["traced"] >= len(exchanges) and verdict.is_settled(ledger)
        if is_settled and unwritten == 0 and len(spans) >= wanted - demo.drops:
            break
        time.sleep(0.05)
    return spans, ledger


def run_round(demo):
    """True when every request came back as exactly one span."""
    exchanges = make_round()
    say("\n%d requests, each with a traceparent of its own. What the receiver got:\n"
        % len(exchanges))
    for exchange in exchanges:
        exchange.send(demo.nginx)
    spans, ledger = wait_for_spans(demo, exchanges)

    good = verdict.print_table(exchanges, spans)
    others = verdict.print_spans_of_others(exchanges, spans)
    say()
    balances = verdict.print_ledger(ledger)
    is_good = good == len(exchanges) and others == 0
    proxied = sum(1 for exchange in exchanges if exchange.behind)
    more = "%d spans more" % others if others else "nothing more"
    say(paint("  %d requests sent, %d came back as exactly one SERVER span of nginx, %s"
              % (len(exchanges), good, more), "green" if is_good else "red"))
    say("  %d of them went on to the catalog: its spans are in the same traces" % proxied)
    return is_good and balances


def show_further_traces(demo):
    """The receiver does, by itself; until Ctrl-C."""
    say(YOUR_TURN.format(url=demo.nginx.url, prefix=demo.prefix))
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            demo.check()
            time.sleep(0.2)
    say()


def parse_options():
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="CMake's build folder")
    parser.add_argument("--nginx", type=pathlib.Path, required=True, help="the server's binary")
    parser.add_argument("--once", action="store_true", help="end after the first round")
    parser.add_argument("--drop-one", action="store_true", help="the receiver loses a SERVER span")
    return parser.parse_args()


def end_by_signal(number, _):
    sys.exit(128 + number)


def main():
    options = parse_options()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell's "&" ignores it
    for number in ENDING_SIGNALS[1:]:
        signal.signal(number, end_by_signal)
    try:
        with running(options) as demo:
            is_good = run_round(demo)
            if not is_good:
                show_logs(demo)
            if not options.once:
                show_further_traces(demo)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (Failed, OSError) as failure:
        print("\ndemo: %s" % failure, file=sys.stderr)
        return 1
    return 0 if is_good else 1


sys.exit(main())
