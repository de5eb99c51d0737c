"""Agent forwarding: ours at both ends and at one; who may, and limits of keys that hold beyond a hop."""
import os
import shutil

import pytest

from lib import agent, process, programs
from lib.marks import needs_our_ssh

pytestmark = needs_our_ssh
DIRECTIONS = ["ours both", "to ours", "from ours"]
LIST = "%s -l" % programs.ADD


@pytest.fixture
def pair(our_sshd, debian_sshd, our_ssh, debian_ssh):
    def make(direction="ours both", server_lines=(), client_lines=(), **options):
        server = (debian_sshd if direction == "from ours" else our_sshd)(server_lines)
        return (debian_ssh if direction == "to ours" else our_ssh)(server, client_lines, **options), server

    return make


@pytest.fixture
def holder(workdir, keys):
    """Our agent with a key in it."""
    with agent.Agent(programs.AGENT, workdir) as one:
        done = one.add("-q", keys.user["ed25519"])
        assert done.returncode == 0, done.stderr
        yield one


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_key_is_there(pair, holder, direction):
    """Everyone can list it through the socket, which lies in a private folder and is gone with the connection."""
    client, _ = pair(direction)
    script = "%s; stat -c %%a $(dirname $SSH_AUTH_SOCK); echo $SSH_AUTH_SOCK" % LIST
    done = client.run(script, flags=["-A", "-oIdentityAgent=" + holder.path])
    lines = done.stdout.split("\n")
    assert done.returncode == 0 and "ED25519" in lines[0] and lines[1] == "700", done
    process.wait_until(lambda: not os.path.exists(os.path.dirname(lines[2])), "the end of the socket's folder")


@pytest.mark.parametrize("flags, line", [
    (["-a"], ""), ([], ""), (["-A"], "AllowAgentForwarding no"), (["-A"], "DisableForwarding yes"), (["-A", "-a"], ""),
    (["-A", "-oIdentityAgent=/nonexistent"], ""),
])
def test_there_is_none(pair, holder, flags, line):
    client, _ = pair(server_lines=[line] if line else [])
    done = client.run("echo ${SSH_AUTH_SOCK-none}", flags=[*flags, "-oIdentityAgent=" + holder.path])
    assert done.returncode == 0 and done.stdout == "none\n", done


@pytest.mark.parametrize("value", ["{path}", "$OTHER_AGENT", "yes"])
def test_other_agents(pair, holder, value):
    client, _ = pair()
    env = {**os.environ, "OTHER_AGENT": holder.path, "SSH_AUTH_SOCK": holder.path if value == "yes" else "/nonexistent"}
    flags = ["-oForwardAgent=" + value.format(path=holder.path), *(["-oIdentityAgent=SSH_AUTH_SOCK"] if value == "yes" else [])]
    done = client.run(LIST, flags=flags, env=env)
    assert done.returncode == 0 and "ED25519" in done.stdout, done


@pytest.mark.parametrize("options, good", [("no-agent-forwarding", False), ("restrict", False), ("restrict,agent-forwarding", True)])
def test_key_options(our_sshd, our_ssh, keys, workdir, holder, options, good):
    path = os.path.join(workdir, "authorized")
    with open(keys.user["ed25519"] + ".pub", encoding="utf-8") as key, open(path, "w", encoding="utf-8") as f:
        f.write(options + " " + key.read())
    done = our_ssh(our_sshd(["AuthorizedKeysFile " + path])).run("echo ${SSH_AUTH_SOCK-none}", flags=["-A", "-oIdentityAgent=" + holder.path])
    assert (done.stdout != "none\n") == good, done


def test_limits_hold_beyond_the_hop(our_sshd, our_ssh, keys, login, workdir, holder):
    """A key for the first host alone cannot be used from there on; one for the way from there to the second can. Our ssh tells the agent
    which host it forwards it to, and the one over there where it goes (session-bind)."""
    first, second = our_sshd(), our_sshd()
    client = our_ssh(first)
    known, public = os.path.join(workdir, "known_both"), os.path.join(workdir, "only.pub")
    with open(known, "w", encoding="utf-8") as f:
        for name, one in (("first", first), ("second", second)):
            f.write("".join("%s %s\n" % (name, line.split(" ", 1)[1]) for line in one.known_hosts_lines()))
    shutil.copy(keys.user["ed25519"] + ".pub", public)
    hop = ("%s -F none -oBatchMode=yes -oUserKnownHostsFile=/dev/null -oStrictHostKeyChecking=no -oIdentitiesOnly=yes -i %s -p %d %s@127.0.0.1 echo there"
           % (programs.SSH, public, second.port, login.pw_name))
    for limits, good in ((["-h", "first"], False), (["-h", "first", "-h", "first>second"], True)):
        assert holder.add("-q", "-D").returncode == 0
        done = holder.add("-q", "-H", known, *limits, keys.user["ed25519"])
        assert done.returncode == 0, done.stderr
        done = client.run(hop, flags=["-A", "-oIdentityAgent=" + holder.path])
        assert (done.stdout == "there\n") == good, done
