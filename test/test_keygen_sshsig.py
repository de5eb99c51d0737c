"""Signatures of files: each ssh-keygen signs, both verify; allowed_signers; git with ours as its program."""
import base64
import hashlib
import os
import pathlib
import shutil
import struct
import subprocess

import pytest

from lib.keygen import *

pytestmark = needs_theirs


def keys_and_message(*kinds):
    make_keys(*kinds)
    pathlib.Path("msg").write_bytes(b"message\0with all\xff\n")


def public(path):
    return " ".join(text(path).split()[:2])


def allow(*lines):
    pathlib.Path("allowed").write_text("".join(line + "\n" for line in lines))


def verify(*args, who="me@x", space="file", signature="msg.sig"):
    message = pathlib.Path("msg").read_bytes()
    return both("-Y", "verify", "-f", "allowed", "-I", who, "-n", space, "-s", signature, *args, stdin=message)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("hashalg", [[], ["-O", "hashalg=sha256"], ["-O", "hashalg=sha512"]])
def test_each_signs_and_both_verify(kind, hashalg):
    keys_and_message(kind + ":k")
    allow("me@x " + public("k.pub"))
    for signer in (OURS, THEIRS):
        assert run(signer, "-Y", "sign", "-f", "k", "-n", "file", *hashalg, "msg")[::2] == (0, "Signing file msg\nWrite signature to msg.sig\n")
        status, out, _ = verify()
        assert status == 0 and out.startswith('Good "file" signature for me@x with %s key SHA256:' % kind.upper())
        os.remove("msg.sig")
    if kind != "ecdsa":  # these two sign the same each time
        streams = [run(program, "-Y", "sign", "-f", "k", "-n", "file", *hashalg, stdin=b"text") for program in (OURS, THEIRS)]
        assert streams[0] == streams[1] and streams[0][0] == 0


def test_ways_to_sign(agent):
    keys_and_message("k", "l")
    agent("k")
    os.rename("k", "away")
    clean = lambda: [os.remove(f) for f in ("msg.sig", "two.sig") if os.path.exists(f)]
    shutil.copy("msg", "two")
    both("-Y", "sign", "-f", "k.pub", "-n", "file", "msg", "two", before=clean)
    both("-Y", "sign", "-U", "-f", "k", "-n", "file", "msg", before=clean)
    both("-Y", "sign", "-U", "-f", "l", "-n", "file", "msg", before=clean)
    both("-q", "-Y", "sign", "-f", "l.pub", "-n", "file", "msg", before=clean)
    both("-Y", "sign", "-f", "k.pub", "-n", "file", "-", stdin=b"x")
    os.environ.pop("SSH_AUTH_SOCK")
    both("-Y", "sign", "-f", "k.pub", "-n", "file", "msg", before=clean)
    both("-Y", "sign", "-U", "-f", "l.pub", "-n", "file", "msg", before=clean)
    good(THEIRS, "-q", "-p", "-P", "", "-N", "secret", "-a", "2", "-f", "l")
    both("-Y", "sign", "-f", "l", "-P", "secret", "-n", "file", "msg", before=clean)
    both("-Y", "sign", "-f", "l", "-P", "wrong", "-n", "file", "msg", before=clean)


def test_a_signature_is_not_overwritten_unasked():
    keys_and_message("k")
    pathlib.Path("msg.sig").write_text("old")
    both("-Y", "sign", "-f", "k", "-n", "file", "msg", stdin=b"n\n")
    assert text("msg.sig") == "old"
    good(OURS, "-Y", "sign", "-f", "k", "-n", "file", "msg", stdin=b"y\n")
    assert text("msg.sig").startswith("-----BEGIN SSH SIGNATURE-----\n")


def test_wrong_words_are_told_the_same():
    keys_and_message("k")
    good(OURS, "-q", "-Y", "sign", "-f", "k", "-n", "file", "msg")
    allow("me@x " + public("k.pub"))
    for args in (["sign", "-f", "k", "msg"], ["sign", "-f", "k", "-n", "", "msg"], ["sign", "-n", "file", "msg"], ["sign", "-f", "none", "-n", "file", "msg"],
                 ["sign", "-f", "k", "-n", "file", "none"], ["sign", "-f", "k", "-n", "file", "-O", "bogus=1", "msg"], ["check-novalidate", "-n", "file"],
                 ["check-novalidate", "-s", "msg.sig"], ["check-novalidate", "-n", "file", "-s", "none"], ["check-novalidate", "-n", "file", "-s", "msg.sig"],
                 ["verify", "-f", "allowed", "-n", "file", "-s", "msg.sig"], ["verify", "-f", "allowed", "-I", "me@x", "-s", "msg.sig"],
                 ["verify", "-f", "allowed", "-I", "me@x", "-n", "file"], ["verify", "-f", "none", "-I", "me@x", "-n", "file", "-s", "msg.sig"],
                 ["match-principals", "-f", "allowed"], ["bogus"], ["find-principals", "-s", "none", "-f", "allowed"]):
        assert both("-Y", *args)[0] != 0, args
    assert run(OURS, "-Y", "sign", "-f", "k", "-n", "file", "-O", "hashalg=md5", "msg")[0] == 255
    assert verify("-O", "bogus")[0] == verify("-O", "verify-time=bad")[0] == verify(space="other")[0] == verify(who="you@x")[0] == 255
    assert verify("-O", "print-pubkey")[0] == verify("-q")[0] == 0


def test_who_may_sign():
    keys_and_message("k", "l", "ca")
    good(THEIRS, "-q", "-Y", "sign", "-f", "k", "-n", "file", "msg")
    key, other = public("k.pub"), public("l.pub")
    find = lambda *args: both("-Y", "find-principals", "-s", "msg.sig", "-f", "allowed", *args)
    for line in ("me@x,you@y ", "*@x ", "!me@x,*@x ", '"me@x,a b" ', 'me@x namespaces="file,git" ', 'me@x namespaces="fi*" ', 'me@x namespaces="!file,*" ',
                 'me@x valid-after="20200101",valid-before="20300101Z" ', 'me@x NAMESPACES="file" ', "ME@x ", "me@x cert-authority ", "me@x bogus ",
                 "me@x namespaces=file ", 'me@x namespaces="a",namespaces="b" ', 'me@x valid-after="bad" ', 'me@x valid-after="20200101",valid-before="2010010112" ',
                 'me@x valid-before="20200101" ', "me@x ssh-ed25519 AAAA\nme@x ", "# c\n  me@x   "):
        allow(line + key, "last " + other)
        if "valid-before=\"20200101\"" not in line:  # its complaint has the time of day
            verify()
            find()
        verify("-O", "verify-time=20190101")
        find("-O", "verify-time=20190101")
        if "bogus" not in line and "=file" not in line and '"bad"' not in line and "2010010112" not in line and '"a"' not in line and "AAAA\n" not in line:  # there we go on behind the bad line
            for who in ("me@x", "you@y"):
                ours, theirs = (run(p, "-Y", "match-principals", "-I", who, "-f", "allowed") for p in (OURS, THEIRS))
                assert ours[1:] == theirs[1:] and bool(ours[0]) == bool(theirs[0])
    allow("one " + other, "me@x " + key, "three " + key)
    assert find()[1] == "me@x\n"


def test_certificates_sign():
    keys_and_message("k", "ca")
    good(OURS, "-q", "-s", "ca", "-I", "id", "-n", "me@x,b", "-V", "20200101:20300101", "k.pub")
    shutil.copy("k", "c")
    shutil.copy("k-cert.pub", "c.pub")
    find = lambda *args: both("-Y", "find-principals", "-s", "msg.sig", "-f", "allowed", *args)
    for signer in (OURS, THEIRS):
        good(signer, "-q", "-Y", "sign", "-f", "c", "-n", "file", "msg")
        for line in ("me@x cert-authority " + public("ca.pub"), "* cert-authority " + public("ca.pub"), "b,c,me@* cert-authority " + public("ca.pub"),
                     "me@x " + public("ca.pub"), "me@x " + public("k.pub"), "me@x " + public("k-cert.pub")):
            allow(line)
            for who in ("me@x", "b", "zz"):
                verify(who=who)
            verify("-O", "verify-time=20310101")
            find()
            find("-O", "verify-time=20310101")
        os.remove("msg.sig")


def test_revoked_keys_do_not_sign():
    keys_and_message("k", "l", "ca")
    good(OURS, "-q", "-Y", "sign", "-f", "k", "-n", "file", "msg")
    allow("me@x " + public("k.pub"))
    good(OURS, "-q", "-k", "-f", "krl", "k.pub")
    good(OURS, "-q", "-k", "-f", "krl_other", "l.pub")
    shutil.copy("k.pub", "list")
    pathlib.Path("list_other").write_text("# c\n\n" + text("l.pub"))
    pathlib.Path("list_broken").write_text("junk\n")
    good(OURS, "-q", "-s", "k", "-I", "x", "-n", "y", "l.pub")
    for name, status in (("krl", 255), ("krl_other", 0), ("list", 255), ("list_other", 0), ("list_broken", 255), ("missing", 255), ("l-cert.pub", 0), ("/dev/null", 0)):
        ours, theirs = (run(p, "-Y", "verify", "-f", "allowed", "-I", "me@x", "-n", "file", "-s", "msg.sig", "-r", name, stdin=pathlib.Path("msg").read_bytes())
                        for p in (OURS, THEIRS))
        assert ours[:2] == theirs[:2] and ours[0] == status, name


def test_damaged_signatures():
    keys_and_message("k")
    good(OURS, "-q", "-Y", "sign", "-f", "k", "-n", "file", "msg")
    whole = text("msg.sig")
    lines = whole.splitlines(keepends=True)
    message = pathlib.Path("msg").read_bytes()
    cases = {"": b"", "cut": whole[:150].encode(), "no end": "".join(lines[:-1]).encode(), "no begin": "".join(lines[1:]).encode(), "no lines": (lines[0] + lines[-1]).encode(),
             "nul": whole.replace("\n", "\0", 1).encode(), "long": (lines[0] + "A" * 2000000 + "\n" + lines[-1]).encode(),
             "flipped": whole.replace(lines[1][20], "B" if lines[1][20] != "B" else "C", 1).encode(), "extra": (lines[0] + "AAAA" + "".join(lines[1:])).encode()}
    for name, data in cases.items():
        pathlib.Path("bad.sig").write_bytes(data)
        status, out, _ = run(OURS, "-Y", "check-novalidate", "-n", "file", "-s", "bad.sig", stdin=message)
        assert (status, out) == (255, "Could not verify signature.\n"), name
    pathlib.Path("crlf.sig").write_text(whole.replace("\n", "\r\n"))
    assert run(OURS, "-Y", "check-novalidate", "-n", "file", "-s", "crlf.sig", stdin=message)[0] == 0


def test_a_million_lines():
    keys_and_message("k", "l")
    good(OURS, "-q", "-Y", "sign", "-f", "k", "-n", "file", "msg")
    with open("allowed", "w", encoding="ascii") as f:
        for i in range(1000000):
            f.write("user%d@x ssh-ed25519 AAAA\n" % i)
        f.write("me@x " + public("k.pub") + "\n")
    message = pathlib.Path("msg").read_bytes()
    assert run(OURS, "-Y", "verify", "-f", "allowed", "-I", "me@x", "-n", "file", "-s", "msg.sig", stdin=message, timeout=20)[0] == 0


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_git_signs_and_verifies_with_ours(agent, monkeypatch):
    make_keys("k", "l")
    allow("me@example.org " + public("k.pub"))
    folder = os.getcwd()
    for name, value in {"HOME": folder, "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "Me", "GIT_COMMITTER_NAME": "Me", "GIT_AUTHOR_EMAIL": "me@example.org",
                        "GIT_COMMITTER_EMAIL": "me@example.org"}.items():
        monkeypatch.setenv(name, value)

    def git(*args, program=OURS, key=folder + "/k", status=0):
        settings = {"gpg.format": "ssh", "gpg.ssh.program": program, "user.signingkey": key, "gpg.ssh.allowedSignersFile": folder + "/allowed"}
        words = [w for name, value in settings.items() for w in ("-c", name + "=" + value)]
        p = subprocess.run(["git", *words, *args], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, cwd=folder + "/repository", check=False)
        assert p.returncode == status, p.stderr
        return p.stdout + p.stderr

    os.mkdir("repository")
    git("init", "-q")
    for signer, checker in ((OURS, OURS), (OURS, THEIRS), (THEIRS, OURS)):
        git("commit", "-q", "--allow-empty", "-S", "-m", "one", program=signer)
        assert 'Good "git" signature for me@example.org with ED25519 key' in git("verify-commit", "HEAD", program=checker)
        git("tag", "-s", "-f", "-m", "a tag", "v1", program=signer)
        assert 'Good "git" signature' in git("verify-tag", "v1", program=checker)
    assert git("log", "-1", "--format=%G? %GS").strip() == "G me@example.org"
    git("commit", "-q", "--allow-empty", "-S", "-m", "other", key=folder + "/l")
    assert "No principal matched." in git("verify-commit", "HEAD", status=1)
    agent("k")
    os.remove("k")
    git("commit", "-q", "--allow-empty", "-S", "-m", "by the agent", key="key::" + text("k.pub").strip())
    assert 'Good "git" signature for me@example.org' in git("verify-commit", "HEAD")


def test_a_security_key_s_signature():
    """As a token makes it: over the digests of application and message, with flags and a counter between them (PROTOCOL.u2f)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    private = Ed25519PrivateKey.generate()
    raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    string = lambda data: struct.pack(">I", len(data)) + data
    kind = b"sk-ssh-ed25519@openssh.com"
    blob = string(kind) + string(raw) + string(b"ssh:")
    digest = hashlib.sha512(b"message").digest()
    signed = b"SSHSIG" + string(b"file") + string(b"") + string(b"sha512") + string(digest)
    rest = b"\x01" + struct.pack(">I", 77)
    signature = private.sign(hashlib.sha256(b"ssh:").digest() + rest + hashlib.sha256(signed).digest())
    whole = b"SSHSIG" + struct.pack(">I", 1) + string(blob) + string(b"file") + string(b"") + string(b"sha512") + string(string(kind) + string(signature) + rest)
    pathlib.Path("msg.sig").write_text("-----BEGIN SSH SIGNATURE-----\n%s\n-----END SSH SIGNATURE-----\n" % base64.b64encode(whole).decode())
    allow("me@x %s %s" % (kind.decode(), base64.b64encode(blob).decode()))
    verify = lambda message: both("-Y", "verify", "-f", "allowed", "-I", "me@x", "-n", "file", "-s", "msg.sig", stdin=message)
    assert verify(b"message")[0] == 0 and verify(b"other")[0] == 255
