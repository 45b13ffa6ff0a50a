# SPDX-License-Identifier: MIT
"""How often: a few times with every commit, many times in scripts/test --long."""

import os

IS_LONG = os.environ.get("TRACEZ_LONG") == "1"


def times(few, many):
    return many if IS_LONG else few
