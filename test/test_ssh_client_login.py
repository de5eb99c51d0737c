"""Our ssh until it is logged in: reaching the server, keys and agent in their order, passphrases and passwords, and the words when it fails."""
import os
import re
import signal
import socket
import subprocess

import pexpect
import pytest

from lib import account as accounts
from lib import keys as key_files
from lib import process, programs
from lib.marks import needs_our_ssh, needs_peer, needs_root
from lib.server import write_config

pytestmark = [needs_our_ssh, needs_peer("sshd")]
PHRASE = "open sesame"


def askpass(workdir, answer, name="askpass", status=0):
    """An askpass program, and the environment that has it used. What it was asked goes to NAME.log."""
    path = write_config(os.path.join(workdir, name), ["#!/bin/sh", 'echo "$1" >> "$0.log"', "printf '%s\\n' '" + answer + "'", "exit %d" % status])
    os.chmod(path, 0o755)
    return dict(os.environ, SSH_ASKPASS=path, SSH_ASKPASS_REQUIRE="force")


def asked(workdir, name="askpass"):
    with open(os.path.join(workdir, name + ".log"), encoding="utf-8") as f:
        return f.read().splitlines()


def on_terminal(client, *answers, flags=(), env=None):
    child = pexpect.spawn(client.program, client.argv(*flags, "test", "echo OKAY")[1:], timeout=30, encoding="utf-8", env=env)
    said = ""
    for pattern, answer in answers:
        child.expect(pattern)
        said += child.before + child.after
        child.sendline(answer)
    child.expect(pexpect.EOF)
    said += child.before
    child.close()
    return said, child.exitstatus


# ---- reaching the server ----

@pytest.fixture
def anywhere(our_ssh, debian_sshd):
    return our_ssh(debian_sshd())


REACH = [
    (["-p", "1"], r"ssh: connect to host 127\.0\.0\.1 port 1: Connection refused"),
    (["-oHostname=nonexistent.invalid"], r"ssh: Could not resolve hostname nonexistent\.invalid: "),
    (["-b", "192.0.2.1"], r"bind 192\.0\.2\.1: Cannot assign requested address\n.*: failure"),
    (["-B", "nosuchif"], r"getifaddrs: nosuchif: no suitable addresses\n"),
    (["-oProxyCommand=true"], r"kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535"),
    (["-oProxyCommand=echo SSH-1.5-old; sleep 1"], r"Protocol major versions differ"),
    (["-oKexAlgorithms=diffie-hellman-group1-sha1"], r"Unable to negotiate with 127\.0\.0\.1 port \d+: no matching key exchange method found\. Their offer: \S+"),
    (["-c", "3des-cbc"], r"no matching cipher found\. Their offer: "),
    (["-c", "aes128-ctr", "-m", "hmac-md5"], r"no matching MAC found\. Their offer: "),
    (["-oHostKeyAlgorithms=ssh-rsa"], r"no matching host key type found\. Their offer: "),
    (["-oIdentityFile=none", "-oPubkeyAuthentication=no"], r"\S+@127\.0\.0\.1: Permission denied \(publickey,password\)\.\n"),
]


@pytest.mark.parametrize("flags,words", REACH, ids=[" ".join(flags) for flags, _ in REACH])
def test_what_keeps_it_from_the_server(anywhere, workdir, flags, words):
    done = anywhere.run("true", flags=flags)
    assert done.returncode == 255 and re.search(words, done.stderr), done.stderr
    log = os.path.join(workdir, "log")
    done = anywhere.run("true", flags=[*flags, "-E", log])
    with open(log, encoding="utf-8") as f:
        assert done.returncode == 255 and done.stderr == "" and re.search(words, f.read())
    assert anywhere.run("true", flags=["-q", *flags]).stderr == ""


@pytest.mark.parametrize("keyword,value,query", [("KexAlgorithms", "diffie-hellman-group18-sha512", "kex"), ("Ciphers", "aes192-ctr", "cipher"), ("MACs", "hmac-sha2-512", "mac"),
                                                 ("HostKeyAlgorithms", "ssh-ed25519", "HostKeyAlgorithms")])
def test_nothing_in_common(debian_sshd, our_ssh, keyword, value, query):
    """Both lists, and what to do."""
    server = debian_sshd(["KexAlgorithms curve25519-sha256", "Ciphers aes128-ctr", "MACs hmac-sha2-256", "HostKeyAlgorithms rsa-sha2-512"])
    done = our_ssh(server, ["%s %s" % (keyword, value), *(["Ciphers aes128-ctr"] if keyword == "MACs" else [])]).run("true")
    assert done.returncode == 255
    ours, theirs = done.stderr.splitlines()
    assert ours == "We offer: %s. If one of theirs has to do, %s adds it (as in -o%s=+NAME; ssh -Q %s lists what there is)." % (value, keyword, keyword, query)
    assert re.fullmatch(r"Unable to negotiate with 127\.0\.0\.1 port \d+: no matching .* found\. Their offer: \S+", theirs)


def test_stdin_as_connection(anywhere):
    """ProxyCommand -: somebody has connected already."""
    with anywhere.server.connect() as s:
        child = anywhere.start(flags=["-oProxyCommand=-", "-N", "-v"], stdin=s, stdout=s)
        for line in child.stderr:
            if b"Authenticated to 127.0.0.1 (via proxy)" in line:
                break
        else:
            pytest.fail("no login")
        child.terminate()
        child.stderr.close()
        child.wait(10)


@needs_root
def test_an_ordinary_user(debian_sshd, our_ssh, account, keys, workdir):
    """Nothing of it needs root: keys and known_hosts in the user's home, which it makes, and a session."""
    server = debian_sshd()
    home = os.path.join(account.pw_dir, "alone")
    os.mkdir(home)
    key = os.path.join(home, "key")
    with open(keys.user["ed25519"], encoding="utf-8") as src, open(key, "w", encoding="utf-8") as dst:
        dst.write(src.read())
    os.chmod(key, 0o600)
    for path in (home, key):
        os.chown(path, account.pw_uid, account.pw_gid)
    known = os.path.join(home, "new", "known_hosts")
    argv = [programs.SSH, "-F", "none", "-p", str(server.port), "-i", key, "-oUserKnownHostsFile=" + known, "-oGlobalKnownHostsFile=none", "-oStrictHostKeyChecking=accept-new",
            "-oBatchMode=yes", "-oIdentityAgent=none", "127.0.0.1", "id -un; exit 3"]
    done = process.run(["setpriv", "--reuid=" + account.pw_name, "--regid=" + str(account.pw_gid), "--init-groups", "env", "HOME=" + home, *argv], cwd="/")
    assert (done.returncode, done.stdout) == (3, account.pw_name + "\n"), done.stderr
    assert os.stat(known).st_uid == account.pw_uid and os.stat(known).st_mode & 0o777 == 0o600 and os.stat(os.path.dirname(known)).st_mode & 0o777 == 0o700


def test_connect_timeout(anywhere):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        done = anywhere.run("true", flags=["-p", str(silent.getsockname()[1]), "-oConnectTimeout=1"], timeout=10)
        assert done.returncode == 255 and "Connection timed out during banner exchange\nConnection to 127.0.0.1 port" in done.stderr
    done = anywhere.run("true", flags=["-oProxyCommand=sh -c 'echo SSH-2.0-silent; exec sleep 9'", "-oConnectTimeout=1"], timeout=10)
    assert done.returncode == 255 and "Connection timed out during key exchange\n" in done.stderr
    done = anywhere.run("true", flags=["-oProxyCommand=sleep 9", "-oConnectTimeout=1"], timeout=10)
    assert done.returncode == 255 and "Connection to UNKNOWN port 65535 timed out\n" in done.stderr
    with socket.socket() as closed:  # the pause between two attempts is not the server's
        closed.bind(("127.0.0.1", 0))
        done = anywhere.run("true", flags=["-p", str(closed.getsockname()[1]), "-oConnectTimeout=1", "-oConnectionAttempts=2"], timeout=10)
    assert done.returncode == 255 and "Connection refused" in done.stderr


FDPASS = """
import array, socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
socket.socket(fileno=1).sendmsg([b"\\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
"""


def test_proxies(anywhere, workdir):
    script = write_config(os.path.join(workdir, "fdpass.py"), [FDPASS])
    by_fd = ["-oProxyUseFdpass=yes", "-oProxyCommand=/usr/bin/python3 %s %%h %%p" % script]
    assert anywhere.run("exit 7", flags=by_fd).returncode == 7
    relay = write_config(os.path.join(workdir, "relay"), ["#!/bin/bash", "echo $3 >&2; exec 3<>/dev/tcp/$1/$2; cat <&3 & trap 'kill $!' EXIT HUP; cat >&3"])
    done = anywhere.run("echo ok", flags=["-oProxyCommand=bash %s %%h %%p %%h-%%n-%%p-%%r-%%%%" % relay])
    assert (done.returncode, done.stdout) == (0, "ok\n") and re.match(r"127\.0\.0\.1-test-\d+-\S+-%\n", done.stderr)


def test_a_server_that_stops_answering(our_ssh, debian_sshd):
    server = debian_sshd()
    child = our_ssh(server).start("echo up; sleep 60", flags=["-oServerAliveInterval=1", "-oServerAliveCountMax=2"])
    assert child.stdout.readline() == b"up\n"
    stopped = [pid for pid, _ in server.sessions()]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert child.wait(15) == 255 and child.stderr.read() == b"Timeout, server 127.0.0.1 not responding.\r\n"
    finally:
        process.kill(stopped)


@pytest.mark.parametrize("flags", [["-oRekeyLimit=1M"], ["-oRekeyLimit=1M", "-C"], ["-oRekeyLimit=1M 1s", "-c", "aes128-ctr", "-m", "hmac-sha2-256"]], ids=" ".join)
def test_new_keys_under_traffic(anywhere, flags):
    data = os.urandom(8_000_000)
    done = anywhere.run("cat", flags=["-v", *flags], stdin=data, text=False)
    assert done.returncode == 0 and done.stdout == data and done.stderr.count(b"SSH2_MSG_NEWKEYS received") > 4


def test_a_command_on_a_terminal_reads_no_line_of_its_own(anywhere):
    """Without a pty the terminal is read as it comes: an idle keyboard holds up nothing."""
    said, status = on_terminal(anywhere)
    assert (said, status) == ("OKAY\r\n", 0)


# ---- keys ----

def test_debug_lines(anywhere, keys):
    done = anywhere.run("exit 4", flags=["-v"])
    assert done.returncode == 4
    for line in (r"Reading configuration data \S+", r"\S+ line 1: Applying options for \*", r"Connecting to 127\.0\.0\.1 \[127\.0\.0\.1\] port \d+\.", r"Connection established\.",
                 r"Authenticating to 127\.0\.0\.1:\d+ as '\S+'", r"Remote protocol version 2\.0, remote software version OpenSSH_.*", r"kex: algorithm: \S+",
                 r"kex: host key algorithm: ssh-ed25519", r"kex: client->server cipher: \S+ MAC: \S+ compression: none", r"SSH2_MSG_NEWKEYS sent", r"SSH2_MSG_NEWKEYS received",
                 r"Server host key: ssh-ed25519 SHA256:\S+", r"identity file \S+ type 3", r"Will attempt key: \S+ ED25519 SHA256:\S+ explicit",
                 r"Offering public key: \S+ ED25519 SHA256:\S+ explicit", r"Server accepts key: \S+ ED25519 SHA256:\S+ explicit", r"Sending command: exit 4", r"Exit status 4"):
        assert re.search("^debug1: " + line + "$", done.stderr, re.M), line
    assert re.search(r'^Authenticated to 127\.0\.0\.1 \(\[127\.0\.0\.1\]:\d+\) using "publickey"\.$', done.stderr, re.M)


@pytest.fixture
def lock(workdir, keys):
    """lock(kind, *flags, passphrase=) makes a key of a format that the server takes by the lines of lock.lines."""

    def make(kind, *flags, passphrase=""):
        path = key_files.make(os.path.join(workdir, "key%d" % len(make.lines)), kind, *flags, passphrase=passphrase)
        make.lines.append(key_files.Keys.public(path))
        return path

    make.lines = []
    return make


def server_for(debian_sshd, workdir, lock):
    return debian_sshd(["AuthorizedKeysFile " + write_config(os.path.join(workdir, "authorized"), lock.lines)])


FORMATS = [("rsa", []), ("rsa", ["-m", "PEM"]), ("rsa", ["-m", "PKCS8"]), ("ecdsa", []), ("ecdsa", ["-m", "PEM"]), ("ecdsa", ["-m", "PKCS8"]), ("ed25519", [])]


@pytest.mark.parametrize("kind,flags", FORMATS)
def test_formats_and_passphrases(debian_sshd, our_ssh, workdir, lock, kind, flags):
    plain, secret = lock(kind, *flags), lock(kind, *flags, passphrase=PHRASE)
    server = server_for(debian_sshd, workdir, lock)
    for has_pub in (True, False):
        if not has_pub:
            os.unlink(plain + ".pub")
            os.unlink(secret + ".pub")
        assert our_ssh(server, key=plain).run("true").returncode == 0
        client = our_ssh(server, ["BatchMode no", "PreferredAuthentications publickey"], key=secret)
        question = "Enter passphrase for key '%s': " % secret
        said, status = on_terminal(client, (re.escape(question), "wrong"), (re.escape(question), PHRASE))
        assert status == 0 and "OKAY" in said
        assert client.run("true", env=askpass(workdir, PHRASE)).returncode == 0
        assert question in asked(workdir)
    assert our_ssh(server, key=secret).run("true").returncode == 255  # BatchMode


def test_a_key_that_others_may_read(anywhere, our_ssh, workdir, keys):
    loose = write_config(os.path.join(workdir, "loose"), [])
    with open(keys.user["ed25519"], encoding="utf-8") as src, open(loose, "w", encoding="utf-8") as dst:
        dst.write(src.read())
    os.chmod(loose, 0o644)
    done = our_ssh(anywhere.server, key=loose).run("true")
    assert done.returncode == 255 and done.stderr.count("WARNING: UNPROTECTED PRIVATE KEY FILE!") == 1
    assert "Permissions 0644 for '%s' are too open." % loose in done.stderr and 'Load key "%s": bad permissions\n' % loose in done.stderr


@pytest.fixture
def agent(workdir, keys):
    path = os.path.join(workdir, "agent")
    child = subprocess.Popen([programs.peer("ssh-agent"), "-D", "-a", path], stdout=subprocess.DEVNULL)
    process.wait_until(lambda: os.path.exists(path), "the agent")
    env = dict(os.environ, SSH_AUTH_SOCK=path)
    for kind in ("rsa", "ecdsa"):
        assert process.run([programs.peer("ssh-add"), keys.user[kind]], env=env).returncode == 0
    yield env
    child.terminate()
    child.wait(10)


ORDERS = [
    ("ed25519", "IdentitiesOnly no", ["user_rsa agent", "user_ecdsa agent", "user_ed25519 explicit"]),
    ("ecdsa", "IdentitiesOnly no", ["user_ecdsa explicit agent", "user_rsa agent"]),
    ("ed25519", "IdentitiesOnly yes", ["user_ed25519 explicit"]),
    ("rsa", "IdentitiesOnly yes", ["user_rsa explicit agent"]),
    ("rsa.pub", "IdentitiesOnly yes", ["user_rsa.pub explicit agent"]),
]


@pytest.mark.parametrize("key,line,order", ORDERS)
def test_order_of_keys(debian_sshd, our_ssh, keys, agent, key, line, order):
    path = keys.user[key.split(".")[0]] + (".pub" if "." in key else "")
    client = our_ssh(debian_sshd(), [line, "IdentityAgent SSH_AUTH_SOCK"], key=path)
    done = client.run("true", flags=["-v"], env=agent)
    assert done.returncode == 0, done.stderr
    tried = re.findall(r"Will attempt key: (\S+) \S+ SHA256:\S+ (.*)", done.stderr)
    assert ["%s %s" % (os.path.basename(name), where) for name, where in tried] == order


def test_signature_algorithms(debian_sshd, our_ssh, keys):
    server = debian_sshd(["LogLevel DEBUG3"])
    for algorithm in ("rsa-sha2-256", "rsa-sha2-512"):
        assert our_ssh(server, ["PubkeyAcceptedAlgorithms " + algorithm], key=keys.user["rsa"]).run("true").returncode == 0
        server.log.wait("pkalg " + algorithm)
    for line in ("PubkeyAcceptedAlgorithms ssh-ed25519", "RequiredRSASize 3072"):
        assert our_ssh(server, [line], key=keys.user["rsa"]).run("true").returncode == 255


# ---- passwords ----

PASSWORDS = ["BatchMode no", "PubkeyAuthentication no"]


@needs_root
@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_passwords(debian_sshd, our_ssh, workdir, account, method):
    server = debian_sshd(["UsePAM yes", "KbdInteractiveAuthentication yes"])
    client = our_ssh(server, [*PASSWORDS, "PreferredAuthentications " + method])
    question = "%s@127.0.0.1's password: " % account.pw_name if method == "password" else "(%s@127.0.0.1) Password: " % account.pw_name
    said, status = on_terminal(client, (re.escape(question), "wrong"), (re.escape(question), accounts.PASSWORD))
    assert status == 0 and "OKAY" in said and accounts.PASSWORD not in said
    assert ("Permission denied, please try again." in said) == (method == "password")
    assert client.run("true", env=askpass(workdir, accounts.PASSWORD)).returncode == 0
    done = client.run("true", flags=["-oNumberOfPasswordPrompts=2"], env=askpass(workdir, "wrong", "wrong"))
    assert done.returncode == 255 and asked(workdir, "wrong") == [question] * 2
    assert done.stderr.endswith("%s@127.0.0.1: Permission denied (publickey,password,keyboard-interactive).\n" % account.pw_name)
    for env, flags in ((askpass(workdir, "x", "fails", status=1), []), (dict(os.environ, SSH_ASKPASS_REQUIRE="never"), []), (askpass(workdir, "x", "batch"), ["-oBatchMode=yes"])):
        done = client.run("true", flags=flags, env=env)
        assert done.returncode == 255 and "Permission denied (publickey,password,keyboard-interactive).\n" in done.stderr
    assert not os.path.exists(os.path.join(workdir, "batch.log"))


@needs_root
def test_two_methods_in_turn(debian_sshd, our_ssh, workdir, account):
    server = debian_sshd(["UsePAM yes", "AuthenticationMethods publickey,password"])
    done = our_ssh(server, ["BatchMode no"]).run("id -un", flags=["-v"], env=askpass(workdir, accounts.PASSWORD))
    assert (done.returncode, done.stdout) == (0, account.pw_name + "\n")
    assert 'Authenticated using "publickey" with partial success.' in done.stderr and 'using "password".' in done.stderr
