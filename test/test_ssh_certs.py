"""Our ssh with certificates and agents: which keys it has, in which order, what it says of them, and what it gives to an agent."""
import os
import re
import subprocess

import pytest

from lib import keys as key_files
from lib import process, programs
from lib.keys import Keys
from lib.marks import needs_our_ssh, needs_peer
from lib.server import write_config

pytestmark = [needs_our_ssh, needs_peer("sshd"), needs_peer("ssh-agent")]
PHRASE = "open sesame"


def sign(ca, key, *flags):
    """A certificate beside the key, by Debian's ssh-keygen."""
    done = process.run([programs.peer("ssh-keygen"), "-q", "-s", ca, "-I", "id of " + os.path.basename(key), *flags, key + ".pub"])
    assert done.returncode == 0, done.stderr
    return key + "-cert.pub"


@pytest.fixture
def ca(workdir):
    return key_files.make(os.path.join(workdir, "ca"), "ed25519")


@pytest.fixture
def server(debian_sshd, ca):
    return debian_sshd(["TrustedUserCAKeys %s.pub" % ca, "AuthorizedKeysFile none", "LogLevel VERBOSE"])


@pytest.fixture
def make(workdir, ca, login):
    def make_one(name, kind="ed25519", signed=True, flags=(), passphrase=""):
        path = key_files.make(os.path.join(workdir, name), kind, passphrase=passphrase)
        if signed:
            sign(ca, path, *(flags or ["-n", login.pw_name]))
        return path

    return make_one


@pytest.fixture
def agent(workdir):
    path = os.path.join(workdir, "agent")
    child = subprocess.Popen([programs.peer("ssh-agent"), "-D", "-a", path], stdout=subprocess.DEVNULL)
    process.wait_until(lambda: os.path.exists(path), "the agent")
    yield dict(os.environ, SSH_AUTH_SOCK=path)
    child.terminate()
    child.wait(10)


def add(env, *args):
    done = process.run([programs.peer("ssh-add"), "-q", *args], env=env)
    assert done.returncode == 0, done.stderr


def listed(env):
    return process.run([programs.peer("ssh-add"), "-l"], env=env).stdout


def askpass(workdir, answer, name="askpass", status=0):
    path = write_config(os.path.join(workdir, name), ["#!/bin/sh", 'echo "$SSH_ASKPASS_PROMPT:$1" >> "$0.log"', "[ -n \"$SSH_ASKPASS_PROMPT\" ] || printf '%s\\n' '" + answer + "'", "exit %d" % status])
    os.chmod(path, 0o755)
    return dict(SSH_ASKPASS=path, SSH_ASKPASS_REQUIRE="force")


# ---- certificates ----

@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_beside_the_key(server, our_ssh, make, kind):
    path = make("id", kind)
    done = our_ssh(server, key=path).run("echo ok", flags=["-v"])
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
    assert re.search(r"Server accepts key: %s \w+-CERT SHA256:\S+ explicit" % re.escape(path), done.stderr)
    server.log.wait("ID id of id ")


@pytest.mark.parametrize("algorithm", ["rsa-sha2-256", "rsa-sha2-512"])
def test_rsa_algorithms(debian_sshd, our_ssh, make, ca, algorithm):
    server = debian_sshd(["TrustedUserCAKeys %s.pub" % ca, "AuthorizedKeysFile none", "LogLevel DEBUG3"])
    assert our_ssh(server, ["PubkeyAcceptedAlgorithms %s-cert-v01@openssh.com" % algorithm], key=make("id", "rsa")).run("true").returncode == 0
    server.log.wait("pkalg %s-cert-v01@openssh.com" % algorithm)


ORDERS = {
    "beside": ["-i", "a"],
    "file": ["-i", "a", "-i", "c", "-oCertificateFile=other.pub"],
    "only these": ["-i", "c", "-oCertificateFile=other.pub", "-oIdentitiesOnly=yes"],
    "only these, in the agent": ["-i", "b", "-oIdentitiesOnly=yes"],
    "no agent": ["-i", "a", "-i", "b", "-oIdentityAgent=none"],
    "a certificate as identity": ["-i", "a-cert.pub"],
    "host certificate": ["-i", "a", "-oCertificateFile=host-cert.pub"],
}


@pytest.mark.parametrize("case", ORDERS)
def test_order(server, make, agent, ca, workdir, login, case):
    """The same keys in the same order as Debian's ssh."""
    make("a"), make("b"), make("c")
    os.rename(os.path.join(workdir, "c-cert.pub"), os.path.join(workdir, "other.pub"))
    make("host", flags=["-h", "-n", "x"])
    add(agent, os.path.join(workdir, "b"))
    flags = ["-F", "none", "-v", "-p", str(server.port), "-oUserKnownHostsFile=/dev/null", "-oGlobalKnownHostsFile=/dev/null", "-oStrictHostKeyChecking=no", "-oBatchMode=yes"]

    def tried(program):
        done = process.run([program, *flags, *ORDERS[case], login.pw_name + "@127.0.0.1", "true"], env=agent, cwd=workdir)
        assert done.returncode == 0, done.stderr
        return re.findall(r"(Will attempt key: .*|Server accepts key: .*)", done.stderr)

    assert tried(programs.SSH) == tried(programs.peer("ssh"))


def test_private_half_elsewhere(server, our_ssh, make, agent, workdir):
    """The certificate from a file, the key from the agent; and nowhere."""
    path = make("id")
    cert = os.path.join(workdir, "only.pub")
    os.rename(path + "-cert.pub", cert)
    lines = ["CertificateFile " + cert, "IdentitiesOnly no", "IdentityAgent SSH_AUTH_SOCK", "IdentityFile none"]
    client = our_ssh(server, lines, key="none")
    done = client.run("true", flags=["-v"], env=agent)
    assert done.returncode == 255 and 'no separate private key for certificate "%s"' % cert in done.stderr
    assert "%s ED25519-CERT %s (CertificateFile): not offered: its private key is neither in a file nor in the agent\n" % (cert, Keys.fingerprint(path)) in done.stderr
    add(agent, path)
    done = client.run("true", flags=["-v"], env=agent)
    assert done.returncode == 0 and 'using private key "id" from agent for certificate' in done.stderr


def test_why_not(server, our_ssh, make):
    """The failure tells of each key where it came from and what became of it."""
    expired = make("old", flags=["-n", "x", "-V", "20200101:20200102"])
    done = our_ssh(server, ["IdentityFile %s" % make("plain", signed=False), "PreferredAuthentications publickey"], key=expired).run("true")
    told = our_ssh(server, key=expired).run("true", flags=["-v"]).stderr
    assert re.findall(r"(Offering public|Server refuses) key: \S+/old (\S+) SHA256", told) == [(verb, kind) for kind in ("ED25519", "ED25519-CERT")
                                                                                              for verb in ("Offering public", "Server refuses")]
    lines = done.stderr.splitlines()
    assert done.returncode == 255 and re.fullmatch(r"\S+@127.0.0.1: Permission denied \(publickey,.*\)\.", lines[-1])
    assert lines[-5].endswith("in the order they were tried:")
    assert re.fullmatch(r"  \S+/plain ED25519 SHA256:\S+ \(IdentityFile\): refused by the server", lines[-4])
    assert re.fullmatch(r"  \S+/old ED25519 SHA256:\S+ \(IdentityFile\): refused by the server", lines[-3])
    assert re.fullmatch(r"  \S+/old ED25519-CERT SHA256:\S+ \(IdentityFile\): refused by the server \[Certificate invalid: expired, "
                        r"valid from 2020-01-01T00:00:00 to 2020-01-02T00:00:00\]", lines[-2])


def test_for_whom_it_is(server, our_ssh, make):
    """A certificate with other names: the failure tells them."""
    done = our_ssh(server, ["PreferredAuthentications publickey"], key=make("others", flags=["-n", "alice,b\033ob"])).run("true")
    assert done.returncode == 255 and re.search(r"/others ED25519-CERT \S+ \(IdentityFile\): refused by the server \[it is for: alice, b\\\S+ob\]\n", done.stderr)


def test_too_many_failures(debian_sshd, our_ssh, make):
    server = debian_sshd(["MaxAuthTries 2"])
    lines = ["IdentityFile %s" % make("key%d" % i, signed=False) for i in range(4)]
    done = our_ssh(server, lines, key="none").run("true")
    assert done.returncode == 255 and "Too many authentication failures" in done.stderr
    assert done.stderr.count(": refused by the server") == 1 and done.stderr.count("): offered, and not answered") == 1 and done.stderr.count("): not tried") == 2


def test_list(make, agent, workdir):
    """-Z: what would be tried, in order, without a connection."""
    make("a"), make("b", signed=False)
    add(agent, os.path.join(workdir, "b"))
    argv = [programs.SSH, "-F", "none", "-Z", "-i", os.path.join(workdir, "a"), "-p", "1", "nowhere.invalid"]
    done = process.run(argv, env=agent)
    path = os.path.join(workdir, "a")
    print_a = Keys.fingerprint(path)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["b ED25519 %s agent" % Keys.fingerprint(os.path.join(workdir, "b")), "%s ED25519 %s explicit" % (path, print_a),
                                                                "%s ED25519-CERT %s explicit" % (path, print_a)])


# ---- the agent ----

def test_add_keys(debian_sshd, our_ssh, keys, agent, workdir):
    path = key_files.make(os.path.join(workdir, "secret"), "ed25519", passphrase=PHRASE)
    with open(path + ".pub", encoding="utf-8") as f, open(os.path.join(workdir, "authorized"), "w", encoding="utf-8") as out:
        out.write(f.read())
    server = debian_sshd(["AuthorizedKeysFile " + os.path.join(workdir, "authorized")])
    pass_env = dict(agent, **askpass(workdir, PHRASE))

    def run(mode, env=pass_env):
        add(agent, "-D")
        client = our_ssh(server, ["IdentityAgent SSH_AUTH_SOCK", "BatchMode no", "PreferredAuthentications publickey", "AddKeysToAgent " + mode], key=path)
        done = client.run("true", env=env, flags=["-v"])
        assert done.returncode == 0, done.stderr
        return Keys.fingerprint(path) in listed(agent)

    assert not run("no") and run("yes") and run("confirm") and run("5m")
    before = listed(agent)
    assert our_ssh(server, ["IdentityAgent SSH_AUTH_SOCK", "AddKeysToAgent yes"], key=path).run("true", env=agent).returncode == 0  # of the agent now
    assert listed(agent) == before
    assert run("ask")
    with open(pass_env["SSH_ASKPASS"] + ".log", encoding="utf-8") as f:
        assert f.read().splitlines()[-1] == "confirm:Add key %s (%s) to agent?" % (path, "secret")


def test_only_keys_that_open_are_added(debian_sshd, our_ssh, keys, agent, workdir):
    """Not the ones that were refused, nor one that was looked at while the key before it waits for its passphrase."""
    refused = key_files.make(os.path.join(workdir, "refused"), "ed25519")
    good = key_files.make(os.path.join(workdir, "good"), "ed25519", passphrase=PHRASE)
    with open(os.path.join(workdir, "authorized"), "w", encoding="utf-8") as out:
        out.write(Keys.public(good) + "\n" + Keys.public(keys.user["ed25519"]) + "\n")
    server = debian_sshd(["AuthorizedKeysFile " + os.path.join(workdir, "authorized")])
    lines = ["IdentityAgent SSH_AUTH_SOCK", "BatchMode no", "PreferredAuthentications publickey", "AddKeysToAgent yes", "IdentityFile " + refused, "IdentityFile " + good]
    done = our_ssh(server, lines).run("true", env=dict(agent, **askpass(workdir, PHRASE)))
    assert done.returncode == 0, done.stderr
    assert re.findall(r"SHA256:\S+", listed(agent)) == [Keys.fingerprint(good)]


def test_added_for_a_time(debian_sshd, our_ssh, keys, agent):
    client = our_ssh(debian_sshd(), ["IdentityAgent SSH_AUTH_SOCK", "AddKeysToAgent 1s"])
    assert client.run("true", env=agent).returncode == 0
    process.wait_until(lambda: "no identities" in listed(agent), "the key's end")


def test_which_agent(debian_sshd, our_ssh, keys, agent):
    add(agent, keys.user["ed25519"])
    server = debian_sshd()
    sock = agent["SSH_AUTH_SOCK"]
    other = dict(agent, SSH_AUTH_SOCK="/nonexistent", ELSEWHERE=sock)
    for value, env, good in ((sock, other, True), ("SSH_AUTH_SOCK", agent, True), ("$ELSEWHERE", other, True), ("${ELSEWHERE}", other, True), ("none", agent, False),
                             ("$NOWHERE", agent, False), ("/nonexistent", agent, False)):
        done = our_ssh(server, ["IdentityAgent " + value, "IdentitiesOnly no"], key="none").run("true", env=env)
        assert done.returncode == (0 if good else 255), value


def test_the_agent_is_left_alone_after_the_login(debian_sshd, our_ssh, keys, agent):
    """A session of days does not hold a connection to it."""
    add(agent, keys.user["ed25519"])
    child = our_ssh(debian_sshd(), ["IdentityAgent SSH_AUTH_SOCK", "IdentitiesOnly no"], key="none").start("echo up; cat", env=agent, stdin=subprocess.PIPE)
    try:
        assert child.stdout.readline() == b"up\n"
        links = [os.readlink("/proc/%d/fd/%s" % (child.pid, fd)) for fd in os.listdir("/proc/%d/fd" % child.pid)]
        tcp = [one for one in links if one.startswith("socket:")]
        assert len(tcp) == 1, links
    finally:
        child.communicate(timeout=20)


def test_bound_to_the_server(debian_sshd, our_ssh, keys, agent, workdir):
    """A key for this destination only: the agent signs once it knows which server it is for (session-bind@openssh.com)."""
    server = debian_sshd()
    known = write_config(os.path.join(workdir, "known"), server.known_hosts_lines() + ["elsewhere " + Keys.public(keys.user["ecdsa"])])
    client = our_ssh(server, ["IdentityAgent SSH_AUTH_SOCK", "IdentitiesOnly no"], key="none")
    add(agent, "-H", known, "-h", "[127.0.0.1]:%d" % server.port, keys.user["ed25519"])
    done = client.run("echo ok", env=agent, flags=["-v"])
    assert (done.returncode, done.stdout) == (0, "ok\n") and "bound agent to hostkey" in done.stderr
    add(agent, "-D")
    add(agent, "-H", known, "-h", "elsewhere", keys.user["ed25519"])
    assert client.run("true", env=agent).returncode == 255
