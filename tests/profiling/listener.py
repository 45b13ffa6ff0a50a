# SPDX-License-Identifier: MIT
"""For gdb: prints a line of JSON for each of our probes that fires, and lets the program go on."""

import json

import gdb


def number(index):
    return int(gdb.parse_and_eval("$_probe_arg%d" % index))


def text(index, length=-1):
    """A string that ends in NUL, or is so many bytes long; None for NULL."""
    if number(index) == 0:
        return None
    return gdb.parse_and_eval("(const char *)$_probe_arg%d" % index).string(length=length)


def octets(index, length):
    return gdb.selected_inferior().read_memory(number(index), length).tobytes().hex()


READERS = {
    "span_start": lambda: [octets(0, 24), text(1, number(2))],
    "span_finish": lambda: [octets(0, 24), number(1), number(2), number(3)],
    "span_drop": lambda: [text(0), number(1), text(2)],
    "batch_start": lambda: [number(0), number(1), number(2), number(3)],
    "batch_end": lambda: [number(0), number(1), number(2), text(3), number(4)],
}


class Listener(gdb.Breakpoint):
    def __init__(self, probe):
        super().__init__("-probe-stap tracez:" + probe)
        self.probe = probe

    def stop(self):
        print("fired " + json.dumps([self.probe, *READERS[self.probe]()]), flush=True)
        return False


for probe in READERS:
    Listener(probe)
gdb.execute("run")
