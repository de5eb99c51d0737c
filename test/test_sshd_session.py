"""What happens in a session: commands, environment, terminals, forced commands, records of who is in."""
import os
import re
import signal
import struct
import subprocess

import pexpect
import pytest

from lib import process
from lib.marks import needs_root
from lib.server import write_config


def test_exit_status_and_streams(our_sshd, debian_ssh):
    client = debian_ssh(our_sshd())
    done = client.run("cat; echo err >&2; exit 42", stdin="in\n")
    assert (done.returncode, done.stdout, done.stderr) == (42, "in\n", "err\n")
    assert client.run("true").returncode == 0
    assert client.run("kill -TERM $$").returncode == 255
    assert client.run("/nonexistent").returncode == 127


def test_exit_signal_is_told(our_sshd, debian_ssh):
    done = debian_ssh(our_sshd()).run("kill -SEGV $$", flags=["-v"])
    assert "exit-signal" in done.stderr


def test_login_shell_and_home(our_sshd, debian_ssh, login):
    client = debian_ssh(our_sshd())
    done = client.run(stdin="pwd; echo $0 $USER $LOGNAME $HOME $SHELL\n")
    home, names = done.stdout.split("\n")[-3:-1]
    assert home == os.path.realpath(login.pw_dir)
    assert names == "-%s %s %s %s %s" % (os.path.basename(login.pw_shell), login.pw_name, login.pw_name, login.pw_dir, login.pw_shell)


def test_environment_of_a_command(our_sshd, debian_ssh, login):
    server = our_sshd(["AcceptEnv LANG LC_* COL?UR"])
    client = debian_ssh(server, ["SetEnv LC_TEST=a COLOUR=blue SECRET=x"])
    env = dict(line.split("=", 1) for line in client.run("env").stdout.strip().split("\n"))
    assert env["LC_TEST"] == "a" and env["COLOUR"] == "blue" and "SECRET" not in env
    assert re.fullmatch(r"127\.0\.0\.1 \d+ 127\.0\.0\.1 %d" % server.port, env["SSH_CONNECTION"])
    assert re.fullmatch(r"127\.0\.0\.1 \d+ %d" % server.port, env["SSH_CLIENT"])
    assert "SSH_TTY" not in env and "SSH_ORIGINAL_COMMAND" not in env
    assert env["USER"] == login.pw_name and env["HOME"] == login.pw_dir and "PATH" in env
    assert not [name for name in env if "NACRE" in name or "NOTIFY" in name or "LISTEN" in name]


def test_set_env_of_the_server(our_sshd, debian_ssh):
    client = debian_ssh(our_sshd(['SetEnv A=1 "B=two words"']))
    assert client.run('echo "$A $B"').stdout == "1 two words\n"


def test_force_command(our_sshd, debian_ssh, login):
    server = our_sshd(["Match User " + login.pw_name, '    ForceCommand echo "forced: $SSH_ORIGINAL_COMMAND"'])
    client = debian_ssh(server)
    assert client.run("echo mine").stdout == "forced: echo mine\n"
    assert client.run().stdout == "forced: \n"
    assert client.run("sftp", flags=["-s"]).stdout == "forced: internal-sftp\n"


def test_force_command_internal_sftp(our_sshd, debian_ssh):
    done = debian_ssh(our_sshd(["ForceCommand internal-sftp"])).run("id", stdin=struct.pack(">IBI", 5, 1, 3), text=False)
    assert done.stdout[4:9] == b"\x02\0\0\0\x03"


@pytest.mark.parametrize("text", ["Authorised use only.\n", "Grüße\nfrom here\n"])
def test_banner(our_sshd, debian_ssh, workdir, text):
    path = workdir + "/banner"
    write_config(path, [text.rstrip("\n")])
    done = debian_ssh(our_sshd(["Banner " + path])).run("true")
    assert done.stderr == text


def test_no_file_descriptors_leak_into_a_command(our_sshd, debian_ssh):
    done = debian_ssh(our_sshd()).run("ls -l /proc/self/fd")
    assert len(re.findall(r" -> ", done.stdout)) == 4, done.stdout  # 0 1 2 and ls's own


def test_command_is_not_traced_to_the_server(our_sshd, debian_ssh):
    """Its own session, default signals, no blocked ones, no core limit of ours."""
    done = debian_ssh(our_sshd()).run("grep -E 'Sig(Blk|Ign)' /proc/self/status; grep core /proc/self/limits")
    blocked, ignored = re.findall(r"Sig\w+:\t(\w+)", done.stdout)
    assert int(blocked, 16) == 0 and int(ignored, 16) & ~(1 << (signal.SIGPIPE - 1)) == 0
    with open("/proc/self/limits", encoding="utf-8") as f:
        assert re.search(r"core file size\s+(\S+)\s+(\S+)", f.read()).group(2) == re.search(r"core file size\s+(\S+)\s+(\S+)", done.stdout).group(2)


# ---- terminals ----


@pytest.fixture
def terminal(servers):  # servers: so that it ends before they are stopped
    started = []

    def start(client, *command, flags=("-tt",), **options):
        argv = client.argv(*flags, "test", *command)
        started.append(pexpect.spawn(argv[0], argv[1:], timeout=15, encoding="utf-8", dimensions=(33, 101), **options))
        return started[-1]

    yield start
    for child in started:
        child.close(force=True)


def test_terminal(our_sshd, debian_ssh, login, terminal):
    child = terminal(debian_ssh(our_sshd()), "tty; stty size; echo $TERM $SSH_TTY; ls -l $(tty)", env=dict(os.environ, TERM="vt220"))
    child.expect(r"(/dev/pts/\d+)\r\n33 101\r\nvt220 (/dev/pts/\d+)\r\n(\S+) +\d+ (\w+)")
    assert child.match.group(1) == child.match.group(2) and child.match.group(4) == login.pw_name
    assert child.match.group(3).startswith("crw--w----")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_interactive_shell(our_sshd, debian_ssh, terminal):
    child = terminal(debian_ssh(our_sshd()), flags=())
    child.sendline("PS1='%''> '; stty -echo")
    child.expect_exact("%> ")
    child.setwinsize(40, 120)
    child.sendline("stty size")
    child.expect_exact("40 120")
    child.sendline("cat")
    child.sendline("to cat")
    child.expect_exact("to cat")
    child.sendcontrol("c")
    child.expect_exact("%> ")
    child.sendline("sh -c 'echo be''gin; exec sleep 100'")
    child.expect_exact("begin")
    child.sendcontrol("z")
    child.expect("Stopped")
    child.expect_exact("%> ")
    child.sendline("fg")
    child.expect_exact("sleep 100")
    child.sendcontrol("c")
    child.expect_exact("%> ")
    child.sendline("exit 7")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 7


def test_terminal_modes_arrive(our_sshd, debian_ssh, terminal):
    child = terminal(debian_ssh(our_sshd()), "stty -a; read line", preexec_fn=lambda: subprocess.run(["stty", "intr", "^G", "-ixon"], check=False))
    child.expect(r"intr = \^G")
    child.expect("-ixon")


def test_hangup_when_the_client_dies(our_sshd, debian_ssh, workdir, terminal):
    mark = workdir + "/hup"
    os.chmod(workdir, 0o777)
    server = our_sshd()
    child = terminal(debian_ssh(server), "trap 'echo yes >%s; exit' HUP; echo ready; while :; do sleep 0.05; done" % mark)
    child.expect("ready")
    os.kill(child.pid, signal.SIGKILL)
    process.wait_until(lambda: os.path.exists(mark), "SIGHUP to the command")


def records(path):
    """(type, pid, line, user, host) of each entry; see utmp(5)."""
    with open(path, "rb") as f:
        data = f.read()
    size = 384
    found = []
    for at in range(0, len(data) - size + 1, size):
        kind, pid = struct.unpack_from("<hxxi", data, at)
        line, user, host = data[at + 8 : at + 40], data[at + 44 : at + 76], data[at + 76 : at + 332]
        found.append((kind, pid, line.split(b"\0")[0].decode(), user.split(b"\0")[0].decode(), host.split(b"\0")[0].decode()))
    return found


@needs_root
@pytest.mark.parametrize("end", ["logout", "killed monitor"])
def test_utmp(our_sshd, debian_ssh, account, terminal, end):
    """The session stands in utmp while it lasts, whatever ends it."""
    if not os.path.exists("/run/utmp"):
        pytest.skip("no utmp on this machine")
    server = our_sshd()
    child = terminal(debian_ssh(server), "echo at $(tty); read line")
    child.expect(r"at /dev/(pts/\d+)")
    line = child.match.group(1)
    mine = process.wait_until(lambda: [r for r in records("/run/utmp") if r[0] == 7 and r[2] == line], "the record")
    assert len(mine) == 1 and mine[0][3] == account.pw_name and mine[0][4] in ("127.0.0.1", "localhost")
    assert process.command_line(mine[0][1]) == "sshd: %s [priv]" % account.pw_name
    if end == "logout":
        child.sendline("")
    else:
        os.kill(mine[0][1], signal.SIGKILL)
    child.expect(pexpect.EOF)
    child.close()
    process.wait_until(lambda: not [r for r in records("/run/utmp") if r[0] == 7 and r[2] == line], "the end of the record")
    if end == "killed monitor":
        server.log.wait("process %d of a connection was killed by signal 9" % mine[0][1])


@needs_root
def test_failures_are_recorded(our_sshd, debian_ssh, account, workdir):
    """lastb(1)"""
    if not os.path.exists("/var/log/btmp"):
        pytest.skip("no btmp on this machine")
    server = our_sshd(["PubkeyAuthentication no"])
    ask = write_config(os.path.join(workdir, "ask"), ["#!/bin/sh", "echo wrong"])
    os.chmod(ask, 0o700)
    env = dict(os.environ, SSH_ASKPASS=ask, SSH_ASKPASS_REQUIRE="force")
    before = len(records("/var/log/btmp"))
    done = debian_ssh(server, ["BatchMode no", "NumberOfPasswordPrompts 1"]).run("true", env=env)
    assert done.returncode == 255
    ours = [r[2:] for r in records("/var/log/btmp")[before:] if r[3] == account.pw_name]
    assert ours == [("ssh:notty", account.pw_name, "127.0.0.1")]


@needs_root
def test_privileges_are_gone(our_sshd, debian_ssh, account):
    done = debian_ssh(our_sshd()).run("id -u; id -g; id -G; grep -E '^(Uid|Gid|Cap(Prm|Eff|Inh|Amb)|NoNewPrivs)' /proc/self/status")
    lines = done.stdout.split("\n")
    assert lines[0] == str(account.pw_uid) and lines[1] == str(account.pw_gid) and lines[2].split() == [str(account.pw_gid)]
    for line in lines[3:-1]:
        name, *values = line.replace(":", "").split()
        if name in ("Uid", "Gid"):
            assert set(values) == {str(account.pw_uid if name == "Uid" else account.pw_gid)}
        elif name == "NoNewPrivs":
            assert values == ["0"]  # sudo must work
        else:
            assert int(values[0], 16) == 0, line


@needs_root
def test_who_runs_what(our_sshd, debian_ssh, account):
    """Before login the process that reads the network is nobody, in an empty root, under seccomp; after it, the user."""
    server = our_sshd()

    def statuses(pattern):
        found = []
        for pid, _ in server.sessions():
            if re.search(pattern, process.command_line(pid)):
                with open("/proc/%d/status" % pid, encoding="utf-8") as f:
                    found.append((pid, dict(line.split(":\t", 1) for line in f.read().split("\n") if ":\t" in line)))
        return found

    with server.connect() as conn:
        conn.recv(100)
        net = [s for s in statuses("sshd-auth|\\[net\\]") if s[1]["Seccomp"] == "2"]
        assert net, [process.command_line(pid) for pid, _ in server.sessions()]
        for pid, status in net:
            assert "0" not in status["Uid"].split() and status["NoNewPrivs"] == "1" and int(status["CapEff"], 16) == 0
    session = debian_ssh(server).start("echo in; read line", stdin=subprocess.PIPE)
    assert session.stdout.readline() == b"in\n"
    mine = [s for s in statuses("") if s[1]["Uid"].split()[0] == str(account.pw_uid)]
    assert mine and all(set(s[1]["Uid"].split()) == {str(account.pw_uid)} for s in mine)
    session.communicate(b"\n", timeout=15)


def test_many_sessions_in_one_connection(our_sshd, debian_ssh, workdir):
    server = our_sshd(["MaxSessions 3"])
    control = workdir + "/mux"
    client = debian_ssh(server, ["ControlPath " + control])
    master = client.start(flags=["-M", "-N"])
    process.wait_until(lambda: os.path.exists(control), "the mux socket")
    try:
        running = [client.start("echo in; read line", stdin=subprocess.PIPE) for _ in range(3)]
        for one in running:
            assert one.stdout.readline() == b"in\n"
        fourth = client.run("true", flags=["-o", "ControlMaster=no"])
        assert "Session open refused by peer" in fourth.stderr
        for one in running:
            one.communicate(b"\n", timeout=15)
    finally:
        master.terminate()
        master.communicate(timeout=15)


@pytest.mark.parametrize("allow, good", [("yes", True), ("local", True), ("remote", False), ("no", False)])
def test_local_forward(our_sshd, debian_ssh, allow, good):
    """ssh -W: standard input and output to a port, here the server's own."""
    server = our_sshd(["AllowTcpForwarding " + allow])
    done = debian_ssh(server).run(flags=["-W", "127.0.0.1:%d" % server.port], stdin=b"bad\r\n", text=False)
    assert (b"SSH-2.0-Nacre" in done.stdout) == good, done.stderr + server.log.text().encode()


@pytest.mark.parametrize("allow, good", [("yes", True), ("remote", True), ("local", False), ("no", False)])
def test_remote_forward(our_sshd, debian_ssh, allow, good):
    server = our_sshd(["AllowTcpForwarding " + allow])
    client = debian_ssh(server, ["ExitOnForwardFailure yes"])
    remote = "python3 -c 'import socket,sys; p=int(sys.stdin.readline()); print(socket.create_connection((\"127.0.0.1\",p)).recv(40))'"
    session = client.start(remote, flags=["-R", "0:127.0.0.1:%d" % server.port], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    said = session.stderr.readline().decode()
    if not good:
        session.communicate(timeout=15)
        assert session.returncode == 255 and "remote port forwarding failed" in said
        return
    port = re.search(r"Allocated port (\d+) for remote forward", said).group(1)
    out, _ = session.communicate(port.encode() + b"\n", timeout=15)
    assert b"SSH-2.0-Nacre" in out
