# SPDX-License-Identifier: MIT
"""What the documentation tests read out of Markdown: fenced blocks, headings, links.

A fenced block's info string says how it is checked: "c program" is compiled and run, "c server" is asked
too, "c file" and "c body" (the inside of a function) are compiled, "json" is parsed, "nginx main", "nginx http",
"nginx server" and "nginx location" are what stands inside of that in a configuration file, and nginx has to accept it."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]

FENCE = re.compile(r"^```(.*)$")
HEADING = re.compile(r"^(#{1,6}) +(.+?) *$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: +(\S+)")
CODE = re.compile(r"`[^`]*`")


class Block:
    def __init__(self, path, line, info, text):
        self.path = path
        self.line = line
        self.language, _, self.kind = info.partition(" ")
        self.text = text

    def __str__(self):
        return "%s:%d" % (self.path.relative_to(ROOT), self.line)


def files():
    """Every Markdown file of the project, that of no build."""
    found = [path for path in sorted(ROOT.rglob("*.md"))
             if not path.relative_to(ROOT).parts[0].startswith(("build", "."))
             and "node_modules" not in path.parts]
    assert ROOT / "README.md" in found
    return found


def split(path):
    """(lines outside of fenced blocks as (number, text), blocks)."""
    prose, blocks, inside = [], [], None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if fence and inside is None:
            inside = (number, fence.group(1).strip(), [])
        elif fence:
            blocks.append(Block(path, inside[0], inside[1], "".join(inside[2])))
            inside = None
        elif inside is not None:
            inside[2].append(line + "\n")
        else:
            prose.append((number, line))
    assert inside is None, "%s:%d: a fenced block without an end" % (path, inside[0])
    return prose, blocks


def blocks(language, kind=None):
    return [block for path in files() for block in split(path)[1]
            if block.language == language and kind in (None, block.kind)]


def headings(path):
    """Texts of the headings, without their marks."""
    return [HEADING.match(line).group(2).replace("`", "")
            for _, line in split(path)[0] if HEADING.match(line)]


def anchors(path):
    """What can stand behind "#" in a link to this file, as forges make it from headings."""
    found = []
    for heading in headings(path):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(slug if slug not in found else "%s-%d" % (slug, found.count(slug)))
    return found


def links(path):
    """(line number, target) of each link outside of code."""
    return [(number, match.group(1) or match.group(2))
            for number, line in split(path)[0] for match in LINK.finditer(CODE.sub("``", line))]


def sections(path, level):
    """{heading: its text, up to the next heading of this level or above, blocks included}"""
    found, current = {}, None
    in_block = False
    for line in path.read_text().splitlines():
        in_block ^= bool(FENCE.match(line))
        heading = None if in_block else HEADING.match(line)
        if heading and len(heading.group(1)) <= level:
            current = None
            if len(heading.group(1)) == level:
                current = found.setdefault(heading.group(2).replace("`", ""), [])
        elif current is not None:
            current.append(line)
    return {heading: "\n".join(lines) for heading, lines in found.items()}
