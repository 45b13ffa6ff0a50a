# SPDX-License-Identifier: MIT
"""Did every request come back as exactly one span of nginx, with what the application made of it
below it, and do nginx's books balance?"""

import json
import urllib.request

from screen import paint, say


NGINX = "shop"  # tracez_service_name in nginx.conf.in


class Span:
    """As the receiver has it."""

    def __init__(self, fields):
        self.trace_id = fields["trace_id"]
        self.span_id = fields["span_id"]
        self.parent_id = fields["parent_id"] or None
        self.service = fields["service"]
        self.kind = fields["kind"]
        self.name = fields["name"]
        self.start_unix_ns = fields["start_unix_ns"]
        self.tags = dict(fields["tags"])
        self.method = self.tags.get("http.request.method")
        self.path = self.tags.get("url.path")
        self.status = self.tags.get("http.response.status_code")


def read_spans(receiver):
    """(spans, how many traces are not on the screen yet)"""
    with urllib.request.urlopen(receiver.url + "/spans", timeout=10) as answer:
        known = json.load(answer)
    return list(map(Span, known["spans"])), known["unwritten"]


def find_fault(exchange, spans):
    """What is wrong with the spans of this exchange; None when nothing is."""
    if exchange.answer != exchange.expected_answer:
        return "its answer is %s, not %s" % (exchange.answer, exchange.expected_answer)
    mine = [span for span in spans if exchange.is_mine(span)]
    of_nginx = [span for span in mine if span.service == NGINX]
    if len(of_nginx) != 1:
        return "%d spans of nginx" % len(of_nginx) if of_nginx else "no span of nginx"
    return (find_fault_of_nginx(exchange, of_nginx[0])
            or find_fault_behind(exchange, of_nginx[0],
                                 [span for span in mine if span.service != NGINX]))


def find_fault_of_nginx(exchange, span):
    found = {"kind": span.kind, "method": span.method, "path": span.path, "status": span.status,
             "parent": span.parent_id, **{key: span.tags.get(key) for key in exchange.tags}}
    wanted = {"kind": "SERVER", "method": exchange.span_method, "path": exchange.path,
              "status": str(exchange.status), "parent": exchange.parent_id, **exchange.tags}
    wrong = ["%s is %s, not %s" % (key, found[key], wanted[key])
             for key in wanted if found[key] != wanted[key]]
    return ", ".join(wrong) or None


def find_fault_behind(exchange, span_of_nginx, spans):
    """What the application made of it: one tree, below nginx's span."""
    made = [(span.kind, span.name) for span in sorted(spans, key=lambda span: span.start_unix_ns)]
    if made != list(exchange.behind):
        return "the application made %s, not %s" % (made, list(exchange.behind))
    parents = {span.span_id for span in spans} | {span_of_nginx.span_id}
    lost = [span.name for span in spans if span.parent_id not in parents]
    return "nobody is the parent of %s" % lost if lost else None


def print_table(exchanges, spans):
    """A line for each request; returns how many are as they should be."""
    good = 0
    width = max(len(exchange.title) for exchange in exchanges)
    for exchange in exchanges:
        fault = find_fault(exchange, spans)
        good += fault is None
        say("  %s %-*s  %s  %s" % (mark(fault is None), width, exchange.title, exchange.status,
                                   paint(exchange.shows, "dim") if fault is None
                                   else paint(fault, "red")))
    return good


def mark(is_good):
    return paint("✓", "green") if is_good else paint("✗", "red")


def print_spans_of_others(exchanges, spans):
    """Spans that nobody asked for; returns how many there are."""
    others = [span for span in spans if not any(exchange.is_mine(span) for exchange in exchanges)]
    for span in others:
        say("  %s %s" % (mark(False), paint("a span too many: %s of %s, trace %s" % (
            span.name, span.service, span.trace_id), "red")))
    return len(others)


def is_settled(ledger):
    """Nothing is on its way any more."""
    return ledger["live"] == ledger["queued"] == ledger["inflight"] == 0


def balances(ledger):
    """The equations of docs/design.md."""
    return (ledger["requests"] == ledger["traced"] + ledger["not_traced"]
            and ledger["started"] == ledger["not_recorded"] + ledger["recorded"]
            and ledger["recorded"] == ledger["exported"] + dropped(ledger) + held(ledger))


def dropped(ledger):
    return sum(ledger["dropped"].values())


def held(ledger):
    return ledger["live"] + ledger["not_kept"] + ledger["queued"] + ledger["inflight"]


def print_ledger(ledger):
    """nginx's own books in a line; returns whether they balance."""
    is_good = balances(ledger)
    say("  %s ledger: %d requests = %d traced + %d not (/status); "
        "%d recorded = %d exported + %d dropped + %d held"
        % (mark(is_good), ledger["requests"], ledger["traced"], ledger["not_traced"],
           ledger["recorded"], ledger["exported"], dropped(ledger), held(ledger)))
    if not is_good:
        say("    " + paint("does not balance: %s" % ledger, "red"))
    return is_good
