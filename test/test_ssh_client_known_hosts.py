"""What our ssh makes of known_hosts, and what it asks, says and writes."""
import os
import re

import pexpect
import pytest

from lib import process, programs
from lib.keys import Keys
from lib.marks import needs_our_ssh, needs_peer
from lib.server import free_port, write_config

pytestmark = [needs_our_ssh, needs_peer("sshd")]
QUESTION = r"\(yes/no/\[fingerprint\]\)\? "


def short(path):
    return " ".join(Keys.public(path).split()[:2])


class Case:
    """A server, a known_hosts file of the test's own, and runs of ssh with it."""

    def __init__(self, server, client, workdir, keys):
        self.server, self.client, self.path = server, client, os.path.join(workdir, "known")
        self.name = "[127.0.0.1]:%d" % server.port
        self.key = {kind: short(path) for kind, path in keys.host.items()}
        self.wrong = {kind: short(keys.user[kind]) for kind in ("ed25519", "rsa")}

    def write(self, *lines):
        write_config(self.path, lines) if lines else open(self.path, "w", encoding="utf-8").close()

    def read(self):
        with open(self.path, encoding="utf-8") as f:
            return f.read()

    def flags(self, *more):
        return ["-oUserKnownHostsFile=" + self.path, *more]

    def run(self, *flags):
        return self.client.run("echo ok", flags=self.flags(*flags))

    def accepts(self, *flags):
        done = self.run(*flags)
        assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
        return done.stderr

    def refuses(self, *flags):
        done = self.run(*flags)
        assert done.returncode == 255 and done.stdout == "" and done.stderr.endswith("Host key verification failed.\n")
        return done.stderr

    def ask(self, *answers, flags=()):
        """Runs on a terminal; gives what was said and the status."""
        child = pexpect.spawn(self.client.program, self.client.argv(*self.flags("-oStrictHostKeyChecking=ask", "-oBatchMode=no", *flags), "test", "echo OKAY")[1:],
                              timeout=20, encoding="utf-8")
        said = ""
        for pattern, answer in answers:
            child.expect(pattern)
            said += child.before + child.after
            child.sendline(answer)
        child.expect(pexpect.EOF)
        said += child.before
        child.close()
        return said, child.exitstatus


@pytest.fixture
def case(debian_sshd, our_ssh, workdir, keys):
    server = debian_sshd()
    return Case(server, our_ssh(server), workdir, keys)


def test_known_in_every_way(case):
    for line in ("{name} {key}", "a,{name},b {key}", "[127.0.0.*]:{port} {key}", "* {key}", "127.0.0.1 {key}", "{name} {key} and a comment"):
        case.write("# comment", "", "nonsense", line.format(name=case.name, key=case.key["ed25519"], port=case.server.port))
        assert case.accepts() == "", line
    case.write("[127.0.0.*]:%d,!%s %s" % (case.server.port, case.name, case.key["ed25519"]))
    assert "No ED25519 host key is known for %s and you have requested strict checking." % case.name in case.refuses()


def test_hashed(case):
    case.write("%s %s" % (case.name, case.key["ed25519"]))
    assert process.run([programs.peer("ssh-keygen"), "-H", "-f", case.path]).returncode == 0
    assert case.name not in case.read()
    assert case.accepts() == ""
    case.write()
    assert "Permanently added" in case.accepts("-oHashKnownHosts=yes", "-oStrictHostKeyChecking=accept-new")
    assert re.fullmatch(r"\|1\|\S+\|\S+ ssh-ed25519 \S+\n", case.read())
    found = process.run([programs.peer("ssh-keygen"), "-F", case.name, "-f", case.path])
    assert found.returncode == 0, "the other one does not find what we hashed"


def test_second_and_global_file(case, workdir):
    case.write("%s %s" % (case.name, case.wrong["ed25519"]))
    other = write_config(os.path.join(workdir, "other"), ["%s %s" % (case.name, case.key["ed25519"])])
    for flags in (["-oUserKnownHostsFile=%s %s" % (case.path, other)], ["-oUserKnownHostsFile=" + case.path, "-oGlobalKnownHostsFile=" + other]):
        done = case.client.run("true", flags=["-v", *flags])
        assert done.returncode == 0 and "debug1: Found key in %s:1\n" % other in done.stderr


@pytest.mark.parametrize("strict", ["yes", "ask", "accept-new"])
def test_changed(case, strict):
    case.write("# first", "%s %s" % (case.name, case.wrong["ed25519"]))
    said = case.refuses("-oStrictHostKeyChecking=" + strict)
    assert "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!" in said and Keys.fingerprint(case.server.host_keys[0])[:6] in said
    assert "\nOffending ED25519 key in %s:2\n  remove with:\n  ssh-keygen -f \"%s\" -R \"%s\"\n" % (case.path, case.path, case.name) in said
    assert "Host key for %s has changed and you have requested strict checking.\n" % case.name in said


def test_changed_is_survived_without_passwords(case):
    case.write("%s %s" % (case.name, case.wrong["ed25519"]))
    assert "Password authentication is disabled" in case.accepts("-oStrictHostKeyChecking=no")
    assert case.read().count("\n") == 1


def test_changed_is_survived_without_forwards(case):
    case.write("%s %s" % (case.name, case.wrong["ed25519"]))
    flags = ["-oStrictHostKeyChecking=no", "-A", "-L", "%d:127.0.0.1:22" % free_port()]
    said = case.accepts(*flags)
    assert "Agent forwarding is disabled" in said and "Port forwarding is disabled" in said
    done = case.client.run("true", flags=["-oUserKnownHostsFile=" + case.path, "-oExitOnForwardFailure=yes", *flags])
    assert done.returncode == 255 and "Error: forwarding disabled due to host key check failure" in done.stderr


def test_another_type_of_key_is_a_change(case):
    """Or else whoever stands in between would choose a type that is not known yet."""
    case.write("%s %s" % (case.name, case.key["ecdsa"]))
    for strict in ("yes", "ask", "accept-new"):
        said = case.refuses("-oHostKeyAlgorithms=ssh-ed25519", "-oStrictHostKeyChecking=" + strict)
        assert "Offending ECDSA key in %s:1" % case.path in said


@pytest.mark.parametrize("kind,algorithm", [("rsa", "rsa-sha2-512"), ("ecdsa", "ecdsa-sha2-nistp256"), ("ed25519", "ssh-ed25519")])
def test_the_known_type_is_asked_for(case, kind, algorithm):
    case.write("%s %s" % (case.name, case.key[kind]))
    assert "debug1: kex: host key algorithm: %s\n" % algorithm in case.accepts("-v")


def test_revoked(case):
    for lines in (["@revoked * {key}"], ["{name} {key}", "@revoked {name} {key}"]):
        case.write(*[line.format(name=case.name, key=case.key["ed25519"]) for line in lines])
        assert "REVOKED HOST KEY" in case.refuses("-oStrictHostKeyChecking=accept-new")
    case.write("@revoked * " + case.key["rsa"], "%s %s" % (case.name, case.key["ed25519"]))
    assert case.accepts() == ""


@pytest.mark.parametrize("strict", ["accept-new", "no", "off"])
def test_new_is_added(case, strict):
    with open(case.path, "w", encoding="utf-8") as f:
        f.write("foo " + case.wrong["ed25519"])  # no newline at the end
    assert case.accepts("-oStrictHostKeyChecking=" + strict) == "Warning: Permanently added '%s' (ED25519) to the list of known hosts.\n" % case.name
    assert case.read() == "foo %s\n%s %s\n" % (case.wrong["ed25519"], case.name, case.key["ed25519"])
    assert case.accepts() == ""


def test_nobody_to_ask(case):
    case.write()
    assert case.refuses("-oStrictHostKeyChecking=ask") == "Host key verification failed.\n"
    assert case.refuses("-oStrictHostKeyChecking=ask", "-oBatchMode=no") == "Host key verification failed.\n"


def test_alias_and_localhost(case):
    case.write("my.alias " + case.key["ed25519"])
    assert case.accepts("-oHostKeyAlias=My.Alias") == ""
    case.write()
    assert case.accepts("-oNoHostAuthenticationForLocalhost=yes") == "" and case.read() == ""


def test_asking(case, keys):
    fingerprint = Keys.fingerprint(keys.host["ed25519"])
    added = "Warning: Permanently added '%s' (ED25519) to the list of known hosts." % case.name
    for answers in ([(QUESTION, "yes")], [(QUESTION, fingerprint)], [(QUESTION, "what"), ("'yes', 'no' or the fingerprint: ", "YES")]):
        case.write()
        said, status = case.ask(*answers)
        assert status == 0 and added in said and said.rstrip().endswith("OKAY"), said
        assert "The authenticity of host '%s (%s)' can't be established." % (case.name, case.name) in said
        assert "ED25519 key fingerprint is %s." % fingerprint in said and "This key is not known by any other names" in said
    for answer in ("no", "", "SHA256:wrong"):
        case.write()
        last = [("or the fingerprint: ", "no")] if answer.startswith("SHA") else []
        said, status = case.ask((QUESTION, answer), *last)
        assert status == 255 and "Host key verification failed." in said and case.read() == ""


def test_asking_names_others_and_draws(case):
    case.write("foo,bar " + case.key["ed25519"])
    said, status = case.ask((QUESTION, "yes"), flags=["-oVisualHostKey=yes"])
    assert status == 0 and "%s:1: foo,bar" % case.path in said and said.count("+--[ED25519 256]--+") == 1
    assert case.accepts("-oVisualHostKey=yes").startswith("Host key fingerprint is SHA256:")
    assert case.accepts("-oVisualHostKey=yes", "-q") == ""
