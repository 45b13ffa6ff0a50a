# SPDX-License-Identifier: MIT
"""The static probes: which there are, where, and with how many arguments, as readelf lists them; and what a debugger
that listens to them hears of a program that does a known number of things (probed.c)."""

import json
import os
import pathlib
import re
import subprocess
from collections import Counter

import pytest

HERE = pathlib.Path(__file__).parent
ARGUMENTS = {"span_start": 3, "span_finish": 4, "span_drop": 3, "batch_start": 4, "batch_end": 5}
OF_SPANS = {"span_start", "span_finish", "span_drop"}
OF_BATCHES = {"batch_start", "batch_end"}


def probes_in(path):
    """{probe: the counts of arguments of its places}, of our provider."""
    notes = subprocess.run(["readelf", "--notes", "--wide", path], capture_output=True, text=True, check=True).stdout
    found = {}
    for name, arguments in re.findall(r"Provider: tracez\n +Name: (\w+)\n.*\n +Arguments: *(.*)\n", notes):
        found.setdefault(name, set()).add(len(re.findall(r"-?\d+@", arguments)))
    return found


@pytest.mark.parametrize("variable, probes", [
    ("TRACEZ_CORE", OF_SPANS),
    ("TRACEZ_EXPORTER", OF_BATCHES),
    ("TRACEZ_MODULE", OF_SPANS | OF_BATCHES),
])
def test_probes_and_their_arguments_are_listed_in(variable, probes):
    path = os.environ.get(variable)
    if not path:
        pytest.skip("not built")

    assert probes_in(path) == {name: {ARGUMENTS[name]} for name in probes}


def test_the_guide_describes_each_probe_with_its_arguments():
    guide = (HERE.parents[1] / "docs" / "production.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| (.*) \|$", guide, re.MULTILINE)

    assert {name: len(re.findall(r"`arg\d`", cell)) for name, cell in rows if name in ARGUMENTS} == ARGUMENTS


@pytest.fixture(scope="module")
def heard():
    """[probe, argument…] of each that fired in probed.c, in order."""
    # Check's own processes are in the way of a debugger; a leak checker is a debugger itself.
    environment = {**os.environ, "CK_FORK": "no", "ASAN_OPTIONS": "detect_leaks=0", "DEBUGINFOD_URLS": ""}
    gdb = subprocess.run(
        ["gdb", "-nx", "-batch", "-ex", "set breakpoint pending off", "-x", HERE / "listener.py",
         os.environ["TRACEZ_PROBED"]],
        capture_output=True, text=True, timeout=120, env=environment)
    lines = [json.loads(line[len("fired "):]) for line in gdb.stdout.splitlines() if line.startswith("fired ")]

    assert "exited normally" in gdb.stdout, gdb.stdout + gdb.stderr
    return lines


def of(heard, probe):
    return [arguments for name, *arguments in heard if name == probe]


def test_a_span_starts_with_ids_and_name(heard):
    names = Counter(name for _, name in of(heard, "span_start"))

    assert names.pop("GET /probed") == 1
    assert names.total() == 10 + 3
    assert "no place" not in names


def test_a_span_finishes_with_the_ids_that_it_started_with_and_all_that_is_known_of_it(heard):
    started = [ids for ids, _ in of(heard, "span_start")]
    finished = of(heard, "span_finish")
    ids, duration_ns, status, kind = finished[0]

    assert [arguments[0] for arguments in finished] == started
    assert len(set(started)) == len(started)
    assert re.fullmatch("[0-9a-f]{48}", ids) and ids[:32] != "0" * 32 and ids[32:] != "0" * 16
    assert (duration_ns, status, kind) == (1234567, 2, 2)


def test_every_drop_is_told_with_its_reason(heard):
    assert of(heard, "span_drop") == [["no_slot", 1, None], ["queue_full", 1, "default"], ["rejected", 3, "default"]]


def test_a_batch_starts_with_its_spans_and_ends_with_its_outcome(heard):
    starts = of(heard, "batch_start")
    ends = of(heard, "batch_end")

    assert [(spans, attempt) for _, spans, _, attempt in starts] == [(10, 1), (10, 2), (3, 1)]
    assert [(spans, status, text) for _, spans, status, text, _ in ends] == [
        (10, 503, "HTTP 503"), (10, 200, "HTTP 200"), (3, 400, "HTTP 400")]
    assert [batch for batch, *_ in starts] == [batch for batch, *_ in ends]
    assert starts[0][0] == starts[1][0]
    assert starts[0][2] == starts[1][2] > starts[2][2] > 100
    assert all(0 < duration_ns < 120 * 10**9 for *_, duration_ns in ends)
