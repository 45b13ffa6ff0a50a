# SPDX-License-Identifier: MIT
"""The traceparent headers that clients of the tests send: each with a trace id of its own."""

import os
import re


class Traceparent:
    def __init__(self, flags="01", trace_id=None, parent_id=None):
        self.trace_id = trace_id or os.urandom(16).hex()
        self.parent_id = parent_id or os.urandom(8).hex()
        self.flags = flags
        self.text = "00-%s-%s-%s" % (self.trace_id, self.parent_id, flags)
        self.header = ("traceparent", self.text)


def fields_of(text):
    """(trace id, span id, flags) of a header that we sent on; fails where it is malformed."""
    match = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", text)
    assert match, "not a traceparent: %r" % text
    return match.groups()
