# SPDX-License-Identifier: MIT
"""The books as a whole: what clients sent is what the backend got and what the ledger counts as
lost, request by request, though workers are killed meanwhile."""

import json

READ_LATE_SECONDS = 2  # what was sent before a kill; and no port is used again so soon
SAME_MOMENT_SECONDS = 0.1  # batches that are sent at once come in any order


def join(nginx, backend, *clients):
    """Closes the books and compares them; returns the ledger, and how many batches came again. Whoever
    sends requests is among the clients, and has left."""
    ledger = nginx.settle(seconds=30)
    sent, over, answered = (set().union(*(getattr(client, name) for client in clients))
                            for name in ("sent", "over", "answered"))
    delivered = {trace_id.decode() for trace_id, _ in backend.span_heads()}
    lost = ledger["dropped"]["worker_lost"]
    found = "%d sent, %d answered, %d delivered, %d kills: %s" % (
        len(sent), len(answered), len(delivered), len(nginx.kills), json.dumps(ledger))

    assert delivered <= sent, found
    assert over <= delivered, "%d spans that had ended are missing; %s" % (
        len(over - delivered), found)
    # Between a response's last byte and the end of its span nginx can be in one request only.
    assert len(answered - delivered) <= min(lost, len(nginx.kills)), found
    # What is not delivered is counted, but for what nginx never read.
    assert lost <= len(sent - delivered), found
    assert ledger["exported"] == len(delivered), found
    return ledger, check_duplicates(backend, nginx.kills)


def check_duplicates(backend, kills):
    """A span may come twice only after an attempt whose outcome its sender could not know, because
    it was killed before; and after those that were sent with that one. Returns how many batches
    came again."""
    repeated = repeated_attempts(backend, kills)
    unexplained = set(repeated)
    for kill in kills:
        again = [attempt for attempt in repeated if killed_by(attempt.link, [kill])]
        unanswered = [attempt.at for attempt in again if attempt is attempt.link.attempts[-1]]
        assert unanswered or not again, "batches whose answer was read came again"
        assert all(attempt.at > min(unanswered) - SAME_MOMENT_SECONDS for attempt in again)
        unexplained -= set(again)
    assert not unexplained, "%d batches came again without need" % len(unexplained)
    return len(repeated)


def repeated_attempts(backend, kills):
    """Those of which each span came once more."""
    firsts, repeated = {}, {}
    for attempt in sorted(backend.accepted(), key=lambda attempt: sent_until(attempt, kills)):
        for head in attempt.heads:
            if head in firsts:
                repeated.setdefault(firsts[head], set()).add(head)
            else:
                firsts[head] = attempt
    for attempt, heads in repeated.items():
        # Who is killed next may have been sending what was repeated already, and more.
        own = {head for head in attempt.heads if firsts[head] is attempt}
        assert heads == own, "a batch came again in part"
    return list(repeated)


def sent_until(attempt, kills):
    """When it was sent at the latest: before it was read, and before its sender was killed."""
    kill = killed_by(attempt.link, kills)
    return min(attempt.at, kill.at) if kill else attempt.at


def killed_by(link, kills):
    """What ended the connection; None when it was not a kill."""
    found = [kill for kill in kills
             if link.port in kill.ports and link.began_at < kill.at + READ_LATE_SECONDS]
    return found[0] if found else None
