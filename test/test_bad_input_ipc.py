"""A network child that was taken over: it may say to its monitor whatever it likes, and gets a log line and the end, never a session.

The real server runs with one program exchanged: sshd-auth is a Python that hands its socket to the test, which then plays the child. What may be
said when is read from src/ipc/messages.def, so that a new row is tested as soon as it is there.
"""
import array
import os
import re
import select
import shutil
import socket
import struct
import sys
import tempfile
import threading

import pytest

from lib import process, programs, rawssh, server
from lib.marks import needs_ours
from lib.rawssh import Reader, ed25519_blob, string, u8, u32

pytestmark = needs_ours(programs.SSHD)

CAPTURED = """
import os, socket
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["CAPTURED_SOCKET"])
socket.send_fds(s, [b"x"], [3])
os.close(3)
while s.recv(1):
    pass
os._exit(0)
"""
HASH = bytes(range(32))
BROKE_RULES = "^connection from 127.0.0.1 port %d ended: the network process "


def table():
    """{name: (number, from, to, states)}"""
    with open(os.path.join(programs.TREE, "src/ipc/messages.def"), encoding="utf-8") as f:
        rows = re.findall(r"^IPC\((\w+), (\d+), (\w), (\w), (\w+),", f.read(), re.M)
    return {name: (int(number), sender, to, states) for name, number, sender, to, states in rows}


ROWS = table()


def number_of(name):
    return ROWS[name][0]


def may_say(states):
    """Numbers that a network child may use in one of these states."""
    return {number for number, sender, to, row in ROWS.values() if sender == "N" and to == "M" and row in states}


ALWAYS = ("IPC_ANY",)
UNKEYED = may_say(ALWAYS + ("IPC_PREAUTH",))
KEYED = may_say(ALWAYS + ("IPC_PREAUTH", "IPC_KEYED"))
AUTHENTICATED = may_say(ALWAYS + ("IPC_AUTHENTICATED",))
NUMBERS = sorted({row[0] for row in ROWS.values()} | {0, 99, 200, 255})


class Child:
    """What the monitor believes to be its network child."""

    def __init__(self, sock):
        self.sock, self.data, self.fds = sock, b"", []
        sock.settimeout(rawssh.WAIT_S)

    def send(self, number, fields=b"", fds=(), length=None):
        self.raw(u32(1 + len(fields) if length is None else length) + u8(number) + fields, fds)

    def raw(self, data, fds=()):
        try:
            self.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _more(self):
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, 1 << 16, 8)
        except ConnectionResetError:
            data, fds = b"", []
        self.fds += fds
        self.data += data
        return bool(data)

    def recv(self):
        """(number, fields), or None at the end."""
        while len(self.data) < 5 or len(self.data) < 4 + struct.unpack(">I", self.data[:4])[0]:
            if not self._more():
                return None
        n = struct.unpack(">I", self.data[:4])[0]
        number, fields, self.data = self.data[4], self.data[5 : 4 + n], self.data[4 + n :]
        return number, fields

    def expect(self, name):
        got = self.recv()
        assert got and got[0] == number_of(name), got
        return got[1]

    def is_ended(self):
        while self.recv():
            pass
        self.close()
        return True

    def close(self):
        self.sock.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    # ---- what an honest child says ----

    def key(self):
        self.send(number_of("net_sign"), string("ssh-ed25519") + string(HASH))
        return self.expect("net_signed")

    def log_in(self, user, key, session_id=HASH):
        self.send(number_of("auth_publickey"), signed(user, key, session_id))
        return Reader(self.expect("auth_verdict")).u32()


def signed(user, key, session_id=HASH, signature=None):
    blob = ed25519_blob(key.public_key())
    head = string(user) + string("ssh-connection") + string("publickey")
    signature = signature or key.sign(string(session_id) + u8(50) + head + u8(1) + string("ssh-ed25519") + string(blob))
    return head + string("ssh-ed25519") + string(blob) + string(string("ssh-ed25519") + string(signature))


class CapturedServer:
    def __init__(self, sshd, listener):
        self.sshd, self.waiting = sshd, []
        self.lock = threading.Condition()
        threading.Thread(target=self._collect, args=(listener,), daemon=True).start()

    def _collect(self, listener):
        while True:
            try:
                conn, _ = listener.accept()
                _, fds, _, _ = socket.recv_fds(conn, 1, 1)
            except OSError:
                return
            child = Child(socket.socket(fileno=fds[0]))
            if not child.recv():  # net_cage; none: the server ends
                continue
            with self.lock:
                self.waiting.append((child, conn))
                self.lock.notify_all()

    def connect(self):
        """(our TCP connection, the child that serves it, which has been told to start)"""
        tcp = self.sshd.connect()

        def serving():
            with self.lock:
                waiting = {child.sock.fileno(): (child, life) for child, life in self.waiting}
            ready = select.select(list(waiting), [], [], 0)[0] if waiting else []
            return [(child, life) for fd, (child, life) in waiting.items() if fd in ready or child.data]

        child, life = process.wait_until(serving, "a child with work")[0]
        with self.lock:
            self.waiting.remove((child, life))
        child.life = life  # its process lives as long as this is open
        child.expect("net_start")
        return tcp, child


@pytest.fixture(scope="module")
def folder():
    """Copies of the server's programs, one of them not what it should be."""
    path = tempfile.mkdtemp(prefix="nacre-captured-")
    os.chmod(path, 0o755)
    for name in ("sshd", "sshd-keys", "sshd-session", "sshd-user"):
        shutil.copy(programs.ours("sshd", name), path)
    shutil.copy(os.path.realpath(sys.executable), os.path.join(path, "sshd-auth"))
    with open(os.path.join(path, "sitecustomize.py"), "w", encoding="utf-8") as f:
        f.write(CAPTURED)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def captured(folder, servers, workdir, keys):
    """Starts it; at the end it must still serve, and nobody may have got in."""
    where = os.path.join(workdir, "captured")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(where)
    listener.listen(100)
    env = dict(os.environ, CAPTURED_SOCKET=where, PYTHONPATH=folder, PYTHONHOME=sys.base_prefix, PYTHONDONTWRITEBYTECODE="1")
    one = server.start_sshd(os.path.join(folder, "sshd"), workdir, keys, env=env)
    servers.append(one)
    captured = CapturedServer(one, listener)
    yield captured
    tcp, child = captured.connect()
    assert child.key()
    tcp.close()
    child.close()
    assert not one.log.find(r"waiting sshd-session|no connection can be served|sshd-session.*signal"), one.log.text()
    listener.close()


@pytest.fixture
def key(keys):
    return rawssh.load_key(keys.user["ed25519"])


def refused(captured, act, pattern=BROKE_RULES):
    """Does something as the child; the monitor has to end it with a line."""
    tcp, child = captured.connect()
    port = tcp.getsockname()[1]
    act(child)
    assert child.is_ended()
    tcp.settimeout(rawssh.WAIT_S)
    assert tcp.recv(100) == b""
    tcp.close()
    captured.sshd.log.wait(pattern % port)


def test_honest_child(captured, login, key):
    """So that the refusals below mean something."""
    tcp, child = captured.connect()
    signature = Reader(Reader(child.key()).string())
    assert signature.string() == b"ssh-ed25519"
    assert child.log_in(login.pw_name, key) == 2  # AUTH_VERDICT_SUCCESS
    captured.sshd.log.wait("^Accepted publickey for " + login.pw_name)
    child.close()
    tcp.close()


def each_refused(captured, numbers, prepare):
    for number in numbers:
        refused(captured, lambda child: (prepare(child), child.send(number)))  # pylint: disable=cell-var-from-loop


def test_out_of_state_before_keys(captured):
    each_refused(captured, set(NUMBERS) - UNKEYED, lambda child: None)


def test_out_of_state_before_login(captured):
    each_refused(captured, set(NUMBERS) - KEYED, lambda child: child.key())


def test_out_of_state_after_login(captured, login, key):
    each_refused(captured, set(NUMBERS) - AUTHENTICATED, lambda child: (child.key(), child.log_in(login.pw_name, key)))


def test_requests_of_two_at_once(captured, login, key):
    """A hand-over behind a refused request does not slip through."""
    def act(child):
        child.key()
        child.send(number_of("auth_password"), string(login.pw_name) + string("ssh-connection") + string("wrong"))
        child.send(number_of("handoff"), string(b"x"))

    refused(captured, act)
    assert not captured.sshd.log.find("^Accepted")


@pytest.mark.parametrize("session_id", [b"", bytes(32), HASH[:-1], HASH + b"x"])
def test_signature_for_another_session(captured, login, key, session_id):
    tcp, child = captured.connect()
    child.key()
    assert child.log_in(login.pw_name, key, session_id) == 0
    child.send(number_of("handoff"), string(b"x"))
    assert child.is_ended()
    tcp.close()
    assert not captured.sshd.log.find("^Accepted")


def test_session_id_is_the_first_hash(captured, login, key):
    tcp, child = captured.connect()
    child.key()
    other = bytes(32)
    child.send(number_of("net_sign"), string("ssh-ed25519") + string(other))
    child.expect("net_signed")
    assert child.log_in(login.pw_name, key, other) == 0
    assert child.log_in(login.pw_name, key, HASH) == 2
    child.close()
    tcp.close()


def test_question_is_no_proof(captured, login, key):
    """PK_OK for a key that is listed, and no signature behind it."""
    def act(child):
        child.key()
        head = string(login.pw_name) + string("ssh-connection") + string("ssh-ed25519") + string(ed25519_blob(key.public_key()))
        child.send(number_of("auth_publickey_query"), head)
        assert Reader(child.expect("auth_verdict")).u32() == 3
        child.send(number_of("handoff"), string(b"x"))

    refused(captured, act)


@pytest.mark.parametrize("wrong", [[("ssh-ed25519", 0), ("ssh-ed25519", 1), ("ssh-ed25519", 19), ("ssh-ed25519", 65), ("ssh-ed25519", 256),
                                                  ("ssh-rsa", 32), ("", 32), ("ssh-dss", 32), ("ssh-ed25519,", 32), ("x" * 200, 32)]], ids=["all"])
def test_signatures_for_nothing(captured, wrong):
    for algorithm, n in wrong:
        fields = string(algorithm) + string(bytes(n))
        refused(captured, lambda child: child.send(number_of("net_sign"), fields))  # pylint: disable=cell-var-from-loop


MALFORMED = [u32(0), u32(0) + bytes(10), u32(2**32 - 1), u32(2**31) + bytes(100), u32(1), u32(257) + u8(21) + bytes(256), u32(16 << 20) + u8(21) + bytes(1000),
             bytes(3), u32(1) + u8(21), u32(5) + u8(21) + u32(2**32 - 1), u32(14) + u8(21) + string(b"") + string(b"") + b"trail", u32(9) + u8(43) + u32(1) + u32(200)]


def test_malformed_messages(captured):
    for data in MALFORMED:
        refused(captured, lambda child: (child.raw(data), child.sock.shutdown(socket.SHUT_WR)))  # pylint: disable=cell-var-from-loop


def test_descriptors_nobody_wants(captured):
    with open("/dev/null", "rb") as f:
        n = 2
        refused(captured, lambda child: child.send(number_of("net_log"), u32(3) + string("x"), fds=[f.fileno()] * n))
        refused(captured, lambda child: [child.raw(b"\0", fds=[f.fileno()] * n) for _ in range(5)])


def test_flood_of_half_messages(captured):
    """A long message is not waited for in memory beyond what its row allows."""
    refused(captured, lambda child: [child.raw(u32(300000) + u8(number_of("net_log"))), child.raw(bytes(200000))])


@pytest.mark.parametrize("user", [b"", b"a\0b", b"x" * 1900, b"x" * 2100, b"root\nAccepted password for root"], ids=range(5))
def test_strange_names(captured, user):
    tcp, child = captured.connect()
    child.key()
    child.send(number_of("auth_none"), string(user) + string("ssh-connection") + string("none"))
    got = child.recv()
    assert got is None or (got[0] == number_of("auth_verdict") and Reader(got[1]).u32() == 0)
    child.close()
    tcp.close()
    assert not captured.sshd.log.find("^Accepted")


def test_log_lines_of_a_liar(captured):
    tcp, child = captured.connect()
    child.send(number_of("net_log"), u32(3) + string("one\nAccepted password for root from 1.2.3.4 port 1 ssh2\x1b[2J"))
    child.send(number_of("net_log"), u32(2**32 - 1) + string("loud"))
    child.send(number_of("net_peer"), string("SSH-"))
    child.send(number_of("net_end"), u32(99) + string("bye\nAccepted password for root"))
    assert child.is_ended()
    tcp.close()
    line = captured.sshd.log.wait("^one")
    assert line.endswith(" [preauth]") and line.isprintable()
    captured.sshd.log.wait("bye.*preauth")
    assert not captured.sshd.log.find("^Accepted|^loud")


@pytest.mark.parametrize("transport", [b"", b"x", bytes(1000), b"\xff" * 100000], ids=range(4))
def test_a_transport_that_is_none(captured, login, key, transport):
    """The account's own process refuses it; nothing runs."""
    tcp, child = captured.connect()
    child.key()
    assert child.log_in(login.pw_name, key) == 2
    child.send(number_of("handoff"), string(transport))
    assert child.is_ended()
    tcp.settimeout(rawssh.WAIT_S)
    assert tcp.recv(100) == b""
    tcp.close()
    lines = process.wait_until(lambda: [line for line in captured.sshd.log.text().split("\n") if line and not re.search("^(Server|Accepted)", line)], "a line")
    assert lines and not captured.sshd.log.find("session opened|Starting session"), lines


def test_child_that_closes_its_socket(captured):
    refused(captured, lambda child: child.sock.shutdown(socket.SHUT_RDWR))


def test_child_that_closes_the_connection(captured):
    """The other way round: the peer goes, the child says nothing. The monitor's own clock ends that (LoginGraceTime), here by its socket."""
    tcp, child = captured.connect()
    tcp.close()
    child.send(number_of("net_end"), u32(0) + string(""))
    assert child.is_ended()
    captured.sshd.log.wait("^Connection closed by 127.0.0.1 port")
