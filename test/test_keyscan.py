"""ssh-keyscan: the same lines as Debian's of the same servers, honest about those that answer badly or not at all, and many at once."""
import asyncio
import contextlib
import os
import re
import threading
import time

import pytest

from lib import process, programs, server
from lib.marks import needs_localhost

pytestmark = pytest.mark.skipif(not programs.has(programs.KEYSCAN), reason="ssh-keyscan is not built")
THEIRS = programs.peer("ssh-keyscan")


def scan(*args, program=programs.KEYSCAN, **options):
    """Status, lines of stdout and of stderr, sorted: they come as hosts answer."""
    done = process.run([program, *args], **options)
    return done.returncode, sorted(done.stdout.splitlines()), sorted(done.stderr.splitlines())


def both(*args, **options):
    """What both say alike."""
    mine = scan(*args, **options)
    if THEIRS:
        assert mine == scan(*args, program=THEIRS, **options)
    return mine


@contextlib.contextmanager
def listener(answer, host="127.0.0.1", close=True):
    """Says answer to everybody who connects. Gives the port."""
    loop = asyncio.new_event_loop()
    port = server.free_port()
    kept = []

    async def on_client(reader, writer):
        kept.append(writer)
        try:
            writer.write(answer)
            await writer.drain()
            if close:
                await reader.read(1)
                writer.close()
        except OSError:
            pass

    async def end():
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        loop.stop()

    loop.run_until_complete(asyncio.start_server(on_client, host, port, backlog=4096))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield port
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop)
        thread.join()
        loop.close()


@needs_localhost
def test_same_as_debian(debian_sshd, workdir):
    one = debian_sshd()
    port = ["-p", str(one.port)]
    for args in (["127.0.0.1"], ["-t", "rsa", "127.0.0.1", "localhost"], ["-t", "ecdsa,ed25519", "127.0.0.1,Alias,other"], ["-D", "-t", "ed25519", "127.0.0.1,alias"],
                 ["-t", "ed25519", "127.0.0.0/30"], ["-t", "ecdsa-sk", "127.0.0.1"], ["-t", "ecdsa", "-t", "rsa", "127.0.0.1"]):
        status, out, err = both(*port, *args)
        assert err and (out or "ecdsa-sk" in args)
        assert status == (0 if out else 1)
    hosts = os.path.join(workdir, "hosts")
    with open(hosts, "w", encoding="utf-8") as f:
        f.write("# a comment\n\n127.0.0.1 n1,n2\n  localhost\n127.0.0.1/32\n")
    status, out, _ = both(*port, "-t", "ed25519", "-f", hosts)
    assert len(out) == 4
    with open(hosts, encoding="utf-8") as f:
        assert both(*port, "-t", "ed25519", "-f", "-", stdin=f.read())[1] == out
    assert scan(*port, "-q", "127.0.0.1")[2] == []


def test_what_is_printed_is_known(our_sshd, keys):
    one = our_sshd()
    status, out, _ = scan("-p", str(one.port), "127.0.0.1")
    assert status == 0 and out == sorted(one.known_hosts_lines())
    status, out, _ = scan("-H", "-p", str(one.port), "127.0.0.1,other")
    assert len(out) == 6 and all(line.startswith("|1|") for line in out)
    for name in ("127.0.0.1", "other"):
        done = process.run([programs.peer("ssh-keygen"), "-F", "[%s]:%d" % (name, one.port), "-f", "/dev/stdin"], stdin="\n".join(out) + "\n")
        assert len(re.findall("^[|]1[|]", done.stdout, re.M)) == 3
    for hash_, number in (("sha1", "1"), ("sha256", "2")):
        _, out, _ = scan("-D", "-O", "hashalg=" + hash_, "-p", str(one.port), "127.0.0.1")
        assert len(out) == 3 and all(line.split()[4] == number for line in out)


def test_certificates(debian_sshd, keys, workdir):
    host = os.path.join(workdir, "host")
    process.run([programs.peer("ssh-keygen"), "-q", "-t", "ecdsa", "-N", "", "-f", host])
    process.run([programs.peer("ssh-keygen"), "-q", "-s", keys.user["ed25519"], "-I", "h", "-h", "-n", "x", host + ".pub"])
    one = debian_sshd(["HostKey " + host, "HostCertificate %s-cert.pub" % host])
    _, out, _ = both("-c", "-p", str(one.port), "127.0.0.1")
    assert len(out) == 1 and out[0].startswith("ecdsa-sha2-nistp256-cert-v01@openssh.com AAAA")


def test_dropbear(dropbear):
    one = dropbear()
    status, out, err = scan("-p", str(one.port), "-t", "rsa,ed25519", "127.0.0.1")
    assert status == 0 and out == one.known_hosts_lines() and "dropbear" in err[0]


@pytest.mark.parametrize("answer,close,banner,why", [
    (b"", True, False, "Connection reset|closed"), (b"", False, False, "nothing was heard for 1 s"), (b"garbage\r\n" * 2000, False, False, "identification"),
    (b"\x1b[2Jfoo\r\nSSH-2.0-\x1b[2Jx\r\n", True, True, ""), (b"SSH-1.5-old\r\n", False, False, "version"), (b"SSH-2.0-x\r\n" + b"\xff" * 100, False, True, "length"),
    (b"SSH-2.0-x\r\n", False, True, "nothing was heard"), (b"\0" * 100000, False, False, "")],
    ids=["closes", "silent", "garbage", "escapes", "version1", "packet", "banner", "zeros"])
def test_bad_peers(answer, close, banner, why):
    with listener(answer, close=close) as port:
        begin = time.monotonic()
        done = process.run([programs.KEYSCAN, "-v", "-T", "1", "-t", "ed25519", "-p", str(port), "127.0.0.1"])
        assert time.monotonic() - begin < 3
        assert done.returncode == 1 and done.stdout == "" and "\x1b" not in done.stderr
        assert bool(re.search(r"^# 127\.0\.0\.1:%d SSH-2\.0-" % port, done.stderr, re.M)) == banner
        assert re.search(why, done.stderr)


def test_a_bad_host_does_not_stop_the_others(our_sshd):
    one = our_sshd()
    with listener(b"", close=False, host="127.0.0.2") as port:
        done = process.run([programs.KEYSCAN, "-T", "1", "-p", str(port), "-t", "rsa", "127.0.0.2"])
        assert done.returncode == 1 and done.stderr == ""
    status, out, _ = scan("-p", str(one.port), "-t", "rsa", "no.such.host.invalid", "127.0.0.3", "127.0.0.1")
    assert status == 0 and len(out) == 1


@pytest.mark.parametrize("args,status,said", [
    ([], 1, "usage:"), (["-z"], 1, "unknown option -- z"), (["-t", "foo", "h"], 255, 'Unknown key type "foo"'), (["-p", "xx", "h"], 1, "Bad port 'xx'"),
    (["-T", "0", "h"], 1, "Bad timeout '0'"), (["-f", "/nonexistent"], 255, "ssh-keyscan: /nonexistent: No such file or directory"),
    (["-O", "hashalg=md5", "h"], 255, "Unsupported hash algorithm"), (["-O", "x", "h"], 255, "Unsupported option"),
    (["-6", "127.0.0.1"], 1, "getaddrinfo 127.0.0.1: "), (["-t", "dsa", "-p", "1", "127.0.0.1"], 1, "DSA")])
def test_mistakes(args, status, said):
    done = process.run([programs.KEYSCAN, *args])
    assert done.returncode == status and said in done.stderr


def test_few_descriptors(our_sshd):
    one = our_sshd()
    done = process.run(["sh", "-c", 'ulimit -n 40; exec "$@"', "sh", programs.KEYSCAN, "-p", str(one.port), "-t", "rsa,ed25519", *["127.0.0.1"] * 20])
    assert done.returncode == 0 and done.stdout.count("\n") == 40


def test_a_thousand_at_once():
    """All of a range answer and none is missed. (Debian's takes 24 s for these.)"""
    begin = time.monotonic()
    with listener(b"SSH-2.0-many\r\n", host="0.0.0.0") as port:
        _, _, err = scan("-p", str(port), "-t", "ed25519", "127.1.0.0/22")
        assert len(err) == len(set(err)) == 1024
    assert time.monotonic() - begin < 10
