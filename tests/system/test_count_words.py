# SPDX-License-Identifier: MIT
"""A use outside of servers: the example that counts words, and the example receiver, which is told of every thread."""

import os
import subprocess

import pytest

from receiver import ROOT, Receiver


def find_program():
    said = os.environ.get("TRACEZ_COUNT_WORDS")
    return said or next(str(path) for path in sorted(ROOT.glob("build/*/examples/count_words")))


def count_words(*paths, **environment):
    """What it prints, and what it complains of."""
    done = subprocess.run([find_program(), *map(str, paths)], env={**os.environ, **environment},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def files(tmp_path):
    """Of 0 to 9 words."""
    made = [tmp_path / ("%d.txt" % n) for n in range(10)]
    for n, path in enumerate(made):
        path.write_text(" a\tword\n" * (n // 2) + ("odd" if n % 2 else ""))
    return made


def test_a_run_is_one_trace_with_a_child_for_each_file(files, tmp_path):
    missing = tmp_path / "missing.txt"
    with Receiver() as receiver:
        printed = count_words(*files, missing, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:%d" % receiver.port)
        known = receiver.known()["spans"]
        drawn = receiver.wait_until_written()

    assert printed == ("45 words in 11 files\n", "")
    [run] = [span for span in known if span["name"] == "run"]
    children = [span for span in known if span is not run]
    assert {span["service"] for span in known} == {"count_words"}
    assert {(span["trace_id"], span["parent_id"]) for span in children} == {(run["trace_id"], run["span_id"])}
    assert dict(run["tags"]) == {"run.words": "45"}
    assert {tags["file.path"]: tags["file.words"] for tags in (dict(span["tags"]) for span in children)} == {
        **{str(path): str(n) for n, path in enumerate(files)}, str(missing): "0"}
    assert drawn.count("└─ count_words  run") == 1
    assert drawn.count("error: there are no words to count") == 1


def test_without_a_backend_it_counts_as_well(files):
    assert count_words(*files[:3], OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
                       TRACEZ_EXPORTER_SHUTDOWN_TIMEOUT_MS="10") == ("3 words in 3 files\n", "")
