"""ssh-copy-id against our sshd and Debian's, with our ssh and Debian's, whatever shell the account has."""
import os
import shutil
import subprocess

import pytest

from lib import account as accounts
from lib import agent, process, programs
from lib.server import write_config

SCRIPT = os.path.join(programs.TREE, "src/prog/copy-id/ssh-copy-id")
SFTP = programs.peer("sftp")

pytestmark = pytest.mark.skipif(not programs.has(programs.SSH), reason="ssh is not built")


class Account:
    """A server whose user has one key of ours beforehand, and a folder that stands for the home directory there."""

    def __init__(self, server, ssh, workdir, keys, login):
        self.home, self.login, self.workdir = os.path.join(login.pw_dir, "copy-id"), login, workdir
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)
        os.chown(self.home, login.pw_uid, login.pw_gid)
        self.bin = os.path.join(workdir, "bin")
        os.makedirs(self.bin, exist_ok=True)
        known = write_config(os.path.join(workdir, "known"), server.known_hosts_lines())
        config = ["Host test", "HostName 127.0.0.1", "Port %d" % server.port, "User " + login.pw_name, "IdentityFile " + keys.user["rsa"],
                  "IdentitiesOnly yes", "IdentityAgent none", "UserKnownHostsFile " + known, "GlobalKnownHostsFile /dev/null", "BatchMode yes"]
        self.config = write_config(os.path.join(workdir, "config"), config)
        for name, line in (("ssh", 'exec %s "$@"' % ssh), ("sftp", 'exec %s -S %s "$@"' % (SFTP, ssh))):
            path = os.path.join(self.bin, name)
            with open(path, "w", encoding="utf-8") as f:
                f.write("#!/bin/sh\necho x >>%s/calls\n%s\n" % (workdir, line))
            os.chmod(path, 0o755)
        self.env = {"PATH": self.bin + ":" + os.environ["PATH"], "HOME": workdir}
        self.target = self.home + "/.ssh/authorized_keys"

    def run(self, *args, host="test", **options):
        options.setdefault("env", self.env)
        return process.run([SCRIPT, "-F", self.config, "-t", self.target, *args, host], **options)

    def text(self):
        with open(self.target, encoding="utf-8") as f:
            return f.read()


@pytest.fixture
def start(workdir, keys, login, our_sshd):
    """start(server=, ssh=) -> Account"""
    def make(server=None, ssh=programs.SSH):
        return Account(server or our_sshd(), ssh, workdir, keys, login)
    return make


def line(keys, kind="ed25519"):
    return keys.public(keys.user[kind]) + "\n"


@pytest.mark.parametrize("sshd,ssh", [("ours", "ours"), ("ours", "debian"), ("debian", "ours"), ("debian", "debian")])
@pytest.mark.parametrize("flags", [(), ("-s",)], ids=["shell", "sftp"])
def test_keys_are_added_once(sshd, ssh, flags, start, keys, debian_sshd):
    if flags and not SFTP:
        pytest.skip("no sftp here")
    one = start(debian_sshd() if sshd == "debian" else None, programs.SSH if ssh == "ours" else programs.peer("ssh"))
    key = keys.user["ed25519"]
    done = one.run(*flags, "-n", "-i", key)
    assert done.returncode == 0 and "Would have added the following key(s):\n\n" + line(keys) in done.stdout, done.stderr
    assert not os.path.exists(os.path.dirname(one.target))
    done = one.run(*flags, "-i", key + ".pub")
    assert done.returncode == 0 and "\nNumber of key(s) added: 1\n" in done.stdout, done.stderr
    assert one.text() == line(keys)
    assert os.stat(one.target).st_mode & 0o777 == 0o600 and os.stat(os.path.dirname(one.target)).st_mode & 0o777 == 0o700
    done = one.run(*flags, "-i", key)
    assert done.returncode == 0 and "All keys were skipped because they already exist on the remote system." in done.stderr
    assert one.text() == line(keys)


@pytest.mark.parametrize("flags", [(), ("-s",)], ids=["shell", "sftp"])
def test_what_is_there_stays(flags, start, keys, workdir):
    if flags and not SFTP:
        pytest.skip("no sftp here")
    one = start()
    os.mkdir(os.path.dirname(one.target))
    before = "# " + line(keys) + "ssh-rsa AAAA broken\n" + 'command="x" ' + line(keys, "ecdsa").rstrip("\n")
    with open(one.target, "w", encoding="utf-8") as f:
        f.write(before)
    os.chmod(one.target, 0o600)
    for path in (os.path.dirname(one.target), one.target):
        os.chown(path, one.login.pw_uid, one.login.pw_gid)
    several = os.path.join(workdir, "several.pub")
    odd = 'restrict,command="echo \\"a b\\" $HOME" ' + keys.public(keys.user["rsa"]) + " it's \\n %s `x`\n"
    with open(several, "w", encoding="utf-8") as f:
        f.write("# comment\n\n" + line(keys) + line(keys, "ecdsa") + odd)
    done = one.run(*flags, "-i", several)
    assert done.returncode == 0 and "Number of key(s) added: 2" in done.stdout, done.stderr
    assert one.text() == before + "\n" + line(keys) + odd
    assert "Number of key(s) added: 1" in one.run(*flags, "-f", "-i", keys.user["ed25519"]).stdout
    assert one.text() == before + "\n" + line(keys) + odd + line(keys)


def test_dry_and_forced_needs_no_login(start, keys, workdir):
    one = start()
    done = one.run("-fn", "-i", keys.user["ed25519"], host="nowhere.invalid")
    assert done.returncode == 0 and line(keys) in done.stdout and not os.path.exists(workdir + "/calls")


def test_one_login(start, keys, workdir):
    one = start()
    one.run("-i", keys.user["ed25519"])
    with open(workdir + "/calls", encoding="utf-8") as f:
        assert f.read() == "x\n"


def test_keys_of_the_agent_and_the_newest_file(start, keys, workdir):
    one = start()
    with agent.Agent(programs.AGENT, workdir) as running:
        running.add("-q", keys.user["ecdsa"], keys.user["ed25519"])
        env = {**one.env, "PATH": one.env["PATH"] + ":" + os.path.dirname(programs.ADD), "SSH_AUTH_SOCK": running.path}
        assert "Number of key(s) added: 2" in one.run(env=env).stdout
        assert one.text() == line(keys, "ecdsa") + line(keys)
        os.makedirs(workdir + "/.ssh")
        for i, name in enumerate(("id_old.pub", "id_new.pub", "id_new-cert.pub")):
            path = os.path.join(workdir, ".ssh", name)
            with open(path, "w", encoding="utf-8") as f:
                f.write(line(keys, "rsa") if name == "id_new.pub" else line(keys))
            os.utime(path, (i, i))
        assert "Number of key(s) added: 1" in one.run("-i", env=env).stdout
        assert one.text().endswith(line(keys, "rsa"))
    assert "All keys were skipped" in one.run().stderr  # no agent: the file


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/dash", "/bin/csh", "/bin/tcsh", "/usr/bin/fish", "/usr/bin/zsh"])
def test_login_shells(shell, start, keys):
    if os.geteuid() != 0 or not os.path.exists(shell):
        pytest.skip("no such shell here")
    one = start()
    try:
        with accounts.account_lock():
            process.run(["usermod", "-s", shell, one.login.pw_name])
        done = one.run("-i", keys.user["ed25519"])
        assert done.returncode == 0 and one.text() == line(keys), done.stderr
    finally:
        with accounts.account_lock():
            process.run(["usermod", "-s", one.login.pw_shell, one.login.pw_name])


def test_paths_and_names_are_no_commands(start, keys, workdir):
    one = start()
    one.target = one.home + "/a 'b\" $(touch x)/`y` %s"
    assert one.run("-i", keys.user["ed25519"]).returncode == 0
    assert one.text() == line(keys)
    if SFTP:
        one.target = one.home + "/c \"d' \\ e/f"
        done = one.run("-s", "-i", keys.user["ed25519"])
        assert done.returncode == 0 and one.text() == line(keys), done.stderr
    assert sorted(os.listdir(one.home))[0] == "a 'b\" $(touch x)"
    for host in ("-oProxyCommand=touch evil", "", "$(touch evil)"):
        done = one.run("-i", keys.user["ed25519"], host=host, cwd=workdir)
        assert done.returncode == 1 and not os.path.exists(workdir + "/evil")


def test_failures(start, keys, workdir):
    one = start()
    private = keys.user["ed25519"]
    for args, said in ((["-i", "/nonexistent"], "failed to open ID file '/nonexistent.pub': No such file"), (["-i"], "No identities found"),
                       (["-i", private, "-i", private], "-i option must not be specified more than once"), (["-z"], "Illegal option -z"),
                       (["-i", private, "-o", "Port=1"], "could not add the key(s)")):
        done = one.run(*args)
        assert done.returncode == 1 and said in done.stderr, (args, done)
    shutil.copy(private, workdir + "/secret.pub")  # a private key under a wrong name
    done = one.run("-i", workdir + "/secret")
    assert done.returncode == 1 and "no public key" in done.stderr
    os.mkdir(one.home + "/.ssh", 0o500)  # root's folder: the user cannot write there
    for flags in ([], ["-s"]):
        if os.geteuid() == 0 and (SFTP or not flags):
            done = one.run(*flags, "-i", private)
            assert done.returncode == 1 and done.stdout == "", done
    assert subprocess.run([SCRIPT, "-h"], capture_output=True, check=False).returncode == 1


def test_a_file_that_cannot_be_read_is_not_replaced(start, keys):
    if os.geteuid() != 0 or not SFTP:
        pytest.skip("needs root and sftp")
    one = start()
    os.mkdir(one.home + "/.ssh", 0o700)
    os.chown(one.home + "/.ssh", one.login.pw_uid, one.login.pw_gid)
    with open(one.target, "w", encoding="utf-8") as f:
        f.write("precious\n")
    os.chmod(one.target, 0o600)  # root's
    done = one.run("-s", "-i", keys.user["ed25519"])
    assert done.returncode == 1 and "cannot be read" in done.stderr
    assert one.text() == "precious\n"
