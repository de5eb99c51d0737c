"""Tools that start ssh themselves, with our ssh in its place: none of the flags and options that they always pass may be refused."""
import os
import shutil
import subprocess

import pytest

from lib import process, programs
from lib.marks import needs_our_ssh, needs_peer, needs_root
from lib.server import write_config

pytestmark = needs_our_ssh
BYTES = os.urandom(3_000_000)


@pytest.fixture(params=["debian", "ours"])
def client(request, our_ssh):
    """A client of each kind of server; its configuration as a whole command."""
    one = request.getfixturevalue("debian_sshd" if request.param == "debian" else "our_sshd")()
    made = our_ssh(one, user="root" if os.geteuid() == 0 else None)
    made.command = "%s -F %s" % (programs.SSH, made.config)
    return made


@pytest.fixture
def source(workdir):
    path = os.path.join(workdir, "source")
    with open(path, "wb") as f:
        f.write(BYTES)
    return path


def content(path):
    with open(path, "rb") as f:
        return f.read()


def succeeds(argv, **options):
    done = process.run(argv, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@needs_peer("scp")
@pytest.mark.parametrize("flags", [[], ["-O"], ["-C", "-p", "-B"]])
def test_scp(client, workdir, source, flags):
    argv = [programs.peer("scp"), "-S", programs.SSH, "-F", client.config, *flags]
    there, back = os.path.join(workdir, "there"), os.path.join(workdir, "back")
    succeeds([*argv, source, "test:" + there])
    succeeds([*argv, "test:" + there, back])
    assert content(back) == BYTES


@needs_peer("sftp")
def test_sftp(client, workdir, source):
    batch = write_config(os.path.join(workdir, "batch"), ["put %s %s/there" % (source, workdir), "ls -l %s" % workdir, "get %s/there %s/back" % (workdir, workdir)])
    succeeds([programs.peer("sftp"), "-S", programs.SSH, "-F", client.config, "-b", batch, "test"])
    assert content(os.path.join(workdir, "back")) == BYTES


@needs_peer("rsync")
def test_rsync(client, workdir, source):
    there, back = os.path.join(workdir, "there"), os.path.join(workdir, "back")
    succeeds(["rsync", "-a", "-e", client.command, source, "test:" + there])
    succeeds(["rsync", "-a", "test:" + there, back], env=dict(os.environ, RSYNC_RSH=client.command))
    assert content(back) == BYTES


@needs_peer("git")
@pytest.mark.parametrize("variant", ["GIT_SSH_COMMAND", "GIT_SSH"])
def test_git(client, workdir, variant):
    """GIT_SSH names a program without arguments; git finds by -G which flags it knows."""
    work, bare, back = (os.path.join(workdir, name) for name in ("work", "bare.git", "back"))
    wrapper = write_config(os.path.join(workdir, "ssh"), ["#!/bin/sh", 'exec %s "$@"' % client.command])
    os.chmod(wrapper, 0o755)
    env = dict(os.environ, HOME=workdir, GIT_CONFIG_NOSYSTEM="1", **{variant: client.command if variant == "GIT_SSH_COMMAND" else wrapper})
    identity = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "safe.directory=*"]
    succeeds(["git", "init", "-q", "--bare", bare], env=env)
    succeeds(["git", "init", "-q", work], env=env)
    succeeds(["git", *identity, "-C", work, "commit", "-q", "--allow-empty", "-m", "one"], env=env)
    succeeds(["git", *identity, "-C", work, "push", "-q", "ssh://test:%d%s" % (client.server.port, bare), "HEAD:refs/heads/main"], env=env)
    succeeds(["git", *identity, "clone", "-q", "-b", "main", "test:" + bare, back], env=env)
    assert os.path.isdir(os.path.join(back, ".git"))


@needs_root
@needs_peer("sshfs")
@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="no /dev/fuse")
def test_sshfs(client, workdir, source):
    mount = os.path.join(workdir, "mount")
    os.mkdir(mount)
    succeeds(["sshfs", "-o", "ssh_command=" + client.command, "test:" + workdir, mount])
    try:
        assert content(os.path.join(mount, "source")) == BYTES
        shutil.copyfile(source, os.path.join(mount, "copy"))
        assert content(os.path.join(workdir, "copy")) == BYTES
    finally:
        subprocess.run(["fusermount3" if shutil.which("fusermount3") else "fusermount", "-u", mount], timeout=20, check=False)


HARMLESS = ["-x", "-a", "-2", "-k", "-oClearAllForwardings=yes", "-oForwardAgent=no", "-oForwardX11=no", "-oControlMaster=no", "-oControlPath=none", "-S none",
            "-oPermitLocalCommand=no", "-oSendEnv=LANG LC_*", "-oGatewayPorts=no", "-oTunnel=no", "-oProxyJump=none", "-oProxyCommand=none", "-oControlPersist=no",
            "-oGSSAPIAuthentication=no", "-oHostbasedAuthentication=no", "-oVerifyHostKeyDNS=no", "-oUpdateHostKeys=no", "-oCanonicalizeHostname=no", "-oProtocol=2",
            "-oAddKeysToAgent=no", "-oRemoteCommand=none", "-oKnownHostsCommand=none", "-oPKCS11Provider=none", "-oServerAliveInterval=5", "-oTCPKeepAlive=no"]


def test_flags_that_switch_off_are_taken(our_sshd, our_ssh):
    words = [word for flag in HARMLESS for word in (flag.split(" ") if flag.startswith("-S") else [flag])]
    done = our_ssh(our_sshd()).run("echo ok", flags=words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
