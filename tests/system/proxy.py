# SPDX-License-Identifier: MIT
"""A proxy that makes tunnels (CONNECT), whatever the name, to one backend; it remembers who asked for what.

    with Proxy(backend) as proxy:
        ...
    assert proxy.asked == [("CONNECT", "far.example:443", {...})]
"""

import socket
import threading

import ports
from backend import plain, read_head


class Proxy:
    def __init__(self, backend, status=200, greet=plain):
        self.port = ports.free_port()
        self.asked = []
        self.status = status
        self.greet = greet
        self.released = threading.Event()
        self._deaf = 0  # so many tunnels, the first ones
        self._backend = backend
        self._open = []
        self._threads = []

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._spawn(self._accept)
        return self

    def __exit__(self, *_):
        self.released.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for opened in self._open:
            self._shut(opened)
        for thread in self._threads:
            thread.join(timeout=10)
            assert not thread.is_alive(), "a thread of the proxy is stuck"

    def make_deaf(self):
        """What comes through the tunnels that there are gets nowhere from now on, though they stay open."""
        self._deaf = len(self.asked)

    @staticmethod
    def _shut(opened):
        try:
            opened.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer was first

    def _spawn(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # at the end
            self._open.append(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection):
        try:
            with connection, self.greet(connection.dup(), self) as greeted:
                head = read_head(greeted.makefile("rb", buffering=0))
                if head is None:
                    return
                self.asked.append(head)
                greeted.sendall(b"HTTP/1.1 %d Scripted\r\nX-Proxy: 1\r\n\r\n" % self.status)
                if self.status == 200:
                    self._relay(greeted, len(self.asked))
        except OSError:
            pass  # one of the two left

    def _relay(self, connection, tunnel):
        with socket.create_connection(("127.0.0.1", self._backend.port)) as onward:
            self._open.append(onward)
            self._spawn(self._copy, onward, connection, tunnel)
            self._copy(connection, onward, tunnel)

    def _copy(self, one, other, tunnel):
        try:
            while piece := one.recv(65536):
                if tunnel > self._deaf:
                    other.sendall(piece)
        except OSError:
            pass  # one of the two left
        self._shut(one)
        self._shut(other)
