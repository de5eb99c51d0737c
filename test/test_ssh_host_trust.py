"""Why our ssh takes a server for the right one: certificates of hosts, revoked keys, KnownHostsCommand, and further keys learnt from the server."""
import os
import re

import pexpect
import pytest

from lib import keys as key_files
from lib import process, programs
from lib.keys import Keys
from lib.marks import needs_our_ssh, needs_peer
from lib.server import write_config

pytestmark = [needs_our_ssh, needs_peer("sshd")]


def short(path):
    return " ".join(Keys.public(path).split()[:2])


def keygen(*args):
    done = process.run([programs.peer("ssh-keygen"), "-q", *args])
    assert done.returncode == 0, done.stderr


class Case:
    """A server, the file that says what is known of it, and our ssh with that file."""

    def __init__(self, server, client, workdir):
        self.server, self.client = server, client
        self.path = os.path.join(workdir, "known")
        self.name = "[127.0.0.1]:%d" % server.port

    def write(self, known):
        with open(self.path, "w", encoding="utf-8") as f:
            f.writelines(line.replace("NAME", self.name) + "\n" for line in known)

    def run(self, known, *options, flags=(), command=("echo", "ok")):
        self.write(known)
        return self.client.run(*command, flags=["-oUserKnownHostsFile=" + self.path, *["-o" + one for one in options], *flags])

    def accepts(self, known, *options, **more):
        done = self.run(known, *options, **more)
        assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
        return done.stderr

    def refuses(self, known, *options, **more):
        done = self.run(known, *options, **more)
        assert done.returncode == 255 and done.stdout == "", done.stderr
        return done.stderr

    def read(self):
        with open(self.path, encoding="utf-8") as f:
            return f.read().replace(self.name, "NAME")


# ---- certificates ----

@pytest.fixture
def ca(workdir):
    return key_files.make(os.path.join(workdir, "ca"), "ed25519")


@pytest.fixture
def certified(debian_sshd, our_ssh, workdir, ca):
    """certified(sign flags) is a case whose server shows such a certificate."""
    host = key_files.make(os.path.join(workdir, "host"), "ed25519")

    def start(*flags):
        keygen("-s", ca, "-h", "-I", "the host", "-z", "7", *flags, host + ".pub")
        server = debian_sshd(["HostKey " + host, "HostCertificate %s-cert.pub" % host])
        one = Case(server, our_ssh(server), workdir)
        one.ca, one.key = "@cert-authority * " + short(ca), "NAME " + short(host)
        return one

    return start


def test_good_certificate(certified, ca, keys):
    one = certified("-n", "127.0.0.1,myalias")
    assert one.accepts([one.ca]) == ""
    assert one.accepts(["@cert-authority NAME " + short(ca)]) == "" and one.accepts(["@cert-authority 127.0.0.1 " + short(ca)]) == ""
    said = one.accepts([one.ca], "LogLevel=DEBUG1")
    assert 'serial 7 ID "the host" CA ssh-ed25519 %s valid forever' % Keys.fingerprint(ca) in said
    assert "debug1: Host '%s' is known and matches the ED25519-CERT host certificate." % one.name in said and "Found CA key in %s:1" % one.path in said
    assert one.accepts([one.ca.replace("*", "myalias")], "HostKeyAlias=myalias") == ""
    # The plain key counts where the CA is not known.
    assert one.accepts([one.key]) == "" and one.accepts(["@cert-authority * " + short(keys.user["rsa"]), one.key]) == ""
    assert "No ED25519 host key is known" in one.refuses(["@cert-authority * " + short(keys.user["rsa"])])
    assert "Permanently added" in one.accepts([], "StrictHostKeyChecking=accept-new") and one.read() == one.key + "\n"
    # What a CA vouches for is not asked for where another sort of signature is wanted.
    said = one.refuses([one.ca], "CASignatureAlgorithms=rsa-sha2-512")
    assert said.startswith("Certificate signed with disallowed algorithm (ssh-ed25519, ")
    for line in ("@revoked * " + short(ca), "@revoked * " + one.key[5:]):
        assert "WARNING: REVOKED HOST KEY DETECTED!" in one.refuses([one.ca, line], "StrictHostKeyChecking=no")


REFUSED = [
    (["-n", "foo,bar"], r"Certificate invalid: name is not a listed principal \(the server was called \"127\.0\.0\.1\", its certificate is for: foo, bar\)\n"),
    (["-n", "127.0.0.1", "-V", "20200101:20200102"], r"Certificate invalid: expired \(valid from 2020-01-01T00:00:00 to 2020-01-02T00:00:00, here it is \d+-\S+\)\n"),
    (["-n", "127.0.0.1", "-V", "20900101:forever"], r"Certificate invalid: not yet valid \(valid after 2090-01-01T00:00:00, here it is \d+-\S+\)\n"),
    ([], r'Certificate lacks principal list \(the server was called "127\.0\.0\.1", its certificate is for: nobody\)\n'),
]


@pytest.mark.parametrize("flags,said", REFUSED)
def test_bad_certificate(certified, flags, said):
    one = certified(*flags)
    assert re.match(said, one.refuses([one.ca]))
    assert re.match(said, one.accepts([one.ca, one.key]))  # and then the plain key counts


def test_the_known_type_is_asked_for(debian_sshd, our_ssh, workdir, keys, ca):
    """Certificates first where a CA is known for the host, else the types of the known keys."""
    rsa = key_files.make(os.path.join(workdir, "hrsa"), "rsa")
    keygen("-s", ca, "-h", "-I", "x", "-n", "127.0.0.1", rsa + ".pub")
    server = debian_sshd(["HostKey " + keys.host["ed25519"], "HostKey " + rsa, "HostCertificate %s-cert.pub" % rsa])
    one = Case(server, our_ssh(server), workdir)
    plain = "NAME " + short(keys.host["ed25519"])

    def chosen(known):
        return re.search(r"kex: host key algorithm: (\S+)", one.accepts(known, flags=["-v"])).group(1)

    assert chosen([plain]) == "ssh-ed25519"
    assert chosen(["@cert-authority * " + short(ca), plain]) == "rsa-sha2-512-cert-v01@openssh.com"
    assert chosen(["NAME " + short(rsa)]) == "rsa-sha2-512-cert-v01@openssh.com"


# ---- revoked keys, keys from a command ----

@pytest.fixture
def plain(debian_sshd, our_ssh, workdir):
    server = debian_sshd()
    return Case(server, our_ssh(server), workdir)


def test_revoked_files(plain, keys, workdir):
    known = ["NAME " + short(keys.host["ed25519"])]
    text, krl, other = (os.path.join(workdir, name) for name in ("text", "krl", "other"))
    write_config(text, ["# revoked", short(keys.host["rsa"]), short(keys.host["ed25519"])])
    write_config(other, [short(keys.host["rsa"])])
    keygen("-k", "-f", krl, keys.host["ed25519"] + ".pub")
    for path in (text, krl):
        assert plain.refuses(known, "RevokedHostKeys=" + path) == "Host key ED25519 %s revoked by file %s\nHost key verification failed.\n" % (Keys.fingerprint(keys.host["ed25519"]), path)
    assert plain.accepts(known, "RevokedHostKeys=" + other) == "" and plain.accepts(known, "RevokedHostKeys=none") == ""
    assert "revoked by file " + krl in plain.refuses(known, "RevokedHostKeys=%s %s" % (other, krl), "StrictHostKeyChecking=no")
    assert "in revoked keys file /nonexistent: No such file" in plain.refuses(known, "RevokedHostKeys=/nonexistent", "StrictHostKeyChecking=no")


def test_short_keys(plain, keys):
    known = ["NAME " + short(keys.host["rsa"])]
    assert plain.accepts(known, "RequiredRSASize=2048") == ""
    assert plain.refuses(known, "RequiredRSASize=2049").startswith("Bad server host key: Invalid key length (2048 bits, and RequiredRSASize is 2049)\n")
    assert "Learned" not in plain.accepts(["NAME " + short(keys.host["ed25519"])], "RequiredRSASize=2049", "UpdateHostKeys=yes", "LogLevel=VERBOSE", "HostKeyAlgorithms=ssh-ed25519,rsa-sha2-512")


def test_command(plain, keys, workdir):
    log, script = os.path.join(workdir, "log"), os.path.join(workdir, "script")
    write_config(script, ["#!/bin/sh", 'for a; do echo "$a"; done >> %s' % log, "echo '%s %s'" % (plain.name, short(keys.host["ed25519"]))])
    os.chmod(script, 0o755)
    said = plain.accepts([], "KnownHostsCommand=%s I=%%I H=%%H t=%%t k=%%k f=%%f 'a  b' %%%%;$(x) K=%%K" % script, "UpdateHostKeys=yes", flags=["-v"])
    assert "debug1: Found key in KnownHostsCommand-HOSTNAME:1\n" in said and "host key found via KnownHostsCommand; disabling UpdateHostkeys" in said
    with open(log, encoding="utf-8") as f:
        words = f.read().splitlines()
    key = short(keys.host["ed25519"]).split()
    assert words[:8] == ["I=ORDER", "H=127.0.0.1", "t=NONE", "k=test", "f=NONE", "a  b", "%;$(x)", "K=NONE"]
    assert words[8:] == ["I=HOSTNAME", "H=" + plain.name, "t=" + key[0], "k=test", "f=" + Keys.fingerprint(keys.host["ed25519"]), "a  b", "%;$(x)", "K=" + key[1]]
    assert plain.refuses(["NAME " + short(keys.host["ed25519"])], "KnownHostsCommand=/bin/false") == "KnownHostsCommand-ORDER /bin/false failed, status 1\nKnownHostsCommand failed\n"
    assert "path is not absolute" in plain.refuses([], "KnownHostsCommand=true") and "No such file" in plain.refuses([], "KnownHostsCommand=/nonexistent")
    assert "unknown key %q" in plain.refuses([], "KnownHostsCommand=%s %%q" % script)


# ---- UpdateHostKeys ----

# What is known before (E: the server's ed25519 key, C: its ecdsa key, R: its rsa key, X: a key that it has no more), and after.
UPDATES = {
    "learns": (["NAME E"], ["NAME E", "NAME R", "NAME C"], []),
    "forgets": (["NAME E", "NAME C", "# remark", "NAME X", "foo Y", "NAME R"], ["NAME E", "NAME C", "# remark", "foo Y", "NAME R"], []),
    "both": (["NAME X", "NAME E", "NAME C"], ["NAME E", "NAME C", "NAME R"], []),
    "pattern": (["[127.0.0.?]:* E"], None, []),
    "list of names": (["foo,NAME E"], None, []),
    "marker": (["NAME E", "@cert-authority NAME X"], None, []),
    "new key elsewhere": (["NAME E", "foo C"], None, []),
    "old key elsewhere": (["NAME E", "NAME X", "foo X"], None, []),
    "taken unasked": ([], ["NAME E"], ["StrictHostKeyChecking=accept-new"]),
    "not wanted": (["NAME E"], None, ["UpdateHostKeys=no"]),
    "not these": (["NAME E"], ["NAME E", "NAME C"], ["HostKeyAlgorithms=ssh-ed25519,ecdsa-sha2-nistp256"]),
    "with a command it does not ask": (["NAME E"], None, ["UpdateHostKeys=ask"]),
}


@pytest.fixture
def letters(keys):
    text = {"E": short(keys.host["ed25519"]), "C": short(keys.host["ecdsa"]), "R": short(keys.host["rsa"]), "X": short(keys.user["ecdsa384"]), "Y": short(keys.user["rsa"])}

    def spell(lines):
        return [" ".join([*line.split(" ")[:-1], text.get(line.split(" ")[-1], line.split(" ")[-1])]) for line in lines]

    return spell


def test_updates(plain, letters):
    for what, (before, after, options) in UPDATES.items():
        plain.accepts(letters(before), *options, "UpdateHostKeys=yes")
        now = plain.read().splitlines()
        assert sorted(now) == sorted(letters(before if after is None else after)), what
        if after is not None:
            kept = [line for line in letters(before) if line in now]
            assert now[: len(kept)] == kept, what


def test_update_hashes_and_keeps_mode(plain, letters):
    write_config(plain.path, [])
    os.chmod(plain.path, 0o640)
    said = plain.accepts(letters(["NAME E"]), "UpdateHostKeys=yes", "HashKnownHosts=yes", "LogLevel=VERBOSE")
    assert said.count("Learned new hostkey: ") == 2
    lines = plain.read().splitlines()
    assert len(lines) == 3 and all(line.startswith("|1|") for line in lines[1:])
    assert os.stat(plain.path).st_mode & 0o777 == 0o640


def test_update_only_into_files_of_the_user(plain, letters, workdir):
    other = write_config(os.path.join(workdir, "global"), [line.replace("NAME", plain.name) for line in letters(["NAME E"])])
    said = plain.accepts([], "GlobalKnownHostsFile=" + other, "UpdateHostKeys=yes", flags=["-v"])
    assert "host key found in GlobalKnownHostsFile; disabling UpdateHostkeys" in said and plain.read().strip() == ""


@pytest.mark.parametrize("answer,count", [("yes", 3), ("no", 1)])
def test_update_asks(plain, letters, answer, count):
    plain.write(letters(["NAME E"]))
    flags = ["-oUserKnownHostsFile=" + plain.path, "-oUpdateHostKeys=ask", "-oBatchMode=no", "test"]
    child = pexpect.spawn(plain.client.program, plain.client.argv(*flags)[1:], timeout=20, encoding="utf-8")
    child.expect("The server has updated its host keys.*Learned new hostkey: .*Accept updated hostkeys\\? \\(yes/no\\): ")
    child.sendline("what")
    child.expect('Please enter "yes" or "no"')
    child.sendline(answer)
    child.sendline("echo in$((1))side; exit")  # the terminal is the shell's again
    child.expect("in1side")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0 and len(plain.read().splitlines()) == count


def test_default_of_update(workdir):
    """As ssh_config(5): yes, unless the file is another or DNS has a say."""
    def default(*flags):
        return re.search("updatehostkeys (.*)", process.run([programs.SSH, "-G", "-F", "none", *flags, "h"]).stdout).group(1)

    assert (default(), default("-oUserKnownHostsFile=/x"), default("-oVerifyHostKeyDNS=ask"), default("-oUpdateHostKeys=ask", "-oUserKnownHostsFile=/x")) == ("true", "false", "false", "ask")


def test_our_own_server(our_sshd, our_ssh, workdir, letters, ca, keys, login):
    """The same against ours: a certificate of the host and one of the user, and keys learnt."""
    host = key_files.make(os.path.join(workdir, "host"), "ed25519")
    user = key_files.make(os.path.join(workdir, "user"), "ed25519")
    keygen("-s", ca, "-h", "-I", "the host", "-n", "127.0.0.1", host + ".pub")
    keygen("-s", ca, "-I", "the user", "-n", login.pw_name, user + ".pub")
    server = our_sshd(["HostKey " + host, "HostCertificate %s-cert.pub" % host, "TrustedUserCAKeys %s.pub" % ca, "AuthorizedKeysFile none"])
    one = Case(server, our_ssh(server, key=user), workdir)
    assert one.accepts(["@cert-authority NAME " + short(ca)]) == ""
    server = our_sshd()
    one = Case(server, our_ssh(server), workdir)
    one.accepts(letters(["NAME E", "NAME X"]), "UpdateHostKeys=yes")
    assert sorted(one.read().splitlines()) == sorted(letters(["NAME E", "NAME C", "NAME R"]))
