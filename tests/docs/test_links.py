# SPDX-License-Identifier: MIT
"""What a reader clicks on, copies or looks up exists and is well-formed."""

import json
import re

import pytest

import markdown


@pytest.mark.parametrize("path", markdown.files(), ids=lambda path: str(path.relative_to(markdown.ROOT)))
def test_every_relative_link_leads_somewhere(path):
    broken = []

    for number, target in markdown.links(path):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        aim = (path.parent / name).resolve() if name else path
        if not aim.exists():
            broken.append("line %d: no %s" % (number, target))
        elif anchor and anchor not in markdown.anchors(aim):
            broken.append("line %d: no heading for #%s in %s" % (number, anchor, aim.name))

    assert not broken


def test_the_files_that_a_stranger_looks_for_are_there():
    for name in ("README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "docs/quickstart.md",
                 "docs/troubleshooting.md", "docs/migration-from-nginx-otel.md", "docs/nginx.md"):
        assert (markdown.ROOT / name).is_file(), name


@pytest.mark.parametrize("block", markdown.blocks("json"), ids=str)
def test_every_json_example_is_json(block):
    json.loads(block.text)


def test_the_drop_reasons_are_all_explained():
    header = (markdown.ROOT / "core/include/tracez/tracez.h").read_text()
    reasons = [line.split('"')[1] for line in
               header.split("#define TRACEZ_DROPS(X)")[1].split("enum tracez_drop")[0].splitlines()
               if '"' in line]
    explained = markdown.sections(markdown.ROOT / "docs/exporter.md", 2)[
        "What is dropped, and when"]

    assert len(reasons) > 5
    assert [reason for reason in reasons if "`%s`" % reason not in explained] == []


def test_every_script_that_is_named_exists():
    named = {name for path in markdown.files()
             for name in re.findall(r"\bscripts/[\w-]+", path.read_text())}

    assert "scripts/demo" in named
    assert sorted(name for name in named if not (markdown.ROOT / name).exists()) == []
