"""User certificates made by Debian's ssh-keygen: which let in, what they ask of the session, and what the log says of the others."""
import os
import shutil
import stat

import pytest

from lib import keys as keylib
from lib import process, programs
from lib.marks import needs_root
from lib.server import write_config


class Maker:
    """CAs and certificates in a folder. ca("a") and cert("name", ...) give paths of private keys."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def ca(self, name, kind="ed25519", *flags):
        path = self.path(name)
        return path if os.path.exists(path) else keylib.make(path, kind, *flags)

    def cert(self, name, *flags, ca=None, kind="ed25519", key_id=None):
        """A key with its certificate beside it."""
        path = self.ca(name, kind)
        done = process.run([programs.peer("ssh-keygen"), "-q", "-s", ca or self.ca("ca"), "-I", key_id or name, *flags, path + ".pub"])
        assert done.returncode == 0, done.stderr
        return path

    def text(self, path):
        with open(path, encoding="utf-8") as f:
            return f.read().strip()

    def file(self, name, *lines):
        return write_config(self.path(name), lines)


@pytest.fixture
def maker(workdir):
    return Maker(workdir)


@pytest.fixture
def enter(debian_ssh, login):
    """Logs in by a certificate only (the plain key is not in its file)."""

    def run(server, key, *command, flags=(), lines=()):
        client = debian_ssh(server, ["CertificateFile %s-cert.pub" % key, *lines], key=key)
        return client.run(*(command or ("echo in",)), flags=flags)

    return run


# name, flags of ssh-keygen, lets in, line of the log
GOOD_AND_BAD = [
    ("good", ["-n", "USER", "-z", "5", "-V", "+1h"], True, r'Accepted certificate ID "good" \(serial 5\) signed by ED25519 CA SHA256:\S+ via '),
    ("several", ["-n", "joe,USER"], True, "Accepted publickey"),
    ("expired", ["-n", "USER", "-V", "20200101:20200102"], False, r"Certificate invalid: expired \(ID .* to 2020-01-02T00:00:00"),
    ("future", ["-n", "USER", "-V", "20350101:20360102"], False, r"Certificate invalid: not yet valid \(.* from 2035-01-01T00:00:00"),
    ("wrongname", ["-n", "joe,jim"], False, r"Certificate invalid: name is not a listed principal \(.*names: joe,jim; wanted: USER\)"),
    ("noname", [], False, "Certificate lacks principal list"),
    ("hostcert", ["-h", "-n", "USER"], False, "Failed publickey"),
    ("critical", ["-n", "USER", "-O", "critical:foo@bar=1"], False, 'Certificate critical option "foo@bar" is not supported'),
    ("extension", ["-n", "USER", "-O", "extension:foo@bar=1"], True, 'Certificate extension "foo@bar" is not supported'),
    ("otheraddress", ["-n", "USER", "-O", "source-address=10.0.0.0/8"], False,
     r"Authentication tried for USER with valid certificate but not from a permitted source address \(127.0.0.1\)"),
    ("thisaddress", ["-n", "USER", "-O", "source-address=10.0.0.0/8,127.0.0.0/8"], True, "Accepted publickey"),
]


def test_trusted_ca(our_sshd, enter, maker, login):
    server = our_sshd(["TrustedUserCAKeys %s.pub" % maker.ca("ca"), "AuthorizedKeysFile none", "LogLevel VERBOSE"])
    for name, flags, good, said in GOOD_AND_BAD:
        key = maker.cert(name, *[flag.replace("USER", login.pw_name) for flag in flags])
        done = enter(server, key)
        assert (done.returncode == 0) == good, (name, done.stderr, server.log.text())
        server.log.wait(said.replace("USER", login.pw_name))
    print_of, ca = keylib.Keys.fingerprint(maker.path("good")), keylib.Keys.fingerprint(maker.path("ca"))
    server.log.wait(r"^Accepted publickey for %s from 127.0.0.1 port \d+ ssh2: ED25519-CERT %s ID good \(serial 5\) CA ED25519 %s$" %
                    (login.pw_name, print_of.replace("+", r"\+"), ca.replace("+", r"\+")))
    plain = shutil.copy(maker.path("good"), maker.path("bare"))
    assert enter(server, plain).returncode == 255, "the key alone is not listed anywhere"
    stranger = maker.cert("stranger", "-n", login.pw_name, ca=maker.ca("ca2"))
    assert enter(server, stranger).returncode == 255


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_types(our_sshd, enter, maker, login, kind):
    ca = maker.ca("ca_" + kind, kind)
    server = our_sshd(["TrustedUserCAKeys %s.pub" % ca, "AuthorizedKeysFile none"])
    assert enter(server, maker.cert("user_" + kind, "-n", login.pw_name, ca=ca, kind=kind)).returncode == 0, server.log.text()


def test_ca_signature_algorithms(our_sshd, enter, maker, login):
    ca = maker.ca("ca_ecdsa", "ecdsa")
    server = our_sshd(["TrustedUserCAKeys %s.pub" % ca, "CASignatureAlgorithms ssh-ed25519"])
    assert enter(server, maker.cert("x", "-n", login.pw_name, ca=ca)).returncode == 255
    server.log.wait("certificate signature algorithm ecdsa-sha2-nistp256: not in CASignatureAlgorithms")


def test_what_a_certificate_asks_of_the_session(our_sshd, enter, maker, login):
    server = our_sshd(["TrustedUserCAKeys %s.pub" % maker.ca("ca"), "AuthorizedKeysFile none"])
    forced = maker.cert("forced", "-n", login.pw_name, "-O", "force-command=echo forced $SSH_ORIGINAL_COMMAND")
    assert enter(server, forced, "echo asked").stdout == "forced echo asked\n"
    full = maker.cert("full", "-n", login.pw_name)
    assert "pts" in enter(server, full, "tty", flags=["-tt"]).stdout
    nopty = maker.cert("nopty", "-n", login.pw_name, "-O", "no-pty")
    done = enter(server, nopty, "tty", flags=["-tt"])
    assert "pts" not in done.stdout and "PTY allocation request failed" in done.stderr
    clear = maker.cert("clear", "-n", login.pw_name, "-O", "clear")
    assert "PTY allocation request failed" in enter(server, clear, "tty", flags=["-tt"]).stderr


CA_LINES = [
    ("cert-authority CA", ["-n", "USER"], "in\n"),
    ("cert-authority CA", ["-n", "joe"], None),
    ("cert-authority CA", [], None),
    ('cert-authority,principals="joe,bob" CA', ["-n", "bob"], "in\n"),
    ('cert-authority,principals="joe,bob" CA', ["-n", "USER"], None),
    ('cert-authority,command="echo line" CA', ["-n", "USER"], "line\n"),
    ('cert-authority,command="echo line" CA', ["-n", "USER", "-O", "force-command=echo cert"], None),
    ('cert-authority,command="echo same" CA', ["-n", "USER", "-O", "force-command=echo same"], "same\n"),
    ('cert-authority,from="10.*" CA', ["-n", "USER"], None),
    ("CA", ["-n", "USER"], None),
    ('cert-authority,expiry-time="20200101" CA\ncert-authority CA', ["-n", "USER"], "in\n"),
]


@needs_root
def test_lines_for_a_ca(our_sshd, enter, maker, account):
    file = maker.path("lines")
    server = our_sshd(["AuthorizedKeysFile " + file])
    for number, (line, flags, expected) in enumerate(CA_LINES):
        maker.file("lines", line.replace("CA", maker.text(maker.ca("ca") + ".pub")))
        done = enter(server, maker.cert("k%d" % number, *[flag.replace("USER", account.pw_name) for flag in flags]))
        assert (done.stdout if done.returncode == 0 else None) == expected, (line, flags, done.stderr, server.log.text())
    server.log.wait("forced command options do not match")
    server.log.wait("Certificate does not contain an authorized principal .*wanted: joe,bob")


@needs_root
def test_principals_file(our_sshd, enter, maker, account):
    file = maker.path("principals")
    server = our_sshd(["TrustedUserCAKeys %s.pub" % maker.ca("ca"), "AuthorizedKeysFile none", "AuthorizedPrincipalsFile %s/%%U.%%u" % maker.folder])
    file = maker.path("%d.%s" % (account.pw_uid, account.pw_name))
    role = maker.cert("role", "-n", "ops,web")
    own = maker.cert("own", "-n", account.pw_name)
    assert enter(server, role).returncode == 255 and enter(server, own).returncode == 255, "there is no file yet"
    write_config(file, ["# roles", "", "  command=\"echo 'p # q'\" web # trailing", "nonsense-option ops", 'from="10.*" ' + account.pw_name])
    assert enter(server, role).stdout == "p # q\n", server.log.text()
    assert enter(server, own).returncode == 255
    server.log.wait("Refused by certificate principals options")
    server.log.wait("Certificate does not contain an authorized principal .*names: %s" % account.pw_name)
    write_config(file, [account.pw_name])
    assert enter(server, own).stdout == "in\n" and enter(server, role).returncode == 255
    expired = maker.cert("old", "-n", account.pw_name, "-V", "20200101:20200102")
    assert enter(server, expired).returncode == 255


@pytest.mark.parametrize("form", ["text", "krl"])
def test_revoked_keys(our_sshd, enter, debian_ssh, maker, keys, login, form):
    """Keys, certified keys, CAs and, in a KRL, serials and IDs; the other files of the list stay in force."""
    ca, lists = maker.ca("ca"), [maker.file("other"), maker.path("revoked")]
    server = our_sshd(["TrustedUserCAKeys %s.pub" % ca, "RevokedKeys %s" % " ".join(lists)])
    good = maker.cert("good", "-n", login.pw_name, "-z", "1")
    bad = maker.cert("bad", "-n", login.pw_name, "-z", "2", key_id="bad id")

    def revoke(*lines):
        if form == "text":
            maker.file("revoked", *[maker.text(line[5:]) for line in lines if line.startswith("key: ")])
            return
        spec = maker.file("spec", *[("key: " + maker.text(line[5:])) if line.startswith("key: ") else line for line in lines])
        done = process.run([programs.peer("ssh-keygen"), "-q", "-k", "-f", lists[1], "-s", ca + ".pub", spec])
        assert done.returncode == 0, done.stderr

    def get_in(key):
        return enter(server, key).returncode == 0

    revoke()
    assert get_in(good) and get_in(bad), server.log.text()
    if form == "krl":
        for line in ("serial: 2", "serial: 2-4", "id: bad id"):
            revoke(line)
            assert get_in(good) and not get_in(bad), line
    revoke("key: %s.pub" % bad)
    assert get_in(good) and not get_in(bad)
    server.log.wait("Authentication key ED25519-CERT SHA256:.* revoked by file " + lists[1])
    revoke("key: %s.pub" % ca)
    assert not get_in(good)
    assert debian_ssh(server).run("true").returncode == 0, "a plain key of the user's is none of these"
    revoke("key: %s.pub" % keys.user["ed25519"])
    assert debian_ssh(server).run("true").returncode == 255
    assert debian_ssh(server, key=keys.user["rsa"]).run("true").returncode == 0


@pytest.mark.parametrize("content", [None, b"no key at all\n", b"SSHKRL\n\0garbage"], ids=["missing", "text", "krl"])
def test_revoked_keys_that_cannot_be_read(our_sshd, debian_ssh, maker, content):
    path = maker.path("revoked")
    if content:
        with open(path, "wb") as f:
            f.write(content)
    server = our_sshd(["RevokedKeys " + path])
    assert debian_ssh(server).run("true").returncode == 255
    server.log.wait("Error checking authentication key ED25519 SHA256:.* in revoked keys file %s: " % path)


@pytest.fixture
def root_script():
    """A program that only root could have changed, in a folder of which that is true as well."""
    made = []

    def make(*lines, mode=0o755):
        folder = "/usr/local/lib"
        path = os.path.join(folder, "nacre-test-%d-%d" % (os.getpid(), len(made)))
        made.append(write_config(path, ["#!/bin/sh", *lines]))
        os.chmod(path, mode)
        return path

    yield make
    for path in made:
        os.unlink(path)


@needs_root
def test_principals_command(our_sshd, enter, maker, account, root_script):
    script = root_script('printf "%s\\n" "$@"')
    base = ["TrustedUserCAKeys %s.pub" % maker.ca("ca"), "AuthorizedKeysFile none", "AuthorizedPrincipalsCommandUser nobody"]
    key = maker.cert("role", "-n", "x-7-role,web", "-z", "7", key_id="role")
    server = our_sshd([*base, "AuthorizedPrincipalsCommand %s %%u 'x-%%s-%%i'" % script])
    assert enter(server, key).returncode == 0, server.log.text()
    server = our_sshd([*base, "AuthorizedPrincipalsCommand %s %%T %%t %%F %%K" % script])
    assert enter(server, key).returncode == 255
    server.log.wait("Certificate does not contain an authorized principal")


@needs_root
def test_keys_command(our_sshd, enter, debian_ssh, maker, keys, account, root_script):
    """It runs as the named user, sees its tokens, and counts only when it ends well."""
    log = maker.path("seen")
    open(log, "w", encoding="utf-8").close()
    os.chmod(log, 0o666)
    line = keylib.Keys.public(keys.user["ed25519"])
    script = root_script('id -un > %s; printf "[%%s]" "$@" >> %s; env >> %s' % (log, log, log), 'echo "# none"', 'echo \'%s\'' % line)
    base = ["AuthorizedKeysFile none", "AuthorizedKeysCommandUser nobody"]
    server = our_sshd([*base, 'AuthorizedKeysCommand %s %%u "%%U x" %%t %%f %%%% %%h %%C' % script])
    done = debian_ssh(server).run("echo in")
    assert done.stdout == "in\n", server.log.text()
    seen = maker.text(log).split("\n")
    assert seen[0] == "nobody"
    print_of = keylib.Keys.fingerprint(keys.user["ed25519"])
    assert seen[1].startswith("[%s][%d x][ssh-ed25519][%s][%%][%s][127.0.0.1 " % (account.pw_name, account.pw_uid, print_of, account.pw_dir))
    names = {one.split("=")[0] for one in seen[1][seen[1].rindex("]") + 1:].split() + seen[2:]}
    assert names <= {"PATH", "HOME", "USER", "LOGNAME", "PWD", "SHLVL", "_", "OLDPWD"}
    server.log.wait("Accepted publickey")
    # without arguments it gets the user's name
    server = our_sshd([*base, "AuthorizedKeysCommand " + script])
    assert debian_ssh(server).run("true").returncode == 0
    assert maker.text(log).split("\n")[1].startswith("[%s]" % account.pw_name)


@needs_root
@pytest.mark.parametrize("fault,said", [
    ("exit 3", "AuthorizedKeysCommand .* failed, status 3"),
    ("kill -9 $$", "AuthorizedKeysCommand .* was killed by signal 9"),
    ("loose", 'Unsafe AuthorizedKeysCommand ".*": bad ownership or modes for file'),
    ("missing", 'Unsafe AuthorizedKeysCommand ".*": No such file'),
    ("nouser", 'AuthorizedKeysCommandUser "nosuchaccount": '),
    ("token", "AuthorizedKeysCommand .*%z"),
])
def test_keys_command_that_is_not_right(our_sshd, debian_ssh, keys, account, root_script, fault, said):
    line = "echo '%s'" % keylib.Keys.public(keys.user["ed25519"])
    script = root_script(line, fault if " " in fault else "exit 0", mode=0o775 if fault == "loose" else 0o755)
    if fault == "missing":
        script += ".not"
    server = our_sshd(["AuthorizedKeysFile none", "AuthorizedKeysCommandUser %s" % ("nosuchaccount" if fault == "nouser" else "nobody"),
                       "AuthorizedKeysCommand %s%s" % (script, " %z" if fault == "token" else "")])
    assert debian_ssh(server).run("true").returncode == 255
    server.log.wait(said)


@needs_root
def test_a_command_is_not_asked_when_a_file_answers(our_sshd, debian_ssh, maker, account, root_script):
    log = maker.path("ran")
    script = root_script("touch " + log)
    os.chmod(maker.folder, 0o777 | stat.S_ISVTX)
    server = our_sshd(["AuthorizedKeysCommand " + script, "AuthorizedKeysCommandUser root"])
    assert debian_ssh(server).run("true").returncode == 0
    assert not os.path.exists(log)


@needs_root
@pytest.mark.parametrize("fault,said", [
    ("sleep NUMBER & wait", "AuthorizedKeysCommand .* was stopped: "),
    ("exec cat /dev/zero", "AuthorizedKeysCommand .* was stopped: it printed too much"),
])
def test_a_command_without_end(our_sshd, debian_ssh, account, root_script, fault, said):
    number = "4321.%d" % os.getpid()
    server = our_sshd(["AuthorizedKeysFile none", "AuthorizedKeysCommandUser nobody", "AuthorizedKeysCommand " + root_script(fault.replace("NUMBER", number)), "LoginGraceTime 2"])
    assert debian_ssh(server).run("true").returncode == 255
    server.log.wait(said)
    running = lambda: [name for name in filter(str.isdigit, os.listdir("/proc")) if process.command_line(int(name)) == "sleep " + number]
    process.wait_until(lambda: not running(), "the end of the command, with the login")


def test_commands_need_their_user(workdir, keys):
    path = write_config(os.path.join(workdir, "c"), ["HostKey " + keys.host["ed25519"], "AuthorizedKeysCommand /bin/true"])
    done = process.run([programs.SSHD, "-t", "-f", path])
    assert done.returncode == 255 and "AuthorizedKeysCommand set without AuthorizedKeysCommandUser" in done.stderr
