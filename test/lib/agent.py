"""Agents, ours and Debian's, and their protocol by hand."""
import base64
import os
import socket
import struct
import subprocess

from lib import process, programs

FAILURE, SUCCESS, LIST, IDENTITIES, SIGN, SIGNATURE = 5, 6, 11, 12, 13, 14
ADD, REMOVE, REMOVE_ALL, ADD_SMARTCARD, LOCK, UNLOCK, EXTENSION, EXTENSION_RESPONSE = 17, 18, 19, 20, 22, 23, 27, 29
BY_NAME = {"ours": programs.AGENT, "debian": programs.peer("ssh-agent")}
ADD_BY_NAME = {"ours": programs.ADD, "debian": programs.peer("ssh-add")}


def string(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">I", len(data)) + data


def blob(path):
    """Of a .pub file."""
    with open(path, encoding="utf-8") as f:
        return base64.b64decode(f.read().split()[1])


def strings(data):
    found = []
    while data:
        (n,) = struct.unpack(">I", data[:4])
        found.append(data[4 : 4 + n])
        data = data[4 + n :]
    return found


class Connection:
    """A client of an agent that says whatever a test wants."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)  # before the limit: without one it waits while the agent's queue is full
        self.sock.settimeout(20)

    def send(self, body):
        self.sock.sendall(string(body))

    def receive(self):
        """Body of the next answer; None when the agent has closed."""
        head = self.exactly(4)
        return self.exactly(struct.unpack(">I", head)[0]) if head else None

    def exactly(self, n):
        data = b""
        while len(data) < n:
            try:
                more = self.sock.recv(n - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            data += more
        return data

    def ask(self, body):
        self.send(body)
        return self.receive()

    def sign(self, key, data, flags=0):
        return self.ask(bytes([SIGN]) + string(key) + string(data) + struct.pack(">I", flags))

    def listed(self):
        answer = self.ask(bytes([LIST]))
        assert answer[0] == IDENTITIES
        return strings(answer[5:])[::2]

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Agent:
    """A running agent in the foreground. env is for programs that are to use it."""

    def __init__(self, program, workdir, flags=(), env=()):
        self.path = os.path.join(workdir, "agent.%d" % len(os.listdir(workdir)))
        self.env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_ASKPASS", "SSH_AGENT_PID")}
        self.env.update(env)
        self.log = open(self.path + ".log", "w+", encoding="utf-8")
        self.popen = subprocess.Popen([program, "-D", "-a", self.path, *flags], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=self.log, env=self.env, start_new_session=True, text=True)
        self.first = self.popen.stdout.readline()
        assert self.path in self.first, (self.first, self.said())
        self.env["SSH_AUTH_SOCK"] = self.path

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def connect(self):
        return Connection(self.path)

    def add(self, *args, program=programs.ADD, **options):
        """Runs ssh-add."""
        options.setdefault("env", self.env)
        return process.run([program, *args], **options)

    def stop(self):
        self.popen.terminate()
        self.popen.wait(10)
        self.popen.stdout.close()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
