# SPDX-License-Identifier: MIT
"""Prometheus' text format (0.0.4), read strictly: what it does not allow, or what makes no sense in it, fails the test."""

import math
import re

COMMENT = re.compile(r"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([0-9]+(?:\.[0-9]+)?)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?!$)|$)')
OF_HISTOGRAM = ("_bucket", "_sum", "_count")


def read(text):
    """{name with labels as they stand: value}"""
    assert text.endswith("\n") or not text
    samples, types, helped, family = {}, {}, set(), None
    for line in text.splitlines():
        comment = COMMENT.fullmatch(line)
        if comment:
            family = read_comment(comment, types, helped)
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        check_name(name, family, types[family], labels)
        key = name if labels is None else "%s{%s}" % (name, labels)
        assert key not in samples, key
        samples[key] = float(value)
    check_histograms(samples, types)
    return samples


def read_comment(comment, types, helped):
    """HELP, then TYPE, then the samples of a family; each family once."""
    kind, name, text = comment.groups()
    if kind == "HELP":
        assert name not in helped, name
        helped.add(name)
    else:
        assert name in helped and name not in types, name
        assert text in ("counter", "gauge", "histogram"), text
        assert name.endswith("_total") == (text == "counter"), name
        types[name] = text
    return name


def check_name(name, family, kind, labels):
    found = labels_of(labels)
    if kind == "histogram":
        assert name in [family + end for end in OF_HISTOGRAM], name
        assert ("le" in found) == name.endswith("_bucket"), name
    else:
        assert name == family and "le" not in found, name


def labels_of(text):
    """{name: value}; no name twice."""
    found, at = {}, 0
    while text and at < len(text):
        match = LABEL.match(text, at)
        assert match and match.group(1) not in found, text
        found[match.group(1)] = match.group(2)
        at = match.end()
    return found


def check_histograms(samples, types):
    """Bounds ascend to +Inf, counts never fall, and the last is _count."""
    series = {}
    for key, value in samples.items():
        name, _, labels = key.partition("{")
        if name.endswith("_bucket") and types.get(name[:-len("_bucket")]) == "histogram":
            found = labels_of(labels[:-1])
            bound = found.pop("le")
            series.setdefault((name[:-len("_bucket")], tuple(found.items())), []).append(
                (math.inf if bound == "+Inf" else float(bound), value))
    assert {name for name, _ in series} == {name for name, kind in types.items() if kind == "histogram"}
    for (name, labels), buckets in series.items():
        shown = "{%s}" % ",".join('%s="%s"' % label for label in labels) if labels else ""
        assert [bound for bound, _ in buckets] == sorted({bound for bound, _ in buckets}), name
        assert [count for _, count in buckets] == sorted(count for _, count in buckets), name
        assert buckets[-1] == (math.inf, samples[name + "_count" + shown]), name
        assert name + "_sum" + shown in samples, name


def buckets(samples, name, labels=""):
    """{upper bound as it stands: count of that bucket alone} of a histogram, without the empty ones."""
    found, below = {}, 0
    for key, value in samples.items():
        match = re.fullmatch(re.escape(name) + r'_bucket\{%sle="([^"]+)"\}' % re.escape(
            labels + "," if labels else ""), key)
        if match:
            if value > below:
                found[match.group(1)] = value - below
            below = value
    return found
