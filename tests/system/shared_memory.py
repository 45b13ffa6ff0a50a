# SPDX-License-Identifier: MIT
"""The shared memory of a running nginx, as somebody else's stray write sees it: found by the name that
anonymous shared mappings have in /proc/PID/maps, written through /proc/PID/mem."""

import random
import re

# What tracez's own parts begin with (core/buffer.c, core/ledger.c, nginx_module/..._zones.c).
BUFFER = b"trczbuf1"
LEDGER = (0x74726163657A6C67).to_bytes(8, "little")

MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw-s .* /dev/zero \(deleted\)$", re.MULTILINE)


def mappings(pid):
    """(address, bytes) of each anonymous shared mapping."""
    with open("/proc/%d/maps" % pid) as maps:
        return [(int(begin, 16), int(end, 16) - int(begin, 16))
                for begin, end in MAPPING.findall(maps.read())]


def find(memory, pid, magic):
    """Where this begins, as it is aligned; there must be one."""
    found = []
    for address, size in mappings(pid):
        memory.seek(address)
        content = memory.read(size)
        found += [address + match.start() for match in re.finditer(re.escape(magic), content)
                  if match.start() % 64 == 0]
    assert len(found) == 1, (magic, found)
    return found[0]


def write(pid, magic, offset, content):
    """Writes that many bytes behind where this begins: all processes that share it see that."""
    with open("/proc/%d/mem" % pid, "r+b", buffering=0) as memory:
        memory.seek(find(memory, pid, magic) + offset)
        assert memory.write(content) == len(content)


def overwrite(pid, magic, size, seed):
    """Overwrites so many bytes from there on with noise."""
    write(pid, magic, 0, random.Random(seed).randbytes(size))
