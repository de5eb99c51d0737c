"""The daemon as scripts, units and package managers handle it: statuses and texts, limits per source, upgrades under its feet, who may run it."""
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from lib import process, programs, server
from lib.marks import needs_root


def config(workdir, keys, *lines):
    path = os.path.join(workdir, "config")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(["HostKey %s" % keys.host["ed25519"], *lines]) + "\n")
    return path


def sshd(*args):
    return process.run([programs.SSHD, *args])


# ---- statuses ----


@pytest.mark.parametrize("flags,status,said", [
    (["-Z"], 1, "unknown option -- Z\n"),
    (["-f"], 1, "option requires an argument -- f\n"),
    (["-t", "extra"], 1, "Extra argument extra.\n"),
    (["-t", "-p", "99999"], 1, "Bad port number.\n"),
    (["-t", "-p", "ssh"], 1, "Bad port number.\n"),
    (["-t", "-C", "user=x"], 255, "Config test connection parameter (-C) provided without test mode (-T)"),
    (["-T", "-C", "user=a,what=x"], 1, "Invalid test mode specification what=x"),
    (["-T", "-C", "lport=x"], 1, "Invalid port 'x' in test mode specification lport=x"),
    (["-t", "-g", "abc"], 1, "Invalid login grace time."),
    (["-t", "-E", "/nosuch/log"], 1, "Couldn't open logfile /nosuch/log: No such file or directory"),
    (["-t", "-o", "Nonsense=1"], 1, "command-line: line 0: Bad configuration option: Nonsense"),
    (["-t", "-o", "LoginGraceTime=x"], 255, "command-line line 0: invalid time value."),
    (["-t", "-b", "1024", "-k", "3", "-Q", "-r"], 0, ""),
])
def test_flags(workdir, keys, flags, status, said):
    done = sshd("-f", config(workdir, keys), *flags)
    assert done.returncode == status and said in done.stderr


def test_keys_at_start(workdir, keys):
    """What is wrong with a key is said where the daemon is started, not only in syslog."""
    loose = os.path.join(workdir, "loose")
    shutil.copy(keys.host["ed25519"], loose)
    os.chmod(loose, 0o644)
    good = config(workdir, keys)
    done = sshd("-t", "-f", good, "-h", loose)
    assert done.returncode == 0 and 'Unable to load host key "%s": bad permissions' % loose in done.stderr
    for flags in (["-t"], ["-D"], []):
        done = sshd("-f", "/dev/null", "-h", loose, "-p", str(server.free_port()), *flags)
        assert done.returncode == 1 and "sshd: no hostkeys available -- exiting." in done.stderr, (flags, done.stderr)
    assert sshd("-t", "-q", "-f", config(workdir, keys, "Nonsense 1")).stderr == ""


@pytest.mark.parametrize("extra", range(8))
def test_settings_of_every_length_reach_the_sessions(our_sshd, debian_ssh, login, extra):
    one = our_sshd(["AcceptEnv none"], flags=["-o", "VersionAddendum=" + "x" * extra, "-o", "SetEnv=A=%d" % extra] if extra else ["-o", "SetEnv=A=0"])
    assert debian_ssh(one, user=login.pw_name).run("echo $A").stdout == "%d\n" % extra


# ---- limits ----


@pytest.mark.parametrize("lines,taken", [(["PerSourceMaxStartups 2"], 2), (["MaxStartups 3"], 3), (["PerSourceMaxStartups none", "MaxStartups 50"], 5)])
def test_startups(our_sshd, debian_ssh, login, lines, taken):
    one = our_sshd(lines)
    waiting = [one.connect() for _ in range(5)]
    try:
        said = []
        for sock in waiting:
            sock.settimeout(5)
            said.append(sock.recv(64))
    finally:
        for sock in waiting:
            sock.close()
    assert [line.startswith(b"SSH-2.0-") for line in said] == [True] * taken + [False] * (5 - taken)
    assert all(line == b"Exceeded MaxStartups\r\n" for line in said[taken:])
    if taken == 5:
        return
    one.log.wait("beginning MaxStartups throttling")
    assert len(one.log.find(r"drop connection #\d+ from \[127.0.0.1\]:\d+ on \[127.0.0.1\]:%d past MaxStartups" % one.port)) == 1
    one.log.wait(r"Connection closed by 127.0.0.1 port \d+$", count=taken)
    process.wait_until(lambda: debian_ssh(one, user=login.pw_name).run("true").returncode == 0, "a login")
    one.log.wait(r"exited MaxStartups throttling after 00:00:\d\d, \d+ connections dropped")


def test_sources_by_network(our_sshd):
    """127.0.0.1 and 127.0.0.2 are one source with 24 bits, two with 32."""
    for bits, good in (("32", True), ("24", False), ("0", False)):
        one = our_sshd(["PerSourceMaxStartups 1", "PerSourceNetBlockSize " + bits])
        with one.connect() as first:
            assert first.recv(64).startswith(b"SSH-")
            with socket.create_connection(("127.0.0.1", one.port), 5, source_address=("127.0.0.2", 0)) as second:
                assert second.recv(64).startswith(b"SSH-") == good


# ---- upgrades ----


def copied(workdir):
    """Our programs in a folder of their own."""
    folder = os.path.join(workdir, "copy")
    os.mkdir(folder)
    for name in os.listdir(os.path.dirname(programs.SSHD)):
        path = os.path.join(os.path.dirname(programs.SSHD), name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            shutil.copy(path, folder)
    return folder


def test_copy_in_another_folder_that_then_disappears(servers, debian_ssh, workdir, keys, login):
    folder = copied(workdir)
    one = server.start_sshd(os.path.join(folder, "sshd"), workdir, keys)
    servers.append(one)
    shutil.rmtree(folder)
    os.unlink(one.config)
    for _ in range(6):  # more than are kept ready
        assert debian_ssh(one, user=login.pw_name).run("echo in").stdout == "in\n"


def test_many_match_blocks(our_sshd, debian_ssh, login):
    blocks = [line for n in range(10000) for line in ("Match User nobody%d" % n, "  ForceCommand echo block number %d" % n)]
    one = our_sshd([*blocks, "Match User %s" % login.pw_name, "  SetEnv LAST=yes"])
    client = debian_ssh(one, user=login.pw_name)
    client.run("true")
    began = time.monotonic()
    assert client.run("echo $LAST").stdout == "yes\n"
    assert time.monotonic() - began < 2


def test_hangup_keeps_the_number_and_the_sessions(our_sshd, debian_ssh, login, workdir):
    pid_file = os.path.join(workdir, "pid")
    one = our_sshd(["PidFile " + pid_file])
    session = debian_ssh(one, user=login.pw_name).start("sleep 1; echo still here")
    process.wait_until(lambda: any(name == "sleep" for _, name in one.sessions()), "the command")
    os.unlink(pid_file)
    one.signal(signal.SIGHUP)
    one.log.wait("Server listening on", count=2)
    process.wait_until(lambda: os.path.exists(pid_file), "the pid file")
    with open(pid_file, encoding="utf-8") as f:
        assert int(f.read()) == one.pid
    assert session.communicate(timeout=20)[0] == b"still here\n"
    assert debian_ssh(one, user=login.pw_name).run("true").returncode == 0


# ---- who runs it ----


@needs_root
def test_an_ordinary_user_serves_himself(servers, debian_ssh, account, keys, workdir):
    folder = os.path.join(account.pw_dir, "daemon")
    os.mkdir(folder)
    host_key = os.path.join(folder, "key")
    for suffix in ("", ".pub"):
        shutil.copy(keys.host["ed25519"] + suffix, host_key + suffix)
    port = server.free_port()
    path = server.write_config(os.path.join(folder, "config"), [
        "ListenAddress 127.0.0.1:%d" % port, "HostKey " + host_key, "PidFile none", "UsePAM no", "StrictModes yes"])
    for name in (folder, host_key, host_key + ".pub", path):
        os.chown(name, account.pw_uid, account.pw_gid)
    os.chmod(host_key, 0o600)
    shared = copied(workdir)
    argv = ["setpriv", "--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups",
            os.path.join(shared, "sshd"), "-D", "-e", "-f", path]
    one = server.Server(argv, port, [host_key], ready="Server listening on")
    servers.append(one)
    try:
        done = debian_ssh(one, user=account.pw_name).run("id -un; tty; echo $HOME")
        assert done.stdout.splitlines() == [account.pw_name, "not a tty", account.pw_dir], done.stderr + one.log.text()
        assert "/dev/pts/" in debian_ssh(one, user=account.pw_name).run("tty", flags=("-tt",)).stdout
        assert debian_ssh(one, user="root").run("id -un").stdout != "root\n"
    finally:
        shutil.rmtree(folder)


@needs_root
def test_syslog(our_sshd, debian_ssh, account, workdir, keys):
    """Without -e lines go to the log socket, with the facility and the number of the process that speaks."""
    if os.path.exists("/dev/log"):
        pytest.skip("a log daemon is running here")
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind("/dev/log")
    os.chmod("/dev/log", 0o666)
    log.settimeout(10)
    port = server.free_port()
    path = server.sshd_config(workdir, keys, port, ["SyslogFacility LOCAL3", "UsePAM yes"], "internal-sftp")
    daemon = subprocess.Popen([programs.SSHD, "-D", "-f", path], start_new_session=True, stderr=subprocess.PIPE)
    try:
        lines = [log.recv(4096).decode()]
        while "Server listening" not in lines[-1]:
            lines.append(log.recv(4096).decode())
        assert lines[-1].startswith("<%d>" % (19 * 8 + 6)) and " sshd[%d]: " % daemon.pid in lines[-1]
        one = type("Running", (), {"port": port, "known_hosts_lines": lambda self: ["[127.0.0.1]:%d %s" % (port, keys.public(keys.host["ed25519"]))]})()
        assert debian_ssh(one, user="nobodyatall").run("true").returncode == 255
        while "Connection closed by invalid user" not in lines[-1]:
            lines.append(log.recv(4096).decode())
        assert any(" sshd[" in line and "Invalid user nobodyatall from 127.0.0.1 port" in line for line in lines)
        assert debian_ssh(one).run("true").returncode == 0
        while "pam_unix(sshd:session): session closed for user %s" % account.pw_name not in lines[-1]:
            lines.append(log.recv(4096).decode())
        mine = [line for line in lines if "pam_unix(sshd:session)" in line and account.pw_name in line]
        assert len(mine) == 2 and all(re.search(r" sshd\[\d+\]: pam_unix", line) for line in mine), mine
    finally:
        daemon.terminate()
        daemon.wait(10)
        log.close()
        os.unlink("/dev/log")
    assert pwd.getpwnam(account.pw_name) and daemon.stderr.read() == b""
