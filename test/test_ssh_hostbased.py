"""Host-based authentication with our ssh and a set-user-ID ssh-keysign of ours, against Debian's sshd and ours. /etc/ssh is a folder of the test's own, in
mount namespaces that it makes."""
import os
import shutil

import pytest

from lib import process, programs
from lib.keys import Keys
from lib.marks import needs_our_ssh, needs_peer, needs_root
from lib.server import write_config

pytestmark = [needs_our_ssh, needs_peer("sshd"), needs_root]
LINES = ["HostbasedAuthentication yes", "HostbasedUsesNameFromPacketOnly yes", "IgnoreRhosts no", "IgnoreUserKnownHosts no", "LogLevel VERBOSE"]
KEYSIGN = programs.ours("keysign", "ssh-keysign")

# $1: folder of the test. A file system of its own, since the one of temporary files may forbid set-user-ID.
PREPARE = """
set -e
mount --bind "$1/etc" /etc/ssh
mount -t tmpfs -o mode=755 tmpfs "$1/suid"
mkdir "$1/suid/ssh" "$1/suid/keysign"
cp %s "$1/suid/ssh/ssh"
cp %s "$1/suid/keysign/ssh-keysign"
chmod 4755 "$1/suid/keysign/ssh-keysign"
[ ! -e /usr/lib/openssh/ssh-keysign ] || mount --bind "$1/suid/keysign/ssh-keysign" /usr/lib/openssh/ssh-keysign
shift
exec setpriv --reuid="$1" --regid="$(id -g "$1")" --init-groups "$0" "${@:2}"
""" % (programs.SSH, KEYSIGN)


class Machine:
    def __init__(self, workdir, keys, account):
        self.workdir, self.account, self.ssh = workdir, account, os.path.join(workdir, "suid", "ssh", "ssh")
        self.etc = os.path.join(workdir, "etc")
        for name in ("etc", "suid"):
            os.mkdir(os.path.join(workdir, name))
        for kind, path in keys.host.items():
            shutil.copy(path, os.path.join(self.etc, "ssh_host_%s_key" % kind))
            shutil.copy(path + ".pub", os.path.join(self.etc, "ssh_host_%s_key.pub" % kind))
        self.enable(True)

    def enable(self, on):
        write_config(os.path.join(self.etc, "ssh_config"), ["EnableSSHKeysign %s" % ("yes" if on else "no")])

    def run(self, server, *flags, user=None, program=None):
        options = ["-F", "/etc/ssh/ssh_config", "-p", str(server.port), "-oHostbasedAuthentication=yes", "-oPreferredAuthentications=hostbased", "-oBatchMode=yes", "-v",
                   "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oGlobalKnownHostsFile=/dev/null"]
        argv = ["unshare", "-m", "bash", "-c", PREPARE, program or self.ssh, self.workdir, user or self.account.pw_name, *options, *flags, self.account.pw_name + "@127.0.0.1", "id -un"]
        return process.run(argv, cwd="/")


@pytest.fixture
def machine(workdir, keys, account):
    if process.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("mount namespaces are forbidden here")
    home = account.pw_dir
    known = os.path.join(home, ".ssh", "known_hosts")
    shosts = os.path.join(home, ".shosts")
    name = process.run(["getent", "hosts", "127.0.0.1"]).stdout.split()[1]
    write_config(shosts, ["%s %s" % (name, account.pw_name)])
    write_config(known, ["%s %s" % (name, Keys.public(path)) for path in keys.host.values()])
    for path in (known, shosts):
        os.chown(path, account.pw_uid, account.pw_gid)
    yield Machine(workdir, keys, account)
    os.unlink(known)
    os.unlink(shosts)


@pytest.fixture(params=["debian_sshd", "our_sshd"])
def either_server(request):
    return request.getfixturevalue(request.param)(LINES)


@pytest.fixture
def server(debian_sshd):
    return debian_sshd(LINES)


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"])
def test_login(machine, either_server, algorithm):
    done = machine.run(either_server, "-oHostbasedAcceptedAlgorithms=" + algorithm)
    assert (done.returncode, done.stdout) == (0, machine.account.pw_name + "\n"), done.stderr
    assert 'using "hostbased".' in done.stderr
    either_server.log.wait("Accepted hostbased for %s from 127.0.0.1" % machine.account.pw_name)


@pytest.mark.skipif(not os.path.exists("/usr/lib/openssh/ssh-keysign"), reason="no ssh-keysign of another make, whose place ours could take")
def test_in_the_place_of_the_other(machine, server):
    """Debian's ssh with our helper."""
    done = machine.run(server, program=programs.peer("ssh"))
    assert (done.returncode, done.stdout) == (0, machine.account.pw_name + "\n"), done.stderr
    assert 'using "hostbased".' in done.stderr


def test_only_if_the_system_says_so(machine, server):
    """The user's own word (-o, -F) does not count."""
    machine.enable(False)
    done = machine.run(server, "-oEnableSSHKeysign=yes")
    assert done.returncode == 255 and "ssh-keysign not enabled in /etc/ssh/ssh_config" in done.stderr and "Permission denied" in done.stderr


def test_only_for_whom_it_is(machine, server):
    """Another account here is not vouched for as this one, and keys that the server does not know help nobody."""
    done = machine.run(server, user="nobody")
    assert done.returncode == 255 and "Permission denied" in done.stderr
    server.log.wait("client user \"nobody\"")
    for name in os.listdir(machine.etc):
        if name.startswith("ssh_host"):
            os.unlink(os.path.join(machine.etc, name))
    done = machine.run(server)
    assert done.returncode == 255 and "no local public host keys could be loaded" in done.stderr


REQUESTS = {
    "nothing": b"",
    "no length": b"\0\0",
    "zero": b"\0\0\0\0",
    "huge": b"\xff\xff\xff\xff",
    "short": b"\0\0\0\x09\x02\0\0\0\x03",
    "version": b"\0\0\0\x09\x01\0\0\0\x03\0\0\0\0",
    "stdin": b"\0\0\0\x09\x02\0\0\0\0\0\0\0\0",
    "no request": b"\0\0\0\x09\x02\0\0\0\x03\0\0\0\0",
}


@pytest.mark.parametrize("case", REQUESTS)
def test_bad_requests(machine, case):
    script = 'mount --bind "$1/etc" /etc/ssh && exec "$0"'
    done = process.run(["unshare", "-m", "sh", "-c", script, KEYSIGN, machine.workdir], stdin=REQUESTS[case], text=False, timeout=10)
    assert done.returncode == 1 and done.stdout == b"" and b"not a valid request" in done.stderr


def signed_data(user=b"root", host=None, **parts):
    def string(b):
        return len(b).to_bytes(4, "big") + b

    fields = {"session": b"s" * 32, "number": b"\x32", "user": b"someone", "service": b"ssh-connection", "method": b"hostbased", "algorithm": b"ssh-ed25519", **parts}
    return (string(fields["session"]) + fields["number"] + string(fields["user"]) + string(fields["service"]) + string(fields["method"]) + string(fields["algorithm"]) +
            string(fields["key"]) + string(host) + string(user) + fields.get("tail", b""))


def test_what_it_does_not_sign(machine, keys):
    """As another program of the user's may ask: anything but a request of this user from this machine is refused."""
    import base64
    import socket

    key = base64.b64decode(Keys.public(keys.host["ed25519"]).split()[1])
    other = base64.b64decode(Keys.public(keys.user["ed25519"]).split()[1])
    host = socket.gethostname().encode() + b"."
    good = dict(key=key, host=host)
    cases = [({}, 0), (dict(method=b"publickey"), 1), (dict(service=b"ssh-userauth"), 1), (dict(number=b"\x33"), 1), (dict(user=b"bin"), 1), (dict(host=b"other."), 1),
             (dict(host=host[:-1]), 1), (dict(key=other), 1), (dict(session=b""), 1), (dict(session=b"s" * 65), 1), (dict(tail=b"x"), 1), (dict(algorithm=b"rsa-sha2-512"), 1)]
    script = 'mount --bind "$1/etc" /etc/ssh && exec "$0" 3</dev/null'
    for change, status in cases:
        data = signed_data(**{**good, **change})
        body = b"\x02" + (3).to_bytes(4, "big") + len(data).to_bytes(4, "big") + data
        request = len(body).to_bytes(4, "big") + body
        done = process.run(["unshare", "-m", "sh", "-c", script, KEYSIGN, machine.workdir], stdin=request, text=False, timeout=10)
        assert done.returncode == status and (b"ssh-ed25519" in done.stdout) == (status == 0), (change, done.stderr)
