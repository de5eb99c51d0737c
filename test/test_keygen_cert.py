"""Certificates: ours and the system's ssh-keygen make them, and each shows what the other made."""
import base64
import os
import pathlib
import re
import struct
import subprocess
import time

import pytest

from lib import programs
from lib.keygen import *

pytestmark = needs_theirs
TYPES = ["ed25519", "ecdsa", "rsa"]


def shown(program, path="k-cert.pub"):
    return good(program, "-L", "-f", path)


def made_by_both(*args, key="k.pub"):
    """The certificate that each makes, shown by both; the same but for the random numbers in it."""
    shows = []
    for maker in (OURS, THEIRS):
        status, out, err = run(maker, "-s", "ca", "-I", "id", *args, key)
        assert (status, out) == (0, ""), err
        assert shown(OURS) == shown(THEIRS)
        shows.append((shown(OURS), err))
    assert shows[0] == shows[1]
    return shows[0][0]


@pytest.mark.parametrize("ca", TYPES)
@pytest.mark.parametrize("kind", TYPES)
def test_each_type_certifies_each_type(kind, ca):
    make_keys(kind + ":k", ca + ":ca")
    made_by_both("-n", "a,b", "-z", "7")
    made_by_both("-h", "-n", "host.example", "-V", "20200101:20300101Z")


@pytest.mark.parametrize("options", [
    [], ["clear"], ["clear", "permit-pty"], ["no-pty", "no-user-rc"], ["no-x11-forwarding", "no-agent-forwarding", "no-port-forwarding"], ["permit-X11-forwarding"],
    ["force-command=a b"], ["source-address=10.0.0.0/8,::1/128"], ["verify-required"], ["no-touch-required"],
    ["critical:foo=bar", "critical:flag", "extension:x@y", "extension:z=1"], ["force-command=x", "source-address=1.2.3.4", "verify-required", "clear"]])
def test_options(options):
    make_keys("k", "ca")
    words = [word for option in options for word in ("-O", option)]
    made_by_both("-n", "a", *words)
    made_by_both("-h", "-n", "a", *words)


@pytest.mark.parametrize("validity", ["20200101:20300101", "20200101123000:20300101123001", "20200101Z:20300101Z", "202001011230:203001011230", "always:forever",
                                      "0x10:0xffff", "0x0:0xffffffffffffffff", "always:20300101", "20200101:forever"])
def test_fixed_times(validity):
    make_keys("k", "ca")
    made_by_both("-n", "a", "-V", validity)


@pytest.mark.parametrize("validity,before,after", [("+52w", None, 52 * 7 * 86400), ("-1d:+1w", -86400, 7 * 86400), ("-1w5d:+10", -12 * 86400, 10), ("-1h:+1h30m", -3600, 5400)])
def test_times_from_now(validity, before, after):
    make_keys("k", "ca")
    now = time.time()
    good(OURS, "-q", "-s", "ca", "-I", "id", "-n", "a", "-V", validity, "k.pub")
    valid = re.search(r"Valid: from (\S+) to (\S+)", shown(THEIRS)).groups()
    start, end = (time.mktime(time.strptime(t, "%Y-%m-%dT%H:%M:%S")) for t in valid)
    assert now - 1 <= end - after <= now + 10
    if before is None:  # a minute of grace, and on the minute
        assert start % 60 == 0 and now - 121 <= start <= now
    else:
        assert now - 1 <= start - before <= now + 10


def test_serials_count():
    make_keys("a", "b", "ca")
    assert run(OURS, "-s", "ca", "-I", "id", "-n", "x", "-z", "+18446744073709551615", "a.pub", "b")[2].splitlines() == [
        'Signed user key a-cert.pub: id "id" serial 18446744073709551615 for x valid forever', 'Signed user key b-cert.pub: id "id" serial 0 for x valid forever']
    assert "Serial: 18446744073709551615\n" in shown(THEIRS, "a-cert.pub") and "Serial: 0\n" in shown(THEIRS, "b-cert.pub")


@pytest.mark.parametrize("algorithm", [None, "rsa-sha2-256", "rsa-sha2-512", "ssh-rsa"])
def test_algorithm_of_an_rsa_ca(algorithm):
    make_keys("k", "rsa:ca")
    made_by_both("-n", "a", *(["-t", algorithm] if algorithm else []))
    assert "(using %s)" % (algorithm or "rsa-sha2-512") in shown(OURS)


def test_ca_in_an_agent(agent):
    make_keys("k", "ca", "rsa:rsa")
    agent("ca", "rsa")
    os.remove("ca")
    os.remove("rsa")
    for ca in ("ca.pub", "rsa.pub"):
        assert run(OURS, "-U", "-s", ca, "-I", "id", "-n", "a", "k.pub")[::2] == (0, 'Signed user key k-cert.pub: id "id" serial 0 for a valid forever\n')
        assert shown(OURS) == shown(THEIRS)
    good(OURS, "-q", "-U", "-s", "rsa.pub", "-t", "rsa-sha2-256", "-I", "id", "-n", "a", "k.pub")
    assert "(using rsa-sha2-256)" in shown(THEIRS)
    assert both("-U", "-s", "k.pub", "-I", "id", "-n", "a", "k.pub")[0] == 255


def test_a_ca_with_a_passphrase():
    make_keys("k")
    good(THEIRS, "-q", "-t", "ed25519", "-N", "secret", "-a", "2", "-f", "ca")
    both("-s", "ca", "-I", "id", "-n", "a", "-P", "secret", "k.pub")
    both("-s", "ca", "-I", "id", "-n", "a", "-P", "wrong", "k.pub")


def test_refusals_are_the_same():
    make_keys("k", "ca", "rsa:rsa")
    good(THEIRS, "-q", "-s", "ca", "-I", "id", "-n", "a", "k.pub")
    for args in (["k.pub"], ["-I", "id", "missing.pub"], ["-I", "id"], ["-I", "id", "-n", "a,,b", "k.pub"], ["-I", "id", "-n", ",", "k.pub"],
                 ["-I", "id", "-n", ",".join("p%d" % i for i in range(300)), "k.pub"], ["-I", "id", "-z", "x", "k.pub"], ["-I", "id", "-z", "-1", "k.pub"],
                 ["-I", "id", "-O", "bogus", "k.pub"], ["-I", "id", "-O", "force-command=", "k.pub"], ["-I", "id", "-O", "source-address=", "k.pub"],
                 ["-I", "id", "-O", "force-command=x", "-O", "force-command=y", "k.pub"], ["-I", "id", "-O", "source-address=10.0.0.1/8", "k.pub"],
                 ["-I", "id", "-t", "rsa-sha2-256", "k.pub"], ["-I", "id", "-t", "junk", "k.pub"], ["-U", "-I", "id", "k.pub"]):
        assert both("-s", "ca", *args)[0] != 0
    for validity in (":+1d", "+1d:+0d", "+1x", "junk", "20301301:20310101", "-1d:", "always", "forever", "1:2", "20200101:"):
        assert both("-s", "ca", "-I", "id", "-V", validity, "k.pub")[0] == 255
    both("-s", "missing", "-I", "id", "k.pub")
    assert run(OURS, "-s", "ca", "-I", "id", "k-cert.pub")[::2] == (255, 'key "k-cert.pub" type ED25519-CERT cannot be certified\n')
    os.chmod("rsa", 0o644)
    assert run(OURS, "-s", "rsa", "-I", "id", "k.pub")[0] == 255


def test_one_failing_file_stops_before_the_others():
    make_keys("a", "c", "ca")
    assert run(OURS, "-q", "-s", "ca", "-I", "id", "-n", "x", "a.pub", "missing", "c.pub")[0] == 255
    assert os.path.exists("a-cert.pub") and not os.path.exists("c-cert.pub")


def test_the_key_id_is_escaped_where_it_is_shown():
    make_keys("k", "ca")
    good(THEIRS, "-q", "-s", "ca", "-I", "a\033[31m\nb", "-n", "x", "k.pub")
    assert "\033" not in shown(OURS) and "\\033" in shown(OURS)


def test_several_certificates_in_one_file():
    make_keys("k", "ca")
    lines = ""
    for serial in ("1", "2", "3"):
        good(OURS, "-q", "-s", "ca", "-I", "id", "-n", "x", "-z", serial, "k.pub")
        lines += text("k-cert.pub")
    pathlib.Path("all").write_text("# three\n" + lines + text("k.pub"))
    both("-L", "-f", "all")
    both("-L", "-f", "-", stdin=lines.encode())


def test_damaged_certificates_do_no_harm():
    make_keys("k", "ca")
    good(OURS, "-q", "-s", "ca", "-I", "id", "-n", "x", "k.pub")
    kind, base64 = text("k-cert.pub").split()[:2]
    for length in range(0, len(base64), 37):
        pathlib.Path("broken").write_text("%s %s\n" % (kind, base64[:length]))
        assert run(OURS, "-L", "-f", "broken")[0] == 1
    pathlib.Path("broken").write_bytes(b"\0" * 1000)
    assert run(OURS, "-L", "-f", "broken")[0] == 1


@pytest.mark.skipif(not programs.has(programs.peer("puttygen")), reason="needs puttygen")
def test_puttygen_takes_our_certificate():
    make_keys("k", "ca")
    good(OURS, "-q", "-s", "ca", "-I", "our id", "-n", "x", "k.pub")
    putty = lambda *args: subprocess.run([programs.peer("puttygen"), *args], capture_output=True, text=True, timeout=20, check=True, stdin=subprocess.DEVNULL).stdout
    putty("k", "-O", "private", "-o", "k.ppk")
    putty("k.ppk", "--certificate", "k-cert.pub", "-O", "private", "-o", "c.ppk")
    assert "our id" in putty("c.ppk", "-O", "cert-info")


def test_keys_of_tokens_are_certified_shown_and_revoked():
    make_keys("ca")
    string = lambda data: struct.pack(">I", len(data)) + data
    point = bytes.fromhex("046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
    for kind, fields in (("sk-ssh-ed25519@openssh.com", string(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))),
                         ("sk-ecdsa-sha2-nistp256@openssh.com", string(b"nistp256") + string(point))):
        pathlib.Path("k.pub").write_text("%s %s token\n" % (kind, base64.b64encode(string(kind.encode()) + fields + string(b"ssh:")).decode()))
        made_by_both("-n", "a", "-O", "no-touch-required", "-O", "verify-required")
        for args in (["-l"], ["-lv"], ["-B"], ["-e"], ["-L"]):
            for name in ("k.pub", "k-cert.pub"):
                both(*args, "-f", name)
        good(OURS, "-q", "-k", "-f", "krl", "k.pub")
        assert both("-Q", "-f", "krl", "k.pub", "k-cert.pub", "ca.pub")[0] == 1
