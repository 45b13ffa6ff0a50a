#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints a row for each long test of a ctest run: build, id, result, figure, seconds.

    rows.py <build> <report>        report: what ctest --output-junit wrote

A long test is called long.<id>.<name>: the id is its row's in docs/reliability.md, or "-" where it has none.
Its figures are the lines of its output that begin with "figure: ".
"""

import sys
import xml.etree.ElementTree


def rows(build, report):
    for case in xml.etree.ElementTree.parse(report).getroot().iter("testcase"):
        kind, _, rest = case.get("name").partition(".")
        if kind != "long":
            continue
        row, _, name = rest.partition(".")
        result = "passed" if case.get("status") == "run" else "failed"
        figures = [line.partition(": ")[2] for line in (case.findtext("system-out") or "").splitlines()
                   if line.startswith("figure: ")]
        yield "%-4s  %-3s  %s  %-60s  %4d s" % (build, row, result, "; ".join(figures) or name,
                                                round(float(case.get("time"))))


if __name__ == "__main__":
    for row in rows(*sys.argv[1:]):
        print(row)
