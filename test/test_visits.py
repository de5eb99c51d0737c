"""What our ssh remembers of a login: which key worked there. The next one begins with it; nothing else depends on it."""
import os
import re
import subprocess

import pytest

from lib import account as accounts
from lib import keys as key_files
from lib import process
from lib.marks import needs_our_ssh, needs_root
from lib.server import write_config

pytestmark = needs_our_ssh

NONE_FIRST = "Authentications that can continue"  # the answer to "none", when no key is refused


def visits(client):
    known = client.config.rsplit("/", 1)[0] + "/known_hosts.%d.visits" % client.server.port
    if not os.path.exists(known):
        return None
    with open(known, encoding="utf-8") as f:
        return f.read()


def log_in(client, **options):
    done = client.run("true", flags=["-v"], **options)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_second_login_asks_nothing(debian_sshd, our_ssh, keys):
    client = our_ssh(debian_sshd())
    assert NONE_FIRST in log_in(client)
    seen = visits(client)
    assert seen.startswith("|1|") and seen.split()[1:] == keys.public(keys.user["ed25519"]).split()[:2] and seen.count("\n") == 1
    assert os.stat(client.config.rsplit("/", 1)[0] + "/known_hosts.%d.visits" % client.server.port).st_mode & 0o777 == 0o600
    assert NONE_FIRST not in log_in(client)
    assert visits(client) == seen


def test_key_of_the_agent_signs_at_once(debian_sshd, our_ssh, keys, workdir):
    socket = os.path.join(workdir, "agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        process.wait_until(lambda: os.path.exists(socket), "the agent")
        process.run(["ssh-add", "-q", keys.user["ed25519"]], env=dict(os.environ, SSH_AUTH_SOCK=socket))
        client = our_ssh(debian_sshd(), ["IdentityAgent " + socket])
        said = log_in(client)
        assert NONE_FIRST in said and said.index("Server accepts key") < said.index("Authenticated to")
        assert NONE_FIRST not in log_in(client)
    finally:
        agent.kill()
        agent.wait()


@pytest.mark.parametrize("lines", [["UserKnownHostsFile none"], ["UserKnownHostsFile /dev/null"], ["UserKnownHostsFile %s/missing"]], ids=range(3))
def test_no_memory_without_known_hosts(debian_sshd, our_ssh, workdir, lines):
    server = debian_sshd()
    known = write_config(os.path.join(workdir, "global"), server.known_hosts_lines())
    client = our_ssh(server, [line.replace("%s", workdir) for line in lines] + ["GlobalKnownHostsFile " + known])
    for _ in range(2):
        assert NONE_FIRST in log_in(client)
    assert not [name for name in os.listdir(workdir) + os.listdir("/dev") if name.endswith(".visits")]


def test_memory_that_is_wrong(debian_sshd, our_ssh, keys, workdir):
    """A key that is no longer taken costs one attempt, and is forgotten."""
    server = debian_sshd(["AuthorizedKeysFile %s/authorized" % workdir])
    lines = [keys.public(keys.user["ed25519"])]
    authorized = write_config(os.path.join(workdir, "authorized"), lines)
    client = our_ssh(server)
    log_in(client)
    write_config(authorized, [])
    assert client.run("true").returncode == 255
    assert visits(client) == ""
    write_config(authorized, lines)
    assert NONE_FIRST in log_in(client)
    assert NONE_FIRST not in log_in(client)


def test_memory_that_is_broken(debian_sshd, our_ssh):
    client = our_ssh(debian_sshd())
    path = client.config.rsplit("/", 1)[0] + "/known_hosts.%d.visits" % client.server.port
    for junk in (b"\0\xff" * 5000, b"|1|x|y ssh-ed25519 AAAA\n" * 9, b"x" * 300000, b"|1|a|b ssh-ed25519 AAAA\n" * 12000):
        with open(path, "wb") as f:
            f.write(junk)
        assert NONE_FIRST in log_in(client)
        assert NONE_FIRST not in log_in(client)
        assert os.path.getsize(path) < max(len(junk), 1) + 500


@needs_root
@pytest.mark.parametrize("tries", [1, 3])
def test_keys_cost_no_attempt_where_only_passwords_do(debian_sshd, our_ssh, account, workdir, tries):
    """MaxAuthTries is for what the server takes."""
    askpass, log = os.path.join(workdir, "askpass"), os.path.join(workdir, "log")
    with open(askpass, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\necho x >> %s\n[ $(wc -l < %s) = %d ] && echo '%s' || echo wrong\n" % (log, log, tries, accounts.PASSWORD))
    os.chmod(askpass, 0o755)
    server = debian_sshd(["UsePAM no", "PubkeyAuthentication no", "PasswordAuthentication yes", "KbdInteractiveAuthentication no", "MaxAuthTries %d" % tries])
    env = dict(os.environ, SSH_ASKPASS=askpass, SSH_ASKPASS_REQUIRE="force")
    log_in(our_ssh(server, ["BatchMode no"]), env=env)


def test_the_key_that_worked_comes_first(debian_sshd, our_ssh, keys, workdir):
    """An agent with more keys than the server has patience for; but a key that the user names stays before it."""
    socket = os.path.join(workdir, "agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    env = dict(os.environ, SSH_AUTH_SOCK=socket)
    try:
        process.wait_until(lambda: os.path.exists(socket), "the agent")
        others = [key_files.make(os.path.join(workdir, "other%d" % i), "ed25519") for i in range(3)]
        server = debian_sshd(["MaxAuthTries 3"])
        lines = ["IdentityAgent " + socket, "IdentitiesOnly no"]
        client = our_ssh(server, lines, key="none")
        process.run(["ssh-add", "-q", keys.user["ed25519"]], env=env)
        assert client.run("true").returncode == 0
        process.run(["ssh-add", "-q", "-D"], env=env)
        process.run(["ssh-add", "-q", *others, keys.user["ed25519"]], env=env)
        done = client.run("true", flags=["-v"])
        assert done.returncode == 0 and "Key of the last login here, tried first: user_ed25519 " in done.stderr
        assert done.stderr.count("Offering public key") == 1
        os.unlink(client.config.rsplit("/", 1)[0] + "/known_hosts.%d.visits" % server.port)
        assert "Too many authentication failures" in client.run("true").stderr
        named = our_ssh(server, lines, key=others[0])
        process.run(["ssh-add", "-q", "-D"], env=env)
        process.run(["ssh-add", "-q", others[0], keys.user["ed25519"]], env=env)
        for _ in range(2):
            offered = re.findall(r"Offering public key: (\S+)", named.run("true", flags=["-v"]).stderr)
            assert offered[0] == others[0] and offered[1] == "user_ed25519"
    finally:
        agent.kill()
        agent.wait()
