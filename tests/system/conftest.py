# SPDX-License-Identifier: MIT
"""Fixtures: the codec (one node for the session), and a backend whose every batch it reads."""

import pytest

import codec as codec_
from backend import Backend


@pytest.fixture(scope="session")
def codec():
    opened = codec_.Codec(codec_.find_node_modules())
    yield opened
    opened.close()


@pytest.fixture
def backend(codec):
    yield from run_backend(codec)


@pytest.fixture(scope="module")
def module_backend(codec):
    """For tests that look at the same run."""
    yield from run_backend(codec)


def run_backend(codec):
    """A running backend. At the end every batch that it ever got is decoded strictly."""
    opened = Backend().start()
    yield opened
    opened.stop()
    for attempt in opened.attempts:
        codec.check(attempt.body)
