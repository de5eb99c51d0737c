"""The server's own keys: certificates for them, keys in an agent, and telling clients of new ones. Debian's ssh is the client."""
import os
import re
import shutil
import subprocess

import pytest

from lib import keys as keylib
from lib import process, programs, tokens
from lib.agent import Agent
from lib.server import write_config


def certify(workdir, key, *flags):
    """A copy of the host key with a certificate, and its CA's public key."""
    path = shutil.copy(key, os.path.join(workdir, "hk"))
    shutil.copy(key + ".pub", path + ".pub")
    ca = os.path.join(workdir, "ca")
    if not os.path.exists(ca):
        keylib.make(ca, "ed25519")
    done = process.run([programs.peer("ssh-keygen"), "-q", "-s", ca, "-I", "host", "-h", *flags, path + ".pub"])
    assert done.returncode == 0, done.stderr
    return path, keylib.Keys.public(ca)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_host_certificate(our_sshd, debian_ssh, workdir, keys, kind):
    key, ca = certify(workdir, keys.host[kind], "-n", "127.0.0.1")
    server = our_sshd(["HostKey " + key, "HostCertificate %s-cert.pub" % key])
    known = write_config(os.path.join(workdir, "known"), ["@cert-authority * " + ca])
    client = debian_ssh(server, ["UserKnownHostsFile " + known, "LogLevel DEBUG1"])
    done = client.run("echo in")
    assert done.stdout == "in\n", done.stderr
    assert "Server host certificate: " in done.stderr
    assert debian_ssh(server).run("true").returncode == 0, "by the plain key too"
    # keys are exchanged anew with the certificate in the session as well
    done = debian_ssh(server, ["UserKnownHostsFile " + known, "RekeyLimit 1M"]).run("head -c 3000000 /dev/zero | md5sum; head -c 3000000 /dev/zero")
    assert done.returncode == 0, done.stderr


def test_host_certificate_with_another_name(our_sshd, debian_ssh, workdir, keys):
    key, ca = certify(workdir, keys.host["ed25519"], "-n", "other.example")
    server = our_sshd(["HostKey " + key], flags=["-c", key + "-cert.pub"])
    known = write_config(os.path.join(workdir, "known"), ["@cert-authority * " + ca])
    assert debian_ssh(server, ["UserKnownHostsFile " + known]).run("true").returncode == 255


def test_certificates_that_do_not_fit(workdir, keys):
    key, _ = certify(workdir, keys.host["ed25519"], "-n", "x")
    config = write_config(os.path.join(workdir, "c"), ["HostKey " + keys.host["rsa"]])
    for certificate, said in ((key + "-cert.pub", "No matching private key for certificate: "), (key + ".pub", "Certificate file is not a certificate: "),
                              ("/nosuch", 'Could not load host certificate "/nosuch": No such file')):
        done = process.run([programs.SSHD, "-t", "-f", config, "-c", certificate])
        assert done.returncode == 0 and said in done.stderr, done.stderr


@pytest.fixture
def agent(workdir):
    """ssh-agent with what its caller adds: agent(paths) gives the socket."""
    started = []

    def start(*paths):
        sock = os.path.join(workdir, "agent")
        started.append(subprocess.Popen([programs.peer("ssh-agent"), "-D", "-a", sock], stdout=subprocess.DEVNULL))
        process.wait_until(lambda: os.path.exists(sock), "the agent")
        done = process.run([programs.peer("ssh-add"), *paths], env=dict(os.environ, SSH_AUTH_SOCK=sock))
        assert done.returncode == 0, done.stderr
        return sock

    yield start
    for one in started:
        one.kill()
        one.wait()


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_host_keys_in_an_agent(our_sshd, debian_ssh, workdir, keys, agent, kind):
    sock = agent(keys.host[kind])
    public = shutil.copy(keys.host[kind] + ".pub", os.path.join(workdir, "only.pub"))
    server = our_sshd(["HostKeyAgent " + sock, "HostKey " + public])
    server.host_keys = [keys.host[kind]]
    done = debian_ssh(server, ["RekeyLimit 1M"]).run("head -c 3000000 /dev/zero")
    assert done.returncode == 0 and len(done.stdout) == 3000000, done.stderr + server.log.text()


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"])
def test_keys_are_announced_and_proved(our_sshd, debian_ssh, workdir, keys, algorithm):
    server = our_sshd()
    kind = "rsa" if "rsa" in algorithm else "ed25519"
    known = write_config(os.path.join(workdir, "known"), ["[127.0.0.1]:%d %s" % (server.port, " ".join(keys.public(keys.host[kind]).split()[:2]))])
    client = debian_ssh(server, ["UserKnownHostsFile " + known, "UpdateHostKeys yes", "HostKeyAlgorithms ^" + algorithm, "LogLevel DEBUG1"])
    done = client.run("true")
    assert done.returncode == 0, done.stderr
    with open(known, encoding="utf-8") as f:
        listed = {line.split()[2] for line in f}
    assert listed == {keys.public(path).split()[1] for path in keys.host.values()}, done.stderr
    assert not re.search("host key signature|failed|error", server.log.text())


def test_announced_without_certificates(our_sshd, debian_ssh, workdir, keys):
    key, _ = certify(workdir, keys.host["ed25519"], "-n", "127.0.0.1")
    server = our_sshd(["HostKey " + key, "HostKey " + keys.host["rsa"], "HostCertificate %s-cert.pub" % key])
    known = write_config(os.path.join(workdir, "known"), ["[127.0.0.1]:%d %s" % (server.port, keys.public(keys.host["rsa"]))])
    done = debian_ssh(server, ["UserKnownHostsFile " + known, "UpdateHostKeys yes", "HostKeyAlgorithms ^rsa-sha2-512", "LogLevel DEBUG3"]).run("true")
    said = re.findall(r"received (\S+) key", done.stderr)
    assert done.returncode == 0 and sorted(said) == ["ED25519", "RSA"], done.stderr


def test_host_keys_of_security_keys(our_sshd, debian_ssh, workdir, keys):
    """In a file they are refused with a word on what to do; in an agent they serve."""
    env = tokens.clean_env(SK_DOUBLE=workdir)
    path = os.path.join(workdir, "sk")
    made = process.run([programs.KEYGEN, "-q", "-t", "ed25519-sk", "-w", tokens.SK_DOUBLE, "-N", "", "-O", "no-touch-required", "-f", path], env=env)
    assert made.returncode == 0, made.stderr
    config = write_config(os.path.join(workdir, "c"), ["HostKey " + path])
    done = process.run([programs.SSHD, "-t", "-f", config])
    assert done.returncode == 1 and 'Unable to load host key "%s": it is on a security key' % path in done.stderr and "no hostkeys available" in done.stderr
    with Agent(programs.AGENT, workdir, ["-P", "*"], env=env) as one:
        assert one.add("-q", "-S", tokens.SK_DOUBLE, path).returncode == 0
        server = our_sshd(["HostKeyAgent " + one.path, "HostKey " + path])
        server.host_keys = [path]
        done = debian_ssh(server).run("echo in")
        assert done.stdout == "in\n", done.stderr + server.log.text()
