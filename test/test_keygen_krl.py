"""Revocation lists: each ssh-keygen makes them, the other reads them; and what they refuse."""
import os
import pathlib
import re
import struct

import pytest

from lib.keygen import *

pytestmark = needs_theirs


@pytest.fixture(autouse=True)
def keys(in_tmp):
    make_keys("k", "l", "ca", "rsa:rsa_ca")
    good(THEIRS, "-q", "-s", "ca", "-I", "with serial", "-n", "a", "-z", "5", "k.pub")
    good(THEIRS, "-q", "-s", "rsa_ca", "-I", "by id", "-n", "a", "l.pub")


CERTS = ["k.pub", "l.pub", "k-cert.pub", "l-cert.pub", "ca.pub"]


def listing(program, path):
    out = good(program, "-Q", "-l", "-f", path)
    assert re.match(r"# KRL version \d+\n# Generated at \d{8}T\d{6}\n", out)
    return re.sub(r"Generated at \S+", "", out)


def made_by_both(lines, *args):
    """The same specification to both; what they made, listed and asked by both, is the same."""
    pathlib.Path("spec").write_text("".join(line + "\n" for line in lines))
    for maker, path in ((OURS, "ours"), (THEIRS, "theirs")):
        assert run(maker, "-k", "-f", path, *args, "spec") == (0, "Revoking from spec\n", "")
    answers = []
    for path in ("ours", "theirs"):
        assert run(OURS, "-Q", "-f", path, *CERTS) == run(THEIRS, "-Q", "-f", path, *CERTS)
        answers.append(run(OURS, "-Q", "-f", path, *CERTS))
    assert answers[0] == answers[1]
    assert listing(OURS, "ours") == listing(OURS, "theirs")
    if not any(line.startswith(("sha256:", "hash:")) for line in lines):  # older ones print these as digits
        assert listing(THEIRS, "ours") == listing(OURS, "ours") == listing(THEIRS, "theirs")
    return [line.rsplit(": ", 1)[1] for line in answers[0][1].splitlines()]


def test_every_kind_of_line():
    ok, gone = "ok", "REVOKED"
    assert made_by_both(["serial: 5"], "-s", "ca.pub") == [ok, ok, gone, ok, ok]
    assert made_by_both(["serial: 5"], "-s", "none") == [ok, ok, gone, ok, ok]
    assert made_by_both(["serial: 5"], "-s", "rsa_ca.pub") == [ok, ok, ok, ok, ok]
    assert made_by_both(["serial: 1-4", "serial: 6-0xffffffffffffffff"], "-s", "none") == [ok] * 5
    assert made_by_both(["id: by id", "id: other"], "-s", "none") == [ok, ok, ok, gone, ok]
    assert made_by_both(["key: " + text("k.pub")]) == [gone, ok, gone, ok, ok]
    assert made_by_both(["sha1: " + text("k-cert.pub")]) == [gone, ok, gone, ok, ok]
    assert made_by_both(["sha256: " + text("ca.pub")]) == [ok, ok, gone, ok, gone]
    assert made_by_both(["hash: " + good(THEIRS, "-l", "-f", "l.pub").split()[1]]) == [ok, gone, ok, gone, ok]
    assert made_by_both([text("k-cert.pub"), text("l-cert.pub")]) == [ok, ok, gone, gone, ok]
    assert made_by_both(["# nothing", "", "  "]) == [ok] * 5


def test_all_forms_of_serials():
    numbers = list(range(1, 100, 3)) + list(range(1000, 1005)) + [5000000, 2**63, 2**64 - 1]
    made_by_both(["serial: %d" % n for n in numbers] + ["serial: 4000-4900", "serial: 4901", "serial: 100000-200000"], "-s", "ca.pub")


def test_keys_are_revoked_from_files():
    for maker in (OURS, THEIRS):
        good(maker, "-q", "-k", "-f", "list", "k.pub", "l-cert.pub")
        assert both("-Q", "-f", "list", *CERTS)[0] == 1
    good(OURS, "-q", "-k", "-f", "list", "k")  # the private file: its public half
    assert both("-Q", "-f", "list", "k.pub")[1] == "k.pub (c-k): REVOKED\n"
    assert run(OURS, "-k", "-f", "list", "-", stdin=text("k.pub").encode()) == (0, "Revoking from (standard input)\n", "")
    both("-Q", "-f", "list", "k", "l")


def test_versions_and_updates():
    good(OURS, "-q", "-k", "-f", "list", "-z", "7", "k.pub")
    assert "KRL version 7\n" in good(THEIRS, "-Q", "-l", "-f", "list")
    good(THEIRS, "-q", "-k", "-u", "-f", "list", "-s", "ca.pub", "l-cert.pub")
    good(OURS, "-q", "-k", "-u", "-f", "list", "l.pub")
    assert both("-Q", "-l", "-f", "list", *CERTS)[0] == 1
    assert "KRL version 7\n" in good(OURS, "-Q", "-l", "-f", "list")
    assert run(OURS, "-k", "-u", "-f", "missing", "k.pub")[::2] == (255, 'KRL "missing" does not exist\n')
    good(OURS, "-q", "-k", "-f", "list")  # empty
    assert both("-Q", "-f", "list", *CERTS)[0] == 0


def test_refusals():
    pathlib.Path("good").write_text("id: x\n")
    for args in (["-k", "k.pub"], ["-k", "-f", "n", "missing"], ["-k", "-f", "n", "-s", "missing", "good"], ["-k", "-f", "n", "-z", "x", "k.pub"], ["-Q", "k.pub"],
                 ["-Q", "-f", "missing", "k.pub"], ["-Q", "-f", "k.pub", "k.pub"]):
        assert both(*args)[0] == 255 and not os.path.exists("n")
    status, _, err = run(OURS, "-k", "-f", "n", "good")
    assert (status, err) == (255, "revoking certificates by key ID requires specification of a CA key\n")
    for line in ("serial: x", "serial: 9-5", "serial: 0", "serial: 1x", "hash: MD5:x", "key: junk", "junk"):
        pathlib.Path("bad").write_text("id: y\n%s\n" % line)
        status, _, err = run(OURS, "-k", "-f", "n", "-s", "ca.pub", "bad")
        assert status == 255 and err.startswith("bad:2: ") and not os.path.exists("n")
        assert run(THEIRS, "-k", "-f", "n", "-s", "ca.pub", "bad")[0] == 255


def string(data):
    return struct.pack(">I", len(data)) + data


def krl(*sections, version=1):
    return b"SSHKRL\n\0" + struct.pack(">IQQQ", version, 1, 2, 0) + string(b"") + string(b"words") + b"".join(bytes([t]) + string(d) for t, d in sections)


def test_what_is_not_understood_refuses():
    critical, harmless = string(b"x") + b"\1" + string(b""), string(b"x") + b"\0" + string(b"")
    cases = {"plain": (krl(), 0), "harmless": (krl((255, harmless)), 0), "critical": (krl((255, critical)), 255), "unknown": (krl((9, b"")), 255),
             "signature": (krl((4, string(b"k") + string(b"s"))), 255), "version": (krl(version=2), 255), "empty hash": (krl((3, string(b""))), 255),
             "trailing": (krl() + b"\1", 255), "cert critical": (krl((1, string(b"") + string(b"") + b"\x39" + string(critical))), 255)}
    for name, (data, status) in cases.items():
        pathlib.Path("list").write_bytes(data)
        got = run(OURS, "-Q", "-f", "list", "k.pub")
        assert got[0] == status, (name, got)
    pathlib.Path("list").write_bytes(krl())
    assert "# Comment: words\n" in good(OURS, "-Q", "-l", "-f", "list")


def test_damage_and_bombs():
    good(THEIRS, "-q", "-k", "-f", "list", "-s", "ca.pub", "k.pub", "k-cert.pub")
    data = pathlib.Path("list").read_bytes()
    for length in range(0, len(data), 17):
        pathlib.Path("cut").write_bytes(data[:length])
        ours, theirs = (run(program, "-Q", "-f", "cut", "k.pub") for program in (OURS, THEIRS))
        assert ours[:2] == theirs[:2], length  # at the end of a section it is whole
    bitmap = struct.pack(">Q", 1) + string(b"\x55" * (1 << 21) + b"\0")
    pathlib.Path("bomb").write_bytes(krl(*[(1, string(b"") + string(b"") + b"\x22" + string(bitmap))] * 4))
    assert run(OURS, "-Q", "-f", "bomb", "k.pub")[0] == 255
    pathlib.Path("bomb").write_bytes(krl(*[(1, string(b"") + string(b""))] * 100000))
    assert run(OURS, "-Q", "-f", "bomb", "k.pub", timeout=10)[0] == 0
    pathlib.Path("spec").write_text("".join("serial: %d\n" % (2 * n + 1) for n in range(200000)) + "".join("id: %d\n" % n for n in range(50000)))
    good(OURS, "-q", "-k", "-f", "big", "-s", "ca.pub", "spec", timeout=20)
    assert run(OURS, "-Q", "-f", "big", "k-cert.pub", "l-cert.pub", timeout=10)[0] == 1
    assert run(THEIRS, "-Q", "-f", "big", "k-cert.pub", timeout=20)[0] == 1
