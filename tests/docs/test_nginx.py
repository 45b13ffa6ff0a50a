# SPDX-License-Identifier: MIT
"""docs/nginx.md says what the module has, no more and no less, and nginx takes every example."""

import json
import re
import sys

import pytest

import markdown
from headers import ENVIRONMENTS, variables

sys.path.insert(0, str(markdown.ROOT / "tests" / "system"))

import client  # noqa: E402
from nginx import Nginx  # noqa: E402

PAGE = markdown.ROOT / "docs" / "nginx.md"
SOURCES = sorted((markdown.ROOT / "nginx_module").glob("ngx_http_tracez*.c"))

CONTEXTS = {"NGX_HTTP_MAIN_CONF": "http", "NGX_HTTP_SRV_CONF": "server",
            "NGX_HTTP_LOC_CONF": "location"}


# ---- What the module's tables say ----------------------------------------------------------------

def table(name):
    """The text between the braces of a static array."""
    for source in SOURCES:
        found = re.search(name + r"\[\]\s*=\s*\{(.*?)\n\};", source.read_text(), re.DOTALL)
        if found:
            return found.group(1)
    raise AssertionError("no table %s" % name)


def directives():
    """{name: contexts}"""
    levels = re.search(r"define NGX_HTTP_TRACEZ_LEVELS[\s\\]*(\S+)",
                       "".join(source.read_text() for source in SOURCES)).group(1)
    rows = re.findall(r'ngx_string\("(\w+)"\),\s*([A-Z0-9_|\s]+),',
                      table("ngx_http_tracez_commands"))
    return {name: [context for flag, context in CONTEXTS.items()
                   if flag in where.replace("NGX_HTTP_TRACEZ_LEVELS", levels)]
            for name, where in rows}


def names_in(array):
    return re.findall(r'ngx_string\("(\w+)"\)', table(array))


# ---- The tables and the page ---------------------------------------------------------------------

def test_every_directive_has_a_section_and_the_reverse():
    sections = [heading for heading in markdown.headings(PAGE) if heading.startswith("tracez")]

    assert len(sections) > 10
    assert sorted(sections) == sorted(directives())


@pytest.mark.parametrize("name, contexts", directives().items())
def test_a_directive_has_syntax_default_context_and_an_example(name, contexts):
    section = markdown.sections(PAGE, 3)[name]

    assert re.search(r"^syntax: +%s [^;]*;|^syntax: +%s \{" % (name, name), section, re.MULTILINE)
    assert re.search(r"^default: +\S", section, re.MULTILINE)
    assert re.search(r"^context: +(.*)$", section, re.MULTILINE).group(1).split(", ") == contexts
    assert "```nginx" in section and name in section.split("```nginx")[1]


def test_every_line_of_the_exporter_block_is_described_and_the_reverse():
    section = markdown.sections(PAGE, 3)["tracez_exporter"]

    described = re.findall(r"^\| `(\w+) [^`]*;`", section, re.MULTILINE)

    assert sorted(described) == sorted(names_in("ngx_http_tracez_settings") + ["include"])


def test_every_variable_is_described_and_the_reverse():
    section = markdown.sections(PAGE, 2)["Variables"]

    described = re.findall(r"^\| `\$(\w+)`", section, re.MULTILINE)

    assert sorted(described) == sorted(names_in("ngx_http_tracez_variables"))


def test_every_environment_variable_is_described_and_the_reverse():
    section = markdown.sections(PAGE, 2)["Environment variables"]
    read = [path for path in ENVIRONMENTS if path.parent.name not in ("mhd_adapter", "profiling")]
    read += [path for path in SOURCES if path.stem == "ngx_http_tracez_environment"]

    described = [name for line in section.splitlines() if line.startswith("| `")
                 for name in re.findall(r"`(\w+)`", line.split(" | ")[0])]

    assert len(described) > 40
    assert sorted(described) == sorted({name for path in read for name in variables(path)})


# ---- The examples --------------------------------------------------------------------------------

def in_http(block):
    """An example as the inside of http{}."""
    if block.kind == "http":
        return block.text
    if block.kind == "server":
        return "server { listen 127.0.0.1:{port_example};\n%s}" % block.text
    return "server { listen 127.0.0.1:{port_example}; location / {\n%s} }" % block.text


def parts_of_a_file(text):
    """(what stands beside http{}, its inside) of a whole file, without load_module and events."""
    start = re.search(r"^http \{$", text, re.MULTILINE)
    end = text.rindex("}")
    main = text[:start.start()] + text[end + 1:]
    main = re.sub(r"^load_module .*?;$|^events \{.*?\}$", "", main, flags=re.MULTILINE)
    return main, text[start.end():end]


def try_configuration(http, main=""):
    """nginx -t: (status, what it said). Words in braces are the example's own."""
    own = {word: "{%s}" % word for word in re.findall(r"\{([a-z_0-9]+)\}", http + main)
           if not word.startswith("port_")}
    nginx = Nginx(http=http, main=main, **own)
    (nginx.prefix / "logs").mkdir()
    said = nginx.test()
    nginx.discard()
    return said


@pytest.mark.parametrize("block", markdown.blocks("nginx"), ids=str)
def test_nginx_takes_the_example(block):
    assert block.kind in ("main", "http", "server", "location"), "say what it stands in"

    if block.kind == "main":
        main, http = parts_of_a_file(block.text)
        status, said = try_configuration(http, main)
    else:
        status, said = try_configuration(in_http(block))

    assert status == 0, said


REFUSED = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \|", re.MULTILINE)


def refusals():
    """The table of mistakes in docs/troubleshooting.md: (configuration, what nginx says)."""
    section = markdown.sections(markdown.ROOT / "docs" / "troubleshooting.md", 2)[
        "nginx -t refuses the configuration"]
    return REFUSED.findall(section)


def test_there_are_refusals():
    assert len(refusals()) >= 8


@pytest.mark.parametrize("line, message", refusals())
def test_nginx_refuses_the_mistake_in_these_words(line, message):
    if not line.startswith("tracez"):
        line = "tracez_exporter {\n%s\n}" % line

    status, said = try_configuration("\n%s\n" % line)

    assert status != 0
    assert message in said


# ---- The status page -----------------------------------------------------------------------------

STATUS = """
    tracez on;
    tracez_exporter { endpoint http://127.0.0.1:{port_nobody}; shutdown_timeout 100ms; }
    server {
        listen 127.0.0.1:{port_http};
        location = /tracez { tracez_status; }
    }
"""


def shape(value):
    """The keys of an object, in order, with the shapes below; a list by its first element."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])]
    return type(value).__name__


def test_the_status_page_has_the_fields_of_the_example():
    example = [block for block in markdown.blocks("json", "status") if block.path == PAGE][0]

    with Nginx(http=STATUS) as nginx:
        page = json.loads(client.get(nginx.port["http"], "/tracez").body)

    assert shape(page) == shape(json.loads(example.text))


def test_the_books_of_the_example_balance():
    example = [block for block in markdown.blocks("json", "status") if block.path == PAGE][0]
    books = json.loads(example.text)["ledger"]

    assert books["requests"] == books["traced"] + books["not_traced"]
    assert books["started"] == books["not_recorded"] + books["recorded"]
    assert books["recorded"] == sum(books[name] for name in (
        "live", "not_kept", "queued", "inflight", "exported")) + sum(books["dropped"].values())


def test_the_metrics_are_all_described_and_the_reverse():
    section = markdown.sections(PAGE, 2)["The status page"]

    with Nginx(http=STATUS) as nginx:
        text = client.get(nginx.port["http"], "/tracez?format=prometheus").body.decode()

    metrics = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    assert metrics and metrics == set(re.findall(r"^\| `((?:tracez|otel)_\w+)", section,
                                                 re.MULTILINE))
