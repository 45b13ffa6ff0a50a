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
    """A running backend. At the end every batch that it ever got is decoded strictly."""
    opened = Backend().start()
    yield opened
    opened.stop()
    for attempt in opened.attempts:
        codec.check(attempt.body)
