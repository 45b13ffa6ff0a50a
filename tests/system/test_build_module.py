# SPDX-License-Identifier: MIT
"""scripts/build-module: what nginx's own configure makes of nginx_module/config loads and traces, and
who asks for what cannot work is told so before anything is built."""

import hashlib
import pathlib
import re
import subprocess

import pytest

import client
import shop
from nginx import find_nginx
from spans import parse
from traced import TracedNginx

ROOT = pathlib.Path(__file__).resolve().parents[2]
NGINX = find_nginx()
SOURCES = NGINX.parents[1] / "share" / "nginx" / "src"

HTTP = """
    tracez on;
    ssl_certificate {prefix}/html/shop.crt;
    ssl_certificate_key {prefix}/html/shop.key;
    server {
        listen 127.0.0.1:{port_plain};
        listen 127.0.0.1:{port_tls} ssl;
        return 200;
    }
"""


def build_module(*arguments, **environment):
    """(status, everything it said)"""
    done = subprocess.run([ROOT / "scripts" / "build-module", *arguments], cwd="/", text=True,
                          env={"PATH": "/usr/bin:/bin", **environment}, timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def contents(directory):
    """{path: digest} of all files below."""
    return {path: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in directory.rglob("*") if path.is_file()}


def write_script(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module", params=["as that nginx", "with --with-compat only"])
def module(request, tmp_path_factory):
    """The file of the load_module line, built in both ways."""
    chosen = ["--nginx", NGINX] if request.param == "as that nginx" else []
    output = tmp_path_factory.mktemp("module")
    before = contents(SOURCES)

    status, said = build_module(SOURCES, "--output", output, *chosen)

    assert status == 0, said
    assert contents(SOURCES) == before
    path, = re.findall(r"^ +load_module (.*);$", said, re.MULTILINE)
    return pathlib.Path(path)


def test_the_module_traces(module, backend, monkeypatch):
    monkeypatch.setenv("TRACEZ_MODULE", str(module))
    opened = TracedNginx(HTTP, backend)
    shop.write_certificate(opened.prefix / "html")

    with opened as nginx:
        client.get(nginx.port["plain"], "/plain")
        client.exchange(nginx.port["tls"], client.request(target="/tls"), tls=True)
        nginx.settle()

    assert {(span.tags["url.path"], span.tags["url.scheme"]) for span in parse(backend.attempts)} == {
        ("/plain", "http"), ("/tls", "https")}


def test_the_module_shows_nothing_but_what_nginx_looks_for(module):
    listed = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", module],
                            capture_output=True, text=True, check=True).stdout

    assert {line.split()[0] for line in listed.splitlines()} == {
        "ngx_modules", "ngx_module_names", "ngx_module_order"}


def test_the_nginx_of_another_version_is_refused(tmp_path):
    other = write_script(tmp_path / "nginx", "echo 'nginx version: nginx/1.99.3' >&2")

    status, said = build_module(SOURCES, "--nginx", other, "--output", tmp_path / "module")

    assert status == 1
    assert "%s is 1.99.3, the sources in %s are 1.22.1" % (other, SOURCES) in said
    assert not (tmp_path / "module").exists()


@pytest.mark.parametrize("header", ["curl/curl.h", "jansson.h", "zlib.h"])
def test_a_missing_header_is_named(tmp_path, header):
    compiler = write_script(tmp_path / "cc", 'case "$*" in *%s*) exit 1 ;; esac' % header)

    status, said = build_module(SOURCES, "--output", tmp_path / "module", CC=str(compiler))

    assert (status, "missing headers: %s (" % header in said) == (1, True), said


def test_a_build_that_fails_shows_why(tmp_path):
    sources = tmp_path / "nginx"
    (sources / "src" / "core").mkdir(parents=True)
    (sources / "src" / "core" / "nginx.h").write_text('#define NGINX_VERSION      "1.22.1"\n')
    write_script(sources / "configure", "echo 'the moon is in the wrong phase'; exit 1")

    status, said = build_module(sources, "--output", tmp_path / "module")

    assert status == 1
    assert "the moon is in the wrong phase" in said
    assert str(tmp_path / "module" / "build.log") in said


def test_a_folder_without_sources_and_one_inside_of_them_are_refused(tmp_path):
    assert build_module(tmp_path) == (
        1, "build-module: %s: no sources of nginx (there is no src/core/nginx.h)\n" % tmp_path)
    assert build_module(SOURCES, "--output", SOURCES / "module") == (
        1, "build-module: %s/module lies in the sources, which stay as they are\n" % SOURCES)


@pytest.mark.parametrize("arguments", [(), ("--nginx",), ("a", "b"), ("--prefix", "a")])
def test_wrong_arguments_get_the_usage(arguments):
    status, said = build_module(*arguments)

    assert (status, "scripts/build-module SOURCES [--nginx" in said) == (2, True), said
