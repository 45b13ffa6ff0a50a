# SPDX-License-Identifier: MIT
"""The official OpenTelemetry codec (codec.js), kept running for the whole test session.

check(body) raises Refused with the place and the reason when the batch is not, field by field, what
OpenTelemetry's own generated code reads and writes. Node stays alive between calls: a batch of 512
spans takes about 20 ms, a start of node 300.
"""

import json
import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).parent


class Refused(AssertionError):
    """A batch that an OpenTelemetry receiver would not read as it was meant."""


class Codec:
    def __init__(self, node_modules):
        self._node = subprocess.Popen(
            ["node", str(HERE / "codec.js"), str(node_modules)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def check(self, body):
        """Returns the number of spans in the batch."""
        self._node.stdin.write(b"%d\n" % len(body))
        self._node.stdin.write(body)
        self._node.stdin.flush()
        line = self._node.stdout.readline()
        if not line:
            raise RuntimeError("codec.js ended, status %s" % self._node.wait())
        answer = json.loads(line)
        if not answer["ok"]:
            raise Refused("%s in %s" % (answer["error"], body[:2000]))
        return answer["spans"]

    def close(self):
        self._node.stdin.close()
        self._node.stdout.close()
        self._node.wait(timeout=10)


def find_node_modules():
    """Where fetch-codec put the codec; TRACEZ_CODEC_DIR says otherwise."""
    directory = os.environ.get("TRACEZ_CODEC_DIR") or HERE.parents[1] / "build" / "codec"
    return pathlib.Path(directory) / "node_modules"
