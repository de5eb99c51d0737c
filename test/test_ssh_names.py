"""Our ssh and names of hosts, in a namespace with a DNS server of the test's own (lib/fakedns.py says what of it is real): the address beside the name in
known_hosts (CheckHostIP), and fingerprints in DNS (VerifyHostKeyDNS)."""
import os
import re

import pytest

from lib import fakedns, process, programs
from lib.keys import Keys
from lib.marks import needs_our_ssh, needs_peer

pytestmark = [needs_our_ssh, needs_peer("sshd")]


def short(path):
    return " ".join(Keys.public(path).split()[:2])


def sshfp(path, kinds=("1", "2")):
    """SSHFP records of a key by Debian's ssh-keygen, for the zone."""
    lines = process.run([programs.peer("ssh-keygen"), "-r", "host.test", "-f", path + ".pub"]).stdout.splitlines()
    fields = [line.split()[3:] for line in lines]
    return ["host.test SSHFP %02x%02x%s" % (int(algorithm), int(kind), digest) for algorithm, kind, digest in fields if kind in kinds]


class World:
    def __init__(self, namespace, server, make_client, workdir, keys):
        self.namespace, self.client = namespace, make_client(server, ["HostName host.test", "Port 22", "HostKeyAlgorithms ssh-ed25519"])
        self.path, self.key, self.wrong = os.path.join(workdir, "known"), short(keys.host["ed25519"]), short(keys.user["ed25519"])
        self.records = ["host.test A " + fakedns.ADDRESS]

    def run(self, known, *options, program=None):
        with open(self.path, "w", encoding="utf-8") as f:
            f.writelines(line + "\n" for line in known)
        argv = self.client.argv("-oUserKnownHostsFile=" + self.path, *["-o" + one for one in options], "test", "echo ok")
        return process.run([*self.namespace.enter, *([program, *argv[1:]] if program else argv)])

    def accepts(self, known, *options):
        done = self.run(known, *options)
        assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
        return done.stderr

    def refuses(self, known, *options):
        done = self.run(known, *options)
        assert done.returncode == 255 and done.stdout == "", done.stderr
        return done.stderr

    def read(self):
        with open(self.path, encoding="utf-8") as f:
            return f.read().splitlines()


@pytest.fixture
def world(workdir, debian_sshd, our_ssh, keys):
    folder = os.path.join(workdir, "dns")
    os.mkdir(folder)
    namespace = fakedns.Namespace.make(folder)
    if not namespace:
        pytest.skip("needs root, and network and mount namespaces, which are forbidden here")
    try:
        one = World(namespace, debian_sshd(["ListenAddress 0.0.0.0"], wrapper=namespace.enter), our_ssh, workdir, keys)
        namespace.zone(*one.records)
        yield one
    finally:
        namespace.stop()


def test_address_beside_the_name(world):
    named, address = "host.test " + world.key, fakedns.ADDRESS + " "
    added = "Warning: Permanently added the ED25519 host key for IP address '%s' to the list of known hosts.\n" % fakedns.ADDRESS
    assert world.accepts([named]) == ""
    assert world.accepts([named], "CheckHostIP=yes") == added and world.read() == [named, address + world.key]
    assert world.accepts([named, address + world.key], "CheckHostIP=yes") == ""
    said = world.accepts([], "CheckHostIP=yes", "StrictHostKeyChecking=accept-new")
    assert said == "Warning: Permanently added 'host.test,%s' (ED25519) to the list of known hosts.\n" % fakedns.ADDRESS
    assert world.read() == ["host.test,%s %s" % (fakedns.ADDRESS, world.key)]
    assert world.accepts(["myalias " + world.key], "CheckHostIP=yes", "HostKeyAlias=myalias") == ""


def test_address_with_another_key(world):
    known = ["# first", "host.test " + world.key, fakedns.ADDRESS + " " + world.wrong]
    warning = ("Warning: the ED25519 host key for 'host.test' differs from the key for the IP address '%s'\nOffending key for IP in %s:3\nMatching host key in %s:2\n"
               % (fakedns.ADDRESS, world.path, world.path))
    for strict in ("yes", "ask"):
        assert world.refuses(known, "CheckHostIP=yes", "StrictHostKeyChecking=" + strict).startswith(warning)
    for strict in ("no", "accept-new"):
        assert world.accepts(known, "CheckHostIP=yes", "StrictHostKeyChecking=" + strict) == warning
    theirs = world.run(known, "CheckHostIP=yes", program=programs.peer("ssh")).stderr.replace("\r", "")
    assert theirs == world.refuses(known, "CheckHostIP=yes")


def test_name_that_may_lead_elsewhere(world, keys):
    named, address = "host.test " + world.wrong, fakedns.ADDRESS + " "
    frame, other = "WARNING: POSSIBLE DNS SPOOFING DETECTED!", "ssh-rsa " + short(keys.host["rsa"]).split()[1]
    for known, words in ((["# x", named], "is unknown."), ([named, address + world.key], "is unchanged.\n.*\nOffending key for IP in %s:2\n" % world.path),
                         ([named, address + other], "has a different value.\n.*\nOffending key for IP in %s:2\n" % world.path)):
        said = world.refuses(known, "CheckHostIP=yes")
        assert frame in said and re.search("and the key for its address %s %s" % (fakedns.ADDRESS, words), said) and "REMOTE HOST IDENTIFICATION HAS CHANGED" in said
        assert frame in world.run(known, "CheckHostIP=yes", program=programs.peer("ssh")).stderr
    for known, option in (([named, address + world.wrong], "CheckHostIP=yes"), ([named], "CheckHostIP=no")):
        assert frame not in world.refuses(known, option)
        assert frame not in world.run(known, option, program=programs.peer("ssh")).stderr


def test_fingerprints_in_dns(world, keys):
    host = keys.host["ed25519"]
    dns = ["VerifyHostKeyDNS=yes", "StrictHostKeyChecking=ask", "LogLevel=DEBUG1"]
    unknown = "No ED25519 host key is known"

    def zone(*lines):
        world.namespace.zone(*world.records, *lines)

    zone("secure", *sshfp(host), *sshfp(keys.host["rsa"]))
    said = world.accepts([], *dns)
    assert "found 4 secure fingerprints in DNS" in said and "matching host key fingerprint found in DNS" in said and world.read() == []
    assert unknown in world.refuses([], "VerifyHostKeyDNS=ask", "StrictHostKeyChecking=yes")
    assert unknown in world.refuses([], "VerifyHostKeyDNS=no", "StrictHostKeyChecking=yes")
    assert "is marked as revoked" in world.refuses(["@revoked * " + world.key], *dns)
    zone(*sshfp(host))
    assert "found 2 insecure fingerprints in DNS" in world.refuses([], *dns)
    zone("secure", *sshfp(keys.user["ed25519"]))
    said = world.refuses([], *dns)
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in said and "Update the SSHFP RR in DNS with the new host key" in said
    zone("secure", *sshfp(host, kinds="1"), *sshfp(keys.user["ed25519"], kinds="2"))  # RFC 6594: SHA-1 is no way round SHA-256
    assert "mismatching host key fingerprint" in world.refuses([], *dns)
    zone("secure", *sshfp(host, kinds="1"))
    world.accepts([], *dns)
    for line in ("host.test SSHFP 0402", "host.test SSHFP 0402ff", "host.test SSHFP 04", "host.test SSHFP 0409aabb"):
        zone("secure", line)
        world.refuses([], *dns)
    zone("secure")
    assert "DNS lookup error: name does not exist" in world.refuses([], *dns)
    zone("secure", "alias.test CNAME host.test", *sshfp(host))
    world.accepts([], "HostName=alias.test", *dns)


def test_whose_word_on_dnssec_counts(world, keys):
    """The bit is worth what the way to the resolver is worth: this machine, or what the administrator trusts."""
    world.namespace.zone(*world.records, "secure", *sshfp(keys.host["ed25519"]))
    world.namespace.resolver("nameserver " + fakedns.ADDRESS)
    dns = ["VerifyHostKeyDNS=yes", "StrictHostKeyChecking=ask", "LogLevel=DEBUG1"]
    assert "2 insecure fingerprints" in world.refuses([], *dns)
    world.namespace.resolver("nameserver " + fakedns.ADDRESS, "options trust-ad")
    assert "2 secure fingerprints" in world.accepts([], *dns)
    assert "skipped DNS lookup for numerical hostname" in world.refuses([], "HostName=" + fakedns.ADDRESS, *dns)


def test_question_tells_of_dns(world, keys, workdir):
    world.namespace.zone(*world.records, *sshfp(keys.host["ed25519"]))
    path = os.path.join(workdir, "askpass")
    with open(path, "w", encoding="utf-8") as f:
        f.write('#!/bin/sh\necho "$1" > %s.log\necho no\n' % path)
    os.chmod(path, 0o755)
    argv = world.client.argv("-oUserKnownHostsFile=" + world.path, "-oVerifyHostKeyDNS=yes", "-oBatchMode=no", "-oStrictHostKeyChecking=ask", "test", "true")
    done = process.run([*world.namespace.enter, *argv], env=dict(os.environ, SSH_ASKPASS=path, SSH_ASKPASS_REQUIRE="force"))
    assert done.returncode == 255
    with open(path + ".log", encoding="utf-8") as f:
        assert re.search(r"^Matching host key fingerprint found in DNS\.$", f.read(), re.M)


ZONE = ["host.test A 10.9.8.7", "web.a.test A 10.9.8.7", "web.b.test A 10.9.8.7", "alias.a.test CNAME host.test", "deep.sub.a.test A 10.9.8.7", "local A 10.9.8.7"]
FILE = """
CanonicalDomains a.test b.test
CanonicalizePermittedCNAMEs *.a.test:*.test
Host web
Port 11
Host web.a.test
User full
Match canonical host *.a.test
HostKeyAlias canonical
Match final host host.test
IdentityAgent none
Match canonical all
CanonicalizeMaxDots 7
"""
NAMES = ["web|-oCanonicalizeHostname=yes", "WEB|-oCanonicalizeHostname=yes", "alias|-oCanonicalizeHostname=yes", "alias|-oCanonicalizeHostname=yes -oCanonicalizePermittedCNAMEs=none",
         "alias.a.test|-oCanonicalizeHostname=yes", "alias.a.test|-oCanonicalizeHostname=yes -oCanonicalizeMaxDots=5", "local|-oCanonicalizeHostname=yes", "deep.sub|-oCanonicalizeHostname=yes",
         "deep.sub|-oCanonicalizeHostname=yes -oCanonicalizeMaxDots=0", "web|-oCanonicalizeHostname=yes -oProxyCommand=x", "web|-oCanonicalizeHostname=always -oProxyCommand=x",
         "web|-oCanonicalizeHostname=yes -J x", "10.9.8.7|-oCanonicalizeHostname=yes",
         "nowhere|-oCanonicalizeHostname=yes -oCanonicalizeFallbackLocal=no", "web|-oCanonicalizeHostname=yes -oCanonicalDomains=b.test", "web|-oCanonicalizeHostname=yes -oHostname=deep.sub",
         "web|-oCanonicalizeHostname=yes -oCanonicalDomains=none"]


def test_full_names(world, workdir):
    """As the other ssh makes them, and what the configuration says of them."""
    world.namespace.zone(*ZONE)
    config = os.path.join(workdir, "names")
    with open(config, "w", encoding="utf-8") as f:
        f.write(FILE)

    def dump(program, case):
        name, flags = case.split("|")
        done = process.run([*world.namespace.enter, program, "-F", config, "-G", *flags.split(), name])
        wanted = ("hostname ", "port ", "user ", "hostkeyalias ", "identityagent ", "canonicalizemaxdots ")
        return done.returncode, [line for line in done.stdout.splitlines() if line.startswith(wanted)], done.stderr if done.returncode else ""

    for case in NAMES:
        ours, theirs = dump(programs.SSH, case), dump(programs.peer("ssh"), case)
        if "Could not resolve hostname" in theirs[2]:  # theirs looks names up for -G too, where it has rules for aliases
            assert "hostname " + case.split("|")[0] in ours[1], case
        else:
            assert ours == theirs, case


def test_full_name_in_known_hosts(world, keys):
    world.namespace.zone("server.a.test A " + fakedns.ADDRESS)
    full = ["HostName server", "CanonicalizeHostname=yes", "CanonicalDomains=a.test"]
    assert world.accepts(["server.a.test " + world.key], *full) == ""
    assert "No ED25519 host key is known for server.a.test" in world.refuses(["server " + world.key], *full)
