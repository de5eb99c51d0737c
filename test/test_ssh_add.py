"""ssh-add beside Debian's: the same files in the same order over the same agent, the same words and statuses; and what only ours has."""
import hashlib
import os
import re
import shutil
import socket
import subprocess
import threading
import time

import pexpect
import pytest

from lib import agent, process, programs
from lib.agent import Agent, string

pytestmark = pytest.mark.skipif(not (programs.has(programs.ADD) and programs.peer("ssh-add")), reason="needs our ssh-add and Debian's")
AGENTS = ["ours", "debian"]
KEYGEN = programs.peer("ssh-keygen")


@pytest.fixture
def files(workdir, keys):
    """A folder with keys of all sorts; tests run in it."""
    folder = os.path.join(workdir, "files")
    os.mkdir(folder)
    for kind, path in keys.user.items():
        shutil.copy(path, os.path.join(folder, kind))
        shutil.copy(path + ".pub", os.path.join(folder, kind + ".pub"))

    def make(name, *args, passphrase="", comment=""):
        done = process.run([KEYGEN, "-q", "-t", "ed25519", "-a", "1", "-N", passphrase, "-C", comment, "-f", name, *args], cwd=folder)
        assert done.returncode == 0, done.stderr

    def certify(name, validity):
        done = process.run([KEYGEN, "-q", "-s", "ca", "-I", "id of " + name, "-n", "me", "-V", validity, name + ".pub"], cwd=folder)
        assert done.returncode == 0, done.stderr

    make("ca")
    make("locked", passphrase="pass1", comment="locked one")
    make("locked2", passphrase="pass1")
    make("certified", comment="a b c")
    make("expired", comment="old")
    certify("certified", "always:forever")
    certify("expired", "-2h:-1h")
    shutil.copy(folder + "/certified-cert.pub", folder + "/rsa-cert.pub")
    shutil.copy(os.path.join(folder, "locked2"), os.path.join(folder, "nopub"))
    for name, text, mode in (("garbage", "garbage\n", 0o600), ("empty", "", 0o600), ("open", None, 0o644)):
        path = os.path.join(folder, name)
        if text is None:
            shutil.copy(os.path.join(folder, "ed25519"), path)
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        os.chmod(path, mode)
    with open(folder + "/known", "w", encoding="utf-8") as f:
        hosts = [" ".join(keys.public(keys.host[k]).split()[:2]) for k in ("ed25519", "ecdsa", "rsa")]
        f.write("hostb,hostb2 %s\nhostb %s\nhostc %s\n@revoked hostb %s\n@cert-authority *.org %s\n" % (*hosts, hosts[2], hosts[0]))
    return folder


def plain(text):
    return text.replace("\r", "")


# input | arguments, in the order they are run
SCRIPT = [line.split("|") for line in r"""
|-l
|certified
|-d certified.pub
|-l
|certified
|-dk certified
|-d certified
|-d certified
|-k certified
|-L
|-D -l
|-Dq
|-xl
|ed25519 ecdsa ecdsa384 ecdsa521 rsa
|-T ed25519.pub ecdsa.pub ecdsa384.pub ecdsa521.pub rsa.pub
|-T ca
|-T
|-T nofile
|-l
|-l -E md5
|-L
|-l -E foo
|-t 5 -q ed25519
|-t 5m -c ed25519
|-t 1h30m -k certified
|-t xx ed25519
|-H known ed25519
|-h > -H known ed25519
|-h hostb> -H known ed25519
|-h @hostb -H known ed25519
|-h hostb -H nofile ed25519
|-h u@hostb>hostc -H known ed25519
|-h a>b>c -H known ed25519
|-h hostb -h hostb>u@hostc -h x.org -H known ed25519
|-c -d ed25519
|ca nofile rsa
|open
|nofile
bad\npass1\n|locked
bad\n|-c locked
pass1\n|locked locked2
pass1\n|locked locked2 ca
|-l
|-L
pw\npx\n|-x
pw\npw\n|-x
|-l
|certified
pw\npw\n|-x
no\n|-X
pw\n|-X
pw\n|-X
|-x
|-l
|-lL
|-xX
|-D
|-d ed25519
pass1\n|locked locked2
|-d locked locked2
pass1\n|locked locked2
|-d nopub garbage empty nofile
""".strip("\n").split("\n")]


def run_script(program, name, files, workdir):
    got = []
    with Agent(agent.BY_NAME[name], workdir) as one:
        for given, args in SCRIPT:
            done = one.add(*args.split(), program=program, stdin=given.replace("\\n", "\n"), cwd=files)
            out, err = done.stdout, plain(done.stderr)
            if "Bad key file" in out + err:  # Debian's prints that on stdout
                out, err = "", "".join(sorted((out + err).splitlines(True)))
            got.append((args, done.returncode, out, err))
    return got


@pytest.mark.parametrize("name", AGENTS)
def test_same_as_debian(name, files, workdir):
    if not agent.BY_NAME[name]:
        pytest.skip("no agent of that make")
    ours = run_script(programs.ADD, name, files, workdir)
    theirs = run_script(programs.peer("ssh-add"), name, files, workdir)
    for mine, other in zip(ours, theirs):
        assert mine == other


@pytest.mark.parametrize("name", AGENTS)
def test_both_send_the_same(name, files, workdir):
    """Byte for byte: destination constraints, lifetimes, certificates."""
    if not agent.BY_NAME[name]:
        pytest.skip("no agent of that make")
    path = os.path.join(workdir, "recorder")
    cases = [["-h", "hostb", "-h", "hostb>u*@hostc", "-h", "x.org", "-H", "known", "ed25519"], ["-t", "77", "-c", "rsa"],
             ["-d", "certified"], ["-D"], ["-l"], ["-T", "ed25519.pub"], ["certified"]]
    for args in cases:
        seen = {}
        for who, program in agent.ADD_BY_NAME.items():
            frames = []
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen(1)

            def serve(listener=listener, frames=frames):
                sock, _ = listener.accept()
                c = object.__new__(agent.Connection)
                c.sock = sock
                while body := c.receive():
                    frames.append(body[:1] if body[0] == agent.SIGN else body)  # data to sign are random
                    c.send(b"\x0c\0\0\0\0" if body[0] == agent.LIST else bytes([agent.SUCCESS]))
                sock.close()

            thread = threading.Thread(target=serve)
            thread.start()
            process.run([program, *args], cwd=files, env={"SSH_AUTH_SOCK": path})
            thread.join(20)
            listener.close()
            os.unlink(path)
            seen[who] = [f for f in frames if f != b"\x09"]  # protocol 1
        assert seen["ours"] == seen["debian"] and seen["ours"], args


def test_no_agent(workdir):
    for env, said in (({}, "Could not open a connection to your authentication agent.\n"),
                      ({"SSH_AUTH_SOCK": workdir + "/none"}, "Error connecting to agent: No such file or directory\n")):
        for args in (["-l"], ["-z"], []):
            for program in agent.ADD_BY_NAME.values():
                done = process.run([program, *args], env=env)
                assert (done.returncode, plain(done.stderr)) == (2, said)


@pytest.fixture
def one(workdir):
    with Agent(programs.AGENT, workdir) as running:
        yield running


def test_certificates_leave_when_they_expire(one, files):
    done = one.add("expired", cwd=files)
    assert done.returncode == 0
    assert done.stderr == "Identity added: expired (old)\nCertificate expired-cert.pub (id of expired) has expired and was not added (-N adds it)\n"
    assert one.add("-C", "expired", cwd=files).returncode == 1
    assert "Certificate added" in one.add("-N", "expired", cwd=files).stderr
    process.run([KEYGEN, "-q", "-s", "ca", "-I", "soon", "-n", "me", "-V", "-1h:+1h", "certified.pub"], cwd=files)
    seconds = int(re.search(r"Certificate added: .*\nLifetime set to (\d+) seconds", one.add("certified", cwd=files).stderr).group(1))
    assert 3600 + 300 - 70 <= seconds <= 3600 + 300
    assert "Certificate added: certified-cert.pub (soon)\nLifetime set to 60 seconds\n" in one.add("-t", "60", "certified", cwd=files).stderr
    assert "Lifetime" not in one.add("-N", "certified", cwd=files).stderr
    process.run([KEYGEN, "-q", "-s", "ca", "-I", "gone", "-n", "me", "-V", "-1h:-299s", "certified.pub"], cwd=files)
    one.add("-D")
    assert "Lifetime set to 1 seconds" in one.add("-C", "certified", cwd=files).stderr or "has expired" in one.add("-C", "certified", cwd=files).stderr
    process.wait_until(lambda: one.add("-l").returncode == 1, "the end of the certificate")


def test_certificates_only(one, files):
    assert one.add("-C", "certified", cwd=files).stderr == "Certificate added: certified-cert.pub (id of certified)\n"
    assert one.add("-l").stdout.count("CERT") == 1 and one.add("-l").stdout.count("\n") == 1
    done = one.add("-C", "ca", cwd=files)
    assert done.returncode == 1 and done.stderr == "ca has no certificate beside it\n"
    one.add("-k", "certified", cwd=files)
    assert one.add("-d", "-C", "certified", cwd=files).stderr == "Identity removed: certified-cert.pub ED25519-CERT (a b c)\n"


def test_query(one, workdir):
    done = one.add("-Q")
    assert done.stdout == "query\nsession-bind@openssh.com\n" and done.returncode == 0
    if agent.BY_NAME["debian"]:
        with Agent(agent.BY_NAME["debian"], workdir) as old:
            done = old.add("-Q")
            assert done.returncode in (0, 1)


def test_stdin(one, files):
    with open(files + "/ed25519", encoding="utf-8") as f:
        done = one.add("-", stdin=f.read())
    assert done.stderr == "Identity added: (stdin) (user_ed25519)\n"
    with open(files + "/ed25519.pub", encoding="utf-8") as f:
        done = one.add("-d", "-", stdin="# a comment\n\n" + f.read())
    assert done.stderr == "Identity removed: (stdin) ED25519 (user_ed25519)\n"
    assert one.add("-d", "-", stdin="nonsense\n").returncode == 1


def test_default_files(one, files, account):
    ssh = os.path.join(account.pw_dir, ".ssh")
    for name in ("ed25519", "rsa"):
        target = os.path.join(ssh, "id_" + name)
        shutil.copy(os.path.join(files, name), target)
        os.chown(target, account.pw_uid, account.pw_gid)
    path = os.path.join(account.pw_dir, "sock")
    who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    popen = subprocess.Popen([programs.AGENT, "-D", "-a", path], stdout=subprocess.PIPE, text=True, start_new_session=True, **who)
    try:
        assert path in popen.stdout.readline()
        env = {"SSH_AUTH_SOCK": path}
        done = process.run([programs.ADD], env=env, **who)
        lines = ["Identity added: %s/id_%s (user_%s)\n" % (ssh, name, name) for name in ("rsa", "ed25519")]
        assert (done.returncode, done.stderr) == (0, "".join(lines))
        theirs = process.run([programs.peer("ssh-add"), "-d"], env=env, **who)
        again = process.run([programs.ADD], env=env, **who)
        assert again.returncode == 0
        mine = process.run([programs.ADD, "-d"], env=env, **who)
        assert (mine.returncode, mine.stderr) == (theirs.returncode, theirs.stderr)
        assert process.run([programs.ADD], env={"SSH_AUTH_SOCK": one.path}, **who).returncode == 2  # another's agent
    finally:
        popen.terminate()
        popen.wait(10)
        popen.stdout.close()
        for name in ("ed25519", "rsa"):
            os.unlink(os.path.join(ssh, "id_" + name))


def test_passphrase_on_a_terminal(one, files):
    child = pexpect.spawn(programs.ADD, ["locked", "locked2"], env=one.env, cwd=files, encoding="utf-8", timeout=20)
    child.expect("Enter passphrase for locked: ")
    child.sendline("wrong")
    child.expect("Bad passphrase, try again for locked: ")
    child.sendline("pass1")
    child.expect(r"Identity added: locked \(locked one\)\r\nIdentity added: locked2 \(locked2\)\r\n")
    child.expect(pexpect.EOF)
    assert "pass1" not in child.before
    child.close()
    assert child.exitstatus == 0


def test_passphrase_by_askpass(one, files, workdir):
    path = os.path.join(workdir, "askpass")
    with open(path, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\necho \"$1\" >>%s.log\necho pass1\n" % path)
    os.chmod(path, 0o755)
    for more, is_asked in (({"DISPLAY": ":9"}, True), ({"WAYLAND_DISPLAY": "w"}, True), ({}, False), ({"SSH_ASKPASS_REQUIRE": "force"}, True),
                           ({"DISPLAY": ":9", "SSH_ASKPASS_REQUIRE": "never"}, False)):
        one.add("-D")
        done = one.add("locked", cwd=files, env={**one.env, "SSH_ASKPASS": path, **more}, stdin="")
        assert (done.returncode == 0) == is_asked, done.stderr
        assert os.path.exists(path + ".log") == is_asked
        if is_asked:
            with open(path + ".log", encoding="utf-8") as f:
                assert f.read() == "Enter passphrase for locked: \n"
            os.unlink(path + ".log")


def test_what_an_agent_says_is_escaped(workdir):
    """A comment with an escape sequence does not reach the terminal."""
    path = os.path.join(workdir, "evil")
    key = string("ssh-ed25519") + string(b"\x01" * 32)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(4)

        def serve(answer):
            sock, _ = listener.accept()
            sock.recv(1000)
            sock.sendall(answer)
            sock.close()

        good = b"\x0c\0\0\0\1" + string(key) + string(b"a\x1b]0;evil\x07b\nfake (RSA)")
        for answer, args in ((string(good), ["-l"]), (string(good), ["-L"]), (string(good[:-3]), ["-l"]), (b"\0\4\0\1xxxx", ["-l"]), (b"\0\0", ["-l"]),
                             (string(b"\x0c\xff\xff\xff\xff"), ["-l"]), (string(b"\x05"), ["-l"])):
            thread = threading.Thread(target=serve, args=(answer,))
            thread.start()
            done = process.run([programs.ADD, *args], env={"SSH_AUTH_SOCK": path})
            thread.join(20)
            assert "\x1b" not in done.stdout + done.stderr
            assert done.returncode == (0 if answer == string(good) else 1), (answer, done)
            if answer == string(good):
                assert done.stdout.count("\n") == 1


def test_a_thousand_keys(workdir, keys):
    """Ours is no slower than Debian's with many keys; the margin is for a busy machine."""
    if not agent.BY_NAME["debian"]:
        pytest.skip("no agent to compare with")
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    requests = []
    for i in range(1000):
        secret = hashlib.sha256(b"%d" % i).digest()
        private = ed25519.Ed25519PrivateKey.from_private_bytes(secret)
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        requests.append(bytes([agent.ADD]) + string("ssh-ed25519") + string(public) + string(secret + public) + string("key %d" % i))
    last = string("ssh-ed25519") + string(public)
    took = {}
    for name, program in agent.BY_NAME.items():
        with Agent(program, workdir) as running, running.connect() as c:
            begin = time.monotonic()
            assert all(c.ask(r)[0] == agent.SUCCESS for r in requests)
            added = time.monotonic()
            for _ in range(20):
                assert len(c.listed()) == 1000
            listed = time.monotonic()
            for _ in range(100):
                assert c.sign(last, "x" * 200)[0] == agent.SIGNATURE
            took[name] = (added - begin, listed - added, time.monotonic() - listed)
    print("add 1000, list 20 times, sign 100 times:", {k: ["%.3f s" % t for t in v] for k, v in took.items()})
    assert all(mine < 2 * other + 0.1 for mine, other in zip(took["ours"], took["debian"])), took
