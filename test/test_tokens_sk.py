"""FIDO security keys, without hardware: test/doubles/sk_double.c stands in for one, behind OpenSSH's middleware interface, so that our programs and
Debian's use the same. What libfido2 does with real ones ("internal") is not shown here."""
import os
import struct

import pytest

from lib import process, programs, tokens
from lib.client import Client
from lib.marks import needs_our_ssh, needs_ours, needs_peer
from lib.tokens import SK_DOUBLE

pytestmark = [needs_our_ssh, needs_ours(SK_DOUBLE), needs_peer("ssh-keygen"), needs_peer("sshd")]
OURS, THEIRS = programs.KEYGEN, programs.peer("ssh-keygen")
PIN = "4321"


class SecurityKey:
    """The stand-in's state, and ssh-keygen with it."""

    def __init__(self, folder):
        self.folder = folder
        os.mkdir(folder)
        self.env = tokens.clean_env(SK_DOUBLE=folder)

    def set(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.write(text + "\n")

    def calls(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8") as f:
            return f.read().splitlines()

    def keygen(self, program, *args, stdin=None, pin=None, **options):
        env = {**self.env, **(tokens.askpass(self.folder, pin) if pin else {})}
        return process.run([program, *args, "-w", SK_DOUBLE], env=env, stdin=stdin, **options)

    def make(self, program, path, kind, *options, pin=None):
        flags = [word for option in options for word in ("-O", option)]
        stdin = pin + "\n" if pin and program == OURS else None
        done = self.keygen(program, "-q", "-t", kind, "-N", "", "-f", path, *flags, stdin=stdin, pin=pin)
        assert done.returncode == 0, done.stderr
        return path


@pytest.fixture
def device(workdir):
    return SecurityKey(os.path.join(workdir, "device"))


def public(path):
    with open(path + ".pub", encoding="utf-8") as f:
        return f.read().strip()


def authorize(workdir, *lines):
    path = os.path.join(workdir, "authorized")
    with open(path, "w", encoding="utf-8") as f:
        f.write("".join(line + "\n" for line in lines))
    return "AuthorizedKeysFile %s" % path


@pytest.fixture(params=["ours", "debian"])
def start(request):
    return request.getfixturevalue("our_sshd" if request.param == "ours" else "debian_sshd")


@pytest.fixture
def ssh(workdir, login, device):
    def run(server, key, program=programs.SSH, lines=(), pin="", provider=SK_DOUBLE):
        client = Client(program, workdir, server, login.pw_name, key,
                        [*lines, "SecurityKeyProvider %s" % provider, "BatchMode no", "PreferredAuthentications publickey", "NumberOfPasswordPrompts 1"])
        return client.run("echo in", env={**device.env, **tokens.askpass(workdir, pin)})

    return run


def test_made_by_one_used_by_the_other(device, workdir, start, ssh):
    """Both types, made by both, used by both, at both servers."""
    made = [device.make(program, os.path.join(workdir, name + kind), kind) for name, program in (("ours_", OURS), ("theirs_", THEIRS))
            for kind in ("ed25519-sk", "ecdsa-sk")]
    server = start([authorize(workdir, *[public(path) for path in made])])
    for path in made:
        for program in (programs.SSH, programs.peer("ssh")):
            done = ssh(server, path, program)
            assert (done.returncode, done.stdout) == (0, "in\n"), (path, program, done.stderr)
    assert [line.split()[0] for line in device.calls()] == ["enroll"] * 4 + ["sign"] * 8


def test_files_are_equal_in_both_hands(device, workdir):
    """Formats: a passphrase set by one, the public half read by the other."""
    for maker, other in ((OURS, THEIRS), (THEIRS, OURS)):
        path = device.make(maker, os.path.join(workdir, os.path.basename(os.path.dirname(maker)) + "k"), "ed25519-sk", "application=ssh:there")
        assert process.run([other, "-p", "-P", "", "-N", "a phrase", "-f", path]).returncode == 0
        done = process.run([maker, "-y", "-P", "a phrase", "-f", path])
        assert done.stdout.split()[:2] == public(path).split()[:2], done.stderr
        assert process.run([maker, "-l", "-f", path]).stdout == process.run([other, "-l", "-f", path]).stdout
    assert all("application=ssh:there" in line for line in device.calls())


def test_touch(device, workdir, start, ssh):
    """A key that needs no touch is taken where authorized_keys says so."""
    path = device.make(OURS, os.path.join(workdir, "k"), "ed25519-sk", "no-touch-required")
    server = start([authorize(workdir, public(path))])
    done = ssh(server, path)
    assert done.returncode == 255 and "Permission denied (publickey" in done.stderr and "Confirm user presence" not in done.stderr
    authorize(workdir, "no-touch-required " + public(path))
    assert ssh(server, path).stdout == "in\n"
    assert "flags=0x00" in device.calls()[0] and "flags=0x00" in device.calls()[-1]
    assert tokens.asked(workdir) == []


def test_notice(device, workdir, our_sshd, ssh):
    path = device.make(OURS, os.path.join(workdir, "k"), "ecdsa-sk")
    server = our_sshd([authorize(workdir, public(path))])
    done = ssh(server, path)
    fingerprint = process.run([THEIRS, "-l", "-f", path]).stdout.split()[1]
    notice = "Confirm user presence for key ECDSA-SK " + fingerprint
    assert done.stdout == "in\n" and "User presence confirmed" in done.stderr
    assert tokens.asked(workdir) in ([], ["none|" + notice])  # it may be over before askpass runs


def test_verification(device, workdir, start, ssh):
    device.set("pin", PIN)
    path = device.make(OURS, os.path.join(workdir, "k"), "ed25519-sk", "verify-required", pin=PIN)
    assert "flags=0x05 pin=none" in device.calls()[0] and "flags=0x05 pin=given" in device.calls()[1]
    server = start([authorize(workdir, "verify-required " + public(path))])
    for program in (programs.SSH, programs.peer("ssh")):
        assert ssh(server, path, program, pin=PIN).stdout == "in\n"
        assert "|Enter PIN for ED25519-SK key %s: " % path in tokens.asked(workdir)
    done = ssh(server, path, pin="1111")
    assert done.returncode == 255 and 'key "%s": the security key wants its PIN, or another one' % path in done.stderr
    assert "Permission denied (publickey" in done.stderr
    assert ssh(server, path, pin="1111", lines=["BatchMode yes"]).returncode == 255
    other = device.make(OURS, os.path.join(workdir, "k2"), "ed25519-sk")  # one that is only touched does not do
    authorize(workdir, "verify-required " + public(other))
    assert ssh(server, other).returncode == 255


def test_pin_that_the_token_wants_by_itself(device, workdir):
    """Three tries, then that is that."""
    device.set("pin", PIN)
    done = device.keygen(OURS, "-t", "ed25519-sk", "-N", "", "-f", os.path.join(workdir, "k"), "-O", "verify-required", stdin="1\n2\n3\n4\n")
    assert done.returncode == 255 and done.stderr.count("PIN incorrect") == 3 and done.stderr.endswith("Too many incorrect PINs\n")
    assert len(device.calls()) == 4 and not os.path.exists(os.path.join(workdir, "k"))


def test_resident_keys(device, workdir, our_sshd, ssh):
    """Made by one, downloaded by the other; a second one of the name asks first."""
    device.set("pin", PIN)
    device.make(OURS, os.path.join(workdir, "a"), "ed25519-sk", "resident", "application=ssh:box", "user=joe", pin=PIN)
    device.make(THEIRS, os.path.join(workdir, "b"), "ecdsa-sk", "resident", pin=PIN)
    names = ["id_ecdsa_sk_rk", "id_ed25519_sk_rk_box_joe"]
    for program in (OURS, THEIRS):
        folder = os.path.join(workdir, os.path.basename(os.path.dirname(program)))
        os.mkdir(folder)
        done = device.keygen(program, "-K", "-N", "", cwd=folder, stdin=PIN + "\n" if program == OURS else None, pin=PIN)
        assert done.returncode == 0, done.stderr
        assert sorted(os.listdir(folder)) == sorted(names + [name + ".pub" for name in names])
        for name, path in zip(names, ("b", "a")):
            got = public(os.path.join(folder, name)).split()
            assert got[:2] == public(os.path.join(workdir, path)).split()[:2] and got[2] == ("ssh:box" if "joe" in name else "ssh:")
            assert "Saved %s to %s\n" % ("ED25519-SK key ssh:box" if "joe" in name else "ECDSA-SK key", name) in done.stdout
    server = our_sshd([authorize(workdir, public(os.path.join(workdir, "a")))])
    assert ssh(server, os.path.join(workdir, os.path.basename(os.path.dirname(OURS)), names[1])).stdout == "in\n"
    again = ["-t", "ed25519-sk", "-N", "", "-f", os.path.join(workdir, "c"), "-O", "resident", "-O", "application=ssh:box", "-O", "user=joe"]
    done = device.keygen(OURS, *again, stdin=PIN + "\nn\n")
    assert done.returncode == 1 and "A resident key scoped to 'ssh:box' with user id 'joe' already exists." in done.stderr
    done = device.keygen(OURS, *again, stdin=PIN + "\ny\n")
    assert done.returncode == 0 and "flags=0x31" in device.calls()[-1], done.stderr


def test_no_resident_keys_and_wrong_pin(device, workdir):
    device.set("pin", PIN)
    done = device.keygen(OURS, "-K", "-N", "", cwd=workdir, stdin=PIN + "\n")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "No keys to download")
    done = device.keygen(OURS, "-K", "-N", "", cwd=workdir, stdin="1\n")
    assert done.returncode == 255 and "Unable to load resident keys: the security key wants its PIN, or another one" in done.stderr


def test_attestation(device, workdir):
    """The form is Debian's; the stand-in signs with the challenge itself."""
    challenge = os.path.join(workdir, "challenge")
    with open(challenge, "wb") as f:
        f.write(b"thirty-two bytes of a challenge!")
    made = []
    for name, program in (("ours", OURS), ("theirs", THEIRS)):
        path = os.path.join(workdir, name)
        device.make(program, path, "ed25519-sk", "challenge=" + challenge, "write-attestation=" + path + ".att")
        with open(path + ".att", "rb") as f:
            made.append(f.read())
    assert made[0][:4] == struct.pack(">I", 17) and made[0][4:21] == b"ssh-sk-attest-v01"
    assert b"a certificate" in made[0] and b"authenticator data" in made[0] and made[0][-8:] == bytes(8)
    assert made[0] == made[1]


OPTION_FAULTS = [["-O", "application=web"], ["-O", "nonsense"], ["-O", "resident=1"], ["-O", "device"], ["-O", "challenge=/nonexistent"]]


@pytest.mark.parametrize("flags", OPTION_FAULTS, ids=lambda flags: flags[1])
def test_options_that_are_refused_as_debians(device, workdir, flags):
    said = [device.keygen(program, "-q", "-t", "ed25519-sk", "-N", "", "-f", os.path.join(workdir, "k"), *flags) for program in (OURS, THEIRS)]
    assert [(done.returncode, done.stderr) for done in said][:1] * 2 == [(done.returncode, done.stderr.replace("\r", "")) for done in said]
    assert said[0].returncode == 255 and not os.path.exists(os.path.join(device.folder, "log"))


def test_options_of_the_device(device, workdir):
    device.make(OURS, os.path.join(workdir, "k"), "ed25519-sk", "device=/dev/hidraw9")
    assert device.calls()[0].endswith("device=/dev/hidraw9")
    done = process.run([OURS, "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(workdir, "p"), "-O", "resident"])
    assert done.returncode == 255 and "-O resident is not for what is asked here" in done.stderr


FAULTS = {
    "no-device": "device not found: there is no security key, or none that has this key",
    "refuse": "the security key or its library refuses",
    "crash": "ssh-sk-helper was killed by signal 6 (Aborted) while it used the library",
    "old-version": "the library is of version 0x00010000 of the interface, 0x000a0000 is needed",
    "no-answer": "the library's answer makes no sense",
    "long-handle": "the library's answer makes no sense",
}


@pytest.mark.parametrize("mode", FAULTS)
def test_enrolling_that_fails(device, workdir, mode):
    device.set("mode", mode)
    done = device.keygen(OURS, "-q", "-t", "ed25519-sk", "-N", "", "-f", os.path.join(workdir, "k"))
    assert (done.returncode, done.stdout, done.stderr) == (255, "", "Key enrollment failed: %s\n" % FAULTS[mode])
    assert not os.path.exists(os.path.join(workdir, "k"))


def test_signing_that_fails(device, workdir, our_sshd, ssh, keys):
    """It is said, and the next key is tried."""
    path = device.make(OURS, os.path.join(workdir, "k"), "ecdsa-sk")
    server = our_sshd([authorize(workdir, public(path), keys.public(keys.user["ed25519"]))])
    said = {mode: FAULTS[mode] for mode in ("no-device", "refuse", "crash", "old-version")}
    for mode, why in {**said, "wrong-signature": "the security key's signature is wrong"}.items():
        device.set("mode", mode)
        done = ssh(server, path, lines=["IdentityFile " + path, "IdentityFile " + keys.user["ed25519"]])
        assert done.stdout == "in\n" and 'key "%s": %s' % (path, why) in done.stderr, done.stderr


@pytest.mark.parametrize("provider, why", [("/nonexistent.so", "cannot read the library: No such file or directory"),
                                           (tokens.PKCS11_DOUBLE, "it is not a security key library: it has no sk_api_version"),
                                           ("internal", "device not found: there is no security key, or none that has this key")],
                         ids=["missing", "other", "internal"])
def test_provider_that_does_not_do(device, workdir, our_sshd, ssh, provider, why):
    """The last: no hardware here."""
    path = device.make(OURS, os.path.join(workdir, "k"), "ed25519-sk")
    server = our_sshd([authorize(workdir, public(path))])
    done = ssh(server, path, provider=provider)
    assert done.returncode == 255 and done.stderr.count(why) == 1, done.stderr
    done = process.run([OURS, "-q", "-t", "ed25519-sk", "-N", "", "-f", path + "2", "-w", provider], env=device.env)
    assert (done.returncode, done.stderr) == (255, "Key enrollment failed: %s\n" % why)


def test_provider_by_environment(device, workdir, our_sshd, ssh):
    device.env["SSH_SK_PROVIDER"] = SK_DOUBLE
    path = os.path.join(workdir, "k")
    assert process.run([OURS, "-q", "-t", "ed25519-sk", "-N", "", "-f", path], env=device.env).returncode == 0
    server = our_sshd([authorize(workdir, public(path))])
    assert ssh(server, path, provider="$SSH_SK_PROVIDER").stdout == "in\n"
    done = ssh(server, path, provider="$NOT_SET_AT_ALL")
    assert done.returncode == 255 and "SecurityKeyProvider names none" in done.stderr


def test_certificates(device, workdir, start, ssh, login, keys):
    """A security key's key, certified."""
    path = device.make(OURS, os.path.join(workdir, "k"), "ed25519-sk")
    done = process.run([THEIRS, "-q", "-s", keys.user["ed25519"], "-I", "id", "-n", login.pw_name, path + ".pub"])
    assert done.returncode == 0, done.stderr
    server = start(["TrustedUserCAKeys %s.pub" % keys.user["ed25519"], "AuthorizedKeysFile none"])
    assert ssh(server, path).stdout == "in\n"


def test_signs_files_and_certificates(device, workdir, keys):
    """As with any other key; Debian's program checks them."""
    path = device.make(OURS, os.path.join(workdir, "k"), "ecdsa-sk")
    text = os.path.join(workdir, "text")
    with open(text, "w", encoding="utf-8") as f:
        f.write("a text\n")
    done = device.keygen(OURS, "-Y", "sign", "-n", "file", "-f", path, text)
    assert done.returncode == 0 and "Confirm user presence for key ECDSA-SK SHA256:" in done.stderr, done.stderr
    with open(text, encoding="utf-8") as f:
        done = process.run([THEIRS, "-Y", "check-novalidate", "-n", "file", "-s", text + ".sig"], stdin=f)
    assert done.returncode == 0, done.stderr
    user = os.path.join(workdir, "user.pub")
    with open(user, "w", encoding="utf-8") as f:
        f.write(keys.public(keys.user["ed25519"]) + "\n")
    done = device.keygen(OURS, "-q", "-s", path, "-I", "id", "-n", "me", user)
    assert done.returncode == 0, done.stderr
    assert "Signing CA: ECDSA-SK" in process.run([THEIRS, "-L", "-f", os.path.join(workdir, "user-cert.pub")]).stdout
    device.set("mode", "refuse")
    done = device.keygen(OURS, "-q", "-s", path, "-I", "id", "-n", "me", user)
    assert done.returncode == 255 and "the security key or its library refuses" in done.stderr


def test_helper_by_hand():
    helper = programs.ours("sk-helper", "ssh-sk-helper")
    done = process.run([helper])
    assert (done.returncode, done.stdout) == (1, "") and "not by hand" in done.stderr
    assert process.run([helper, "-x"]).returncode == 1
