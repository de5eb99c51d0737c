"""Our programs with those of others, in both directions, over every algorithm that both sides have."""
import hashlib
import os
import re
import signal
import socket
import subprocess
import threading

import pexpect
import pytest

from lib import process, programs
from lib.marks import needs_our_ssh, needs_peer, needs_root

MB = 1 << 20
BIG_MB = 8 if programs.SANITIZED else 64
# Everything off the defaults is on as well: what is weak must still interoperate where somebody asks for it.
ALL = ["KexAlgorithms", "HostKeyAlgorithms", "Ciphers", "MACs", "PubkeyAcceptedAlgorithms"]
KEX = programs.both("kex")
CIPHERS = programs.both("cipher")
MACS = programs.both("mac")
DIRECTIONS = ["to ours", "from ours", "ours both"]


@pytest.fixture(scope="module")
def big_file():
    data = os.urandom(BIG_MB * MB)
    return data, hashlib.sha256(data).hexdigest()


@pytest.fixture
def pair(our_sshd, debian_sshd, our_ssh, debian_ssh):
    """pair(direction, server_lines, client_lines) gives a client and its server."""

    def make(direction, server_lines=(), client_lines=(), **options):
        server = (debian_sshd if direction == "from ours" else our_sshd)(server_lines)
        return (debian_ssh if direction == "to ours" else our_ssh)(server, client_lines, **options), server

    return make


def both_sides(keyword, name):
    return {"server_lines": ["%s %s" % (keyword, name)], "client_lines": ["%s %s" % (keyword, name)]}


def copy_both_ways(client, data, digest=None, timeout=60):
    """Through the session's standard input, and back."""
    digest = digest or hashlib.sha256(data).hexdigest()
    up = client.run("sha256sum", stdin=data, text=False, timeout=timeout)
    assert up.returncode == 0 and up.stdout.split()[0].decode() == digest, up.stderr
    down = client.run("cat", stdin=data, text=False, timeout=timeout)
    assert down.returncode == 0 and hashlib.sha256(down.stdout).hexdigest() == digest, down.stderr


# ---- OpenSSH: every algorithm ----


@needs_our_ssh
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kex", KEX)
def test_kex(pair, direction, kex):
    client, _ = pair(direction, **both_sides("KexAlgorithms", kex))
    done = client.run("echo in; exit 3")
    assert (done.stdout, done.returncode) == ("in\n", 3), done.stderr


@needs_our_ssh
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("cipher", CIPHERS)
def test_cipher(pair, direction, cipher, big_file):
    client, _ = pair(direction, **both_sides("Ciphers", cipher))
    copy_both_ways(client, big_file[0][: 4 * MB])


@needs_our_ssh
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("mac", MACS)
def test_mac(pair, direction, mac, big_file):
    both = both_sides("MACs", mac)
    both["client_lines"].append("Ciphers aes128-ctr")
    both["server_lines"].append("Ciphers aes128-ctr")
    client, _ = pair(direction, **both)
    copy_both_ways(client, big_file[0][:MB])


@needs_our_ssh
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-256", "rsa-sha2-512"])
def test_host_key(pair, direction, name):
    client, _ = pair(direction, client_lines=["HostKeyAlgorithms " + name])
    done = client.run("echo in", flags=["-v"])
    assert done.stdout == "in\n" and re.search(r"host key algorithm: " + name, done.stderr), done.stderr


@needs_our_ssh
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "ecdsa384", "ecdsa521", "rsa"])
def test_user_key(pair, keys, direction, kind):
    client, _ = pair(direction, key=keys.user[kind])
    assert client.run("echo in").stdout == "in\n"


@needs_our_ssh
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"])
def test_large_files(pair, direction, cipher, big_file):
    client, _ = pair(direction, **both_sides("Ciphers", cipher))
    copy_both_ways(client, *big_file)


@needs_our_ssh
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_compression(pair, direction, big_file):
    client, _ = pair(direction, ["Compression yes"], ["Compression yes"])
    copy_both_ways(client, big_file[0][:MB] + bytes(4 * MB))


# ---- key exchange under traffic ----


@needs_our_ssh
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("who", ["client", "server"])
def test_rekey_under_traffic(pair, direction, who, big_file):
    limit = ["RekeyLimit 1M"]
    client, _ = pair(direction, limit if who == "server" else [], limit if who == "client" else [])
    copy_both_ways(client, big_file[0][: 16 * MB])


@needs_our_ssh
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kex", ["curve25519-sha256", "diffie-hellman-group-exchange-sha256"])
def test_rekey_by_time(pair, direction, kex):
    both = both_sides("KexAlgorithms", kex)
    both["client_lines"].append("RekeyLimit default 1")
    client, _ = pair(direction, **both)
    done = client.run("for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done")
    assert done.stdout == "1\n2\n3\n4\n5\n6\n", done.stderr


# ---- sessions ----


@needs_our_ssh
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_exit_and_streams(pair, direction):
    client, _ = pair(direction)
    done = client.run("cat; echo err >&2; exit 42", stdin="in\n")
    assert (done.returncode, done.stdout, done.stderr) == (42, "in\n", "err\n")
    assert client.run("kill -KILL $$").returncode == 255
    # An end of input goes through while output still comes, and nothing is lost at the end.
    assert client.run("cat >/dev/null; seq 100000").stdout == "".join("%d\n" % i for i in range(1, 100001))


@needs_our_ssh
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_pipe_that_ends_early(pair, direction):
    """A reader or a writer that leaves, on the other side and on this."""
    client, _ = pair(direction)
    assert client.run("yes | head -1").stdout == "y\n"
    endless = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    try:
        child = client.start("head -1; exit 5", stdin=endless.stdout)
        endless.stdout.close()
        assert (child.communicate(timeout=15)[0], child.returncode) == (b"y\n", 5)
    finally:
        endless.kill()
        endless.wait()
    if direction == "to ours":
        return  # Debian's client tells a server that its reader has left only when the server's name is OpenSSH
    child = client.start("yes")
    assert os.read(child.stdout.fileno(), 2) == b"y\n"
    child.stdout.close()
    assert child.wait(15) == 255


@needs_our_ssh
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_terminal_and_signals(pair, direction):
    client, _ = pair(direction)
    argv = client.argv("-tt", "test", "stty size; tty; trap 'n=1; echo got int' INT; n=0; echo ready; while [ $n = 0 ]; do sleep 0.1; done; trap 'echo got winch $(stty size); exit 6' WINCH; echo more; while :; do sleep 0.1; done")
    child = pexpect.spawn(argv[0], argv[1:], timeout=20, encoding="utf-8", dimensions=(31, 97))
    try:
        child.expect(r"31 97\r\n/dev/pts/\d+\r\nready")
        child.sendcontrol("c")
        child.expect_exact("got int")
        child.expect_exact("more")
        child.setwinsize(44, 111)
        child.expect_exact("got winch 44 111")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 6
    finally:
        child.close(force=True)


@needs_our_ssh
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_subsystem(pair, direction):
    client, _ = pair(direction)
    session = client.start("sftp", flags=["-s"], stdin=subprocess.PIPE)
    session.stdin.write(b"\0\0\0\5\1\0\0\0\3")
    session.stdin.flush()
    assert session.stdout.read(9)[4:] == b"\2\0\0\0\3"
    session.communicate(timeout=15)


@needs_our_ssh
def test_client_that_is_killed_leaves_nothing(our_sshd, our_ssh):
    server = our_sshd(["LogLevel VERBOSE"])
    session = our_ssh(server).start("echo in; exec sleep 1000")
    assert session.stdout.readline() == b"in\n"
    session.send_signal(signal.SIGKILL)
    session.communicate()
    server.log.wait("^(Connection closed by|Connection reset by|Read error).*127.0.0.1 port")


@needs_peer("sftp")
def test_debian_sftp(our_sshd, debian_ssh, workdir):
    os.chmod(workdir, 0o777)
    client = debian_ssh(our_sshd())
    data = os.urandom(3 * MB)
    with open(workdir + "/a", "wb") as f:
        f.write(data)
    batch = "put %s/a %s/b\nget %s/b %s/c\nls -l %s\n" % ((workdir,) * 5)
    done = process.run([programs.peer("sftp"), "-F", client.config, "-b", "-", "test"], stdin=batch)
    assert done.returncode == 0, done.stderr
    with open(workdir + "/c", "rb") as f:
        assert f.read() == data


@needs_peer("scp")
@pytest.mark.parametrize("flag", ["-s", "-O"])
def test_debian_scp(our_sshd, debian_ssh, workdir, flag):
    os.chmod(workdir, 0o777)
    client = debian_ssh(our_sshd())
    os.mkdir(workdir + "/d")
    for i in range(20):
        with open(workdir + "/d/%d" % i, "wb") as f:
            f.write(os.urandom(i * 1000))
    done = process.run([programs.peer("scp"), flag, "-r", "-p", "-F", client.config, workdir + "/d", "test:%s/e" % workdir])
    assert done.returncode == 0, done.stderr
    assert process.run(["diff", "-r", workdir + "/d", workdir + "/e"]).returncode == 0


# ---- Dropbear ----

DROPBEAR_CLIENT = ["-y", "-y", "-T"]


@needs_peer("dbclient")
@pytest.mark.parametrize("cipher", ["aes128-ctr", "aes256-ctr", "chacha20-poly1305@openssh.com"])
def test_dropbear_client(our_sshd, keys, login, cipher, big_file):
    server = our_sshd()
    argv = [programs.peer("dbclient"), *DROPBEAR_CLIENT, "-c", cipher, "-i", keys.dropbear(), "-p", str(server.port), login.pw_name + "@127.0.0.1"]
    done = process.run([*argv, "cat; exit 9"], stdin=big_file[0][: 2 * MB], text=False)
    assert done.returncode == 9 and done.stdout == big_file[0][: 2 * MB], done.stderr


@needs_root
@needs_our_ssh
@needs_peer("dropbear")
def test_dropbear_server(dropbear, our_ssh, keys, account, big_file):
    client = our_ssh(dropbear(), ["StrictHostKeyChecking no"], key=keys.user["rsa"])
    done = client.run("echo in; exit 9")
    assert (done.stdout, done.returncode) == ("in\n", 9), done.stderr
    copy_both_ways(client, big_file[0][: 4 * MB])
    assert "/dev/pts/" in client.run("tty", flags=["-tt"]).stdout


# ---- PuTTY ----


def putty(program, server, keys, login, *more):
    fingerprints = [arg for path in server.host_keys for arg in ("-hostkey", keys.fingerprint(path))]
    return [programs.peer(program), "-batch", "-P", str(server.port), "-l", login.pw_name, "-i", keys.ppk(), *fingerprints, *more]


@needs_peer("plink")
@needs_peer("puttygen")
def test_plink(our_sshd, keys, login, workdir, big_file):
    server = our_sshd()
    env = dict(os.environ, HOME=workdir)
    done = process.run(putty("plink", server, keys, login, "127.0.0.1", "cat; echo err >&2; exit 9"), stdin=big_file[0][: 2 * MB], text=False, env=env)
    assert (done.returncode, done.stderr) == (9, b"err\n") and done.stdout == big_file[0][: 2 * MB], done.stderr


@needs_peer("psftp")
@needs_peer("puttygen")
def test_psftp(our_sshd, keys, login, workdir):
    os.chmod(workdir, 0o777)
    server = our_sshd()
    data = os.urandom(MB)
    for name, mode in (("a", "wb"), ("batch", "w")):
        with open(workdir + "/" + name, mode) as f:
            f.write(data if name == "a" else "put %s/a %s/b\nget %s/b %s/c\nls %s\nquit\n" % ((workdir,) * 5))
    argv = putty("psftp", server, keys, login, "-b", workdir + "/batch", "127.0.0.1")
    done = process.run(argv, env=dict(os.environ, HOME=workdir))
    assert done.returncode == 0, done.stdout + done.stderr
    with open(workdir + "/c", "rb") as f:
        assert f.read() == data


@needs_peer("pscp")
@needs_peer("puttygen")
def test_pscp(our_sshd, keys, login, workdir):
    os.chmod(workdir, 0o777)
    data = os.urandom(MB)
    with open(workdir + "/a", "wb") as f:
        f.write(data)
    argv = putty("pscp", our_sshd(), keys, login, workdir + "/a", "127.0.0.1:%s/b" % workdir)
    done = process.run(argv, env=dict(os.environ, HOME=workdir))
    assert done.returncode == 0, done.stdout + done.stderr
    with open(workdir + "/b", "rb") as f:
        assert f.read() == data


# ---- paramiko ----


@pytest.fixture
def paramiko():
    module = pytest.importorskip("paramiko")
    module.util.logging.getLogger("paramiko").setLevel("CRITICAL")
    return module


def test_paramiko_client(our_sshd, keys, login, paramiko, big_file):
    server = our_sshd()
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect("127.0.0.1", server.port, login.pw_name, key_filename=keys.user["ed25519"], allow_agent=False, look_for_keys=False)
    try:
        stdin, stdout, _ = client.exec_command("cat; exit 9")
        data = big_file[0][:MB]
        writer = threading.Thread(target=lambda: (stdin.write(data), stdin.channel.shutdown_write()))
        writer.start()
        assert stdout.read() == data
        writer.join()
        assert stdout.channel.recv_exit_status() == 9
        channel = client.get_transport().open_session()
        channel.get_pty("vt100", 99, 33)
        channel.exec_command("stty size; echo $TERM")
        assert channel.makefile().read().split() == [b"33", b"99", b"vt100"]
        sftp = client.open_sftp()
        assert "passwd" in sftp.listdir("/etc")
    finally:
        client.close()


class ParamikoServer:
    """Serves one connection at a time: commands run through sh."""

    def __init__(self, paramiko, host_key, allowed):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.host_keys = [host_key]
        key = paramiko.Ed25519Key(filename=host_key)

        class Interface(paramiko.ServerInterface):
            @staticmethod
            def get_allowed_auths(_):
                return "publickey"

            @staticmethod
            def check_auth_publickey(_, offered):
                return paramiko.AUTH_SUCCESSFUL if offered.get_base64() in allowed else paramiko.AUTH_FAILED

            @staticmethod
            def check_channel_request(kind, _):
                return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

            @staticmethod
            def check_channel_exec_request(channel, command):
                threading.Thread(target=self.run, args=(channel, command), daemon=True).start()
                return True

        self.serve = lambda conn: (setattr(self, "transport", paramiko.Transport(conn)), self.transport.add_server_key(key),
                                   self.transport.start_server(server=Interface()))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            while True:
                self.serve(self.listener.accept()[0])
        except OSError:
            pass

    @staticmethod
    def run(channel, command):
        child = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def feed():
            while True:
                data = channel.recv(32768)
                if not data:
                    break
                child.stdin.write(data)
            child.stdin.close()

        threading.Thread(target=feed, daemon=True).start()
        while True:
            data = child.stdout.read1(32768)
            if not data:
                break
            channel.sendall(data)
        channel.send_exit_status(child.wait())
        channel.close()

    def known_hosts_lines(self):
        with open(self.host_keys[0] + ".pub", encoding="utf-8") as f:
            return ["[127.0.0.1]:%d %s" % (self.port, " ".join(f.read().split()[:2]))]

    def stop(self):
        self.listener.close()


@needs_our_ssh
def test_paramiko_server(our_ssh, keys, paramiko, big_file):
    server = ParamikoServer(paramiko, keys.host["ed25519"], [keys.public(path).split()[1] for path in keys.user.values()])
    try:
        client = our_ssh(server)
        done = client.run("echo in; exit 9")
        assert (done.stdout, done.returncode) == ("in\n", 9), done.stderr
        copy_both_ways(client, big_file[0][:MB])
    finally:
        server.stop()
