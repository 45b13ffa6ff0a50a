# SPDX-License-Identifier: MIT
"""What the demo says on the screen: colours only on a terminal, and only where nobody minds
(https://no-color.org)."""

import os
import sys

COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32"}
sys.stdout.reconfigure(encoding="utf-8")  # as the receiver writes, whatever the locale says
HAS_COLOURS = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def paint(text, colour):
    return "\033[%sm%s\033[0m" % (COLOURS[colour], text) if HAS_COLOURS else text


def say(text=""):
    """A line, at once: the receiver writes to the same screen."""
    print(text, flush=True)


def say_step(noun, text):
    say("  %s %s" % (paint("%-9s" % noun, "dim"), text))
