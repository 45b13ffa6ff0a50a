# SPDX-License-Identifier: MIT
"""Zipkin's own Go library (zipkin.go), kept running for the whole test session.

check(body) raises Refused when zipkin-go can't read the batch, or, field by field, reads anything else
than what was sent.
"""

import json
import os
import pathlib
import subprocess

from codec import Refused
from spans import distinct

HERE = pathlib.Path(__file__).parent


class Zipkin:
    def __init__(self, program):
        self._child = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def check(self, body):
        """Returns the spans of the batch."""
        sent = json.loads(body.decode("utf-8"), object_pairs_hook=distinct)
        self._child.stdin.write(b"%d\n" % len(body))
        self._child.stdin.write(body)
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError("zipkin.go ended, status %s" % self._child.wait())
        answer = json.loads(line)
        if "error" in answer:
            raise Refused("%s in %s" % (answer["error"], body[:2000]))
        for span, read in zip(sent, answer.get("spans", ())):
            read["traceId"] = read["traceId"].zfill(32)  # of 64 bits, it may be shorter
            for key in span.keys() | read.keys():
                if span.get(key) != read.get(key):
                    raise Refused("%s: %r was read as %r" % (key, span.get(key), read.get(key)))
        if len(answer.get("spans", ())) != len(sent):
            raise Refused("of %d spans some are missing" % len(sent))
        return sent

    def close(self):
        self._child.stdin.close()
        self._child.stdout.close()
        self._child.wait(timeout=10)


def find_reader():
    """What CMake built of zipkin.go; TRACEZ_ZIPKIN says otherwise."""
    said = os.environ.get("TRACEZ_ZIPKIN")
    if said:
        return pathlib.Path(said)
    for path in sorted((HERE.parents[1] / "build").glob("*/tests/system/zipkin")):
        return path
    raise FileNotFoundError("no reader of Zipkin's format: set TRACEZ_ZIPKIN")
