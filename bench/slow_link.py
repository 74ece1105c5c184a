"""A TCP proxy on loopback that holds up what clients send: a server that is far away.

Promises the same delay for each request of a protocol that sends them one at a time. Never holds up answers, or limits their speed.
"""
import contextlib
import socket
import threading
import time


class SlowLink:
    """Listens on `port` and passes on to `target`, another port of loopback; `delay` may be changed at any time."""

    def __init__(self, target):
        self.target, self.delay = target, 0.0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        """Join each connection with one to the target, until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.pump, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self.pump, args=(server, client, False), daemon=True).start()

    def pump(self, source, target, held):
        """Pass bytes on in one direction."""
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                if held and self.delay:
                    time.sleep(self.delay)
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()
