"""Port forwarding: ours at both ends and at one, with what users put into forwards and what they forget."""
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from lib import process, programs, targets
from lib.marks import needs_our_ssh, needs_peer, needs_root
from lib.server import free_port
from lib.targets import dial, dial_socks5, dial_unix, exchange, is_echo

pytestmark = needs_our_ssh
MB = 1 << 20
DIRECTIONS = ["ours both", "to ours", "from ours"]


@pytest.fixture
def echo():
    one = targets.Echo()
    yield one
    one.stop()


@pytest.fixture
def pair(our_sshd, debian_sshd, our_ssh, debian_ssh):
    """pair(direction, server_lines, client_lines) gives a client and its server."""

    def make(direction="ours both", server_lines=(), client_lines=(), **options):
        server = (debian_sshd if direction == "from ours" else our_sshd)(server_lines)
        return (debian_ssh if direction == "to ours" else our_ssh)(server, client_lines, **options), server

    return make


class Running:
    """An ssh -N that is up: its forwards are set."""

    def __init__(self, client, *flags, ready=r"all expected forwarding replies received|Entering interactive session", verbose=True):
        self.log = process.Lines()
        self.popen = client.start(flags=["-N", *(["-v"] if verbose else []), *flags], stdin=subprocess.PIPE, stderr=self.log.write_fd)
        self.log.close_write_end()
        if ready:
            self.log.wait(ready)

    def port(self, which=1):
        """Of the which-th -R 0."""
        return int(re.search(r"Allocated port (\d+)", self.log.wait("Allocated port", count=which)).group(1))

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.popen.pid))

    def stop(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(10)


@pytest.fixture
def run():
    started = []

    def start(*args, **options):
        started.append(Running(*args, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


# ---- the three kinds, with every peer ----


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_all_kinds(pair, run, echo, workdir, direction):
    """-L, -R, -D, remote SOCKS, unix sockets at either end, over one connection; each with a half-close carried through."""
    client, server = pair(direction)
    local, dynamic, half_unix = free_port(), free_port(), free_port()
    here, there, remote = (os.path.join(workdir, name) for name in ("here.sock", "echo.sock", "remote.sock"))
    os.chmod(workdir, 0o777)
    unix_echo = targets.Echo(path=there)
    os.chmod(there, 0o777)
    ssh = run(client, "-L", "%d:127.0.0.1:%d" % (local, echo.port), "-L", "%s:%s" % (here, there), "-L", "%d:%s" % (half_unix, there),
              "-D", str(dynamic), "-R", "0:localhost:%d" % echo.port, "-R", "%s:127.0.0.1:%d" % (remote, echo.port), "-R", "0",
              ready="all expected forwarding replies received")
    try:
        assert is_echo(dial(local))
        assert is_echo(dial_unix(here))
        assert is_echo(dial(half_unix))
        assert is_echo(dial(ssh.port()))
        process.wait_until(lambda: os.path.exists(remote), "the remote socket")
        os.geteuid() == 0 and os.chmod(remote, 0o777)
        assert is_echo(dial_unix(remote))
        assert is_echo(dial_socks5(dynamic, "localhost", echo.port))
        assert is_echo(dial_socks5(ssh.port(2), "127.0.0.1", echo.port))
    finally:
        unix_echo.stop()
    ssh.stop()
    assert direction == "to ours" or not os.path.exists(here), "the socket of -L is removed at the end"


def curl(version, proxy_port, host, port, *flags):
    return process.run(["curl", "-s", "--max-time", "10", *flags, "--socks" + version, "127.0.0.1:%d" % proxy_port,
                        "http://%s:%d/" % (host, port)])


def test_socks_versions(pair, run):
    """Every version, by address and by name, on -D and on a remote SOCKS; refusals come as such."""
    client, _ = pair()
    dynamic, web, nobody = free_port(), targets.Web(), free_port()
    ssh = run(client, "-D", str(dynamic), "-R", "0", ready="all expected forwarding replies received")
    try:
        for proxy in (dynamic, ssh.port()):
            for version in ("4", "4a", "5", "5-hostname"):
                done = curl(version, proxy, "127.0.0.1" if version in ("4", "5") else "localhost", web.port)
                assert done.stdout == "a page\n", (version, done, ssh.log.text())
            assert curl("5-hostname", proxy, "localhost", nobody).returncode == 97
            assert "(5)" in curl("5-hostname", proxy, "127.0.0.1", nobody, "-S").stderr  # connection refused, RFC 1928 6
            assert "(4)" in curl("5-hostname", proxy, "no-such-host.invalid", nobody, "-S").stderr  # host unreachable
    finally:
        web.stop()
