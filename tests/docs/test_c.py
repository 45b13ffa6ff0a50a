# SPDX-License-Identifier: MIT
"""The C programs of the documentation compile without a warning, link and start."""

import os
import subprocess

import pytest

import markdown

PROGRAMS = markdown.blocks("c", "program")


def compile_program(block, directory):
    source = directory / "program.c"
    source.write_text(block.text)
    program = directory / "program"
    done = subprocess.run(
        [*os.environ["TRACEZ_CC"].split(), "-std=c11", "-Wall", "-Wextra", "-Werror",
         *("-I%s" % path for path in os.environ["TRACEZ_INCLUDES"].split(":")), str(source),
         "-o", str(program), *os.environ["TRACEZ_LIBRARIES"].split(":"),
         "-lcurl", "-ljansson", "-lz", "-lpthread"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    return program


def test_the_readme_has_a_program():
    assert [block for block in PROGRAMS if block.path.name == "README.md"]


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_the_program_compiles_and_ends_well(block, tmp_path):
    program = compile_program(block, tmp_path)

    done = subprocess.run([str(program)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=60)

    assert (done.returncode, done.stdout) == (0, "")
