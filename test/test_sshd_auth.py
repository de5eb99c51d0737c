"""Who gets in: passwords, keys and their options, limits, and what the log says of it."""
import grp
import os
import re
import time

import pexpect
import pytest

from lib import account as accounts
from lib import fail2ban, process, programs
from lib.marks import needs_peer, needs_root
from lib.server import write_config

PASSWORD_ONLY = ["PubkeyAuthentication no", "NumberOfPasswordPrompts 1", "BatchMode no", "PreferredAuthentications password"]


def ask_password(workdir, client, password, command="id -un", **options):
    """Runs ssh so that it takes the password from an askpass program."""
    path = write_config(os.path.join(workdir, "askpass"), ["#!/bin/sh", "printf '%s\\n' '" + password + "'"])
    os.chmod(path, 0o700)
    env = dict(os.environ, SSH_ASKPASS=path, SSH_ASKPASS_REQUIRE="force", DISPLAY=":0")
    return client.run(command, env=env, **options)


@needs_root
@pytest.mark.parametrize("pam", ["yes", "no"])
def test_password(our_sshd, debian_ssh, workdir, account, pam):
    server = our_sshd(["UsePAM " + pam])
    client = debian_ssh(server, PASSWORD_ONLY)
    done = ask_password(workdir, client, accounts.PASSWORD)
    assert (done.returncode, done.stdout) == (0, account.pw_name + "\n"), done.stderr
    server.log.wait(r"^Accepted password for %s from 127\.0\.0\.1 port \d+ ssh2$" % account.pw_name)
    done = ask_password(workdir, client, "wrong")
    assert done.returncode == 255 and "Permission denied (publickey,password" in done.stderr
    server.log.wait(r"^Failed password for %s from 127\.0\.0\.1 port \d+ ssh2$" % account.pw_name)


@needs_root
@needs_peer("plink")
def test_password_from_putty(our_sshd, account, keys, workdir):
    """Typed at a terminal, as a user of PuTTY's does it."""
    server = our_sshd(["UsePAM yes"])
    host_key = keys.fingerprint(keys.host["ed25519"])
    argv = ["-ssh", "-t", "-P", str(server.port), "-l", account.pw_name, "-hostkey", host_key, "127.0.0.1"]
    child = pexpect.spawn(programs.peer("plink"), argv, env=dict(os.environ, HOME=workdir), encoding="utf-8", timeout=15)
    child.expect("password: ")
    child.sendline(accounts.PASSWORD)
    child.expect("Press Return to begin session")
    child.sendline("")
    child.expect(r"\$ ")
    child.sendline("tty; exit 3")
    child.expect("/dev/pts/")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3


@needs_root
def test_keyboard_interactive_by_pam(our_sshd, debian_ssh, workdir, account):
    server = our_sshd(["UsePAM yes", "KbdInteractiveAuthentication yes", "PasswordAuthentication no"])
    client = debian_ssh(server, ["PubkeyAuthentication no", "NumberOfPasswordPrompts 1", "BatchMode no", "PreferredAuthentications keyboard-interactive"])
    done = ask_password(workdir, client, accounts.PASSWORD)
    assert (done.returncode, done.stdout) == (0, account.pw_name + "\n"), done.stderr + server.log.text()
    server.log.wait("^Accepted keyboard-interactive/pam for %s from" % account.pw_name)
    assert ask_password(workdir, client, "wrong").returncode == 255
    server.log.wait("^(error: )?PAM: Authentication failure for %s from 127.0.0.1$" % account.pw_name)


@needs_root
@pytest.mark.parametrize("pam", ["yes", "no"])
def test_unknown_user_looks_like_a_wrong_password(our_sshd, debian_ssh, workdir, account, pam):
    server = our_sshd(["UsePAM " + pam])
    said = {}
    for user in (account.pw_name, "nobodysuch"):
        done = ask_password(workdir, debian_ssh(server, PASSWORD_ONLY, user=user), "wrong")
        said[user] = re.sub(r"\d+", "N", done.stderr.replace(user, "USER"))
    assert said[account.pw_name] == said["nobodysuch"]
    server.log.wait(r"^Invalid user nobodysuch from 127\.0\.0\.1 port \d+$")
    server.log.wait(r"^Failed password for invalid user nobodysuch from 127\.0\.0\.1 port \d+ ssh2$")


@needs_root
def test_locked_and_expired_accounts(our_sshd, debian_ssh, workdir, account):
    server = our_sshd(["UsePAM yes"])
    client = debian_ssh(server)
    assert client.run("true").returncode == 0
    process.run(["chage", "-E", "1", account.pw_name])
    try:
        done = client.run("true")
        assert done.returncode == 255, done.stderr
    finally:
        process.run(["chage", "-E", "-1", account.pw_name])
    process.run(["passwd", "-l", account.pw_name])
    try:
        assert debian_ssh(our_sshd(["UsePAM no"])).run("true").returncode == 255
    finally:
        process.run(["passwd", "-u", account.pw_name])


def fail2ban_regex(log_path):
    """(lines matched, lines missed) with the distribution's filter for sshd."""
    done = fail2ban.run(log_path)
    found = re.search(r"Lines: (\d+) lines, (\d+) ignored, (\d+) matched, (\d+) missed", done.stdout)
    assert found, done.stdout + done.stderr
    return int(found.group(3)), int(found.group(4))


@needs_root
@needs_peer("fail2ban-regex")
def test_fail2ban_sees_failures(our_sshd, debian_ssh, workdir, account):
    server = our_sshd(["UsePAM yes"])
    for user in (account.pw_name, "nobodysuch"):
        ask_password(workdir, debian_ssh(server, PASSWORD_ONLY, user=user), "wrong")
    server.log.wait("^Failed password for invalid user")
    process.wait_until(lambda: server.log.find("nobodysuch.*preauth"), "the end of the second connection")
    stamp = time.strftime("%b %d %H:%M:%S ")
    lines = [stamp + "host sshd[17]: " + line for line in server.log.find(r"^(Failed|Invalid|Connection (closed|reset)|Disconnect)")]
    assert len(lines) >= 5
    for line in lines:
        matched, missed = fail2ban_regex(write_config(os.path.join(workdir, "auth.log"), [line]))
        wanted = re.search(r"Failed password|Invalid user", line) is not None
        assert not wanted or matched == 1, line
    assert fail2ban_regex(write_config(os.path.join(workdir, "auth.log"), lines))[0] >= 3


@needs_root
@pytest.mark.parametrize("attempts", [1, 3])
def test_max_auth_tries(our_sshd, debian_ssh, workdir, account, attempts):
    server = our_sshd(["MaxAuthTries %d" % attempts, "UsePAM no"])
    client = debian_ssh(server, [line.replace("Prompts 1", "Prompts 6") for line in PASSWORD_ONLY])
    done = ask_password(workdir, client, "wrong")
    assert done.returncode == 255 and "Too many authentication failures" in done.stderr
    server.log.wait(r"maximum authentication attempts exceeded for %s from 127\.0\.0\.1 port \d+ ssh2" % account.pw_name)
    assert len(server.log.find("^Failed password")) == attempts


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "ecdsa384", "ecdsa521", "rsa"])
def test_key_types(our_sshd, debian_ssh, keys, login, kind):
    server = our_sshd()
    done = debian_ssh(server, key=keys.user[kind]).run("echo in")
    assert done.stdout == "in\n", done.stderr
    name = re.sub(r"\d{3}$", "", kind).upper() if kind != "ed25519" else "ED25519"
    server.log.wait(r"^Accepted publickey for %s from 127\.0\.0\.1 port \d+ ssh2: %s %s$" % (login.pw_name, name, re.escape(keys.fingerprint(keys.user[kind]))))


def test_key_that_is_not_listed(our_sshd, debian_ssh, workdir, keys):
    only_rsa = write_config(os.path.join(workdir, "ak"), [keys.public(keys.user["rsa"])])
    server = our_sshd(["AuthorizedKeysFile " + only_rsa, "PasswordAuthentication no"])
    done = debian_ssh(server).run("true")
    assert done.returncode == 255 and "Permission denied (publickey)." in done.stderr
    assert debian_ssh(server, key=keys.user["rsa"]).run("true").returncode == 0


AUTHORIZED_KEYS_OPTIONS = {
    "command": ('command="echo forced: $SSH_ORIGINAL_COMMAND"', "echo mine", "forced: echo mine\n"),
    "command with quotes": (r'command="echo \"a  b\""', "x", "a  b\n"),
    "from that fits": ('from="10.0.0.0/8,127.0.0.0/8"', "echo in", "in\n"),
    "from that does not": ('from="10.0.0.0/8"', "echo in", None),
    "from with an exception": ('from="127.0.0.*,!127.0.0.1"', "echo in", None),
    "expiry to come": ('expiry-time="20990101"', "echo in", "in\n"),
    "expiry over": ('expiry-time="20200101"', "echo in", None),
    "environment": ('environment="COLOUR=blue sky"', 'echo "$COLOUR"', "blue sky\n"),
    "restrict": ("restrict", "echo in", "in\n"),
    "unknown option": ('flying-carpet', "echo in", None),
    "case does not matter": ('COMMAND="echo upper"', "x", "upper\n"),
}


@pytest.mark.parametrize("name", AUTHORIZED_KEYS_OPTIONS)
def test_authorized_keys_options(our_sshd, debian_ssh, workdir, keys, name):
    options, command, expected = AUTHORIZED_KEYS_OPTIONS[name]
    path = write_config(os.path.join(workdir, "ak"), ["# a comment", "", options + " " + keys.public(keys.user["ed25519"])])
    server = our_sshd(["AuthorizedKeysFile " + path, "PermitUserEnvironment yes", "PasswordAuthentication no"])
    done = debian_ssh(server).run(command)
    if expected is None:
        assert done.returncode == 255 and "Permission denied" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, expected), done.stderr + server.log.text()


def test_restrict_takes_pty_and_forwarding(our_sshd, debian_ssh, workdir, keys):
    path = write_config(os.path.join(workdir, "ak"), ["restrict " + keys.public(keys.user["ed25519"])])
    server = our_sshd(["AuthorizedKeysFile " + path])
    done = debian_ssh(server).run("tty", flags=["-tt"])
    assert done.returncode == 255 and "PTY allocation request failed" in done.stderr
    done = debian_ssh(server, ["ExitOnForwardFailure yes"]).run("true", flags=["-R", "0:127.0.0.1:1"])
    assert done.returncode == 255 and "remote port forwarding failed" in done.stderr


ACCESS_RULES = [
    (["AllowUsers {user}"], True),
    (["AllowUsers someone*"], False),
    (["AllowUsers {user}@127.0.0.1"], True),
    (["AllowUsers {user}@10.*"], False),
    (["DenyUsers {user}"], False),
    (["DenyUsers {user}", "AllowUsers {user}"], False),
    (["AllowGroups {group}"], True),
    (["AllowGroups nosuchgroup"], False),
    (["DenyGroups {group}"], False),
    (["Match User {user}", "    PubkeyAuthentication no"], False),
    (["Match Address 127.0.0.0/8", "    AllowUsers nobody"], False),
    (["Match Address 10.0.0.0/8", "    PubkeyAuthentication no"], True),
    (["Match Group {group}", "    PubkeyAuthentication no"], False),
    (["Match LocalAddress 127.0.0.1 User *,!{user}", "    PubkeyAuthentication no"], True),
    (["PubkeyAuthentication no", "Match all", "    PubkeyAuthentication yes"], True),
    (["Match all", "    PubkeyAuthentication no", "Match all", "    PubkeyAuthentication yes"], False),
]


@pytest.mark.parametrize("lines, good", ACCESS_RULES, ids=lambda x: "; ".join(x) if isinstance(x, list) else str(x))
def test_access_rules(our_sshd, debian_ssh, login, lines, good):
    group = grp.getgrgid(login.pw_gid).gr_name
    server = our_sshd([line.format(user=login.pw_name, group=group) for line in lines])
    done = debian_ssh(server).run("echo in")
    assert done.stdout == ("in\n" if good else ""), done.stderr + server.log.text()
    if not good and "Users" in lines[0] + lines[-1]:
        server.log.wait("^User %s from 127.0.0.1 not allowed because " % login.pw_name)


@needs_root
@pytest.mark.parametrize("value, good", [("yes", True), ("prohibit-password", True), ("forced-commands-only", False), ("no", False)])
def test_permit_root_login(our_sshd, debian_ssh, value, good):
    server = our_sshd(["PermitRootLogin " + value])
    done = debian_ssh(server, user="root").run("id -u")
    assert done.stdout == ("0\n" if good else "")
    if value == "no":
        server.log.wait("^ROOT LOGIN REFUSED FROM 127.0.0.1 port")


@needs_root
def test_two_methods_in_a_row(our_sshd, debian_ssh, workdir, account):
    server = our_sshd(["AuthenticationMethods publickey,password", "UsePAM no", "LogLevel VERBOSE"])
    client = debian_ssh(server, ["NumberOfPasswordPrompts 1", "BatchMode no"])
    assert ask_password(workdir, client, accounts.PASSWORD).stdout == account.pw_name + "\n"
    server.log.wait("^Partial publickey for %s from" % account.pw_name)
    done = ask_password(workdir, client, "wrong")
    assert done.returncode == 255 and "Permission denied (password)." in done.stderr
    assert ask_password(workdir, debian_ssh(server, PASSWORD_ONLY), accounts.PASSWORD).returncode == 255


@needs_root
def test_strict_modes(our_sshd, debian_ssh, account):
    path = os.path.join(account.pw_dir, ".ssh", "authorized_keys")
    server = our_sshd(["StrictModes yes", "AuthorizedKeysFile .ssh/authorized_keys"])
    # The home must be below folders that only root can write to; /dev/shm is not one.
    os.chmod(path, 0o666)
    try:
        assert debian_ssh(server).run("true").returncode == 255
        server.log.wait("^Authentication refused: bad ownership or modes for file %s( |$)" % re.escape(path))
    finally:
        os.chmod(path, 0o600)
    os.chmod(account.pw_dir, 0o777)
    try:
        assert debian_ssh(server).run("true").returncode == 255
        server.log.wait("^Authentication refused: bad ownership or modes for directory %s( |$)" % re.escape(account.pw_dir))
    finally:
        os.chmod(account.pw_dir, 0o755)
    assert debian_ssh(server).run("true").returncode == 0
