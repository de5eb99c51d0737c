"""Key files in other forms, there and back, beside the system's ssh-keygen, openssl and puttygen; and files that are none."""
import os
import pathlib
import shutil
import stat
import subprocess
import time

import pytest

from lib import programs
from lib.keygen import *

pytestmark = needs_theirs
KINDS = ["ed25519", "ecdsa", "rsa"]


def openssl(*args):
    return subprocess.run(["openssl", *args], capture_output=True, timeout=20, check=True, stdin=subprocess.DEVNULL).stdout.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_exports(kind):
    make_keys(kind + ":k", maker=OURS)
    for form in ([], ["-m", "RFC4716"], ["-m", "PKCS8"], ["-m", "PEM"]):
        private, public = good(OURS, "-e", *form, "-f", "k"), good(OURS, "-e", *form, "-f", "k.pub")
        assert private == public  # byte for byte
        if not (kind == "ed25519" and form[1:] in (["PKCS8"], ["PEM"])):  # older ones have no such form of this type
            assert both("-e", *form, "-f", "k")[1] == private
        pathlib.Path("there").write_text(private)
        assert good(OURS, "-i", *form, "-f", "there").split() == text("k.pub").split()[:2]
        assert good(OURS, "-i", *form, "-f", "-", stdin=private.encode()).split() == text("k.pub").split()[:2]
        if form[1:] == ["PKCS8"]:
            assert openssl("pkey", "-pubin", "-in", "there") == private


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["PEM", "PKCS8", "RFC4716"])
@pytest.mark.parametrize("passphrase", ["", "pass phrase"])
def test_private_forms(kind, form, passphrase):
    make_keys(kind + ":k")
    shutil.copy("k.pub", "kept")
    good(OURS, "-q", "-p", "-m", form, "-P", "", "-N", passphrase, "-a", "2", "-f", "k")
    assert stat.S_IMODE(os.stat("k").st_mode) == 0o600
    blob = text("kept").split()[1]
    for reader in (OURS, THEIRS):
        if kind == "ed25519" and form == "PKCS8" and reader == THEIRS:
            continue  # reads them since 9.6
        assert good(reader, "-y", "-P", passphrase, "-f", "k").split()[1] == blob
        assert run(reader, "-y", "-P", "wrong", "-f", "k")[0] == (255 if passphrase else 0)
    if form == "PKCS8" or (form == "PEM" and kind != "ed25519"):
        assert "BEGIN PUBLIC KEY" in openssl("pkey", "-in", "k", "-passin", "pass:" + passphrase, "-pubout")
    good(OURS, "-q", "-p", "-P", passphrase, "-N", "", "-f", "k")
    assert text("k").startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n") and good(THEIRS, "-y", "-f", "k").split()[1] == blob


@pytest.mark.skipif(not programs.has(programs.peer("puttygen")), reason="needs puttygen")
@pytest.mark.parametrize("kind", KINDS)
def test_puttygen_reads_ours(kind):
    make_keys(kind + ":k", maker=OURS)
    putty = lambda *args: subprocess.run([programs.peer("puttygen"), *args], capture_output=True, text=True, timeout=20, check=True, stdin=subprocess.DEVNULL).stdout
    assert putty("k", "-O", "public-openssh").split() == text("k.pub").split()
    pathlib.Path("exported").write_text(good(OURS, "-e", "-f", "k"))
    assert putty("exported", "-O", "public-openssh").split()[:2] == text("k.pub").split()[:2]
    pathlib.Path("pass").write_text("secret\n")
    good(OURS, "-q", "-p", "-P", "", "-N", "secret", "-a", "2", "-f", "k")
    putty("k", "--old-passphrase", "pass", "--new-passphrase", "pass", "-O", "private", "-o", "k.ppk")
    putty("k.ppk", "--old-passphrase", "pass", "--new-passphrase", "pass", "-O", "private-openssh-new", "-o", "back")
    assert good(OURS, "-y", "-P", "secret", "-f", "back").split()[1] == text("k.pub").split()[1]


@pytest.mark.parametrize("kind", KINDS)
def test_sshfp_of_one_digest(kind):
    make_keys(kind + ":k")
    for args in ([], ["-g"]):
        lines = both("-r", "h.example", *args, "-f", "k.pub")[1].splitlines()
        for hashalg, line in zip(("sha1", "SHA256"), lines):
            assert good(OURS, "-r", "h.example", *args, "-O", "hashalg=" + hashalg, "-f", "k.pub") == line + "\n"
    assert run(OURS, "-r", "h", "-O", "hashalg=md5", "-f", "k.pub")[0] == run(OURS, "-r", "h", "-O", "bogus", "-f", "k.pub")[0] == 255


def test_words_that_exclude_each_other():
    make_keys("k")
    pathlib.Path("known").write_text("h " + text("k.pub"))
    for args in (["-p", "-c"], ["-H", "-l"], ["-R", "h", "-l"]):
        assert both(*args, "-f", "known")[0] == 1
    assert text("known") == "h " + text("k.pub") and not os.path.exists("known.old")
    assert run(OURS, "-t", "mldsa44-ed25519", "-f", "n", "-N", "")[0] == 255


def test_lists_of_every_kind():
    make_keys("k", "rsa:r", "ecdsa:e", "ca")
    good(THEIRS, "-q", "-s", "ca", "-I", "i", "-n", "a", "k.pub")
    pathlib.Path("many").write_text("# c\n\n" + text("k.pub") + text("k-cert.pub") + text("r.pub") + "junk\n" + text("e.pub").rstrip())
    pathlib.Path("options").write_text('command="a b",no-pty ' + text("k.pub") + "restrict " + " ".join(text("r.pub").split()[:2]) + "\n")
    pathlib.Path("known").write_text("a,b " + text("k.pub") + "@revoked c " + text("r.pub") + "[d]:22 " + " ".join(text("e.pub").split()[:2]) + "\n")
    for name in ("many", "options", "known", "k-cert.pub"):
        for args in (["-l"], ["-lv"], ["-l", "-E", "md5"], ["-B"]):
            both(*args, "-f", name)
        both("-l", "-f", "-", stdin=text(name).encode())


def test_damaged_private_files():
    make_keys("k", "rsa:r")
    good(THEIRS, "-q", "-p", "-P", "", "-N", "", "-m", "PEM", "-f", "r")
    for name in ("k", "r"):
        whole = pathlib.Path(name).read_bytes()
        middle = len(whole) // 2
        cases = [b"", whole[:40], whole[:middle], whole[:-20], whole[:middle] + b"\0" + whole[middle:], whole[:middle] + b"AAAA" + whole[middle:],
                 whole.replace(b"-----END", b"-----ENDE"), b"\xff" * 5000, b"-----BEGIN OPENSSH PRIVATE KEY-----\n" * 3000, b"\0" * (2 << 20)]
        for data in cases:
            pathlib.Path("bad").write_bytes(data)
            os.chmod("bad", 0o600)
            for args in (["-y"], ["-p", "-N", ""], ["-c", "-C", "x"], ["-l"], ["-e"]):
                status, _, err = run(OURS, *args, "-P", "", "-f", "bad", timeout=20)
                assert status == 255 and err, (args, data[:60])
                assert pathlib.Path("bad").read_bytes() == data


def test_a_file_of_a_million_lines():
    make_keys("k")
    with open("many", "w", encoding="ascii") as f:
        f.writelines("# line %d\n" % i if i % 2 else "not a key at all %d\n" % i for i in range(1000000))
        f.write(text("k.pub"))
    started = time.monotonic()
    assert both("-l", "-f", "many")[0] == 0
    assert time.monotonic() - started < 30


def test_long_lines_and_nuls():
    make_keys("k")
    for data in (b"A" * 5000000, b"ssh-ed25519 " + b"A" * 200000 + b"\n", text("k.pub").encode().replace(b" ", b"\0"), b"\0\n" * 100000):
        pathlib.Path("bad.pub").write_bytes(data)
        for args in (["-l"], ["-B"], ["-e"], ["-i"], ["-L"], ["-r", "h"]):
            assert run(OURS, *args, "-f", "bad.pub", timeout=20)[0] in (1, 255)


def test_nothing_is_left_behind_when_a_directory_is_full_of_refusals(tmp_path):
    make_keys("k")
    os.mkdir("d")
    os.mkdir("d/k")  # a directory where the file should go
    assert run(OURS, "-q", "-t", "ed25519", "-N", "", "-f", "d/k", stdin=b"y\n")[0] != 0
    assert sorted(os.listdir("d")) == ["k"]
