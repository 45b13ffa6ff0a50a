# SPDX-License-Identifier: MIT
"""A name server that answers as it is told, in a network of its own."""

import socket
import struct
import threading

from deaf import BlackHole

UNKNOWN = "NXDOMAIN"
FAILURE = "SERVFAIL"
SILENCE = "silence"

CODES = {UNKNOWN: 3, FAILURE: 2}
IS_ANSWER, IS_RECURSIVE = 0x8000, 0x0180
TYPE_A, CLASS_IN = 1, 1
SECONDS_TO_LIVE = 60


class NameServer(BlackHole):
    """As BlackHole, but every name has the same answer: one of the above, or an address."""

    def __init__(self, function):
        super().__init__(function)
        self.answer = UNKNOWN
        self.questions = 0

    def _enter(self):
        super()._enter()
        self._server.settimeout(0.1)  # to see that it was closed
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                question, asker = self._server.recvfrom(4096)
            except TimeoutError:
                continue
            except OSError:
                return  # closed
            self.questions += 1
            if self.answer != SILENCE:
                self._server.sendto(answer(question, self.answer), asker)


def answer(question, what):
    """To a question in the form of RFC 1035, section 4."""
    number, = struct.unpack_from("!H", question)
    name_end = question.index(b"\0", 12) + 1
    asked_type, _ = struct.unpack_from("!HH", question, name_end)
    records = b""
    if what not in CODES and asked_type == TYPE_A:
        records = struct.pack("!HHHIH", 0xC00C, TYPE_A, CLASS_IN, SECONDS_TO_LIVE, 4) + socket.inet_aton(what)
    head = struct.pack("!HHHHHH", number, IS_ANSWER | IS_RECURSIVE | CODES.get(what, 0), 1, len(records) > 0, 0, 0)
    return head + question[12:name_end + 4] + records
