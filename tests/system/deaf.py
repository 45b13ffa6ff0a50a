# SPDX-License-Identifier: MIT
"""Peers that take what they get and never answer: a TCP server, and a name server."""

import ctypes
import fcntl
import os
import socket
import struct
import tempfile
import threading

import ports


class DeafServer:
    """Accepts connections and says nothing. heard: how many that are open have sent something."""

    def __init__(self):
        self.port = ports.free_port()
        self.heard = 0
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self._connections = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            self._connections.append(connection)
            threading.Thread(target=self._hear, args=(connection,), daemon=True).start()

    def _hear(self, connection):
        heard = 0
        try:
            while connection.recv(65536):
                with self._lock:
                    self.heard += 1 - heard
                heard = 1
        except OSError:
            pass  # the peer reset it, or the test is over
        with self._lock:
            self.heard -= heard


# ---- A name server -------------------------------------------------------------------------------

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40

libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class BlackHole(threading.Thread):
    """Runs a function where the only name server takes every question and answers none: in a thread with a network
    and a view of /etc/resolv.conf of its own, which the programs that it starts share. Outside of it nothing
    changes. The function gets this object; its network has the loopback only. Needs to be root."""

    def __init__(self, function):
        super().__init__()
        self._function = function
        self._failure = None

    @classmethod
    def run_inside(cls, function):
        inside = cls(function)
        inside.start()
        inside.join()
        if inside._failure is not None:
            raise inside._failure

    def is_asked(self):
        """Is there a question?"""
        try:
            return bool(self._server.recv(4096, socket.MSG_DONTWAIT | socket.MSG_PEEK))
        except BlockingIOError:
            return False

    def forget(self):
        """Throws away what was asked so far."""
        while self.is_asked():
            self._server.recv(4096)

    def run(self):
        try:
            self._enter()
            with self._server:
                self._function(self)
        except BaseException as failure:
            self._failure = failure

    def _enter(self):
        check(libc.unshare(CLONE_NEWNET | CLONE_NEWNS))
        check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
        with tempfile.NamedTemporaryFile("w") as names:
            names.write("nameserver 127.0.0.1\n")
            names.flush()
            os.chmod(names.name, 0o644)
            check(libc.mount(names.name.encode(), b"/etc/resolv.conf", None, MS_BIND, None))
        self._server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        fcntl.ioctl(self._server, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))
        self._server.bind(("127.0.0.1", 53))
