# SPDX-License-Identifier: MIT
"""The ledger that tracez_status answers with, and what must be true of it at rest (docs/design.md,
section 4)."""


def imbalances(ledger):
    """The equations that do not hold, as sentences; none in good books."""
    dropped = sum(ledger["dropped"].values())
    kept = sum(ledger[name] for name in ("live", "not_kept", "queued", "inflight", "exported"))
    equations = {
        "requests = traced + not_traced": (
            ledger["requests"], ledger["traced"] + ledger["not_traced"]),
        "started = not_recorded + recorded": (
            ledger["started"], ledger["not_recorded"] + ledger["recorded"]),
        "recorded = live + not_kept + queued + inflight + exported + dropped": (
            ledger["recorded"], kept + dropped),
        "misuse = 0": (ledger["misuse"], 0),
    }
    return ["%s is not: %d, %d" % (name, left, right)
            for name, (left, right) in equations.items() if left != right]


def drops(ledger):
    """{reason: count} without the zeros."""
    return {reason: count for reason, count in ledger["dropped"].items() if count > 0}
