# SPDX-License-Identifier: MIT
"""The C of the documentation compiles without a warning; its programs link, run and end well, and its servers answer,
and send a span of it."""

import os
import subprocess
import sys

import pytest

import markdown

sys.path.insert(0, str(markdown.ROOT / "tests" / "system"))

import client  # noqa: E402
import ports  # noqa: E402
from backend import Backend  # noqa: E402
from polling import until  # noqa: E402

WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-unused-variable", "-Werror"]
INCLUDES = os.environ["TRACEZ_INCLUDES"].split(":")
HAS_MHD = any("mhd_adapter" in folder for folder in INCLUDES)
HAS_PROFILING = any("profiling/" in folder for folder in INCLUDES)

# What the fragments take for granted.
AROUND = """
#define _POSIX_C_SOURCE 200809L
#include <tracez/curl.h>
#include <tracez/exporter.h>
#include <tracez/monitor.h>
#include <tracez/preset.h>
#include <tracez/sampler.h>
%s
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
"""
AROUND_PROFILING = """
#include <tracez/profiling.h>
"""
AROUND_MHD = """
#include <tracez/mhd.h>
extern struct tracez_mhd_config mhd;
extern struct tracez_mhd *tracing;
extern struct MHD_Daemon *daemon;
extern struct MHD_Connection *connection;
extern struct MHD_Response *response;
enum MHD_Result handle(void *, struct MHD_Connection *, const char *, const char *, const char *, const char *, size_t *,
                       void **);
void completed(void *, struct MHD_Connection *, void **, enum MHD_RequestTerminationCode);
"""
AROUND_BODY = """
extern struct tracez_config config;
extern struct tracez_exporter_config destination;
extern struct tracez_tracer *tracer;
extern struct tracez_error error;
extern CURL *easy;
extern struct curl_slist *headers;
extern void *shop;
void find_user(int id);
void body(void);
void body(void)
{
%s
}
"""


def blocks(kind):
    """Without the adapter for libmicrohttpd, or profiling, what needs none."""
    return [block for block in markdown.blocks("c", kind)
            if (HAS_MHD or "mhd" not in block.text.lower()) and (HAS_PROFILING or "profiling" not in block.text)]


PROGRAMS = blocks("program")
SERVERS = blocks("server")


def compile_text(text, directory, *options):
    source = directory / "program.c"
    source.write_text(text)
    done = subprocess.run(
        [*os.environ["TRACEZ_CC"].split(), *WARNINGS, *("-I%s" % path for path in INCLUDES), str(source), *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def build(text, directory):
    program = directory / "program"
    compile_text(text, directory, "-o", str(program), *os.environ["TRACEZ_LIBRARIES"].split(":"),
                 *(["-lmicrohttpd"] if HAS_MHD else []), "-lcurl", "-ljansson", "-lz", "-lpthread")
    return program


def test_the_readme_has_a_program():
    assert [block for block in PROGRAMS if block.path.name == "README.md"]


def test_every_block_of_c_says_how_it_is_checked():
    assert [str(block) for block in markdown.blocks("c")
            if block.kind not in ("program", "server", "file", "body") and block.path.name != "style.md"] == []


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_the_program_compiles_and_ends_well(block, tmp_path):
    program = build(block.text, tmp_path)

    done = subprocess.run([str(program)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=60)

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("block", blocks("file") + blocks("body"), ids=str)
def test_the_fragment_compiles(block, tmp_path):
    around = AROUND % ((AROUND_MHD if HAS_MHD else "") + (AROUND_PROFILING if HAS_PROFILING else ""))

    compile_text(around + (block.text if block.kind == "file" else AROUND_BODY % block.text), tmp_path, "-fsyntax-only")


@pytest.fixture(name="backend")
def a_backend():
    backend = Backend().start()
    yield backend
    backend.stop()


def can_connect(port):
    try:
        client.connect(port).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("block", SERVERS, ids=str)
def test_the_server_answers_and_sends_a_span(block, backend, tmp_path):
    port = ports.free_port()
    program = build(block.text.replace("8080", str(port)), tmp_path)
    child = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, env={**os.environ, "TRACEZ_EXPORTER_ENDPOINT": backend.url})

    try:
        until("the server listens", lambda: can_connect(port) or child.poll() is not None)
        reply = client.get(port, "/hello")
        said, _ = child.communicate("\n", timeout=30)
    finally:
        child.kill()
        child.wait()

    assert (reply.status, child.returncode, said) == (200, 0, "")
    assert backend.span_count() == 1
    assert b'"/hello"' in backend.attempts[0].body
