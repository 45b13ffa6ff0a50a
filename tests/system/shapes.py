# SPDX-License-Identifier: MIT
"""The shapes that a request can have: how each is sent, and the span that must come of it.

A Shape sends one or more requests to the shop (shop.py), each with a traceparent of its own where
its headers are read at all, and says which spans must arrive, tag by tag. The table of them is
SHAPES in test_shapes.py.
"""

import client
import h2
import polling
import shop
from spans import ERROR, Expected, PARENT_IS_REMOTE, RANDOM, REMOTENESS_KNOWN, SAMPLED
from traceparents import Traceparent


class Shape:
    """A kind of request. send(nginx) returns one Sent per request."""

    def __init__(self, title, send, upstream=()):
        self.title = title
        self.send = send
        self.upstream = list(upstream)  # paths that the application must see, in order


class Sent:
    """One request that went out: what came back, and the SERVER span that must come of it.
    name=None: no span."""

    def __init__(self, reply, name, tags=None, parent=None):
        self.reply = reply
        self.expected = None if name is None else Expected(
            name, tags,
            trace_id=parent.trace_id if parent else None,
            parent_id=parent.parent_id if parent else None,
            flags=flags_of(parent), status=ERROR if "error.type" in tags else None)


def flags_of(parent):
    """As OTLP has them: the trace's own flags, and whether the parent is somewhere else."""
    if parent is None:
        return SAMPLED | RANDOM | REMOTENESS_KNOWN
    return (int(parent.flags, 16) & (SAMPLED | RANDOM)) | REMOTENESS_KNOWN | PARENT_IS_REMOTE


def tags_of(nginx, reply, path, status, method="GET", port="shop", **changes):
    """What every request has in common. In a change, __ stands for a dot and None removes a tag."""
    tags = {
        "http.request.method": method,
        "url.scheme": "http",
        "url.path": path,
        "server.address": shop.NAME,
        "server.port": nginx.port[port],
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "network.peer.port": reply.port,
        "network.protocol.version": "1.1",
        "user_agent.original": client.AGENT,
        "http.response.status_code": status,
    }
    if status >= 500:
        tags["error.type"] = str(status)
    tags.update({key.replace("__", "."): value for key, value in changes.items()})
    return {key: value for key, value in tags.items() if value is not None}


# ---- One request on a connection of its own ------------------------------------------------------


def plain(target, status, method="GET", headers=(), title=None, upstream=(), name=None, tags=None,
          port="shop", tls=False, **request):
    """A well-formed request, with the span that everything of its kind has; tags are changes to
    that, request is for client.request()."""
    path = target.split("?")[0]
    changes = {"network__protocol__version": request.get("version", "1.1"),
               "user_agent__original": request.get("agent", client.AGENT),
               "server__address": request.get("host", shop.NAME),
               "url__scheme": "https" if tls else "http",
               **(tags or {})}

    def send(nginx):
        parent = Traceparent()
        reply = client.exchange(nginx.port[port], client.request(
            method, target, [parent.header, *headers], **request), tls=tls)
        assert reply.status == status, reply.raw[:300]
        return [Sent(reply, name or method,
                     tags_of(nginx, reply, path, status, method, port, **changes), parent)]
    return Shape(title or "%s %s %s" % (method, path, status), send, upstream)


def raw(title, text, status, name="HTTP", tags=None, sent_status=None, port="shop"):
    """Bytes of which nginx understands no whole request line: a root span, made at the log phase,
    with what the connection tells; tags are changes to that."""
    nothing = {"http__request__method": None, "server__address": None, "user_agent__original": None,
               "network__protocol__version": None}

    def send(nginx):
        reply = client.exchange(nginx.port[port], text)
        assert reply.status == sent_status, reply.raw[:300]
        return [Sent(reply, name, tags_of(nginx, reply, None, status, port=port,
                                          **{**nothing, **(tags or {})}))]
    return Shape(title, send)


def with_headers(title, headers_of, flags="01", root=False):
    """A request to the application with the headers that headers_of makes of a traceparent; root:
    they are none, and a new trace must begin."""
    def send(nginx):
        parent = Traceparent(flags)
        reply = client.exchange(nginx.port["shop"], client.request(
            "GET", "/proxy/ok", headers_of(parent)))
        assert reply.status == 200, reply.raw[:300]
        return [Sent(reply, "GET", tags_of(nginx, reply, "/proxy/ok", 200),
                     None if root else parent)]
    return Shape(title, send, ["/proxy/ok"])


def others(count):
    """Headers to stand before a traceparent: nginx keeps them in parts of 20."""
    return [("X-Other-%d" % i, "v") for i in range(count)]


# ---- What takes more than one piece ---------------------------------------------------------------


def send_http_0_9(nginx):
    reply = client.exchange(nginx.port["shop"], b"GET /return\r\n")
    assert reply.raw == b"hello\n"
    return [Sent(reply, "GET", tags_of(
        nginx, reply, "/return", 200, server__address=None, user_agent__original=None,
        network__protocol__version="0.9"))]


def send_chunked(nginx):
    parent = Traceparent()
    head = client.request("POST", "/proxy/ok", [parent.header, ("Transfer-Encoding", "chunked")])
    reply = client.exchange(nginx.port["shop"], head, b"5\r\nhello\r\n", b"6\r\n world\r\n",
                            b"0\r\n\r\n")
    assert (reply.status, nginx.upstream.received[-1].body) == (200, b"hello world")
    return [Sent(reply, "POST", tags_of(nginx, reply, "/proxy/ok", 200, "POST"), parent)]


def send_large_upload_with_expect(nginx):
    """Waits for 100 Continue before it sends the body, as curl does."""
    parent, body = Traceparent(), b"0123456789abcdef" * 65536
    head = client.request("POST", "/upload/ok", [
        parent.header, ("Expect", "100-continue"), ("Content-Length", len(body))])
    with client.connect(nginx.port["shop"]) as connection:
        connection.sendall(head)
        interim = client.read_response(connection)
        assert interim.startswith(b"HTTP/1.1 100 "), interim
        connection.sendall(body)
        reply = client.Reply(client.read_all(connection), connection.getsockname()[1])
    assert (reply.status, nginx.upstream.received[-1].body) == (201, body)
    return [Sent(reply, "POST", tags_of(nginx, reply, "/upload/ok", 201, "POST"), parent)]


def send_on_one_connection(pipelined):
    """Five requests on a connection: one after the other's response, or all in one segment."""
    targets = ["/return", "/static.txt", "/missing", "/empty", "/proxy/ok"]
    statuses = [200, 200, 404, 204, 200]

    def send(nginx):
        parents = [Traceparent() for _ in targets]
        requests = [client.request("GET", target, [parent.header], keep=target != targets[-1])
                    for target, parent in zip(targets, parents)]
        received = []
        with client.connect(nginx.port["shop"]) as connection:
            if pipelined:
                connection.sendall(b"".join(requests))
                received += client.split_responses(client.read_all(connection))
            for request in [] if pipelined else requests:
                connection.sendall(request)
                received.append(client.read_response(connection))
            port = connection.getsockname()[1]
        replies = [client.Reply(response, port) for response in received]
        assert [reply.status for reply in replies] == statuses
        return [Sent(reply, "GET", tags_of(nginx, reply, target, reply.status), parent)
                for reply, target, parent in zip(replies, targets, parents)]
    return send


def send_and_leave(nginx):
    """The client closes while the application thinks."""
    parent = Traceparent()
    with client.connect(nginx.port["shop"]) as connection:
        connection.sendall(client.request("GET", "/hangs", [parent.header]))
        polling.until("the application has the request", lambda: any(
            parent.trace_id.encode() in received.head for received in nginx.upstream.received))
        reply = client.Reply(b"", connection.getsockname()[1])
    return [Sent(reply, "GET", tags_of(nginx, reply, "/hangs", 499, error__type="client_aborted"),
                 parent)]


def send_and_leave_during_the_body(nginx):
    """The client closes while nginx sends: the status that went out is kept."""
    parent = Traceparent()
    with client.connect(nginx.port["shop"]) as connection:
        connection.sendall(client.request("GET", "/big.txt", [parent.header]))
        client.read_some(connection)
        reply = client.Reply(b"", connection.getsockname()[1])
    return [Sent(reply, "GET", tags_of(nginx, reply, "/big.txt", 200,
                                       error__type="client_aborted"), parent)]


def send_unfinished(title, path, text_of):
    """Half a request, and then nothing until nginx gives up: 408 is logged, nothing is sent."""
    def send(nginx):
        parent = Traceparent()
        text = text_of(parent)
        reply = client.exchange(nginx.port["shop"], text)
        assert reply.raw == b""
        return [Sent(reply, text.split()[0].decode(),
                     tags_of(nginx, reply, path, 408, text.split()[0].decode()), parent)]
    return Shape(title, send)


def send_for_no_answer(nginx):
    """return 444: nginx closes."""
    parent = Traceparent()
    reply = client.get(nginx.port["shop"], "/dropped", [parent.header])
    assert reply.raw == b""
    return [Sent(reply, "GET", tags_of(nginx, reply, "/dropped", 444), parent)]


def send_untraced(nginx):
    reply = client.get(nginx.port["shop"], "/untraced/static.txt", [Traceparent().header])
    assert reply.status == 200
    return [Sent(reply, None)]


def send_http_2(nginx):
    """Three streams on one connection."""
    targets = ["/return", "/static.txt", "/proxy/ok"]
    parents = [Traceparent() for _ in targets]
    with h2.Connection(nginx.port["h2"]) as connection:
        streams = [connection.request(target, [parent.header])
                   for target, parent in zip(targets, parents)]
        connection.wait(streams)
    assert [connection.status[stream] for stream in streams] == [200, 200, 200]
    replies = [client.Reply(connection.body[stream], connection.port) for stream in streams]
    return [Sent(reply, "GET", tags_of(nginx, reply, target, 200, port="h2",
                                       network__protocol__version="2"), parent)
            for reply, target, parent in zip(replies, targets, parents)]
