"""What forwards lead to and come from: echoing servers, and clients that talk to them through a forward."""
import hashlib
import http.server
import os
import socket
import socketserver
import struct
import threading

LIMIT_S = 20


class Echo:
    """Answers with what it got; after the client's end it says how much that was: "END n"."""

    def __init__(self, family=socket.AF_INET, path=None, host="127.0.0.1"):
        self.accepted = 0

        class Handler(socketserver.BaseRequestHandler):
            def handle(handler):
                self.accepted += 1
                total = 0
                while True:
                    try:
                        data = handler.request.recv(1 << 18)
                        if not data:
                            handler.request.sendall(b"END %d" % total)
                            return
                        total += len(data)
                        handler.request.sendall(data)
                    except OSError:
                        return

        base = socketserver.ThreadingUnixStreamServer if path else socketserver.ThreadingTCPServer

        class Server(base):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 1024
            address_family = socket.AF_UNIX if path else family

        self.server = Server(path or (host, 0), Handler)
        self.path = path
        self.port = None if path else self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def dial(port, host="127.0.0.1"):
    one = socket.create_connection((host, port), LIMIT_S)
    one.settimeout(LIMIT_S)
    return one


def dial_socks5(proxy_port, host, port):
    """Through a SOCKS 5 proxy, by name; greeting and request in one piece."""
    one = dial(proxy_port)
    name = host.encode()
    one.sendall(b"\5\1\0" + b"\5\1\0\3" + bytes([len(name)]) + name + struct.pack(">H", port))
    got = b""
    while len(got) < 12:
        data = one.recv(12 - len(got))
        if not data:
            break
        got += data
    assert got[:4] == b"\5\0\5\0", got
    return one


def dial_unix(path):
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(LIMIT_S)
    one.connect(path)
    return one


def rest_of(one):
    parts = []
    while True:
        data = one.recv(1 << 18)
        if not data:
            return b"".join(parts)
        parts.append(data)


def exchange(one, text=b"hello"):
    """Sends, ends its own direction, and gives all that comes back: the echo, then what came after the half-close."""
    with one:
        one.sendall(text)
        one.shutdown(socket.SHUT_WR)
        return rest_of(one)


def is_echo(one, text=b"hello"):
    return exchange(one, text) == text + b"END %d" % len(text)


def bulk_is_echoed(one, n_bytes):
    """n_bytes of noise there and back at the same time, compared by hash."""
    sent, block = hashlib.sha256(), os.urandom(1 << 20)

    def send():
        for i in range(0, n_bytes, len(block)):
            piece = struct.pack(">Q", i) + block[8:]
            sent.update(piece)
            one.sendall(piece)
        one.shutdown(socket.SHUT_WR)

    with one:
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        got, left, tail = hashlib.sha256(), n_bytes, b""
        while True:
            data = one.recv(1 << 18)
            if not data:
                break
            got.update(data[:left])
            tail += data[left:]
            left -= min(left, len(data))
        sender.join(LIMIT_S)
    return left == 0 and got.digest() == sent.digest() and tail == b"END %d" % n_bytes


def answers(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 2).close()
        return True
    except OSError:
        return False


class Web:
    """Serves one page to anybody."""

    PAGE = b"a page\n"

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler):
                handler.send_response(200)
                handler.send_header("Content-Length", str(len(self.PAGE)))
                handler.end_headers()
                handler.wfile.write(self.PAGE)

            def log_message(handler, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
