# SPDX-License-Identifier: MIT
"""What the public headers have, read out of their text: macros, constants, functions, types, members; and which
environment variables the libraries read."""

import re

import markdown

# By the name of the man page.
HEADERS = {("tracez" if path.stem == "tracez" else "tracez_" + path.stem): path
           for path in markdown.ROOT.glob("*/include/tracez/*.h")}
ENVIRONMENTS = sorted(markdown.ROOT.glob("*/environment.c"))


def code_of(path):
    """A header without its comments, each macro on one line."""
    return re.sub(r"\\\n", " ", re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL))


def declarations(text):
    """Without the macros."""
    return re.sub(r"^#.*$", "", text, flags=re.MULTILINE)


def macros(text):
    """But for the include guard, and what the header takes back."""
    defined = re.findall(r"^#define (\w+)", text, re.MULTILINE)
    return {name for name in defined
            if not name.endswith("_H") and not re.search(r"^#undef %s$" % name, text, re.MULTILINE)}


def constants(text):
    """Of enums, also of those that are made of a list, X(NAME, "text")."""
    found = set()
    lists = {name: re.findall(r"X\((\w+), ", rows)
             for name, rows in re.findall(r"^#define (\w+)\(X\)(.*)$", text, re.MULTILINE)}
    for body in re.findall(r"^enum \w+ \{(.*?)\}", text, re.DOTALL | re.MULTILINE):
        used = re.search(r"^ *(\w+)\(TRACEZ_\w+\)$", body, re.MULTILINE)
        if used:
            prefix = re.search(r"(TRACEZ_\w*)##name", body).group(1)
            found |= {prefix + row for row in lists[used.group(1)]}
            body = body.replace(used.group(0), "")
        found |= {piece.split()[0] for piece in declarations(body).split(",") if piece.strip()}
    return found


def functions(text):
    """{name: prototype, in one form}"""
    found = {}
    for match in re.finditer(r"^(?:TRACEZ_API|static inline)\s+([^;{]*?)(tracez_\w+)\(([^;{]*)[;{]",
                             declarations(text), re.DOTALL | re.MULTILINE):
        result, name, parameters = match.groups()
        parameters = re.sub(r"\)\s*TRACEZ_PRINTF\(.*", ")", parameters, flags=re.DOTALL).strip()[:-1]
        found[name] = one_form(result.replace("TRACEZ_MUST_CHECK", ""), name, parameters)
    return found


def objects(text):
    return set(re.findall(r"^extern [^;]*?(tracez_\w+)\[", declarations(text), re.MULTILINE))


def types(text):
    return (set(re.findall(r"^(?:struct|enum) (tracez_\w+)[ ;]", text, re.MULTILINE))
            | set(re.findall(r"^typedef .*?\(\*(tracez_\w+)\)", text, re.MULTILINE)))


def members(text, struct=r"\w+"):
    """Of all structs, or of this one."""
    found = set()
    for body in re.findall(r"^struct %s \{(.*?)^\};" % struct, text, re.DOTALL | re.MULTILINE):
        body = re.sub(r"\(\*(\w+)\)\([^)]*\)", r"\1", body)
        for names in re.findall(r"^\s+(?!struct \{|union \{)(?:const )?(?:struct |enum |unsigned )?\w+\s([^;{}]*);",
                                body, re.MULTILINE):
            found |= set(re.findall(r"(\w+)(?:\[[^\]]*\])?\s*(?:,|$)", names))
    return found


def one_form(result, name, parameters):
    text = "%s %s(%s)" % (result, name, parameters)
    return re.sub(r"\s*([(),*])\s*", r"\1", " ".join(text.split()))


def variables(path):
    """Environment variables that a source reads, or tells of."""
    return set(re.findall(r'"((?:OTEL|TRACEZ|ENABLE)_[A-Z_]+|\w+_(?i:proxy))"', path.read_text()))
