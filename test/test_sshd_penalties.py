"""PerSourcePenalties: what a source does costs it time, other sources none."""
import os
import signal
import socket

import pytest

from lib import process

LINES = ["LogLevel VERBOSE", "MaxAuthTries 1"]


def said(server, source="127.0.0.1"):
    """What a new connection from there is told first."""
    with socket.create_connection(("127.0.0.1", server.port), 10, source_address=(source, 0)) as s:
        return s.makefile("rb").readline()


def noauth(server, _client):
    server.connect().close()


def authfail(_server, client):
    assert client("root", "/dev/null").run("true").returncode == 255


def invaliduser(_server, client):
    assert client("nosuchuser").run("true").returncode == 255


def refuseconnection(_server, client):
    assert client("daemon").run("true").returncode == 255


def grace(server, _client):
    with server.connect() as s:
        while s.recv(1000):
            pass


def crash(server, _client):
    """The process that reads the network is killed in the middle."""
    with server.connect() as s:
        s.recv(1000)
        server.log.wait(r"^Connection from 127.0.0.1")
        os.kill(process.wait_until(only_network_child, "the network child alone"), signal.SIGKILL)
        while s.recv(1000):
            pass


def only_network_child():
    """None as long as one of an earlier connection is still there."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = [pid for pid in pids if process.command_line(pid).startswith("sshd: [net]") and is_ours(pid)]
    return found[0] if len(found) == 1 else None


def is_ours(pid):
    """Of this test: of orphans it is the parent too."""
    while pid > 1 and pid != os.getpid():
        stat = process.stat_of(pid)
        pid = stat[2] if stat else 0
    return pid == os.getpid()


@pytest.mark.parametrize("kind,act,reason", [
    ("noauth", noauth, "connections without attempting authentication"),
    ("authfail", authfail, "failed authentication"),
    ("invaliduser", invaliduser, "attempted authentication by invalid user"),
    ("refuseconnection", refuseconnection, "connection prohibited by RefuseConnection"),
    ("grace-exceeded", grace, "exceeded LoginGraceTime"),
    ("crash", crash, "caused crash"),
])
def test_kinds(our_sshd, debian_ssh, keys, kind, act, reason):
    def client(user, key=None):
        return debian_ssh(server, ["PreferredAuthentications publickey"], user=user, key=keys.host["rsa"] if key else keys.user["rsa"])

    lines = [*LINES, "PerSourcePenalties %s:61 min:5" % kind, "LoginGraceTime %d" % (1 if kind == "grace-exceeded" else 60),
             "Match user daemon", "RefuseConnection yes"]
    server = our_sshd(lines)
    assert said(server, "127.0.0.3").startswith(b"SSH-2.0-")
    act(server, client)
    server.log.wait(r"^ipv4: new 127\.0\.0\.1/32 active penalty of 6[12] seconds for penalty: " + reason)
    assert said(server) == b"Not allowed at this time\r\n"
    server.log.wait(r"^drop connection #\d+ from \[127\.0\.0\.1\]:\d+ on \[127\.0\.0\.1\]:%d penalty: %s$" % (server.port, reason))
    assert said(server, "127.0.0.2").startswith(b"SSH-2.0-")


def test_they_come_together_and_pass(our_sshd, debian_ssh, keys):
    server = our_sshd([*LINES, "PerSourcePenalties authfail:1 min:2 max:2"])
    client = debian_ssh(server, key=keys.host["rsa"])
    client.run("true")
    server.log.wait("new 127.0.0.1/32 deferred penalty of 1 seconds for penalty: failed authentication")
    client.run("true")
    server.log.wait("new 127.0.0.1/32 (active|deferred) penalty")
    client.run("true")
    good = debian_ssh(server)
    process.wait_until(lambda: good.run("true").returncode == 0, "the end of the penalty")


def test_exempt_sources_and_success(our_sshd, debian_ssh, keys):
    server = our_sshd([*LINES, "PerSourcePenalties authfail:60 noauth:60 crash:60 min:1", "PerSourcePenaltyExemptList 127.0.0.0/8"])
    assert debian_ssh(server, key=keys.host["rsa"]).run("true").returncode == 255
    assert debian_ssh(server).run("true").returncode == 0
    server = our_sshd([*LINES, "PerSourcePenalties authfail:60 noauth:60 crash:60 min:1"])
    for _ in range(3):
        assert debian_ssh(server).run("true").returncode == 0


def test_overflow(our_sshd):
    server = our_sshd([*LINES, "PerSourcePenalties noauth:60 min:5 max-sources4:1 overflow:deny-all"])
    server.connect().close()
    server.log.wait("active penalty of 60 seconds")
    assert said(server, "127.0.0.9") == b"Not allowed at this time\r\n"
    server.log.wait("too many penalised IPv4 sources")
