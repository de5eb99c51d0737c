"""Keys on PKCS#11 tokens: SoftHSM's tokens with our ssh and ssh-keygen and with Debian's; modules that misbehave are a stand-in's
(test/doubles/pkcs11_double.c)."""
import os
import re

import pytest

from lib import process, programs, tokens
from lib.client import Client
from lib.marks import needs_our_ssh, needs_ours, needs_peer
from lib.tokens import PIN, PKCS11_DOUBLE, SOFTHSM

pytestmark = [needs_our_ssh, needs_ours(PKCS11_DOUBLE), needs_peer("softhsm2-util"), needs_peer("pkcs11-tool")]
THEIRS = programs.peer("ssh-keygen")
KINDS = {"rsa": ("rsa:2048", "01"), "ecdsa": ("EC:prime256v1", "02"), "ecdsa384": ("EC:secp384r1", "03"), "ecdsa521": ("EC:secp521r1", "04"),
         "ed25519": ("EC:edwards25519", "05")}


@pytest.fixture(scope="module")
def card(session_folder):
    made = tokens.Tokens(os.path.join(session_folder, "card"))
    made.add_token("card")
    for name, (kind, key_id) in KINDS.items():
        made.add_key("card", kind, "my " + name, key_id)
    return made


def keygen(program, env, *args, stdin=None):
    return process.run([program, *args], env=env, stdin=stdin)


def listing(program, env, *args):
    done = keygen(program, env, "-D", SOFTHSM, *args)
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


def lines_by_name(env):
    return {line.split(" my ")[1]: line for line in listing(programs.KEYGEN, env)}


@pytest.fixture(scope="module")
def public(card):
    """Public lines of the card's keys."""
    return lines_by_name(card.env)


def test_listing_is_debians(card, public):
    """Debian's version knows no Ed25519 on tokens."""
    assert set(public) == set(KINDS)
    theirs = listing(THEIRS, card.env)
    assert theirs == sorted(line for name, line in public.items() if name != "ed25519")
    assert [line for line in listing(programs.KEYGEN, card.env, "-l") if "ED25519" not in line] == listing(THEIRS, card.env, "-l")


def authorize(workdir, *lines):
    path = os.path.join(workdir, "authorized")
    with open(path, "w", encoding="utf-8") as f:
        f.write("".join(line + "\n" for line in lines))
    return path


@pytest.fixture(params=["ours", "debian"])
def start(request):
    return request.getfixturevalue("our_sshd" if request.param == "ours" else "debian_sshd")


@pytest.fixture
def ssh(workdir, login):
    """ssh(server, env, *flags): a login with the keys of tokens; PINs by askpass."""

    def run(server, env, *flags, program=programs.SSH, lines=(), pin=PIN, key=None):
        client = Client(program, workdir, server, login.pw_name, None, [*lines, "PubkeyAuthentication yes", "BatchMode no", "PreferredAuthentications publickey",
                                                                        "IdentityFile %s" % (key or "none"), "NumberOfPasswordPrompts 1",
                                                                        "IdentitiesOnly no"])
        return client.run("echo in", flags=flags, env={**env, **tokens.askpass(workdir, pin)})

    return run


def test_login_with_each_type(card, public, workdir, start, ssh):
    server = start(["AuthorizedKeysFile %s/authorized" % workdir])
    for name, line in public.items():
        authorize(workdir, line)
        done = ssh(server, card.env, "-I", SOFTHSM)
        assert (done.returncode, done.stdout) == (0, "in\n"), (name, done.stderr)
    assert tokens.asked(workdir) == ["|Enter PIN for 'card': "] * len(public)


def test_rsa_with_each_digest(card, public, workdir, our_sshd, ssh):
    server = our_sshd(["AuthorizedKeysFile %s" % authorize(workdir, public["rsa"]), "PubkeyAcceptedAlgorithms +ssh-rsa"])
    for name in ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"):
        done = ssh(server, card.env, lines=["PKCS11Provider " + SOFTHSM, "PubkeyAcceptedAlgorithms " + name])
        assert done.stdout == "in\n", (name, done.stderr)


def test_debians_ssh_and_ours_say_the_same_of_the_keys(card, public, workdir, debian_sshd, ssh):
    server = debian_sshd(["AuthorizedKeysFile %s" % authorize(workdir, public["ecdsa"])])
    said = [ssh(server, card.env, "-v", "-I", SOFTHSM, program=program) for program in (programs.SSH, programs.peer("ssh"))]
    lines = [sorted(line.strip() for line in done.stderr.splitlines() if "Will attempt key" in line and "ED25519" not in line) for done in said]
    assert lines[0] == lines[1] and len(lines[0]) == 4 and all(line.endswith(" token") for line in lines[0])


def test_identities_only(card, public, workdir, our_sshd, ssh):
    """Then a token's keys are tried if a public file names them, by both programs."""
    server = our_sshd(["AuthorizedKeysFile %s" % authorize(workdir, public["ecdsa"])])
    named = os.path.join(workdir, "named.pub")
    with open(named, "w", encoding="utf-8") as f:
        f.write(public["ecdsa"] + "\n")
    for program in (programs.SSH, programs.peer("ssh")):
        flags = ["-oIdentitiesOnly=yes", "-I", SOFTHSM]
        assert ssh(server, card.env, *flags, program=program).returncode == 255
        done = ssh(server, card.env, *flags, program=program, key=named)
        assert done.stdout == "in\n", done.stderr


def test_certificate_for_a_token_key(card, public, workdir, start, ssh, keys, login):
    """The token's key with a certificate from a file."""
    path = os.path.join(workdir, "token.pub")
    with open(path, "w", encoding="utf-8") as f:
        f.write(public["ecdsa"] + "\n")
    done = keygen(THEIRS, card.env, "-q", "-s", keys.user["ed25519"], "-I", "id", "-n", login.pw_name, path)
    assert done.returncode == 0, done.stderr
    server = start(["TrustedUserCAKeys %s.pub" % keys.user["ed25519"], "AuthorizedKeysFile none"])
    done = ssh(server, card.env, "-I", SOFTHSM, lines=["CertificateFile %s/token-cert.pub" % workdir])
    assert done.stdout == "in\n", done.stderr


@pytest.mark.parametrize("name", ["rsa", "ecdsa384", "ed25519"])
def test_ca_key_on_a_token(card, public, workdir, keys, name):
    """-s names the public half; Debian's program shows what was made."""
    ca, user = os.path.join(workdir, "ca.pub"), os.path.join(workdir, "user.pub")
    for path, line in ((ca, public[name]), (user, keys.public(keys.user["ed25519"]))):
        with open(path, "w", encoding="utf-8") as f:
            f.write(line + "\n")
    args = ["-q", "-s", ca, "-D", SOFTHSM, "-I", "id", "-n", "me", user]
    done = keygen(programs.KEYGEN, card.env, *args, stdin=PIN + "\n")
    assert done.returncode == 0 and "Enter PIN for 'card': " in done.stderr, done.stderr
    shown = keygen(THEIRS, card.env, "-L", "-f", os.path.join(workdir, "user-cert.pub")).stdout
    assert keygen(THEIRS, card.env, "-l", "-f", ca).stdout.split()[1] in shown and "Principals: \n                me\n" in shown
    done = keygen(programs.KEYGEN, card.env, *args, stdin="wrong\n")
    assert done.returncode == 255 and "the PIN is wrong" in done.stderr
    done = keygen(programs.KEYGEN, card.env, "-q", "-s", user, "-D", SOFTHSM, "-I", "id", user, stdin=PIN + "\n")
    assert done.returncode == 255 and "No PKCS#11 key matching %s found" % user in done.stderr


def test_x509_certificates_are_keys_too(session_folder, workdir, our_sshd, ssh):
    hsm = tokens.Tokens(os.path.join(workdir, "hsm"))
    hsm.add_token("certs")
    key, cert = os.path.join(workdir, "k.pem"), os.path.join(workdir, "c.der")
    for argv in (["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key],
                 ["openssl", "req", "-x509", "-new", "-key", key, "-subj", "/CN=somebody", "-outform", "DER", "-out", cert]):
        done = process.run(argv)
        assert done.returncode == 0, done.stderr
    hsm.add_private("certs", key, "a cert", "0a")
    hsm.add_certificate("certs", cert, "a cert", "0a")
    ours = listing(programs.KEYGEN, hsm.env)
    assert len(ours) == 1 and [line.split()[:2] for line in listing(THEIRS, hsm.env)] == [ours[0].split()[:2]]
    server = our_sshd(["AuthorizedKeysFile %s" % authorize(workdir, ours[0])])
    done = ssh(server, hsm.env, "-I", SOFTHSM)
    assert done.stdout == "in\n", done.stderr


def test_several_tokens(workdir, our_sshd, ssh):
    hsm = tokens.Tokens(os.path.join(workdir, "hsm"))
    for label, key_id in (("first", "0a"), ("second", "0a")):  # one id on two tokens
        hsm.add_token(label)
        hsm.add_key(label, "EC:prime256v1", "my " + label, key_id)
    public = lines_by_name(hsm.env)
    assert set(public) == {"first", "second"}
    server = our_sshd(["AuthorizedKeysFile %s/authorized" % workdir])
    for label in public:
        authorize(workdir, public[label])
        done = ssh(server, hsm.env, "-I", SOFTHSM)
        assert done.stdout == "in\n", done.stderr
        assert tokens.asked(workdir)[-1] == "|Enter PIN for '%s': " % label


def test_keys_that_hide_until_login(workdir):
    hsm = tokens.Tokens(os.path.join(workdir, "hsm"))
    hsm.add_token("shy")
    done = keygen(programs.KEYGEN, hsm.env, "-D", SOFTHSM)
    assert (done.returncode, done.stdout) == (255, "")
    assert "Enter PIN for 'shy': " in done.stderr and 'token "shy" wants a PIN and nobody gives one' in done.stderr
    done = keygen(programs.KEYGEN, hsm.env, "-D", SOFTHSM, stdin=PIN + "\n")
    assert done.returncode == 255 and "no token has keys that could be used" in done.stderr


def test_wrong_pin(card, public, workdir, our_sshd, ssh, keys):
    """It is said, another key is tried, and the exit status is that of any failure."""
    server = our_sshd(["AuthorizedKeysFile %s" % authorize(workdir, public["ecdsa"])])
    done = ssh(server, card.env, "-I", SOFTHSM, pin="nonsense")
    assert done.returncode == 255 and 'token "card": the PIN is wrong' in done.stderr and "Permission denied (publickey" in done.stderr
    authorize(workdir, public["ecdsa"], keys.public(keys.user["ed25519"]))
    done = ssh(server, card.env, "-I", SOFTHSM, pin="nonsense", key=keys.user["ed25519"])
    assert done.stdout == "in\n", done.stderr
    done = ssh(server, card.env, "-I", SOFTHSM, "-oBatchMode=yes")
    assert done.returncode == 255 and "wants a PIN and nobody gives one" in done.stderr


DOUBLE_FAULTS = {
    "crash-init": "ssh-pkcs11-helper was killed by signal 6 (Aborted) while it used the library",
    "crash-list": "ssh-pkcs11-helper was killed by signal 6 (Aborted) while it used the library",
    "no-token": "no token is there",
    "huge": "no token has keys that could be used",
    "garbage": "no token has keys that could be used",
}


@pytest.mark.parametrize("mode", DOUBLE_FAULTS)
def test_module_that_misbehaves(mode):
    done = keygen(programs.KEYGEN, tokens.clean_env(PKCS11_DOUBLE=mode), "-D", PKCS11_DOUBLE, stdin="1\n")
    assert (done.returncode, done.stdout) == (255, "")
    assert done.stderr.splitlines()[-1].endswith("cannot read public key from pkcs11: provider %s: %s" % (PKCS11_DOUBLE, DOUBLE_FAULTS[mode]))


def test_names_of_a_token_are_escaped():
    done = keygen(programs.KEYGEN, tokens.clean_env(PKCS11_DOUBLE="well"), "-D", PKCS11_DOUBLE)
    assert done.stdout == "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea la\\012bel\n", done.stdout


SIGN_FAULTS = {
    "crash-sign": "ssh-pkcs11-helper was killed by signal 6 (Aborted) while it used the library",
    "locked": "the PIN is locked after too many wrong ones",
    "wrong-pin": "the PIN is wrong",
    "wrong-sign": "the token's signature is wrong",
    "short-sign": "signing failed: incorrect signature",
    "keypad": "Enter PIN for 'double\\033[31m' on its keypad.",
}


def test_signing_that_fails(workdir, our_sshd, ssh, keys):
    line = keygen(programs.KEYGEN, tokens.clean_env(PKCS11_DOUBLE="well"), "-D", PKCS11_DOUBLE).stdout.strip()
    server = our_sshd(["AuthorizedKeysFile %s" % authorize(workdir, line, keys.public(keys.user["ed25519"]))])
    for mode, said in SIGN_FAULTS.items():
        done = ssh(server, tokens.clean_env(PKCS11_DOUBLE=mode), "-I", PKCS11_DOUBLE, key=keys.user["ed25519"])
        assert (done.returncode, done.stdout) == (0, "in\n"), (mode, done.stderr)
        assert said in done.stderr and "\033" not in done.stderr, (mode, done.stderr)


@pytest.mark.parametrize("provider, why", [("/nonexistent.so", "No such file or directory"), ("/etc/passwd", "it is not a PKCS#11 library"),
                                           ("", None)], ids=["missing", "no-library", "empty"])
def test_provider_that_is_none(workdir, our_sshd, ssh, keys, provider, why):
    """It is said once; the other keys are tried."""
    server = our_sshd()
    done = ssh(server, tokens.clean_env(), lines=["PKCS11Provider %s" % (provider or "none")], key=keys.user["ed25519"])
    assert done.stdout == "in\n", done.stderr
    assert done.stderr.count("PKCS11Provider") == (1 if why else 0) and (why or "") in done.stderr


def test_a_library_without_the_entry_point_is_not_loaded(workdir, keys):
    """Loading runs its code."""
    done = keygen(programs.KEYGEN, tokens.clean_env(), "-D", tokens.SK_DOUBLE)
    assert done.returncode == 255 and "it is not a PKCS#11 library: it has no C_GetFunctionList" in done.stderr


def test_helper_by_hand_and_helper_that_is_missing():
    helper = programs.ours("pkcs11-helper", "ssh-pkcs11-helper")
    done = process.run([helper])
    assert (done.returncode, done.stdout) == (1, "") and "not by hand" in done.stderr
    assert process.run([helper, "-x"]).returncode == 1
    done = keygen(programs.KEYGEN, tokens.clean_env(SSH_PKCS11_HELPER="/nonexistent"), "-D", PKCS11_DOUBLE)
    assert done.returncode == 255 and "ssh-pkcs11-helper does not start: No such file or directory" in done.stderr
    done = keygen(programs.KEYGEN, tokens.clean_env(SSH_PKCS11_HELPER="/bin/true"), "-D", PKCS11_DOUBLE)
    assert done.returncode == 255 and re.search("ssh-pkcs11-helper (exited with status 0 while|does not start: connection closed)", done.stderr)


def test_the_module_is_in_the_helper_only(card, workdir):
    """ssh-keygen itself does not map it: it has no code of others even in a debugger's eyes."""
    trace = os.path.join(workdir, "trace")
    with open(os.path.join(workdir, "ld"), "w", encoding="utf-8"):
        pass
    done = keygen(programs.KEYGEN, {**card.env, "LD_DEBUG": "files", "LD_DEBUG_OUTPUT": trace}, "-D", SOFTHSM)
    assert done.returncode == 0
    loaders = {}
    for name in os.listdir(workdir):
        if name.startswith("trace."):
            with open(os.path.join(workdir, name), encoding="utf-8", errors="replace") as f:
                text = f.read()
            loaders[name] = "libsofthsm2" in text
    assert sorted(loaders.values()) == [False, True], loaders
