"""The server as a daemon: its flags, signals, limits, and connections that speak no SSH."""
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from lib import process, programs
from lib.marks import needs_root
from lib.server import Server, free_port, sshd_config, write_config


def sshd(*argv, **options):
    return process.run([programs.SSHD, *argv], **options)


# ---- flags ----


def test_t_is_silent_about_a_good_file(workdir, keys):
    done = sshd("-t", "-f", sshd_config(workdir, keys, 22, [], "internal-sftp"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("line, said", [
    ("NoSuchKeyword yes", "Bad configuration option: NoSuchKeyword"),
    ("Port seven", "line 1"),
    ("PermitRootLogin perhaps", "line 1"),
    ("UsePAM", "line 1"),
    ("Ciphers nosuch-cipher", "line 1"),
    ("Match Colour blue", "line 1"),
])
def test_t_names_the_line(workdir, keys, line, said):
    path = sshd_config(workdir, keys, 22, [line], "internal-sftp")
    done = sshd("-t", "-f", path)
    assert done.returncode != 0 and said in done.stderr and path in done.stderr


def test_t_misses_its_file_and_keys(workdir):
    done = sshd("-t", "-f", workdir + "/nosuch")
    assert done.returncode != 0 and "nosuch: No such file or directory" in done.stderr
    done = sshd("-t", "-f", write_config(workdir + "/c", ["HostKey %s/nokey" % workdir]))
    assert done.returncode != 0
    assert "no hostkeys available" in sshd("-t", "-e", "-f", workdir + "/c").stderr


def test_dump_is_a_configuration(workdir, keys):
    path = sshd_config(workdir, keys, 2222, ["MaxAuthTries 4", "Match User anna", "    MaxAuthTries 2"], "internal-sftp")
    done = sshd("-T", "-f", path)
    assert done.returncode == 0, done.stderr
    assert "maxauthtries 4\n" in done.stdout and "listenaddress 127.0.0.1:2222\n" in done.stdout
    assert "maxauthtries 2\n" in sshd("-T", "-f", path, "-C", "user=anna,host=h,addr=10.0.0.1").stdout
    again = sshd("-T", "-f", write_config(workdir + "/again", done.stdout.split("\n")))
    assert again.returncode == 0 and again.stdout == done.stdout, again.stderr
    # -G needs neither keys nor rights.
    only = sshd("-G", "-f", write_config(workdir + "/nokeys", ["HostKey /nonexistent"]))
    assert only.returncode == 0 and "hostkey /nonexistent\n" in only.stdout


def test_version_and_usage():
    done = sshd("-V")
    assert done.returncode == 0 and re.match(r"Nacre_[\d.]+, OpenSSL ", done.stderr + done.stdout)
    done = sshd("-Z")
    assert done.returncode == 1 and "usage: sshd" in done.stderr


def test_command_line_wins(our_sshd, debian_ssh):
    server = our_sshd(["Banner none"], flags=["-o", "PermitTTY=no"])
    assert "PTY allocation request failed" in debian_ssh(server).run("true", flags=["-tt"]).stderr


def test_log_file(our_sshd, debian_ssh, workdir, keys):
    port = free_port()
    path, log = sshd_config(workdir, keys, port, [], "internal-sftp"), workdir + "/log"
    server = subprocess.Popen([programs.SSHD, "-D", "-E", log, "-f", path], start_new_session=True)
    try:
        process.wait_until(lambda: os.path.exists(log) and "Server listening" in open(log, encoding="utf-8").read(), "the log file")
    finally:
        server.terminate()
        server.wait(10)
    text = open(log, encoding="utf-8").read()
    assert "Server listening on 127.0.0.1 port %d." % port in text and "Received signal 15; terminating." in text


def test_pid_file_and_detaching(debian_ssh, workdir, keys):
    port, pid_file = free_port(), workdir + "/pid"
    path = sshd_config(workdir, keys, port, ["PidFile " + pid_file], "internal-sftp")
    assert sshd("-E", workdir + "/log", "-f", path).returncode == 0
    with open(pid_file, encoding="utf-8") as f:
        pid = int(f.read())
    socket.create_connection(("127.0.0.1", port), 5).close()
    os.kill(pid, signal.SIGTERM)
    process.wait_until(lambda: not os.path.exists(pid_file), "the end of the pid file")
    process.wait_until(lambda: not process.leftovers(), "the end of the daemon")


# ---- signals ----


def test_hangup_reads_the_configuration_again(our_sshd, debian_ssh):
    server = our_sshd(["PermitTTY yes"])
    client = debian_ssh(server)
    assert client.run("tty", flags=["-tt"]).returncode == 0
    with open(server.config, encoding="utf-8") as f:
        text = f.read()
    with open(server.config, "w", encoding="utf-8") as f:
        f.write(text.replace("PermitTTY yes", "PermitTTY no"))
    server.signal(signal.SIGHUP)
    server.log.wait("^Received SIGHUP; restarting.$")
    server.log.wait("Server listening on", count=2)
    assert server.popen.poll() is None
    assert "PTY allocation request failed" in client.run("tty", flags=["-tt"]).stderr


def test_hangup_with_a_broken_configuration_changes_nothing(our_sshd, debian_ssh):
    server = our_sshd()
    with open(server.config, "a", encoding="utf-8") as f:
        f.write("NoSuchKeyword yes\n")
    server.signal(signal.SIGHUP)
    server.log.wait("Bad configuration option: NoSuchKeyword")
    server.log.wait("Received SIGHUP; the configuration has errors")
    assert debian_ssh(server).run("echo on").stdout == "on\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sessions_outlive_the_listener(our_sshd, debian_ssh, number):
    server = our_sshd()
    session = debian_ssh(server).start("echo started; read line; echo got $line", stdin=subprocess.PIPE)
    assert session.stdout.readline() == b"started\n"
    server.signal(number)
    if number == signal.SIGTERM:
        assert server.popen.wait(10) == 0
        server.log.wait("^Received signal 15; terminating.$")
        with pytest.raises(OSError):
            server.connect()
    else:
        server.log.wait("Server listening on", count=2)
    out, err = session.communicate(b"hello\n", timeout=15)
    assert (out, session.returncode) == (b"got hello\n", 0), err


# ---- limits ----


def test_login_grace_time(our_sshd):
    server = our_sshd(["LoginGraceTime 1"])
    with server.connect() as conn:
        assert conn.recv(100).startswith(b"SSH-2.0-Nacre_")
        begun = time.monotonic()
        conn.settimeout(10)
        while conn.recv(4096):
            pass
        assert 0.5 < time.monotonic() - begun < 5
    server.log.wait(r"Timeout before authentication for (connection from )?127\.0\.0\.1")


def test_max_startups(our_sshd, debian_ssh):
    server = our_sshd(["MaxStartups 2"])
    held = [server.connect() for _ in range(2)]
    for conn in held:
        assert conn.recv(100).startswith(b"SSH-2.0-")
    with server.connect() as third:
        assert third.recv(100) == b"Exceeded MaxStartups\r\n"
    server.log.wait(r"^drop connection #\d+ from \[127\.0\.0\.1\]:\d+ on \[127\.0\.0\.1\]:%d past MaxStartups" % server.port)
    held.pop().close()
    process.wait_until(lambda: debian_ssh(server).run("echo in").stdout == "in\n", "a free place")
    held.pop().close()


def test_sessions_do_not_count_as_startups(our_sshd, debian_ssh):
    server = our_sshd(["MaxStartups 2"])
    sessions = [debian_ssh(server).start("echo in; read line", stdin=subprocess.PIPE) for _ in range(1)]
    for _ in range(3):
        assert sessions[-1].stdout.readline() == b"in\n"
        sessions.append(debian_ssh(server).start("echo in; read line", stdin=subprocess.PIPE))
    assert sessions[-1].stdout.readline() == b"in\n"
    for session in sessions:
        session.communicate(b"\n", timeout=15)


def test_title_counts_startups(our_sshd):
    server = our_sshd(["MaxStartups 3:30:7"])
    before = process.command_line(server.pid)
    assert before == "sshd: %s [listener] 0 of 3-7 startups" % " ".join(server.popen.args)
    with server.connect() as conn:
        assert conn.recv(100).startswith(b"SSH-2.0-")
        assert process.command_line(server.pid) == before.replace("0 of", "1 of")
    process.wait_until(lambda: process.command_line(server.pid) == before, "the end of the connection")


@pytest.mark.parametrize("whose, program", [("[priv]", "sshd-session"), ("@notty", "sshd-user")])
def test_a_killed_session_is_told(our_sshd, debian_ssh, whose, program):
    server = our_sshd()
    client = debian_ssh(server).start("echo in; read line", stdin=subprocess.PIPE)
    assert client.stdout.readline() == b"in\n"
    victim = next(pid for pid, _ in server.sessions() if process.command_line(pid).endswith(whose))
    os.kill(victim, signal.SIGBUS)  # SIGSEGV in a log fails every test
    server.log.wait(r"^session process %d \(%s\) was killed by signal 7 \(Bus error\)" % (victim, program))
    client.communicate(timeout=15)
    assert debian_ssh(server).run("echo in").stdout == "in\n"


def test_inherited_descriptors_are_closed(workdir, keys):
    """Whoever started the daemon from a script with a pipe open would wait for its end for ever."""
    port = free_port()
    read_fd, write_fd = os.pipe()
    config = sshd_config(workdir, keys, port, [], "internal-sftp")
    server = Server([programs.SSHD, "-D", "-e", "-f", config], port, [], pass_fds=(write_fd,))
    os.close(write_fd)
    with server, open(read_fd, "rb") as pipe:
        assert select.select([pipe], [], [], 15)[0] and pipe.read() == b""


# ---- connections that speak no SSH ----

KEXINIT_TOO_LONG = b"\x7f\xff\xff\xff\x04\x14"
BAD_INPUT = {
    "garbage": (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", r"banner exchange: Connection from 127\.0\.0\.1 port \d+: invalid format"),
    "bytes": (bytes(range(128, 256)) * 4 + b"\n", r"banner exchange: Connection from .*: invalid format"),
    "protocol 1": (b"SSH-1.5-old\r\n", r"Protocol major versions differ|banner exchange: Connection from"),
    "endless line": (b"A" * 100000, r"banner exchange: Connection from 127\.0\.0\.1 port \d+: "),
    "endless lines": (b"hello\r\n" * 20000, r"banner exchange: Connection from 127\.0\.0\.1 port \d+: "),
    "nothing": (b"", r"Connection closed by 127\.0\.0\.1 port \d+"),
    "half a banner": (b"SSH-2.0-Half", r"Connection closed by 127\.0\.0\.1 port \d+"),
    "only a banner": (b"SSH-2.0-Test\r\n", r"Connection closed by 127\.0\.0\.1 port \d+"),
    "oversized packet": (b"SSH-2.0-Test\r\n" + KEXINIT_TOO_LONG + bytes(40000), r"127\.0\.0\.1 port \d+.*(packet length|Bad packet)"),
    "zero packet": (b"SSH-2.0-Test\r\n" + bytes(64), r"127\.0\.0\.1 port \d+.*packet length"),
    "wrong message": (b"SSH-2.0-Test\r\n" + b"\0\0\0\x0c\x0a\x5a" + bytes(10), r"127\.0\.0\.1 port \d+.*unexpected message"),
    "escape sequence": (b"SSH-2.0-\x1b]0;title\x07\r\n", r"127\.0\.0\.1 port \d+"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_ends_with_one_line(our_sshd, debian_ssh, name):
    sent, said = BAD_INPUT[name]
    server = our_sshd()
    before = len(server.log.lines)
    with server.connect() as conn:
        try:
            conn.sendall(sent)
            conn.shutdown(socket.SHUT_WR)
            conn.settimeout(10)
            while conn.recv(65536):
                pass
        except (BrokenPipeError, ConnectionResetError, OSError) as error:
            assert not isinstance(error, socket.timeout), "still open:\n" + server.log.text()
    server.log.wait(said)
    assert debian_ssh(server).run("echo on").stdout == "on\n"
    lines = server.log.text().split("\n")[before:]
    lines = lines[: next(i for i, line in enumerate(lines) if line.startswith("Accepted"))]
    assert len(lines) == 1, lines
    assert "\x1b" not in server.log.text()


# ---- one connection, over standard input ----


def test_inetd_mode(debian_ssh, workdir, keys, our_sshd, login):
    config = sshd_config(workdir, keys, 22, [], "internal-sftp")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    class Inetd:
        host_keys = list(keys.host.values())

        @staticmethod
        def known_hosts_lines():
            return ["[127.0.0.1]:%d %s" % (port, " ".join(keys.public(path).split()[:2])) for path in keys.host.values()]

    Inetd.port = port
    client = debian_ssh(Inetd).start("echo in; exit 5")
    conn, _ = listener.accept()
    with open(workdir + "/log", "wb") as log:
        server = subprocess.Popen([programs.SSHD, "-i", "-e", "-f", config], stdin=conn, stdout=conn, stderr=log, start_new_session=True)
    conn.close()
    listener.close()
    out, err = client.communicate(timeout=20)
    assert (out, client.returncode) == (b"in\n", 5), err + open(workdir + "/log", "rb").read()
    server.wait(10)


def test_inetd_mode_over_pipes(debian_ssh, workdir, keys, login):
    """As a ProxyCommand: two pipes, no socket, no address."""
    config = sshd_config(workdir, keys, 22, [], "internal-sftp")

    class Pipes:
        port = 7777

        @staticmethod
        def known_hosts_lines():
            return ["[127.0.0.1]:7777 " + " ".join(keys.public(path).split()[:2]) for path in keys.host.values()]

    client = debian_ssh(Pipes, ["ProxyCommand %s -i -e -f %s 2>%s/log" % (programs.SSHD, config, workdir)])
    done = client.run("echo in; exit 5")
    assert (done.stdout, done.returncode) == ("in\n", 5), done.stderr + open(workdir + "/log", encoding="utf-8").read()


RELAY = """
import os, socket, subprocess, sys, threading
ours, theirs = socket.socketpair()
server = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
theirs.close()
def up():
    while data := os.read(0, 65536):
        ours.sendall(data)
    ours.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := ours.recv(65536):
    os.write(1, data)
sys.exit(server.wait())
"""


def test_inetd_mode_over_a_socket_pair(debian_ssh, workdir, keys):
    """One descriptor for both ways that is no internet socket."""
    config = sshd_config(workdir, keys, 22, [], "internal-sftp")
    relay = os.path.join(workdir, "relay.py")
    with open(relay, "w", encoding="utf-8") as f:
        f.write(RELAY)

    class Pair:
        port = 22

        @staticmethod
        def known_hosts_lines():
            return ["127.0.0.1 " + " ".join(keys.public(keys.host["ed25519"]).split()[:2])]

    client = debian_ssh(Pair, ["ProxyCommand %s %s %s -i -e -f %s" % (sys.executable, relay, programs.SSHD, config)])
    done = client.run("echo $SSH_CONNECTION; head -c 3000000 /dev/zero | tr '\\0' x; exit 4")
    assert done.returncode == 4 and done.stdout == "UNKNOWN 65535 UNKNOWN 65535\n" + 3000000 * "x", done.stderr


@needs_root
def test_systemd_socket(debian_ssh, workdir, keys, login):
    """LISTEN_FDS: the socket is already there and nothing else is listened on."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = sshd_config(workdir, keys, 1, [], "internal-sftp")
    script = 'exec 3<&%d; export LISTEN_PID=$$ LISTEN_FDS=1; exec %s -D -e -f %s' % (listener.fileno(), programs.SSHD, config)
    with open(workdir + "/log", "wb") as log:
        server = subprocess.Popen(["bash", "-c", script], pass_fds=[listener.fileno()], stderr=log, start_new_session=True)
    try:
        class Activated:
            @staticmethod
            def known_hosts_lines():
                return ["[127.0.0.1]:%d %s" % (port, " ".join(keys.public(path).split()[:2])) for path in keys.host.values()]

        Activated.port = port
        for _ in range(2):
            done = debian_ssh(Activated).run("echo in")
            assert done.stdout == "in\n", done.stderr + open(workdir + "/log", encoding="utf-8").read()
            server.send_signal(signal.SIGHUP)  # the socket stays
            process.wait_until(lambda: "restarting" in open(workdir + "/log", encoding="utf-8").read(), "the restart")
    finally:
        server.terminate()
        server.wait(10)
        listener.close()


def test_sd_notify(workdir, keys):
    address = workdir + "/notify"
    config = sshd_config(workdir, keys, free_port(), [], "internal-sftp")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(address)
        notify.settimeout(15)
        server = subprocess.Popen([programs.SSHD, "-D", "-E", workdir + "/log", "-f", config], env=dict(os.environ, NOTIFY_SOCKET=address),
                                  start_new_session=True)
        try:
            assert b"READY=1" in notify.recv(1000)
            server.send_signal(signal.SIGHUP)
            assert b"RELOADING=1" in notify.recv(1000)
            assert b"READY=1" in notify.recv(1000)
        finally:
            server.terminate()
            server.wait(10)
