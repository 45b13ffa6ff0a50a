# SPDX-License-Identifier: MIT
"""The web shop that the shapes of shapes.py are sent to: one nginx configuration with a location for
each thing that nginx can do to a request, and the application behind it."""

import subprocess

from upstream import Upstream, answer

NAME = "shop.example"

HTTP = """
    tracez {tracez};
    log_format status "$remote_port $status";

    root {prefix}/html;
    client_header_buffer_size 1k;
    large_client_header_buffers 4 8k;
    client_max_body_size 10k;
    client_header_timeout 1s;
    client_body_timeout 1s;

    ssl_certificate {prefix}/html/shop.crt;
    ssl_certificate_key {prefix}/html/shop.key;
    upstream application { server {upstream}; }
    upstream both {
        server 127.0.0.1:{port_nobody} max_fails=0;
        server {upstream} max_fails=0 backup;
    }

    server {
        listen 127.0.0.1:{port_shop};
        listen 127.0.0.1:{port_h2} http2;
        listen 127.0.0.1:{port_tls} ssl;
        server_name shop.example;
        access_log {prefix}/access.log status;

        location = /return { return 200 "hello\\n"; }
        location = /moved { return 301 /return; }
        location = /empty { return 204; }
        location = /broken { return 500; }
        location = /unavailable { return 503; }
        location = /forbidden { deny all; }
        location = /dropped { return 444; }

        location /proxy/ { proxy_pass http://application; }
        location /upload/ { client_max_body_size 2m; proxy_pass http://application; }
        location = /refused { proxy_pass http://127.0.0.1:{port_nobody}; }
        location = /twice { proxy_pass http://both; proxy_next_upstream error; }
        location = /hangs { proxy_pass http://application; }
        location = /accel { proxy_pass http://application; }
        location = /accel-named { proxy_pass http://application; }
        location /internal/ { internal; }
        location = /upgrade {
            proxy_pass http://application;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }

        location /try/ { try_files $uri /fallback.txt; }
        location /try-named/ { try_files $uri @named; }
        location @named { return 200 "named\\n"; }
        location /error-page/ { error_page 404 /not-found.txt; }
        location /error-page-200/ { error_page 404 =200 /not-found.txt; }
        location /error-page-named/ { error_page 404 = @named; }
        location /error-page-missing/ { error_page 404 /nowhere.txt; }
        location /rewrite/ { rewrite ^ /return last; }
        location /rewrite-break/ { rewrite ^/rewrite-break/(.*)$ /$1 break; }
        location /rewrite-proxy/ { rewrite ^ /proxy/ok break; proxy_pass http://application; }

        location /auth-ok/ { auth_request /auth/yes; alias {prefix}/html/; }
        location /auth-no/ { auth_request /auth/no; alias {prefix}/html/; }
        location /auth/ {
            internal;
            proxy_pass http://application;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }
        location /mirror/ { mirror /mirrored; alias {prefix}/html/; }
        location = /mirrored { internal; proxy_pass http://application; }
        location /ssi/ { ssi on; }
        location /addition/ { add_after_body /proxy/part; alias {prefix}/html/; }
        location /slice/ {
            slice 1k;
            proxy_set_header Range $slice_range;
            proxy_pass http://application;
        }
        location /gzip/ {
            gzip on;
            gzip_min_length 1;
            gzip_types text/plain;
            alias {prefix}/html/;
        }
        location = /big.txt { limit_rate 64k; limit_rate_after 64k; }
        location /untraced/ { tracez off; alias {prefix}/html/; }
    }
    server {
        listen 127.0.0.1:{port_bare};
        server_name shop.example;
        access_log {prefix}/access.log status;
        return 200 "bare\\n";
    }
    server {
        listen 127.0.0.1:{port_elsewhere};
        tracez on; # when the shop is not traced, the module is at work all the same
    }
"""

FILES = {
    "static.txt": b"static\n",
    "fallback.txt": b"fallback\n",
    "not-found.txt": b"nothing here\n",
    "index.html": b"<p>index</p>\n",
    "dir/index.html": b"<p>dir</p>\n",
    "internal/report.txt": b"a report\n",
    "big.txt": b"x" * 8 * 1024 * 1024,
    "ssi/page.html": b'<!--# include virtual="/proxy/part" --><!--# include virtual="/return" -->',
}

SLICED = bytes(range(256)) * 12


def serve_slice(received):
    """Answers the Range that nginx's slice module asks for, 1 KiB each."""
    start = int(received.header("Range").partition("=")[2].partition("-")[0])
    part = SLICED[start:start + 1024]
    return answer("206 Partial Content", part, [("ETag", '"1"'), (
        "Content-Range", "bytes %d-%d/%d" % (start, start + len(part) - 1, len(SLICED)))])


def start_application():
    """What it does not know it answers with 404."""
    return Upstream({
        "/proxy/ok": answer(body=b"from the application\n"),
        "/proxy/part": answer(body=b"a part\n"),
        "/proxy/error": answer("503 Service Unavailable", b"busy\n"),
        "/proxy/missing": answer("404 Not Found", b"no\n"),
        "/upload/ok": answer("201 Created", b"taken\n"),
        "/twice": answer(body=b"second\n"),
        "/accel": answer(headers=[("X-Accel-Redirect", "/internal/report.txt")]),
        "/accel-named": answer(headers=[("X-Accel-Redirect", "@named")]),
        "/auth/yes": answer("204 No Content"),
        "/auth/no": answer("401 Unauthorized"),
        "/mirrored": answer(),
        "/slice/file": serve_slice,
        "/upgrade": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                    b"Upgrade: echo\r\n\r\nthrough the tunnel",
        "/hangs": None,
    })


def write_certificate(directory):
    """shop.crt and shop.key, signed by itself, for port["tls"]."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=" + NAME,
                    "-keyout", str(directory / "shop.key"), "-out", str(directory / "shop.crt")],
                   check=True, capture_output=True, timeout=30)
