# SPDX-License-Identifier: MIT
"""docs/mhd.md says what the adapter has, no more and no less: settings, environment variables, endings."""

import re

import markdown
from headers import ENVIRONMENTS, HEADERS, code_of, members, variables

PAGE = markdown.ROOT / "docs" / "mhd.md"


def first_cells(section):
    """What stands in backquotes in the first cell of each row of the section's tables."""
    return [name for line in markdown.sections(PAGE, 2)[section].splitlines() if line.startswith("| `")
            for name in re.findall(r"`([\w.]+)`", line.split(" | ")[0])]


def test_every_environment_variable_has_a_row_and_the_reverse():
    read = {name for path in ENVIRONMENTS for name in variables(path)}

    assert len(read) > 40
    assert sorted(first_cells("Environment variables")) == sorted(read)


def test_every_setting_has_a_row_or_is_a_callback_and_the_reverse():
    settings = members(code_of(HEADERS["tracez_mhd"]), "tracez_mhd_config") - {"struct_bytes"}
    by_hand = set(re.findall(r"mhd\.(\w+) = ", markdown.sections(PAGE, 2)["By hand"])) - {"tracer"}

    assert {"handler_state", "connections_max"} <= settings
    assert sorted([*first_cells("Settings"), *by_hand, "uri_log_state"]) == sorted(settings)


def test_every_ending_has_a_row_and_the_reverse():
    endings = set(re.findall(r'^#define TRACEZ_HTTP_\w+ "(\w+)"', HEADERS["tracez_http"].read_text(), re.MULTILINE))

    assert len(endings) == 5
    assert endings <= set(first_cells("What a span carries"))
