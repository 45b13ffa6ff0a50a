# SPDX-License-Identifier: MIT
"""The shapes that a request can have: how each is sent, and the span that must come of it.

One nginx configuration serves them all. A Shape sends one or more requests, each with a traceparent
of its own where its headers are read at all, and says which spans must arrive, tag by tag. The same
table is sent with tracing on and off, to compare the responses byte by byte.
"""

import socket
import time

import client
import polling
from spans import ERROR, Expected, PARENT_IS_REMOTE, RANDOM, REMOTENESS_KNOWN, SAMPLED
from traceparents import Traceparent
from upstream import Upstream, answer

HTTP = """
    tracez {tracez};
    tracez_service_name shop;
    tracez_exporter {
        endpoint {endpoint};
        interval 20ms;
    }
    upstream application { server {upstream}; }

    server {
        listen 127.0.0.1:{port_shop};
        listen 127.0.0.1:{port_h2} http2;
        server_name shop.example;
        root {prefix}/html;
        client_header_buffer_size 1k;
        large_client_header_buffers 4 8k;
        client_max_body_size 10k;
        client_header_timeout 1s;
        reset_timedout_connection off;

        location = /return { return 200 "hello\\n"; }
        location = /moved { return 301 /return; }
        location = /empty { return 204; }
        location = /broken { return 500; }
        location = /unavailable { return 503; }
        location = /forbidden { deny all; }
        location = /dropped { return 444; }
        location /proxy/ { proxy_pass http://application; }
        location = /refused { proxy_pass http://127.0.0.1:{port_nobody}; }
        location = /twice {
            proxy_pass http://both;
            proxy_next_upstream error;
        }
        location = /hangs { proxy_pass http://application; }
        location = /accel { proxy_pass http://application; }
        location = /accel-named { proxy_pass http://application; }
        location /internal/ { internal; }
        location /try/ { try_files $uri /fallback.txt; }
        location /try-named/ { try_files $uri @named; }
        location @named { return 200 "named\\n"; }
        location /error-page/ { error_page 404 /not-found.txt; }
        location /error-page-200/ { error_page 404 =200 /not-found.txt; }
        location /error-page-named/ { error_page 404 = @named; }
        location /rewrite/ { rewrite ^ /return last; }
        location /rewrite-break/ { rewrite ^/rewrite-break/(.*)$ /$1 break; }
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
        location /gzip/ {
            gzip on;
            gzip_min_length 1;
            gzip_types text/plain;
            alias {prefix}/html/;
        }
        location = /limit-rate { limit_rate 20k; }
        location /untraced/ { tracez off; alias {prefix}/html/; }
    }
    upstream both {
        server 127.0.0.1:{port_nobody} max_fails=0;
        server {upstream} max_fails=0 backup;
    }
    server { listen 127.0.0.1:{port_status}; location / { tracez off; tracez_status; } }
"""

FILES = {
    "static.txt": b"static\n",
    "fallback.txt": b"fallback\n",
    "not-found.txt": b"nothing here\n",
    "index.html": b"<p>index</p>\n",
    "dir/index.html": b"<p>dir</p>\n",
    "internal/report.txt": b"a report\n",
    "limit-rate": b"x" * 4096,
    "ssi/page.html": b'<!--# include virtual="/proxy/part" --><!--# include virtual="/return" -->',
}


def start_upstream():
    """The application: what it does not know it answers with 404."""
    return Upstream({
        "/proxy/ok": answer(body=b"from the application\n"),
        "/proxy/part": answer(body=b"a part\n"),
        "/proxy/error": answer("503 Service Unavailable", b"busy\n"),
        "/proxy/missing": answer("404 Not Found", b"no\n"),
        "/twice": answer(body=b"second\n"),
        "/accel": answer(headers=[("X-Accel-Redirect", "/internal/report.txt")]),
        "/accel-named": answer(headers=[("X-Accel-Redirect", "@named")]),
        "/auth/yes": answer("204 No Content"),
        "/auth/no": answer("401 Unauthorized"),
        "/mirrored": answer(),
        "/hangs": None,
    })


class Shape:
    """A kind of request. send(nginx, shape) returns one Sent per request."""

    def __init__(self, title, send, upstream=()):
        self.title = title
        self.send = send
        self.upstream = upstream  # paths that the application must see, with our trace id

    def __repr__(self):
        return self.title


class Sent:
    """One request that went out: what came back, and the SERVER span that must come of it."""

    def __init__(self, reply, name, tags, parent=None, status=None):
        self.reply = reply
        self.expected = Expected(
            name, {key: value for key, value in tags.items() if value is not None},
            trace_id=parent.trace_id if parent else None,
            parent_id=parent.parent_id if parent else None,
            flags=flags_of(parent), status=status)


def flags_of(parent):
    """As OTLP has them: the trace's own flags, and whether the parent is somewhere else."""
    if parent is None:
        return SAMPLED | RANDOM | REMOTENESS_KNOWN
    return (int(parent.flags, 16) & (SAMPLED | RANDOM)) | REMOTENESS_KNOWN | PARENT_IS_REMOTE


def tags(nginx, reply, path, status, method="GET", port="shop", **changes):
    """What every request has in common; a change to None removes a tag. Underscores are dots."""
    found = {
        "http.request.method": method,
        "url.scheme": "http",
        "url.path": path,
        "server.address": "shop.example",
        "server.port": nginx.port[port],
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "network.peer.port": reply.port,
        "network.protocol.version": "1.1",
        "user_agent.original": client.AGENT,
        "http.response.status_code": status,
    }
    if status is not None and status >= 500:
        found["error.type"] = str(status)
    found.update(changes.pop("more", {}))
    assert not changes, changes
    return found


def plain(target, status, method="GET", headers=(), more=None, path=None, upstream=(), **request):
    """A request that is well formed, with the span that everything of its kind has."""
    title = "%s %s %s" % (method, target.split("?")[0], status)
    if request.get("version") == "1.0":
        title += " over HTTP/1.0"

    def send(nginx):
        parent = Traceparent()
        reply = client.exchange(nginx.port["shop"], client.request(
            method, target, [parent.header, *headers], **request))
        assert reply.status == status, reply.raw[:300]
        return [Sent(reply, method, tags(nginx, reply, path or target.split("?")[0], status,
                                         method, more=more or {}),
                     parent, ERROR if status >= 500 else None)]
    return Shape(title, send, upstream)


# ---- What is not one plain request ---------------------------------------------------------------


def raw(title, text, name, status, sent_status=None, **changes):
    """Bytes that nginx refuses while it reads them: a root span, made at the log phase. more=None
    stands for the tags of a request of which nothing is known but the connection."""
    def send(nginx):
        reply = client.exchange(nginx.port["shop"], text)
        assert reply.status == sent_status, reply.raw[:300]
        more = {"server.address": None, "user_agent.original": None, **changes}
        return [Sent(reply, name, tags(nginx, reply, more.pop("url.path", None), status,
                                       more.pop("http.request.method", None), more=more),
                     status=ERROR if status >= 500 else None)]
    return Shape(title, send)


def send_http_0_9(nginx):
    reply = client.exchange(nginx.port["shop"], b"GET /return\r\n")
    assert reply.raw == b"hello\n"
    return [Sent(reply, "GET", tags(nginx, reply, "/return", 200, more={
        "server.address": None, "user_agent.original": None,
        "network.protocol.version": "0.9"}))]


def send_1_0_without_host(nginx):
    parent = Traceparent()
    reply = client.exchange(nginx.port["shop"], client.request(
        "GET", "/return", [parent.header], version="1.0", host=None))
    assert reply.status == 200
    return [Sent(reply, "GET", tags(nginx, reply, "/return", 200, more={
        "server.address": None, "network.protocol.version": "1.0"}), parent)]


def send_chunked(nginx):
    parent = Traceparent()
    head = client.request("POST", "/proxy/ok", [parent.header, ("Transfer-Encoding", "chunked")])
    reply = client.exchange(nginx.port["shop"], head, b"5\r\nhello\r\n", b"6\r\n world\r\n",
                            b"0\r\n\r\n")
    assert reply.status == 200
    return [Sent(reply, "POST", tags(nginx, reply, "/proxy/ok", 200, "POST"), parent)]


def send_on_one_connection(pipelined):
    """Five requests on a connection: one after the other's response, or all in one segment."""
    targets = ["/return", "/static.txt", "/missing", "/empty", "/proxy/ok"]
    statuses = [200, 200, 404, 204, 200]

    def send(nginx):
        parents = [Traceparent() for _ in targets]
        requests = [client.request("GET", target, [parent.header], keep=target != targets[-1])
                    for target, parent in zip(targets, parents)]
        with client.connect(nginx.port["shop"]) as connection:
            if pipelined:
                connection.sendall(b"".join(requests))
            else:
                for request in requests[:-1]:
                    connection.sendall(request)
                    client.read_response(connection)
                connection.sendall(requests[-1])
            reply = client.Reply(client.read_all(connection), connection.getsockname()[1])
        return [Sent(reply, "GET", tags(nginx, reply, target, status), parent)
                for target, status, parent in zip(targets, statuses, parents)]
    return send


def send_and_leave(nginx):
    """The client closes while the application thinks."""
    parent = Traceparent()
    with client.connect(nginx.port["shop"]) as connection:
        connection.sendall(client.request("GET", "/hangs", [parent.header]))
        polling.until("the application has the request", lambda: any(
            parent.trace_id.encode() in received.head for received in nginx.upstream.received))
        reply = client.Reply(b"", connection.getsockname()[1])
    return [Sent(reply, "GET", tags(nginx, reply, "/hangs", 499, more={
        "error.type": "client_aborted"}), parent, ERROR)]


def send_header_slowly(nginx):
    """Half a header, and then nothing until nginx gives up."""
    parent = Traceparent()
    reply = client.exchange(nginx.port["shop"], client.request(
        "GET", "/return", [parent.header])[:-2])
    assert reply.raw == b""
    return [Sent(reply, "GET", tags(nginx, reply, "/return", 408), parent)]


def send_http_2(nginx):
    """Three streams on one connection."""
    parents = [Traceparent() for _ in range(3)]
    targets = ["/return", "/static.txt", "/proxy/ok"]
    replies = client.curl(nginx.port["h2"], targets, parents, "--http2-prior-knowledge")
    return [Sent(reply, "GET", tags(nginx, reply, target, 200, port="h2", more={
        "network.protocol.version": "2"}), parent)
        for reply, target, parent in zip(replies, targets, parents)]


def send_traceparent_among(others):
    """A traceparent that is not in the first part of nginx's header list."""
    headers = [("X-Other-%d" % i, "v") for i in range(others)]

    def send(nginx):
        return plain("/proxy/ok", 200, headers=[]).send_with(nginx, headers)
    return send


def plain_with(title, target, headers_of, upstream=("/proxy/ok",), root=False, parent_flags="01"):
    """A request to the application with these headers around a traceparent; root: the incoming
    ones must be refused and a new trace begun."""
    def send(nginx):
        parent = Traceparent(parent_flags)
        reply = client.exchange(nginx.port["shop"], client.request(
            "GET", target, headers_of(parent)))
        assert reply.status == 200, reply.raw[:300]
        return [Sent(reply, "GET", tags(nginx, reply, target, 200), None if root else parent)]
    return Shape(title, send, upstream)


def others(count):
    return [("X-Other-%d" % i, "v") for i in range(count)]
