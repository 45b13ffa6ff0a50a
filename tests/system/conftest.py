# SPDX-License-Identifier: MIT
"""Fixtures: the codecs (one of each for the session), and a backend whose every batch it reads."""

import pytest

import codec as codec_
import zipkin as zipkin_
from backend import Backend


@pytest.fixture(scope="session")
def codec():
    opened = codec_.Codec(codec_.find_node_modules())
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def zipkin():
    opened = zipkin_.Zipkin(zipkin_.find_reader())
    yield opened
    opened.close()


@pytest.fixture
def figure(record_property):
    """figure("%d exits, the longest took %.2f s", …): what a test saw. Printed at the end as a line "figure: …",
    which scripts/test --long shows in the test's row."""
    return lambda text, *values: record_property("figure", text % values)


def pytest_terminal_summary(terminalreporter):
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties if report.when == "call" else ():
                if name == "figure":
                    terminalreporter.write_line("figure: %s%s" % (parameters_of(report), value))


def parameters_of(report):
    """"QUIT, " of test_name[QUIT]"""
    _, bracket, rest = report.nodeid.partition("[")
    return rest[:-1] + ", " if bracket else ""


@pytest.fixture
def backend(codec):
    yield from run_backend(codec)


@pytest.fixture
def other_backend(codec):
    yield from run_backend(codec)


@pytest.fixture(scope="module")
def module_backend(codec):
    """For tests that look at the same run."""
    yield from run_backend(codec)


def run_backend(codec, path=None):
    """A running backend. At the end every batch that it ever got is decoded strictly."""
    opened = Backend(path).start()
    yield opened
    opened.stop()
    for attempt in opened.attempts:
        codec.check(attempt.body)
