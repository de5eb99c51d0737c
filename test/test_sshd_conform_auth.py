"""Authentication as the other sshd does it: chains of methods, security keys, accounts that may not, and what the log says of each."""
import base64
import hashlib
import os
import re
import socket
import struct
import subprocess
import threading

import pytest

from lib import account as accounts
from lib import fail2ban, process, programs
from lib.marks import needs_peer, needs_root

pytestmark = needs_root


def run_asked(client, password, workdir, *command, flags=()):
    """Runs it with every question answered by the password. Gives the process and the questions."""
    helper, asked = os.path.join(workdir, "askpass"), os.path.join(workdir, "asked")
    with open(helper, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\nprintf '%%s\\n' \"$1\" >> %s\nprintf '%%s\\n' '%s'\n" % (asked, password))
    os.chmod(helper, 0o755)
    open(asked, "w", encoding="utf-8").close()
    env = {**os.environ, "SSH_ASKPASS": helper, "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
    done = client.run(*command, flags=flags, env=env)
    with open(asked, encoding="utf-8") as f:
        return done, f.read()


ASK = ["BatchMode no", "NumberOfPasswordPrompts 1"]


def methods(*names):
    return ["PreferredAuthentications %s" % ",".join(names), *ASK]


# ---- AuthenticationMethods ----


def test_two_keys_have_to_be_two(our_sshd, debian_ssh, account, keys):
    one = our_sshd(["AuthenticationMethods publickey,publickey"])
    same = debian_ssh(one, user=account.pw_name)
    assert same.run("true").returncode == 255
    one.log.wait("refusing previously-used ED25519 key")
    both = debian_ssh(one, ["IdentityFile %s" % keys.user["rsa"]], user=account.pw_name)
    assert both.run("echo in").stdout == "in\n"


@pytest.mark.parametrize("chain,wanted,good", [
    ("publickey,password", ("publickey", "password"), True),
    ("publickey,password", ("password",), False),
    ("publickey,keyboard-interactive:pam password", ("publickey", "keyboard-interactive"), True),
    ("publickey,keyboard-interactive:pam password", ("keyboard-interactive",), False),
    ("keyboard-interactive:bsdauth", ("keyboard-interactive",), False),
    ("password,publickey,keyboard-interactive", ("password", "publickey", "keyboard-interactive"), True),
    ("publickey,hostbased publickey", ("publickey",), True),
    ("none", ("publickey", "password", "keyboard-interactive"), False),
    ("any", ("publickey",), True),
])
def test_chains(our_sshd, debian_ssh, account, workdir, chain, wanted, good):
    one = our_sshd(["UsePAM yes", "KbdInteractiveAuthentication yes", "AuthenticationMethods " + chain])
    done, _ = run_asked(debian_ssh(one, methods(*wanted), user=account.pw_name), accounts.PASSWORD, workdir, "echo in")
    assert (done.returncode == 0) == good, done.stderr


def test_a_method_out_of_turn_does_not_tell_whether_the_password_is_right(our_sshd, debian_ssh, account, workdir):
    one = our_sshd(["AuthenticationMethods publickey,password"])
    for password in (accounts.PASSWORD, "wrong"):
        client = debian_ssh(one, methods("password"), user=account.pw_name)
        done, asked = run_asked(client, password, workdir, "true", flags=("-v",))
        assert done.returncode == 255 and "partial success" not in done.stderr and asked == ""


def test_methods_that_cannot_be(our_sshd, debian_ssh, account, workdir):
    config = os.path.join(workdir, "c")
    with open(config, "w", encoding="utf-8") as f:
        f.write("PubkeyAuthentication no\nAuthenticationMethods publickey\n")
    done = process.run([programs.SSHD, "-t", "-f", config])
    assert done.returncode == 255 and "AuthenticationMethods cannot be satisfied by enabled authentication methods" in done.stderr
    one = our_sshd(["Match User *", "AuthenticationMethods keyboard-interactive"])
    done = debian_ssh(one, user=account.pw_name).run("true")
    assert "no authentication methods enabled" in done.stderr
    one.log.wait(r"Disconnecting authenticating user %s 127.0.0.1 port \d+: no authentication methods enabled \[preauth\]" % account.pw_name)


def test_what_one_key_may_not_another_keys_query_does_not_give(our_sshd, debian_ssh, account, keys, workdir):
    """Options come from the key that signed, not from one that was only asked about afterwards."""
    authorized = os.path.join(workdir, "ak")
    with open(authorized, "w", encoding="utf-8") as f:
        f.write('command="echo bound" %s\n%s\n' % (keys.public(keys.user["ed25519"]), keys.public(keys.user["rsa"])))
    os.chmod(authorized, 0o644)
    one = our_sshd(["AuthenticationMethods publickey,publickey", "AuthorizedKeysFile " + authorized])
    client = debian_ssh(one, ["IdentityFile %s" % keys.user["ed25519"], "IdentityFile %s" % keys.user["rsa"]], user=account.pw_name)
    assert client.run("echo free").stdout == "bound\n"


# ---- security keys: an agent plays one ----


def string(data):
    return struct.pack(">I", len(data)) + data


class TokenAgent:
    """An agent with one sk-ssh-ed25519 key whose signatures carry the given flags."""

    NAME = b"sk-ssh-ed25519@openssh.com"

    def __init__(self, folder, flags):
        self.flags, self.pem = flags, os.path.join(folder, "token.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.pem], check=True, capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.pem, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        self.blob = string(self.NAME) + string(der[-32:]) + string(b"ssh:")
        self.folder, self.path = folder, os.path.join(folder, "agent")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(4)
        threading.Thread(target=self.serve, daemon=True).start()

    def public(self):
        return "%s %s token" % (self.NAME.decode(), base64.b64encode(self.blob).decode())

    def sign(self, data):
        message = hashlib.sha256(b"ssh:").digest() + struct.pack(">BI", self.flags, 7) + hashlib.sha256(data).digest()
        path = os.path.join(self.folder, "message")
        with open(path, "wb") as f:
            f.write(message)
        argv = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.pem, "-in", path]
        raw = subprocess.run(argv, check=True, capture_output=True).stdout
        return string(self.NAME) + string(raw) + struct.pack(">BI", self.flags, 7)

    def answer(self, request):
        if request[0] == 11:
            return b"\x0c" + struct.pack(">I", 1) + string(self.blob) + string(b"token")
        if request[0] == 13:
            n = struct.unpack(">I", request[1:5])[0]
            rest = request[5 + n:]
            return b"\x0e" + string(self.sign(rest[4:4 + struct.unpack(">I", rest[:4])[0]]))
        return b"\x05"

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer, peer.makefile("rwb") as f:
                while head := f.read(4):
                    f.write(string(self.answer(f.read(struct.unpack(">I", head)[0]))))
                    f.flush()


TOUCHED, VERIFIED = 1, 4


@pytest.mark.parametrize("flags,options,lines,good", [
    (TOUCHED, "", [], True),
    (0, "", [], False),
    (0, "no-touch-required", [], True),
    (0, "no-touch-required", ["PubkeyAuthOptions touch-required"], False),
    (TOUCHED, "verify-required", [], False),
    (TOUCHED | VERIFIED, "verify-required", [], True),
    (TOUCHED, "", ["PubkeyAuthOptions verify-required"], False),
    (TOUCHED | VERIFIED, "", ["PubkeyAuthOptions touch-required verify-required"], True),
])
def test_security_key(our_sshd, debian_ssh, account, workdir, flags, options, lines, good):
    token = TokenAgent(workdir, flags)
    authorized = os.path.join(workdir, "ak")
    with open(authorized, "w", encoding="utf-8") as f:
        f.write("%s %s\n" % (options, token.public()))
    os.chmod(authorized, 0o644)
    identity = os.path.join(workdir, "token")
    with open(identity + ".pub", "w", encoding="utf-8") as f:
        f.write(token.public() + "\n")
    one = our_sshd(["AuthorizedKeysFile " + authorized, *lines])
    done = debian_ssh(one, ["IdentityAgent " + token.path], user=account.pw_name, key=identity).run("echo in")
    token.listener.close()
    assert (done.returncode == 0) == good, done.stderr
    if not good:
        one.log.wait(r"public key signature for .* rejected: user (presence|verification).* requirement not met")


@pytest.mark.parametrize("flags,options,lines,good", [
    (TOUCHED, [], [], True),
    (0, [], [], False),
    (0, ["no-touch-required"], [], True),
    (0, ["no-touch-required"], ["PubkeyAuthOptions touch-required"], False),
    (TOUCHED, ["verify-required"], [], False),
    (TOUCHED | VERIFIED, ["verify-required"], [], True),
])
def test_certificate_of_a_security_key(our_sshd, debian_ssh, account, workdir, flags, options, lines, good):
    token, ca, identity = TokenAgent(workdir, flags), os.path.join(workdir, "ca"), os.path.join(workdir, "token")
    with open(identity + ".pub", "w", encoding="utf-8") as f:
        f.write(token.public() + "\n")
    keygen = [programs.peer("ssh-keygen"), "-q"]
    subprocess.run([*keygen, "-t", "ed25519", "-N", "", "-f", ca], check=True)
    asks = [word for option in options for word in ("-O", option)]
    subprocess.run([*keygen, "-s", ca, "-I", "token", "-n", account.pw_name, *asks, identity + ".pub"], check=True)
    with open(identity + "-cert.pub", encoding="utf-8") as f:
        token.blob = base64.b64decode(f.read().split()[1])
    one = our_sshd(["AuthorizedKeysFile none", "TrustedUserCAKeys %s.pub" % ca, *lines])
    client = debian_ssh(one, ["IdentityAgent " + token.path, "IdentitiesOnly no"], user=account.pw_name, key=identity + "-cert")
    done = client.run("echo in")
    token.listener.close()
    assert (done.returncode == 0) == good, done.stderr + one.log.text()
    one.log.wait("Accepted publickey .* ED25519-SK-CERT" if good else "rejected: user (presence|verification).* requirement not met")


# ---- accounts ----


@pytest.fixture
def aged(account):
    """Changes the aging of the account's password, and puts it back."""

    def change(*flags):
        with accounts.account_lock():
            subprocess.run(["chage", *flags, account.pw_name], check=True, capture_output=True)

    yield change
    change("-d", "2025-01-01", "-E", "-1")


def test_expired_password_by_key(our_sshd, debian_ssh, account, aged):
    one = our_sshd(["UsePAM yes"])
    aged("-d", "0")
    done = debian_ssh(one, user=account.pw_name).run("echo in")
    assert (done.returncode, done.stdout) == (1, "")
    assert "You are required to change your password immediately" in done.stderr
    assert done.stderr.endswith("WARNING: Your password has expired.\nPassword change required but no TTY available.\n")


def test_expired_password_is_changed_at_login(our_sshd, debian_ssh, account, aged, workdir):
    one = our_sshd(["UsePAM yes", "KbdInteractiveAuthentication yes"])
    aged("-d", "0")
    ask = os.path.join(workdir, "ask")
    new = "Zebra stilts 99 x"
    with open(ask, "w", encoding="utf-8") as f:
        f.write('#!/bin/sh\nprintf "%%s\\n" "$1" >> %s/asked\ncase "$1" in *[Nn]ew*) echo "%s";; *) echo "%s";; esac\n' % (workdir, new, accounts.PASSWORD))
    os.chmod(ask, 0o755)
    env = {**os.environ, "SSH_ASKPASS": ask, "SSH_ASKPASS_REQUIRE": "force"}
    try:
        done = debian_ssh(one, methods("keyboard-interactive"), user=account.pw_name).run("echo in", env=env)
        assert done.stdout == "in\n", done.stderr
        with open(workdir + "/asked", encoding="utf-8") as f:
            assert re.findall(r"\) (.*: )$", f.read(), re.M) == ["Password: ", "Current password: ", "New password: ", "Retype new password: "]
        done, _ = run_asked(debian_ssh(one, methods("password"), user=account.pw_name), new, workdir, "echo again")
        assert done.stdout == "again\n", "the new one is in force"
    finally:
        subprocess.run(["chpasswd", "-c", "SHA512"], input="%s:%s" % (account.pw_name, accounts.PASSWORD), text=True, check=True)


def test_expired_account(our_sshd, debian_ssh, account, aged, workdir):
    one = our_sshd(["UsePAM yes", "KbdInteractiveAuthentication yes"])
    aged("-E", "1")
    done = debian_ssh(one, user=account.pw_name).run("true")
    assert done.returncode == 255 and "Your account has expired" in done.stderr
    one.log.wait(r"Access denied for user %s by PAM account configuration \[preauth\]" % account.pw_name)
    client = debian_ssh(one, methods("keyboard-interactive"), user=account.pw_name)
    done, _ = run_asked(client, accounts.PASSWORD, workdir, "true")
    assert done.returncode == 255 and "Your account has expired" in done.stderr


@pytest.mark.parametrize("pam", ["yes", "no"])
def test_nologin(our_sshd, debian_ssh, account, workdir, pam):
    """In a mount namespace with an /etc of its own: the file would keep the users of all other tests out."""
    if process.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("no mount namespaces here (a chroot)")
    etc = workdir + "/etc"
    subprocess.run(["cp", "-a", "/etc", etc], check=True, capture_output=True)
    with open(etc + "/nologin", "w", encoding="utf-8") as f:
        f.write("closed today\n")
    one = our_sshd(["UsePAM " + pam], wrapper=["unshare", "-m", "sh", "-c", "mount --bind %s /etc && exec \"$0\" \"$@\"" % etc])
    user = debian_ssh(one, user=account.pw_name).run("echo in")
    root = debian_ssh(one, user="root").run("echo in")
    assert user.stdout == "" and "closed today" in user.stderr and user.returncode == (255 if pam == "yes" else 254)
    assert root.stdout == "in\n"


def test_empty_password(our_sshd, debian_ssh, account, workdir):
    with accounts.account_lock():
        subprocess.run(["usermod", "-p", "", account.pw_name], check=True, capture_output=True)
    try:
        for lines, good in ((["PermitEmptyPasswords no"], False), (["PermitEmptyPasswords yes"], True)):
            for method in ("none", "password"):
                done, _ = run_asked(debian_ssh(our_sshd(lines), methods(method), user=account.pw_name), "", workdir, "true")
                assert (done.returncode == 0) == good, (lines, method, done.stderr)
    finally:
        subprocess.run(["chpasswd", "-c", "SHA512"], input="%s:%s" % (account.pw_name, accounts.PASSWORD), text=True, check=True)


# ---- the whole connection ----


def test_refuse_connection(our_sshd, debian_ssh, account):
    one = our_sshd(["Match User %s" % account.pw_name, "RefuseConnection yes"])
    assert debian_ssh(one, user=account.pw_name).run("true").returncode == 255
    one.log.wait(r"administratively prohibited connection for %s from 127.0.0.1 port \d+" % account.pw_name)
    assert not one.log.find("Accepted")
    assert debian_ssh(one, user="root").run("true").returncode == 0


def test_expose_auth_info(our_sshd, debian_ssh, account, keys, workdir):
    one = our_sshd(["UsePAM yes", "ExposeAuthInfo yes", "AuthenticationMethods publickey,password"])
    client = debian_ssh(one, methods("publickey", "password"), user=account.pw_name)
    done, _ = run_asked(client, accounts.PASSWORD, workdir, "echo $SSH_USER_AUTH; stat -c '%a %U' $SSH_USER_AUTH; cat $SSH_USER_AUTH")
    path, mode, *lines = done.stdout.splitlines()
    public = " ".join(keys.public(keys.user["ed25519"]).split()[:2])
    assert mode == "600 " + account.pw_name and lines == ["publickey " + public, "password"]
    process.wait_until(lambda: not os.path.exists(path), "the end of " + path)
    assert debian_ssh(our_sshd(), user=account.pw_name).run("echo [$SSH_USER_AUTH]").stdout == "[]\n"


def test_attempts_of_an_unknown_user_are_one_line_and_not_one_for_each_key(our_sshd, debian_ssh, keys):
    one = our_sshd(["LogLevel VERBOSE"])
    lines = ["IdentityFile %s" % path for path in keys.user.values()]
    assert debian_ssh(one, lines, user="nobodyatall").run("true").returncode == 255
    one.log.wait(r"Connection closed by invalid user nobodyatall")
    assert not one.log.find("Failed publickey") and len(one.log.find("Invalid user")) == 1


@needs_peer("fail2ban-regex")
def test_fail2ban_sees_account_refusals_and_attempts(our_sshd, debian_ssh, account, aged, workdir):
    one = our_sshd(["UsePAM yes", "MaxAuthTries 1", "Match User nobodyatall", "RefuseConnection no"])
    run_asked(debian_ssh(one, methods("password"), user=account.pw_name, key=None), "wrong", workdir, "true")
    aged("-E", "1")
    debian_ssh(one, user=account.pw_name).run("true")
    aged("-E", "-1")
    one.log.wait("maximum authentication attempts exceeded for .* \\[preauth\\]")
    one.log.wait("Access denied for user")
    log = os.path.join(workdir, "auth.log")
    with open(log, "w", encoding="utf-8") as f:
        for line in one.log.text().splitlines():
            f.write("Nov 22 17:00:00 host sshd[100]: %s\n" % line)
    done = fail2ban.run(log, "--print-all-matched")
    for text in ("Failed password", "maximum authentication attempts", "Access denied for user"):
        assert re.search(r"\|.*" + text, done.stdout), done.stdout


def test_pam_groups_and_limits_reach_the_session(our_sshd, debian_ssh, account, workdir):
    """A service of our own: pam_limits, pam_env and pam_group in its session and credentials."""
    limits, environment = os.path.join(workdir, "limits"), os.path.join(workdir, "environment")
    with open(limits, "w", encoding="utf-8") as f:
        f.write("%s hard nofile 123\n" % account.pw_name)
    with open(environment, "w", encoding="utf-8") as f:
        f.write("FROM_PAM=yes\n")
    service = "nacretest%d" % os.getpid()
    with open("/etc/pam.d/" + service, "w", encoding="utf-8") as f:
        f.write("auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_limits.so conf=%s\n"
                "session required pam_env.so envfile=%s\nsession optional pam_echo.so hello from %%s for %%u\n" % (limits, environment))
    try:
        one = our_sshd(["UsePAM yes", "PAMServiceName " + service])
        done = debian_ssh(one, user=account.pw_name).run("ulimit -Hn; echo $FROM_PAM; grep Groups /proc/self/status")
        assert done.stdout.splitlines()[:2] == ["123", "yes"], done.stdout + done.stderr
    finally:
        os.unlink("/etc/pam.d/" + service)


