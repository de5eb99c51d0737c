"""ssh-keygen against the system's: each reads what the other wrote, and both say the same."""
import os
import pathlib
import re
import stat
import subprocess

import pexpect
import pytest

from lib import process
from lib.keygen import *

TYPES = ["ed25519", "ecdsa", "rsa", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa", "rsa-sha2-256", "rsa-sha2-512"]
CIPHERS = ["3des-cbc", "aes128-cbc", "aes192-cbc", "aes256-cbc", "aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-gcm@openssh.com",
           "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"]

pytestmark = needs_theirs


@pytest.mark.parametrize("type_", TYPES)
def test_keys_of_each_type_both_ways(type_):
    for maker, reader, name in ((OURS, THEIRS, "o"), (THEIRS, OURS, "d")):
        bits = ["-b", "1024"] if type_.startswith("rsa-") else []  # large ones are made for the other names
        good(maker, "-q", "-t", type_, *bits, "-N", "", "-f", name, "-C", "a comment")
        assert good(reader, "-y", "-f", name) == text(name + ".pub")
        assert stat.S_IMODE(os.stat(name).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(name + ".pub").st_mode) == 0o644
        for args in (["-l"], ["-lv"], ["-l", "-E", "md5"], ["-B"], ["-e"], ["-y"]):
            both(*args, "-f", name)
        if "ed25519" not in type_:
            for form in ("PKCS8", "PEM"):
                exported = both("-e", "-m", form, "-f", name)[1]
                pathlib.Path("exported").write_text(exported)
                assert good(OURS, "-i", "-m", form, "-f", "exported").split() == text(name + ".pub").split()[:2]
        pathlib.Path("exported").write_text(good(OURS, "-e", "-f", name))
        assert both("-i", "-f", "exported")[1].split() == text(name + ".pub").split()[:2]


@pytest.mark.parametrize("cipher", CIPHERS)
def test_each_cipher_both_ways(cipher):
    for maker, reader, name in ((OURS, THEIRS, "o"), (THEIRS, OURS, "d")):
        good(maker, "-q", "-t", "ed25519", "-N", "pass phrase", "-f", name, "-Z", cipher, "-a", "2")
        assert good(reader, "-y", "-P", "pass phrase", "-f", name) == text(name + ".pub")
        assert run(reader, "-y", "-P", "wrong", "-f", name)[0] == 255


@pytest.mark.parametrize("form,head", [("PEM", "-----BEGIN RSA PRIVATE KEY-----"), ("PKCS8", "-----BEGIN PRIVATE KEY-----")])
def test_other_private_forms(form, head):
    good(OURS, "-q", "-t", "rsa", "-b", "2048", "-m", form, "-N", "", "-f", "k", "-C", "c")
    assert text("k").startswith(head)
    blob = text("k.pub").split()[1]
    assert good(THEIRS, "-y", "-f", "k").split()[1] == blob
    good(OURS, "-p", "-m", form, "-P", "", "-N", "secret", "-f", "k")
    assert "ENCRYPTED" in text("k")
    for program in (OURS, THEIRS):
        assert good(program, "-y", "-P", "secret", "-f", "k").split()[1] == blob
    good(OURS, "-p", "-P", "secret", "-N", "", "-f", "k")
    assert text("k").startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


def test_passphrases_and_comments_change():
    good(THEIRS, "-q", "-t", "ed25519", "-N", "first", "-a", "2", "-f", "k", "-C", "one")
    public = text("k.pub")
    assert good(OURS, "-p", "-P", "first", "-N", "second", "-a", "2", "-f", "k") == "Key has comment 'one'\nYour identification has been saved with the new passphrase.\n"
    assert run(OURS, "-p", "-P", "first", "-N", "x", "-f", "k")[::2] == \
        (255, "Failed to load key k: incorrect passphrase supplied to decrypt private key\n")
    assert good(THEIRS, "-y", "-P", "second", "-f", "k") == public
    assert good(OURS, "-c", "-C", "two", "-P", "second", "-a", "2", "-f", "k") == "Old comment: one\nComment 'two' applied\n"
    assert text("k.pub").split()[2] == "two"
    assert good(THEIRS, "-y", "-P", "second", "-f", "k") == text("k.pub")


def test_refusals_are_the_same():
    pathlib.Path("none").write_text("no key at all\n")
    os.chmod("none", 0o600)
    for args in (["-t", "foo", "-f", "n", "-N", ""], ["-t", "rsa", "-b", "1000", "-f", "n", "-N", ""], ["-t", "rsa", "-b", "20000", "-f", "n", "-N", ""],
                 ["-t", "ecdsa", "-b", "300", "-f", "n", "-N", ""], ["-b", "x"], ["-a", "0"], ["-E", "foo", "-l", "-f", "none"], ["-Z", "foo"], ["-m", "foo"],
                 ["-l", "-f", "none"], ["-l", "-f", "missing"], ["-y", "-f", "missing"], ["-p", "-f", "missing"], ["-B", "-f", "missing"],
                 ["-F", "h", "-f", "missing"], ["-R", "h", "-f", "missing"], ["-H", "-f", "missing"], ["-q", "-t", "ed25519", "-N", "", "-f", "no/dir"]):
        assert both(*args)[0] != 0
    assert run(OURS, "-y", "-f", "none")[0] == 255


def test_open_permissions_are_refused():
    good(OURS, "-q", "-t", "ed25519", "-N", "", "-f", "k")
    os.chmod("k", 0o644)
    status, _, err = run(OURS, "-y", "-f", "k")
    assert status == 255 and "UNPROTECTED PRIVATE KEY FILE" in err and "Permissions 0644 for 'k' are too open." in err and "chmod 600 k" in err


def test_words_that_mean_nothing_are_refused():
    status, _, err = run(OURS, "-t", "ed25519", "-O", "nonsense", "-N", "", "-f", "k")
    assert status == 255 and "-O nonsense is not for what is asked here" in err and not os.path.exists("k")
    assert run(OURS, "-l", "-f", "k", "more")[::2] == (1, "Too many arguments.\n")


def test_a_new_key_is_told_and_not_overwritten():
    out = good(OURS, "-t", "ed25519", "-f", "k", "-C", "me", stdin=b"\n\n")
    lines = out.split("\n")
    assert lines[0] == "Generating public/private ed25519 key pair."
    assert lines[1:4] == ["Your identification has been saved in k", "Your public key has been saved in k.pub", "The key fingerprint is:"]
    assert re.fullmatch(r"SHA256:\S{43} me", lines[4])
    assert out.split("image is:\n")[1] == "\n".join(good(THEIRS, "-lv", "-f", "k").split("\n")[1:])
    before = text("k")
    assert run(OURS, "-q", "-t", "ed25519", "-f", "k", "-N", "", stdin=b"n\n")[:2] == (1, "k already exists.\nOverwrite (y/n)? ")
    assert text("k") == before
    good(OURS, "-q", "-t", "ed25519", "-f", "k", "-N", "", stdin=b"y\n")
    assert text("k") != before


def test_passphrases_are_asked_on_the_terminal():
    child = pexpect.spawn(OURS, ["-t", "ed25519", "-f", "k"], encoding="utf-8", timeout=30)
    child.expect_exact("Enter passphrase (empty for no passphrase): ")
    child.sendline("secret one")
    child.expect_exact("Enter same passphrase again: ")
    child.sendline("other")
    child.expect_exact("Passphrases do not match.  Try again.")
    child.expect_exact("Enter passphrase (empty for no passphrase): ")
    child.sendline("secret")
    child.expect_exact("Enter same passphrase again: ")
    child.sendline("secret")
    child.expect_exact("Your identification has been saved in k")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0 and "secret" not in (child.before or "")
    assert good(THEIRS, "-y", "-P", "secret", "-f", "k") == text("k.pub")


@pytest.mark.parametrize("require,phrase", [("force", "secret words"), ("prefer", "secret words"), ("never", "others"), ("", "secret words")])
def test_passphrases_by_askpass(require, phrase, monkeypatch):
    """As Debian's: the program where it is required or there is no terminal, standard input otherwise."""
    script = pathlib.Path("askpass").absolute()
    script.write_text("#!/bin/sh\necho secret words\n", encoding="utf-8")
    script.chmod(0o755)
    for name, value in (("SSH_ASKPASS", str(script)), ("SSH_ASKPASS_REQUIRE", require), ("DISPLAY", ":9")):
        monkeypatch.setenv(name, value)
    for maker, name in ((OURS, "o"), (THEIRS, "d")):
        done = process.run([maker, "-q", "-t", "ed25519", "-f", name], stdin="others\nothers\n")
        assert done.returncode == 0, done.stderr
        good(THEIRS, "-y", "-P", phrase, "-f", name)


def test_host_keys():
    (pathlib.Path("root") / "etc/ssh").mkdir(parents=True)
    etc = subprocess.run(["strings", "-a", OURS], stdout=subprocess.PIPE).stdout.decode()
    conf = next((line for line in etc.split("\n") if re.fullmatch(r"/\S*etc/ssh", line)), "/etc/ssh")
    directory = pathlib.Path("root" + conf)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "ssh_host_rsa_key").write_text("")  # an empty file counts as missing
    assert good(OURS, "-A", "-f", "root") == "ssh-keygen: generating new host keys: RSA ECDSA ED25519 \n"
    assert sorted(p.name for p in directory.iterdir()) == sorted(f"ssh_host_{t}_key{s}" for t in ("rsa", "ecdsa", "ed25519") for s in ("", ".pub"))
    for t in ("rsa", "ecdsa", "ed25519"):
        good(THEIRS, "-y", "-f", str(directory / f"ssh_host_{t}_key"))
    assert good(OURS, "-A", "-f", "root") == ""


@pytest.fixture
def hosts():
    for name in ("a", "b"):
        good(THEIRS, "-q", "-t", "ed25519", "-N", "", "-f", name)
    a, b = (" ".join(text(n + ".pub").split()[:2]) for n in ("a", "b"))
    lines = ["# comment", f"host1,10.0.0.1 {a} com ment", f"@cert-authority host1,*.x {a}", f"@revoked host1 {a}", f"host* {b}", f"Host1 {b}", "",
             f"[host1]:2222 {a}", f"!host1,host* {a}", f"\thost1\t{b}   tail", f"|1|LzMzXzEg6tCcW0dKN1ChsnwnH+g=|Y5KIErDxkVc0gpDJKqe3fHPnDdo= {b}",
             f"host1 {b}"]
    return "\n".join(lines)  # without an end of line


def twice(content, *args):
    """The same operation on the same file by both; gives the answers and the files that are there afterwards."""
    results = []
    for program in (OURS, THEIRS):
        pathlib.Path("kh").write_text(content)
        os.chmod("kh", 0o640)
        pathlib.Path("kh.old").unlink(missing_ok=True)
        answer = run(program, *args, "-f", "kh")
        old = pathlib.Path("kh.old")
        results.append((answer, text("kh"), old.read_text() if old.exists() else None, stat.S_IMODE(os.stat("kh").st_mode)))
    return results


@pytest.mark.parametrize("args", [["-F", "host1"], ["-F", "HOST1"], ["-F", "host1", "-l"], ["-F", "host1", "-lv"], ["-q", "-F", "host1"], ["-F", "none"],
                                  ["-F", "[host1]:2222"], ["-R", "host1"], ["-R", "[host1]:2222"], ["-R", "none"]])
def test_known_hosts(hosts, args):
    ours, theirs = twice(hosts, *args)
    assert ours == theirs
    if args[0] == "-R" and args[1] != "none":
        assert ours[2] == hosts


@pytest.mark.parametrize("args", [["-R", "host1"], ["-H"]])
def test_invalid_known_hosts_are_left_alone(hosts, args):
    ours, theirs = twice(hosts + "\nbad\n", *args)
    assert ours == theirs
    assert ours[0][0] == 1 and ours[1] == hosts + "\nbad\n" and ours[2] is None


def test_known_hosts_are_hashed(hosts):
    def blind(s):
        return re.sub(r"^\|1\|\S+", "|1|", s, flags=re.M)
    ours, theirs = twice(hosts, "-H")
    assert ours[0] == theirs[0] and blind(ours[1]) == blind(theirs[1]) and ours[2:] == theirs[2:]
    pathlib.Path("kh").write_text(ours[1])
    for name in ("host1", "10.0.0.1", "[host1]:2222"):
        assert "found: line" in both("-F", name, "-f", "kh")[1]


def test_lists_of_keys(hosts):
    for t in ("ecdsa", "rsa"):
        make_keys(t + ":" + t)
    content = text("ecdsa.pub") + "# c\nbad bad\nrestrict,command=\"a b\" " + text("rsa.pub") + "host1 " + " ".join(text("a.pub").split()[:2]) + "\n"
    pathlib.Path("list").write_text(content)
    both("-l", "-f", "list")
    both("-lv", "-E", "md5", "-f", "list")
    both("-l", "-f", "-", stdin=content.encode())
    good(THEIRS, "-q", "-s", "a", "-I", "id", "-n", "me", "ecdsa.pub")
    both("-l", "-f", "ecdsa-cert.pub")


def test_certificates_are_printed():
    for t in ("ed25519", "ecdsa", "rsa"):
        make_keys(t + ":" + t)
    pathlib.Path("all").write_text("")
    for t, args in (("ed25519", ["-n", "a,b", "-V", "20200101000000:20300101000000", "-z", "7", "-O", "force-command=x y", "-O", "source-address=::1/128"]),
                    ("ecdsa", ["-h", "-n", "h", "-V", "always:20300101000000", "-O", "clear"]),
                    ("rsa", ["-n", "a", "-O", "clear", "-O", "critical:foo=bar", "-O", "extension:baz@x", "-O", "verify-required"])):
        good(THEIRS, "-q", "-s", "ed25519", "-I", "an id", *args, t + ".pub")
        both("-L", "-f", t + "-cert.pub")
        with open("all", "a") as f:
            f.write(text(t + "-cert.pub"))
    assert both("-L", "-f", "all")[0] == 0
    both("-L", "-f", "-", stdin=text("all").encode())
    assert both("-L", "-f", "rsa.pub")[0] == 1


@pytest.mark.parametrize("type_", ["ed25519", "ecdsa", "rsa"])
def test_sshfp_records(type_):
    make_keys(type_ + ":k")
    both("-r", "host.example", "-f", "k")
    both("-r", "host.example", "-g", "-f", "k.pub")
    assert both("-r", "host.example", "-f", "missing")[0] == 255
