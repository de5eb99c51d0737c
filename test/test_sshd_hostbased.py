"""Host-based authentication: Debian's ssh and its ssh-keysign vouch for their user with the host's key."""
import os
import shutil
import subprocess

import pytest

from lib import keys as keylib
from lib import process, programs
from lib.marks import needs_root
from lib.server import write_config

pytestmark = [needs_root, pytest.mark.skipif(not programs.has(programs.peer("ssh-keysign")), reason="no ssh-keysign here")]
HOST = "localhost"  # what 127.0.0.1 is called; clients say so


@pytest.fixture
def enter(debian_ssh, workdir, keys, account):
    """Logs in from a machine of our making: in a mount namespace with an /etc that has its host key."""
    if process.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("no mount namespaces here (a chroot)")
    etc = workdir + "/etc"
    subprocess.run(["cp", "-a", "/etc", etc], check=True, capture_output=True)
    shutil.rmtree(etc + "/ssh", ignore_errors=True)
    os.mkdir(etc + "/ssh")
    shutil.copy(keys.host["ed25519"], etc + "/ssh/ssh_host_ed25519_key")
    shutil.copy(keys.host["ed25519"] + ".pub", etc + "/ssh/ssh_host_ed25519_key.pub")
    write_config(etc + "/ssh/ssh_config", ["EnableSSHKeysign yes"])
    write_config(etc + "/hosts", ["127.0.0.1 " + HOST])

    def run(server, user=account.pw_name):
        client = debian_ssh(server, ["HostbasedAuthentication yes", "PreferredAuthentications hostbased", "EnableSSHKeysign yes"], user=user)
        inner = 'mount --bind %s /etc && exec "$0" "$@"' % etc
        return process.run(["unshare", "-m", "sh", "-c", inner, *client.argv("test", "echo in")])

    return run


@pytest.fixture
def home_file(account):
    """Writes a file of the account's, and takes it away."""
    made = []

    def write(name, *lines, mode=0o600):
        path = os.path.join(account.pw_dir, name)
        write_config(path, lines)
        os.chown(path, account.pw_uid, account.pw_gid)
        os.chmod(path, mode)
        made.append(path)

    yield write
    for path in made:
        if os.path.exists(path):
            os.unlink(path)


def known(keys, host=HOST, kind="ed25519"):
    return "%s %s" % (host, " ".join(keys.public(keys.host[kind]).split()[:2]))


BASE = ["HostbasedAuthentication yes", "HostbasedUsesNameFromPacketOnly yes", "IgnoreRhosts no", "LogLevel DEBUG1"]


def test_it_lets_in(our_sshd, enter, home_file, keys, account):
    server = our_sshd(BASE)
    home_file(".shosts", "%s root" % HOST)
    home_file(".ssh/known_hosts", known(keys))
    done = enter(server)
    assert done.stdout == "in\n", done.stderr + server.log.text()
    print_of = keys.fingerprint(keys.host["ed25519"]).replace("+", r"\+")
    server.log.wait(r'Accepted hostbased for %s from 127.0.0.1 port \d+ ssh2: ED25519 %s, client user "root", client host "%s.?"$' %
                    (account.pw_name, print_of, HOST))


def test_who_is_not_trusted(our_sshd, enter, home_file, keys):
    server = our_sshd(BASE)
    home_file(".ssh/known_hosts", known(keys))
    for lines in ([], ["%s joe" % HOST], [HOST], ["-%s root" % HOST, "%s root" % HOST], ["other.example root"], ["+ root"], ["+ +"]):
        home_file(".shosts", *lines)
        assert enter(server).returncode == 255, lines
    server.log.wait("host-based: root of localhost is (refused by name|trusted nowhere)")
    home_file(".shosts")
    home_file(".rhosts", "%s root" % HOST)
    assert enter(server).stdout == "in\n"
    home_file(".rhosts", "%s root" % HOST, mode=0o666)
    strict = our_sshd([*BASE, "StrictModes yes"])
    assert enter(strict).returncode == 255


def test_keys_that_are_not_known(our_sshd, enter, home_file, keys):
    server = our_sshd(BASE)
    home_file(".shosts", "%s root" % HOST)
    for lines in ([], [known(keys, "other.example")], [known(keys, kind="rsa")], ["@revoked " + known(keys, "*"), known(keys)]):
        home_file(".ssh/known_hosts", *lines)
        assert enter(server).returncode == 255, lines
    server.log.wait("WARNING: revoked key for localhost attempted authentication")
    home_file(".ssh/known_hosts", known(keys))
    assert enter(our_sshd([*BASE, "IgnoreUserKnownHosts yes"])).returncode == 255
    revoked = write_config(server.config + ".revoked", [keys.public(keys.host["ed25519"])])
    assert enter(our_sshd([*BASE, "RevokedKeys " + revoked])).returncode == 255
    assert enter(our_sshd([*BASE, "HostbasedAcceptedAlgorithms ecdsa-sha2-nistp256"])).returncode == 255
    assert enter(server).stdout == "in\n"


@pytest.mark.parametrize("name,good", [(HOST, True), ("other.example", False)])
def test_certificate_of_the_host(our_sshd, enter, home_file, keys, workdir, name, good):
    ca, public = keylib.make(workdir + "/ca", "ed25519"), workdir + "/etc/ssh/ssh_host_ed25519_key.pub"
    done = process.run([programs.peer("ssh-keygen"), "-q", "-s", ca, "-I", "the host", "-h", "-n", name, public])
    assert done.returncode == 0, done.stderr
    server = our_sshd(BASE)
    home_file(".shosts", "%s root" % HOST)
    home_file(".ssh/known_hosts", "@cert-authority %s %s" % (HOST, keys.public(ca)))
    done = enter(server)
    assert (done.stdout == "in\n") == good, done.stderr + server.log.text()
    server.log.wait("Accepted hostbased for .* ED25519-CERT .* ID the host" if good else "name is not a listed principal .*the host")


@pytest.mark.parametrize("value,files", [("yes", []), ("shosts-only", [".shosts"]), ("no", [".shosts", ".rhosts"])])
def test_ignore_rhosts(our_sshd, enter, home_file, keys, account, value, files):
    server = our_sshd(["IgnoreRhosts " + value, *[line for line in BASE if "IgnoreRhosts" not in line]])
    home_file(".ssh/known_hosts", known(keys))
    for name in (".shosts", ".rhosts"):
        home_file(name, "%s root" % HOST)
        assert (enter(server).stdout == "in\n") == (name in files), name
        os.unlink(os.path.join(account.pw_dir, name))


def test_name_by_address(our_sshd, enter, home_file, keys):
    """Without a name from the packet the address counts, and with UseDNS its name."""
    lines = [line for line in BASE if "PacketOnly" not in line]
    home_file(".shosts", "127.0.0.1 root")
    home_file(".ssh/known_hosts", known(keys, "127.0.0.1"))
    server = our_sshd(lines)
    assert enter(server).stdout == "in\n"
    server.log.wait(r"userauth_hostbased mismatch: client sends localhost, but we resolve 127.0.0.1 to 127.0.0.1")
    home_file(".shosts", "%s root" % HOST)
    assert enter(server).returncode == 255


def test_root_needs_his_own_file(our_sshd, enter, keys):
    """And by default it is off."""
    assert enter(our_sshd(BASE), user="root").returncode == 255
    server = our_sshd()
    assert enter(server).returncode == 255
    assert not server.log.find("hostbased")
