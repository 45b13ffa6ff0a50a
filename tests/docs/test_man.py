# SPDX-License-Identifier: MIT
"""The man pages against the public headers, both ways: a page for each header, which names everything that the header
has, with the same prototypes, and nothing that no header has. Each formats without a warning; its example compiles."""

import os
import re
import subprocess

import pytest

import markdown
from headers import (ENVIRONMENTS, HEADERS, code_of, constants, functions, macros, members, objects, one_form, types,
                     variables)

FOLDER = markdown.ROOT / "docs" / "man"
PAGES = sorted(FOLDER.glob("*.3"))

# What was built: without the adapter for libmicrohttpd, or profiling, their examples do not compile.
INCLUDES = os.environ["TRACEZ_INCLUDES"].split(":")
OPTIONAL = {"tracez_mhd": "mhd_adapter", "tracez_profiling": "profiling"}
BUILT = [path for path in PAGES
         if path.stem not in OPTIONAL or any(OPTIONAL[path.stem] in name for name in INCLUDES)]

# "referenced manual not found" looks among the installed pages: ours may not be.
ELSEWHERE = "referenced manual not found"


def page_of(name):
    return (FOLDER / (name + ".3")).read_text()


# ---- What a page has -----------------------------------------------------------------------------

def words(page):
    return set(re.findall(r"\w+", page))


def prototypes(page):
    """{name: prototype, in one form} of the synopsis."""
    found = {}
    for result, name, body in re.findall(r"^\.Ft (.*)\n\.Fo (\w+)\n((?:\.Fa .*\n)*)\.Fc$", page, re.MULTILINE):
        parameters = [line[4:].strip('"') for line in body.splitlines()]
        found[name] = one_form(result, name, ", ".join(parameters))
    return found


def marked(page, macro):
    """Everything behind this macro: .Va name, .It Ev A , Ev B"""
    lines = "\n".join(line for line in page.splitlines() if line.startswith("."))
    return {name for group in re.findall(r"\b%s (?:\( )?([\w.]+)" % macro, lines) for name in group.split(".")}


# ---- The tests -----------------------------------------------------------------------------------

def test_every_header_has_a_page_and_the_reverse():
    assert len(HEADERS) >= 8
    assert sorted(path.stem for path in PAGES) == sorted(HEADERS)


def test_the_headers_are_read():
    text = code_of(HEADERS["tracez"])

    assert {"TRACEZ_KIND_SERVER", "TRACEZ_MATCH_NAMED_ONLY", "TRACEZ_OK", "TRACEZ_DROP_COUNT"} <= constants(text)
    assert {"TRACEZ_TAGS_MAX", "TRACEZ_WRITERS_MAX", "tracez_config_init", "TRACEZ_DROPS"} <= macros(text)
    assert {"tracez_span", "tracez_collector", "tracez_match_fn", "tracez_drop"} <= types(text)
    assert {"bytes", "trace_id", "unix_ns", "boolean", "items", "queued", "span_bytes_max"} <= members(text)
    assert functions(text)["tracez_result_text"] == "const char*tracez_result_text(enum tracez_result result)"
    assert {"tracez_span_set_string", "tracez_span_set_format", "tracez_tracer_create"} <= set(functions(text))


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_everything_that_a_header_has_is_named(name):
    text, page = code_of(HEADERS[name]), page_of(name)
    named = words(page) | {"TRACEZ_KEY_ID_" + word for word in words(page) if name == "tracez_keys"}

    assert sorted((macros(text) | constants(text) | types(text) | objects(text) | set(functions(text))) - named) == []
    description = page.split("\n.Sh DESCRIPTION\n")[1].split("\n.Sh ")[0]
    assert sorted(members(text) - marked(description, "Va")) == []


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_nothing_is_named_that_no_header_has(name):
    headers = [code_of(path) for path in HEADERS.values()]
    known = {word for text in headers for word in words(text) | constants(text)} | set(HEADERS)
    known |= {variable for path in ENVIRONMENTS for variable in variables(path)}
    known.add(name.upper())  # the title

    assert sorted(word for word in words(page_of(name))
                  if word.lower().startswith("tracez_") and word not in known) == []


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_the_synopsis_is_the_headers(name):
    assert prototypes(page_of(name)) == functions(code_of(HEADERS[name]))


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.parent.name)
def test_every_environment_variable_is_described_and_the_reverse(path):
    page = page_of({"core": "tracez_environment", "exporter": "tracez_exporter",
                    "mhd_adapter": "tracez_mhd", "profiling": "tracez_profiling"}[path.parent.name])

    assert sorted(marked(page, "Ev")) == sorted(variables(path))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_formats_without_a_warning(path):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "style", str(path)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60)

    assert [line for line in done.stdout.splitlines() if ELSEWHERE not in line] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_refers_to_pages_that_there_are(path):
    referred = re.findall(r"\bXr (?:\( )?(\w+) 3", path.read_text())

    assert referred
    assert sorted(set(referred) - set(HEADERS)) == []


@pytest.mark.parametrize("path", BUILT, ids=lambda path: path.stem)
def test_the_example_compiles(path, tmp_path):
    section = path.read_text().split("\n.Sh EXAMPLES\n")[1]
    example = re.search(r"^\.Bd -literal -offset indent\n(.*?)^\.Ed$", section, re.DOTALL | re.MULTILINE).group(1)
    source = tmp_path / "example.c"
    source.write_text(re.sub(r"^\\&", "", example, flags=re.MULTILINE).replace("\\e", "\\"))

    done = subprocess.run(
        [*os.environ["TRACEZ_CC"].split(), "-std=c11", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror",
         *("-I%s" % folder for folder in INCLUDES), "-fsyntax-only", str(source)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)

    assert done.returncode == 0, done.stdout
