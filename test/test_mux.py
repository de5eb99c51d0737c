"""Shared connections: our master and our passenger, each with the other side Debian's too, against our sshd and Debian's."""
import hashlib
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import time

import pexpect
import pytest

from lib import process, programs, targets
from lib.marks import needs_our_ssh, needs_peer
from lib.server import free_port
from lib.targets import dial, is_echo

pytestmark = [needs_our_ssh, needs_peer("ssh")]
MB = 1 << 20

# master, passenger, server
TRIPLES = [("ours", "ours", "ours"), ("ours", "debian", "ours"), ("debian", "ours", "ours"), ("ours", "ours", "debian"),
           ("ours", "debian", "debian"), ("debian", "ours", "debian")]


@pytest.fixture
def echo():
    one = targets.Echo()
    yield one
    one.stop()


class Shared:
    """A master, and passengers on its socket."""

    def __init__(self, master, passenger, path, flags=("-N",)):
        self.path, self.master, self.passenger, self.log = path, master, passenger, process.Lines()
        self.popen = master.start(flags=["-M", "-v", *flags], stdout=subprocess.DEVNULL, stderr=self.log.write_fd)
        self.log.close_write_end()
        self.log.wait("setting up multiplex master socket|Entering interactive session")
        process.wait_until(lambda: os.path.exists(path), "the control socket")

    def run(self, *command, flags=(), **options):
        return self.passenger.run(*command, flags=flags, **options)

    def order(self, what, *flags):
        return self.passenger.run(flags=["-O", what, *flags])

    def stop(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(10)


@pytest.fixture
def share(workdir, our_sshd, debian_sshd, our_ssh, debian_ssh):
    """share(master, passenger, server) with a running master; share.clients gives both clients alone."""
    started, servers = [], {}
    path = os.path.join(workdir, "ctl")

    def clients(master="ours", passenger="ours", server="ours", lines=(), passenger_lines=()):
        if server not in servers:
            servers[server] = {"ours": our_sshd, "debian": debian_sshd}[server](["AcceptEnv TEST_*"])
        make = {"ours": our_ssh, "debian": debian_ssh}
        return (make[master](servers[server], ["ControlPath %s" % path, *lines]),
                make[passenger](servers[server], ["ControlPath %s" % path, *passenger_lines]))

    def start(*who, flags=("-N",), **options):
        one = Shared(*clients(*who, **options), path, flags)
        started.append(one)
        return one

    start.clients, start.path = clients, path
    yield start
    for one in started:
        one.stop()


@pytest.mark.parametrize("who", TRIPLES, ids="-".join)
def test_sessions(share, who):
    """Streams, status, environment, subsystem and orders; nothing of it makes a connection of its own."""
    one = share(*who, lines=["SendEnv TEST_*"])  # Debian's master sends on what it would send itself
    assert stat.S_IMODE(os.stat(one.path).st_mode) == 0o600 and stat.S_ISSOCK(os.stat(one.path).st_mode)
    assert [name for name in os.listdir(os.path.dirname(one.path)) if name.startswith("ctl.")] == []
    done = one.run("cat; echo err >&2; echo $TEST_A; exit 42", stdin="in\n", flags=["-o", "SetEnv=TEST_A=b"])
    assert (done.returncode, done.stdout, done.stderr) == (42, "in\nb\n", "err\n")
    data = os.urandom(MB)
    assert one.run("cat", stdin=data, text=False).stdout == data
    done = one.order("check")
    assert (done.returncode, done.stderr) == (0, "Master running (pid=%d)\n" % one.popen.pid) or \
        (done.returncode, done.stderr) == (0, "Master running (pid=%d)\r\n" % one.popen.pid)
    assert len(one.log.find("Authenticated to|Authentication succeeded|authenticated")) <= 2
    done = one.order("stop")
    assert (done.returncode, done.stderr.strip()) == (0, "Stop listening request sent.")
    assert not os.path.exists(one.path)
    one.popen.wait(10)


def test_x11_is_refused_aloud(share):
    done = share("ours", "debian", "ours").run("echo in", flags=["-X"], env={**os.environ, "DISPLAY": ":9"})
    assert (done.returncode, done.stdout) == (0, "in\n") and "X11 forwarding request failed" in done.stderr


@pytest.mark.parametrize("who", TRIPLES[:3], ids="-".join)
def test_exit(share, who):
    one = share(*who)
    running = one.passenger.start("echo up; cat", stdin=subprocess.PIPE)
    assert running.stdout.readline() == b"up\n"
    done = one.order("exit")
    assert (done.returncode, done.stderr.strip()) == (0, "Exit request sent.")
    one.popen.wait(10)
    assert running.wait(10) == 255
    assert not os.path.exists(one.path)
    running.stdin.close(), running.stdout.close(), running.stderr.close()
    done = one.order("check")
    assert (done.returncode, done.stderr.strip()) == (255, "Control socket connect(%s): No such file or directory" % one.path)


@pytest.mark.parametrize("who", TRIPLES[:3], ids="-".join)
def test_forwards(share, echo, who):
    one, port = share(*who), free_port()
    spec = "%d:127.0.0.1:%d" % (port, echo.port)
    assert one.order("forward", "-L", spec).returncode == 0
    assert is_echo(dial(port))
    assert one.run("echo again", flags=["-L", spec]).stdout == "again\n"  # it is there already
    assert one.order("cancel", "-L", spec).returncode == 0
    with pytest.raises(OSError):
        dial(port)
    done = one.order("forward", "-R", "0:127.0.0.1:%d" % echo.port)
    assert done.returncode == 0
    remote = int(done.stdout)
    assert is_echo(dial(remote))
    done = one.order("cancel", "-L", spec)
    assert "forwarding request failed" in done.stderr
    done = one.order("forward", "-L", "127.0.0.1:%d:127.0.0.1:%d" % (echo.port, echo.port))
    assert done.returncode == 255 and "master forward request failed" in done.stderr


@pytest.mark.parametrize("who", TRIPLES[:3], ids="-".join)
def test_stdio_forward(share, echo, who):
    one = share(*who)
    done = one.run(flags=["-W", "127.0.0.1:%d" % echo.port], stdin="through\n")
    assert (done.returncode, done.stdout) == (0, "through\nEND 8")
    done = one.run(flags=["-W", "127.0.0.1:%d" % free_port()])
    assert done.returncode == 255 and "Stdio forwarding request failed: Session open refused by peer" in done.stderr


@pytest.mark.parametrize("who", TRIPLES[:3], ids="-".join)
def test_terminal(share, who):
    one = share(*who)
    argv = one.passenger.argv("-tt", "test", "stty size; PS1='@''> ' exec bash --norc --noprofile -i")
    child = pexpect.spawn(argv[0], argv[1:], timeout=15, encoding="utf-8", dimensions=(33, 101))
    child.expect("33 101")
    child.expect_exact("@> ")
    child.setwinsize(40, 120)
    child.sendline("until [ \"$(stty size)\" = '40 120' ]; do sleep 0.02; done; echo re''sized; exit 3")
    child.expect("resized")
    child.expect("Shared connection to [^ ]* closed")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3


def test_escapes_of_a_passenger(share):
    one = share()
    argv = one.passenger.argv("-tt", "test", "PS1='@''> ' exec bash --norc --noprofile -i")
    child = pexpect.spawn(argv[0], argv[1:], timeout=15, encoding="utf-8")
    child.expect_exact("@> ")
    child.send("\r~?")
    child.expect("Supported escape sequences")
    child.expect("send the escape character itself")
    assert "suspend" not in child.before and "~C" not in child.before
    child.send("\r~.")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 255
    assert one.run("echo still").stdout == "still\n"


def test_auto_and_persist(share, workdir):
    """The first one becomes the master, goes to the background with its session as a passenger, and ends by its time."""
    client, _ = share.clients(lines=["ControlMaster auto", "ControlPersist 1"])
    done = client.run("echo one; exit 5")
    assert (done.returncode, done.stdout) == (5, "one\n")
    pid = int(re.search(r"pid=(\d+)", client.run(flags=["-O", "check"]).stderr).group(1))
    assert client.run("echo two").stdout == "two\n"
    assert int(re.search(r"pid=(\d+)", client.run(flags=["-O", "check"]).stderr).group(1)) == pid
    process.wait_until(lambda: not os.path.exists(share.path), "the end of the master", 10)


@pytest.mark.parametrize("passenger", ["ours", "debian"])
def test_persist_for_ever(share, passenger):
    client, other = share.clients("ours", passenger, lines=["ControlMaster auto", "ControlPersist yes"])
    assert client.run("exit 0", flags=["-n"]).returncode == 0
    assert other.run("echo x").stdout == "x\n"
    assert other.run(flags=["-O", "exit"]).returncode == 0
    process.wait_until(lambda: not os.path.exists(share.path), "the end of the master", 10)


def test_master_waits_for_passengers(share):
    """Its own command ends; the passenger's goes on."""
    one = share(flags=["-T"])  # its shell reads /dev/null and ends at once, or has
    assert one.popen.wait(10) == 0
    master, passenger = share.clients()
    log = process.Lines()
    popen = master.start("read x", flags=["-M", "-v"], stdin=subprocess.PIPE, stderr=log.write_fd)
    log.close_write_end()
    process.wait_until(lambda: os.path.exists(share.path), "the control socket")
    running = passenger.start("echo up; read x; echo end", stdin=subprocess.PIPE)
    assert running.stdout.readline() == b"up\n"
    popen.stdin.write(b"\n"), popen.stdin.flush()
    log.wait("free: client-session")
    assert popen.poll() is None
    out, _ = running.communicate(b"\n", timeout=10)
    assert out == b"end\n" and running.returncode == 0 and popen.wait(10) == 0
    popen.stdin.close(), popen.stdout.close()


def test_existing_and_stale_sockets(share):
    one = share()
    done = one.master.run("echo alone", flags=["-M"])
    assert done.stdout == "alone\n" and "ControlSocket %s already exists, disabling multiplexing" % one.path in done.stderr
    assert one.run("echo shared").stdout == "shared\n"
    one.popen.kill()
    one.popen.wait()
    assert os.path.exists(one.path)
    auto, _ = share.clients(lines=["ControlMaster auto"])
    done = auto.run("echo new", flags=["-v"])
    assert done.stdout == "new\n" and "Stale control socket" in done.stderr and not os.path.exists(one.path)


def test_killed_master_and_killed_passenger(share):
    one = share()
    running = one.passenger.start("echo up; cat", stdin=subprocess.PIPE)
    assert running.stdout.readline() == b"up\n"
    running.kill()
    running.communicate()
    one.log.wait("free: client-session")
    running = one.passenger.start("echo up; cat", stdin=subprocess.PIPE)
    assert running.stdout.readline() == b"up\n"
    one.popen.kill()
    assert running.wait(10) == 255
    running.communicate()


@pytest.mark.parametrize("answer, status", [("true", 0), ("false", 255)])
def test_ask(share, answer, status):
    master, passenger = share.clients(lines=["ControlMaster ask"], passenger_lines=["BatchMode yes", "ProxyCommand false"])
    env = {**os.environ, "DISPLAY": ":none", "SSH_ASKPASS": "/bin/" + answer}
    popen = master.start(flags=["-N"], env=env)
    process.wait_until(lambda: os.path.exists(share.path), "the control socket")
    done = passenger.run("echo x")
    assert (done.returncode, done.stdout) == (status, "x\n" if status == 0 else "")
    assert ("Master refused session request: Permission denied" in done.stderr) == (status != 0)
    popen.terminate()
    popen.communicate()


def messages():
    """What no passenger should send, each behind a hello: type, length and content."""
    hello = struct.pack(">III", 8, 1, 4)
    yield b""
    yield struct.pack(">I", 0xFFFFFFFF)
    yield struct.pack(">III", 8, 1, 3)
    yield hello + hello
    for number in [2, 0x10000001, 0x10000003, 0x1000000F, 0x20000001, 0x80000001, 0xFFFFFFFF]:
        yield hello + struct.pack(">III", 8, number, 1)
    for number in range(0x10000002, 0x1000000A):
        for length in [0, 3, 4, 5, 8, 12, 40, 200]:
            if length == 4 and number in (0x10000005, 0x10000009):
                continue  # these are good, and end the master
            for fill in [b"\0", b"\xff"]:
                yield hello + struct.pack(">II", 4 + length, number) + fill * length
    yield hello + struct.pack(">II", 44, 0x10000002) + b"\0" * 40 + b"xyz"


def test_every_message_of_a_bad_passenger(share):
    one = share()
    held = []
    for data in messages():
        s = socket.socket(socket.AF_UNIX)
        s.connect(one.path)
        try:
            s.sendall(data)
        except BrokenPipeError:
            pass
        held.append(s)
    assert one.run("echo well").stdout == "well\n"  # while all the others hang there
    assert one.popen.poll() is None
    for s in held:
        s.close()
    silent = one.passenger.start("exec yes")  # a passenger that takes nothing stops nobody
    assert one.run("echo well").stdout == "well\n"
    silent.kill()
    silent.communicate()


def test_files_over_it(share, workdir):
    one = share()
    data = os.urandom(3 * MB)
    source, target = os.path.join(workdir, "source"), os.path.join(workdir, "target")
    with open(source, "wb") as f:
        f.write(data)
    os.chmod(source, 0o644)
    for program in ["scp", "sftp"]:
        path = programs.ours(program, program)
        if not programs.has(path):
            continue
        args = ["test:" + source, target] if program == "scp" else ["-b", "-", "test"]
        done = process.run([path, "-S", one.passenger.program, "-F", one.passenger.config, *args],
                           stdin="get %s %s\n" % (source, target) if program == "sftp" else None)
        assert done.returncode == 0, done.stderr
        with open(target, "rb") as f:
            assert hashlib.sha256(f.read()).digest() == hashlib.sha256(data).digest()
        os.unlink(target)


def test_a_session_takes_no_time(share):
    one = share()
    began = time.monotonic()
    for _ in range(10):
        assert one.run("true").returncode == 0
    assert time.monotonic() - began < 3  # a bound that only a wait would break
