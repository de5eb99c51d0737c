"""ssh-agent: starting and ending, who may talk to it, what it signs, and for whom. Debian's ssh, git and ssh-keygen use it like their own."""
import os
import re
import signal
import socket
import struct
import subprocess
import time

import pytest

from lib import agent, process, programs
from lib.agent import Agent, string

pytestmark = pytest.mark.skipif(not programs.has(programs.AGENT), reason="ssh-agent is not built")
MAKES = ["ours", "debian"]


@pytest.fixture
def ours(workdir):
    with Agent(programs.AGENT, workdir) as one:
        yield one


def askpass(workdir, status, answer=""):
    """A program that notes what it was asked, and its environment for an agent."""
    path = os.path.join(workdir, "askpass")
    with open(path, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\nprintf '%%s|%%s\\n' \"$1\" \"$SSH_ASKPASS_PROMPT\" >>%s.log\necho '%s'\nexit %d\n" % (path, answer, status))
    os.chmod(path, 0o755)
    return path, {"SSH_ASKPASS": path, "DISPLAY": ":9"}


def start_behind(home, *args, **env):
    """As a login script does: gives what it printed, and the variables in it."""
    done = process.run([programs.AGENT, *args], env={**os.environ, "HOME": str(home), "SHELL": "/bin/sh", **env})
    assert done.returncode == 0, done.stderr
    return done.stdout, dict(re.findall(r"(\w+)=([^;]+);", done.stdout))


def is_gone(pid):
    return process.stat_of(int(pid)) is None or process.stat_of(int(pid))[1] == "Z"


def end(pid):
    os.kill(int(pid), signal.SIGTERM)
    process.wait_until(lambda: is_gone(pid), "the end of the agent")


def test_in_the_background(workdir):
    text, said = start_behind(workdir)
    pid, path = said["SSH_AGENT_PID"], said["SSH_AUTH_SOCK"]
    assert text == "SSH_AUTH_SOCK=%s; export SSH_AUTH_SOCK;\nSSH_AGENT_PID=%s; export SSH_AGENT_PID;\necho Agent pid %s;\n" % (path, pid, pid)
    assert re.fullmatch(re.escape(workdir) + r"/.ssh/agent/s\.\w{10}\.agent\.\w{10}", path)
    assert os.stat(path).st_mode & 0o777 == 0o600 and os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    assert process.run([programs.ADD, "-l"], env={"SSH_AUTH_SOCK": path}).stdout == "The agent has no identities.\n"
    done = process.run([programs.AGENT, "-k"], env={"SSH_AGENT_PID": pid, "SHELL": "/bin/sh"})
    assert done.stdout == "unset SSH_AUTH_SOCK;\nunset SSH_AGENT_PID;\necho Agent pid %s killed;\n" % pid
    process.wait_until(lambda: is_gone(pid), "the end of the agent")
    assert not os.path.exists(path)


def test_csh_and_tmpdir(workdir):
    for args, shell in ((("-c", "-T"), "/bin/sh"), (("-T",), "/usr/bin/tcsh")):
        done = process.run([programs.AGENT, *args], env={"SHELL": shell, "TMPDIR": workdir})
        path, pid = re.fullmatch(r"setenv SSH_AUTH_SOCK (\S+);\nsetenv SSH_AGENT_PID (\d+);\necho Agent pid \2;\n", done.stdout).groups()
        assert re.fullmatch(re.escape(workdir) + r"/ssh-\w{6}/agent\.\d+", path)
        end(pid)
        assert not os.path.exists(os.path.dirname(path))


def test_command(workdir):
    script = 'echo $SSH_AUTH_SOCK $SSH_AGENT_PID; %s -l; exit 7' % programs.ADD
    done = process.run([programs.AGENT, "sh", "-c", script], env={**os.environ, "HOME": workdir})
    assert done.returncode == 7
    path, pid = done.stdout.split("\n")[0].split()
    assert "The agent has no identities." in done.stdout
    process.wait_until(lambda: is_gone(pid), "the end of the agent after its command")
    assert not os.path.exists(path)
    done = process.run([programs.AGENT, "/nonexistent/program"], env={**os.environ, "HOME": workdir})
    assert done.returncode == 1 and done.stderr == "/nonexistent/program: No such file or directory\n"


def test_stale_sockets(workdir):
    path = [start_behind(workdir)[1] for _ in range(2)]
    folder = os.path.join(workdir, ".ssh", "agent")
    for one in path:
        os.kill(int(one["SSH_AGENT_PID"]), signal.SIGKILL)
        process.wait_until(lambda one=one: is_gone(one["SSH_AGENT_PID"]), "the end of the agent")
    other_host = os.path.join(folder, "s.0000000000.agent.abcdefghij")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(other_host)
    start = start_behind(workdir, "-U")[1]
    assert len(os.listdir(folder)) == 4
    process.run([programs.AGENT, "-u"], env={**os.environ, "HOME": workdir})
    assert sorted(os.listdir(folder)) == sorted([os.path.basename(start["SSH_AUTH_SOCK"]), os.path.basename(other_host)])
    process.run([programs.AGENT, "-uu"], env={**os.environ, "HOME": workdir})
    assert os.listdir(folder) == [os.path.basename(start["SSH_AUTH_SOCK"])]
    end(start["SSH_AGENT_PID"])


def test_socket_activation(workdir, keys):
    path = os.path.join(workdir, "handed-over")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen(5)
        script = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" -s 3<&%d' % s.fileno()
        popen = subprocess.Popen(["/bin/bash", "-c", script, programs.AGENT], pass_fds=[s.fileno()], stdout=subprocess.PIPE, text=True,
                                 start_new_session=True)
        assert popen.stdout.readline() == "SSH_AUTH_SOCK=%s; export SSH_AUTH_SOCK;\n" % path
        assert process.run([programs.ADD, "-q", keys.user["ed25519"]], env={"SSH_AUTH_SOCK": path}).returncode == 0
        popen.terminate()
        assert popen.wait(10) == 2
        popen.stdout.close()
    assert os.path.exists(path)  # it is systemd's


@pytest.mark.parametrize("args,status,said", [
    (["-z"], 1, "unknown option -- z"), (["-k"], 1, "SSH_AGENT_PID not set, cannot kill agent"), (["-t", "xx"], 1, "Invalid lifetime"),
    (["-E", "foo"], 255, 'Invalid hash algorithm "foo"'), (["-O", "foo"], 255, "Unknown -O option"), (["-c", "-s"], 1, "usage:"),
    (["-D", "cmd"], 1, "usage:"), (["-V"], 0, "Nacre_"), (["-a", "/nonexistent/x/y"], 1, "cannot bind to path /nonexistent/x/y: "),
    (["-a", "/tmp/" + "x" * 200], 1, "too long")])
def test_mistakes(args, status, said):
    env = {k: v for k, v in os.environ.items() if k != "SSH_AGENT_PID"}
    done = process.run([programs.AGENT, *args], env=env)
    assert done.returncode == status and said in done.stderr


def test_address_in_use(ours):
    done = process.run([programs.AGENT, "-a", ours.path])
    assert done.returncode == 1
    assert done.stderr == "unix_listener: cannot bind to path %s: Address already in use\n" % ours.path


def test_memory_is_closed(ours):
    with open("/proc/%d/status" % ours.popen.pid, encoding="utf-8") as f:
        locked = int(re.search(r"VmLck:\s+(\d+)", f.read()).group(1))
    if os.geteuid() == 0 and not programs.SANITIZED:  # a sanitizer's own memory is too much to be locked
        assert locked > 1000
    assert os.stat("/proc/%d/mem" % ours.popen.pid).st_uid == 0  # a process that is not dumpable belongs to root


def test_another_user_is_refused(ours, keys, account):
    assert ours.add("-q", keys.user["ed25519"]).returncode == 0
    os.chmod(ours.path, 0o777)
    done = ours.add("-l", user=account.pw_uid, group=account.pw_gid, extra_groups=[])
    assert done.returncode == 1 and "error fetching identities" in done.stderr
    process.wait_until(lambda: "uid mismatch: peer euid %d" % account.pw_uid in ours.said(), "the agent's word on it")
    assert "ED25519" in ours.add("-l").stdout


def test_keys_dropped_on_signal(ours, keys):
    assert ours.add("-q", *keys.user.values()).returncode == 0
    ours.popen.send_signal(signal.SIGUSR1)
    process.wait_until(lambda: ours.add("-l").returncode == 1, "an empty agent")


def test_lifetime(workdir, keys):
    with Agent(programs.AGENT, workdir, ["-t", "1"]) as one:
        one.add("-q", keys.user["ed25519"])
        one.add("-q", "-t", "1h", keys.user["rsa"])
        with one.connect() as c:
            assert len(c.listed()) == 2
            process.wait_until(lambda: len(c.listed()) == 1, "the end of the first key")


@pytest.mark.parametrize("status,answer,is_yes", [(0, "", True), (0, "yes", True), (0, "no", False), (1, "", False)])
def test_confirmation(workdir, keys, status, answer, is_yes):
    path, env = askpass(workdir, status, answer)
    key = keys.user["ed25519"]
    with Agent(programs.AGENT, workdir, env=env) as one:
        assert one.add("-q", "-c", key).returncode == 0
        with one.connect() as c:
            assert (c.sign(agent.blob(key + ".pub"), "data")[0] == agent.SIGNATURE) == is_yes
    with open(path + ".log", encoding="utf-8") as f:
        fingerprint = keys.fingerprint(key)
        assert f.read() == "Allow use of key user_ed25519?\nKey fingerprint %s.|confirm\n" % fingerprint


def test_others_go_on_while_one_is_confirmed(workdir, keys):
    path, env = askpass(workdir, 0)
    fifos = [os.path.join(workdir, name) for name in ("first", "second")]
    for fifo in fifos:
        os.mkfifo(fifo)
    with open(path, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\nif mkdir %s.d 2>/dev/null; then read x <%s; else read x <%s; fi\nexit 0\n" % (path, *fifos))
    request = bytes([agent.SIGN]) + string(agent.blob(keys.user["ed25519"] + ".pub")) + string("x") + b"\0\0\0\0"
    with Agent(programs.AGENT, workdir, env=env) as one:
        one.add("-q", "-c", keys.user["ed25519"])
        with one.connect() as other:
            for fifo in fifos:
                with one.connect() as waiting:
                    waiting.send(request)
                    for _ in range(10):
                        assert len(other.listed()) == 1
                    if fifo == fifos[0]:
                        waiting.close()  # it does not wait for the answer
                    with open(fifo, "w", encoding="utf-8") as f:
                        f.write("go\n")
                    assert fifo == fifos[0] or waiting.receive()[0] == agent.SIGNATURE


def test_wrong_passphrase_costs_time(ours, keys):
    ours.add("-q", keys.user["ed25519"])
    with ours.connect() as a, ours.connect() as b:
        assert a.ask(bytes([agent.LOCK]) + string("pw"))[0] == agent.SUCCESS
        assert a.listed() == [] and b.ask(bytes([agent.REMOVE_ALL]))[0] == agent.FAILURE
        begin = time.monotonic()
        for c in (a, b, a, b):
            c.send(bytes([agent.UNLOCK]) + string("no"))
        assert [c.receive()[0] for c in (a, b, a, b)] == [agent.FAILURE] * 4
        assert time.monotonic() - begin >= 0.9  # 0.1 + 0.2 + 0.3 + 0.4, whatever the number of connections
        assert b.ask(bytes([agent.UNLOCK]) + string("pw"))[0] == agent.SUCCESS
        assert len(a.listed()) == 1


def test_nonsense(ours, keys):
    for length in (0, 256 * 1024 + 1, 2**32 - 1):
        with ours.connect() as c:
            c.sock.sendall(struct.pack(">I", length))
            assert c.receive() is None
    for number in range(256):
        with ours.connect() as c:
            for more in (b"", b"\0" * 40, b"\xff" * 40):
                c.send(bytes([number]) + more)
            assert all(c.receive() for _ in range(3))
    with ours.connect() as c:  # half a request, for good
        c.sock.sendall(b"\0\0\1\0abc")
        assert ours.add("-q", keys.user["rsa"]).returncode == 0
    assert "RSA" in ours.add("-l").stdout


def test_a_client_that_does_not_read(ours, keys):
    ours.add("-q", *keys.user.values())
    with ours.connect() as c:
        c.sock.setblocking(False)
        sent = 0
        try:
            while sent < 10_000_000:
                sent += c.sock.send(b"\0\0\0\1\x0b" * 1000)
        except BlockingIOError:
            pass
        assert sent < 10_000_000
        with open("/proc/%d/status" % ours.popen.pid, encoding="utf-8") as f:
            assert int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) < 100_000
        assert ours.add("-l").returncode == 0


def test_many_clients(ours, keys):
    ours.add("-q", keys.user["ed25519"])
    clients = [ours.connect() for _ in range(400)]
    for c in clients:
        c.send(bytes([agent.LIST]))
    assert all(c.receive()[0] == agent.IDENTITIES for c in clients)
    for c in clients:
        c.close()


def test_tokens_are_refused_in_words(ours):
    done = ours.add("-s", "/usr/lib/none.so", program=programs.peer("ssh-add"), stdin="1234\n")
    assert done.returncode == 1 and "agent refused operation" in done.stderr
    assert "provider /usr/lib/none.so: No such file or directory" in ours.said()
    ours.add("-s", "/bin/sh", program=programs.peer("ssh-add"), stdin="1234\n")
    assert 'refusing provider "' in ours.said()


# ---- who uses it ----

@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "ecdsa384", "ecdsa521", "rsa"])
def test_logins(make, kind, ours, keys, our_sshd, our_ssh, debian_ssh):
    server = our_sshd()
    ours.add("-q", keys.user[kind])
    ssh = our_ssh if make == "ours" else debian_ssh
    client = ssh(server, ["IdentityAgent %s" % ours.path, "IdentitiesOnly no"], key="/nonexistent/key")
    done = client.run("echo", "in")
    assert done.stdout == "in\n", done.stderr


def test_rsa_flags(ours, keys):
    ours.add("-q", keys.user["rsa"])
    blob = agent.blob(keys.user["rsa"] + ".pub")
    with ours.connect() as c:
        for flags, name in ((0, b"ssh-rsa"), (2, b"rsa-sha2-256"), (4, b"rsa-sha2-512"), (6, b"rsa-sha2-256")):
            answer = c.sign(blob, "data", flags)
            assert agent.strings(agent.strings(answer[1:])[0])[0] == name


def test_git_and_ssh_keygen_sign(ours, keys, workdir):
    keygen = programs.peer("ssh-keygen")
    key = keys.user["ed25519"]
    ours.add("-q", key)
    public = os.path.join(workdir, "key.pub")
    with open(public, "w", encoding="utf-8") as f:
        f.write(keys.public(key) + "\n")
    allowed = os.path.join(workdir, "allowed")
    with open(allowed, "w", encoding="utf-8") as f:
        f.write("me@example.org " + keys.public(key) + "\n")
    done = process.run([keygen, "-Y", "sign", "-n", "file", "-f", public], stdin="text", env=ours.env)
    assert done.returncode == 0, done.stderr
    signature = os.path.join(workdir, "sig")
    with open(signature, "w", encoding="utf-8") as f:
        f.write(done.stdout)
    done = process.run([keygen, "-Y", "verify", "-n", "file", "-f", allowed, "-I", "me@example.org", "-s", signature], stdin="text")
    assert done.returncode == 0, done.stderr
    if not programs.peer("git"):
        pytest.skip("no git here")
    repo = os.path.join(workdir, "repo")
    env = {**ours.env, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "HOME": workdir}
    settings = ["gpg.format=ssh", "user.signingkey=" + public, "user.name=me", "user.email=me@example.org", "gpg.ssh.program=" + keygen,
                "gpg.ssh.allowedSignersFile=" + allowed]
    git = ["git", "-C", repo, *[x for s in settings for x in ("-c", s)]]
    os.mkdir(repo)
    process.run([*git, "init", "-q"], env=env)
    done = process.run([*git, "commit", "-q", "-S", "--allow-empty", "-m", "signed"], env=env)
    assert done.returncode == 0, done.stderr
    done = process.run([*git, "verify-commit", "HEAD"], env=env)
    assert done.returncode == 0 and "Good" in done.stderr, done.stderr


def test_restricted_key_logs_in_where_it_may(ours, keys, workdir, debian_sshd, debian_ssh):
    """Debian's ssh binds its connection; the agent signs for one server and not for the other."""
    server, other = debian_sshd(), debian_sshd()
    host_keys = ["ed25519", "ecdsa"]
    known = os.path.join(workdir, "known")
    with open(known, "w", encoding="utf-8") as f:
        f.write("here " + " ".join(keys.public(keys.host[host_keys[0]]).split()[:2]) + "\n")
    assert ours.add("-q", "-h", "here", "-H", known, keys.user["ed25519"]).returncode == 0
    for one, host_key, is_in in ((server, host_keys[0], True), (other, host_keys[1], False)):
        lines = ["IdentityAgent %s" % ours.path, "IdentitiesOnly no", "HostKeyAlgorithms ssh-%s,ecdsa-sha2-nistp256" % host_key]
        if host_key != "ed25519":
            lines[2] = "HostKeyAlgorithms ecdsa-sha2-nistp256"
        done = debian_ssh(one, lines, key="/nonexistent/key").run("echo", "in")
        assert (done.stdout == "in\n") == is_in, done.stderr


# ---- destination limits by hand, against both makes ----

def bind(c, host_key, session_id, forwarding, host_agent, spoil=False):
    """The host's own agent signs the session id for it."""
    public = agent.blob(host_key + ".pub")
    signature = agent.strings(host_agent.sign(public, session_id)[1:])[0]
    if spoil:
        signature = signature[:-1] + bytes([signature[-1] ^ 1])
    body = string("session-bind@openssh.com") + string(public) + string(session_id) + string(signature) + bytes([forwarding])
    return c.ask(bytes([agent.EXTENSION]) + body)[0] == agent.SUCCESS


def login_request(key, session_id, user, host_key=None):
    method = "publickey-hostbound-v00@openssh.com" if host_key else "publickey"
    data = string(session_id) + b"\x32" + string(user) + string("ssh-connection") + string(method) + b"\1" + string("ssh-ed25519") + string(key)
    return data + (string(agent.blob(host_key + ".pub")) if host_key else b"")


@pytest.mark.parametrize("make", MAKES)
def test_destinations(make, workdir, keys):
    """From here to alpha as anybody, from alpha to beta as me; the same questions, the same answers."""
    if not agent.BY_NAME[make]:
        pytest.skip("no agent of that make")
    alpha, beta = keys.host["ed25519"], keys.host["ecdsa"]
    known = os.path.join(workdir, "known")
    with open(known, "w", encoding="utf-8") as f:
        f.write("alpha %s\nbeta %s\n" % tuple(" ".join(keys.public(k).split()[:2]) for k in (alpha, beta)))
    blob = agent.blob(keys.user["ed25519"] + ".pub")
    with Agent(agent.BY_NAME[make], workdir) as one, Agent(programs.AGENT, workdir) as hosts:
        hosts.add("-q", alpha, beta)
        added = one.add("-q", "-H", known, "-h", "alpha", "-h", "alpha>me@beta", keys.user["ed25519"])
        assert added.returncode == 0, added.stderr
        with hosts.connect() as h:
            signs = lambda c, *args: c.sign(blob, login_request(blob, *args))[0] == agent.SIGNATURE
            with one.connect() as c:  # local
                assert len(c.listed()) == 1 and not signs(c, b"s1", "x", alpha)
                assert bind(c, alpha, b"s1", False, h) and not bind(c, alpha, b"s1", False, h)
                assert not bind(c, beta, b"s2", False, h)
                assert len(c.listed()) == 1
                assert signs(c, b"s1", "x", alpha) and signs(c, b"s1", "x")
                assert not signs(c, b"s2", "x", alpha) and not signs(c, b"s1", "x", beta)
                assert c.sign(blob, "anything")[0] == agent.FAILURE
            with one.connect() as c:  # forwarded to alpha
                assert bind(c, alpha, b"s1", True, h) and bind(c, alpha, b"s1", True, h) and not bind(c, beta, b"s1", True, h)
                assert len(c.listed()) == 1
                assert not signs(c, b"s1", "me", alpha)
                assert bind(c, beta, b"s2", False, h) and len(c.listed()) == 1
                assert signs(c, b"s2", "me", beta)
                assert not signs(c, b"s2", "root", beta) and not signs(c, b"s2", "me") and not signs(c, b"s1", "me", alpha)
            with one.connect() as c:  # forwarded on to beta, where the key is of no use
                assert bind(c, alpha, b"s1", True, h) and bind(c, beta, b"s2", True, h)
                assert c.listed() == []
                assert c.ask(bytes([agent.REMOVE]) + string(blob))[0] == agent.FAILURE
            with one.connect() as c:  # a binding that fails
                assert not bind(c, alpha, b"s1", False, h, spoil=True)
                assert make == "debian" or c.listed() == []  # ours does not take it for a local one
            with one.connect() as c:  # straight to beta
                assert bind(c, beta, b"s1", False, h)
                assert c.listed() == [] and not signs(c, b"s1", "me", beta)


def test_forwarded_clients_load_no_providers(workdir, keys):
    for flags, is_asked in (([], False), (["-O", "allow-remote-pkcs11"], True)):
        with Agent(programs.AGENT, workdir, flags) as one, Agent(programs.AGENT, workdir) as hosts:
            hosts.add("-q", keys.host["ed25519"])
            with one.connect() as c, hosts.connect() as h:
                assert bind(c, keys.host["ed25519"], b"id", True, h)
                assert c.ask(bytes([agent.ADD_SMARTCARD]) + string("/usr/lib/none.so") + string("1"))[0] == agent.FAILURE
            assert ("provider /usr/lib/none.so" in one.said()) == is_asked
