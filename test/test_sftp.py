"""Our sftp beside Debian's, as a script and at a terminal; with our sftp-server and Debian's, over pipes and over ssh."""
import os
import shlex
import signal
import stat
import subprocess
import sys

import pexpect
import pytest

from lib import process, programs
from lib.marks import needs_ours, needs_peer

pytestmark = [needs_ours(programs.SFTP), needs_ours(programs.SFTP_SERVER)]
THEIRS = programs.peer("sftp-server")
PROMPT = "sftp> "


@pytest.fixture(params=["ours", "debian"])
def server(request):
    if request.param == "debian" and not THEIRS:
        pytest.skip("no sftp-server of another make here")
    return programs.SFTP_SERVER if request.param == "ours" else THEIRS


def sftp(cwd, server, *flags, lines=(), program=None, **options):
    """A script on standard input."""
    text = "".join(line + "\n" for line in lines)
    return process.run([program or programs.SFTP, *flags, "-D", server], stdin=text, cwd=cwd, **options)


def batch(cwd, server, *lines, flags=()):
    done = sftp(cwd, server, "-b", "-", *flags, lines=lines)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write(*path, data=b"x\n"):
    with open(os.path.join(*path), "wb") as f:
        f.write(data)
    return os.path.join(*path)


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


class Typed:
    """sftp at a terminal."""

    def __init__(self, cwd, server, *flags, program=None, columns=80, env=None):
        self.p = pexpect.spawn(program or programs.SFTP, [*flags, "-D", server], cwd=cwd, timeout=20, dimensions=(24, columns),
                               env={**os.environ, "TERM": "vt100", "LC_ALL": "C.UTF-8", "HOME": cwd, **(env or {})})
        self.p.expect_exact(PROMPT)

    def __call__(self, line):
        """What comes of a line."""
        self.p.send(line + "\n")
        self.p.expect_exact("\n")
        self.p.expect_exact(PROMPT)
        return self.p.before.decode().replace("\r", "")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.close(force=True)


# ---- the same words as Debian's ----

SCRIPT = """pwd
@lpwd
-rm missing
@-rm missing
-@rm m*ssing
# comment

version
ls -l
ls -1
ls -1r d
ls d
ls -la d
ls -1S
ls -lh big
ls -f missing
ls mis*
cd missing
cd file
cd d
pwd
cd
lcd missing
lcd d
lpwd
lcd ..
mkdir made
mkdir made
mkdir "q uo'te"
mkdir d\\*
ls -1
rmdir made
rmdir made
rename file moved
rename missing x
rename moved file
ln file hard
ln missing x
ln -s file soft
symlink file soft
chmod 600 file
chmod 9 file
chmod
chmod 644 f*
get
get -Z file
get missing
get file copy
get f* d
get d
get f* file
get "mis*"
put
put file d/up
put missing
put d nowhere
put f* d
put file nowhere/at/all
rename a
cp file file2
cp missing x
lumask 22
lumask x
lmkdir made
lmkdir made
!echo hello
!exit 3
lls made
progress
nonsense
ls "open
rm d*/up
bye
pwd"""


@needs_peer("sftp")
@pytest.mark.parametrize("flags", [[], ["-b", "-"]], ids=["plain", "batch"])
def test_same_words_as_debian(workdir, server, flags):
    said = []
    for program in (programs.peer("sftp"), programs.SFTP):
        here = os.path.join(workdir, "here")
        os.makedirs(here + "/d")
        for name, data in (("file", b"one\n"), ("file3", b"three\n"), ("big", bytes(2000)), ("d/inner", b""), ("d/.dot", b"")):
            os.utime(write(here, name, data=data), (1000000000, 1000000000))
        os.utime(here + "/d", (1000000000, 1000000000))
        lines = SCRIPT.split("\n")
        if flags:
            lines = [line if line[:1] in ("@", "-", "#") else "-" + line for line in lines]
        done = sftp(here, server, *flags, lines=lines, program=program)
        assert done.returncode == 0
        said.append((done.stdout, [line.replace("\\", "") for line in done.stderr.replace("\r", "").split("\n")
                                   if "Attached" not in line and "not a regular file" not in line]))
        process.run(["rm", "-rf", here])
    assert said[1] == said[0]


def test_exit_statuses(workdir, server):
    assert sftp(workdir, server, lines=["rm missing"]).returncode == 0
    assert sftp(workdir, server, "-b", "-", lines=["-rm missing", "nonsense", "pwd"]).returncode == 1
    stopped = sftp(workdir, server, "-b", "-", lines=["rm missing", "pwd"])
    assert stopped.returncode == 1 and "Remote working" not in stopped.stdout
    assert sftp(workdir, "/nonexistent").returncode == 255
    assert process.run([programs.SFTP, "-b", "/nonexistent", "-D", server]).returncode == 255
    assert process.run([programs.SFTP]).returncode == 1
    lost = sftp(workdir, "sh -c " + shlex.quote("echo $$ > pid; exec " + server), lines=["!kill -9 $(cat pid)", "ls", "pwd"])
    assert lost.returncode == 255 and "Connection closed" in lost.stderr
    noise = sftp(workdir, "echo This is no server")
    assert noise.returncode == 255 and "Ensure the remote shell" in noise.stderr


@pytest.mark.parametrize("flags, status, said", [
    (["-1"], 255, "SSH protocol v.1"), (["-P", "0"], 255, "Bad port"), (["-B", "0"], 255, "Invalid buffer size"), (["-R", "x"], 255, "Invalid number of requests"),
    (["-X", "x=1"], 255, "Invalid -X option"), (["-l", "0"], 1, "usage:"), (["-Z"], 1, "unknown option -- Z"), (["-b"], 1, "requires an argument"),
    (["-h"], 1, "usage:"), (["a", "b", "c"], 1, "usage:"), (["sftp://h:x"], 1, "usage:"), (["@h"], 1, "usage:")])
def test_bad_flags(flags, status, said):
    done = process.run([programs.SFTP, *flags])
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr


# ---- what ssh is started with ----

def started_with(workdir, *flags):
    script = write(workdir, "ssh", data=b'#!/bin/sh\nfor a in "$@"; do printf "%s\\n" "$a"; done > args\n')
    os.chmod(script, 0o755)
    process.run([programs.SFTP, "-S", script, *flags], cwd=workdir)
    return read(workdir, "args").decode().split("\n")[:-1]


FIRST = ["-oForwardX11 no", "-oPermitLocalCommand no", "-oClearAllForwardings yes"]
LAST = ["-oControlMaster no", "-oForwardAgent no"]


@pytest.mark.parametrize("flags, middle, last", [
    (["u@h"], [], ["-l", "u", "-s", "--", "h", "sftp"]),
    (["-4ACqv", "-c", "x", "-F", "f", "-i", "k", "-J", "j", "-o", "A=b", "u@h:p"],
     ["-4", "-A", "-C", "-q", "-v", "-c", "x", "-F", "f", "-i", "k", "-J", "j", "-o", "A=b"], ["-l", "u", "-s", "--", "h", "sftp"]),
    (["-P", "99", "h"], [], ["-oPort 99", "-s", "--", "h", "sftp"]),
    (["sftp://u@[::1]:77/x"], [], ["-oPort 77", "-l", "u", "-s", "--", "::1", "sftp"]),
    (["-s", "/usr/x", "h"], [], ["--", "h", "/usr/x"]),
    (["-s", "other", "h"], [], ["-s", "--", "h", "other"]),
    (["-b", "/dev/null", "h"], ["-obatchmode yes"], ["-s", "--", "h", "sftp"])])
def test_arguments_of_ssh(workdir, flags, middle, last):
    assert started_with(workdir, *flags) == FIRST + middle + LAST + last


# ---- moving files ----

ODD = [b"sp ace", b"st*r", b"q?", b"[x]", b"quo'te\"", b"back\\slash", b"-dash", b"new\nline", b"esc\x1b[31m", b"h\xc3\xa9", b"raw\xff", b"#"]


def quoted(name):
    return '"%s"' % name.replace("\\", "\\\\").replace('"', '\\"')


def test_odd_names(workdir, server):
    """All but a newline can be said; by a pattern that one too. None reaches the output as it is."""
    source, there, back = (os.path.join(workdir, d).encode() for d in ("source", "there", "back"))
    for folder in (source, there, back):
        os.mkdir(folder)
    lines = []
    for name in ODD:
        write(source, name, data=name)
        if b"\n" not in name:
            lines.append(b"put -- %s %s" % (os.fsencode(quoted(os.fsdecode(name))), there))
    lines += [b"put new* " + there, b"lcd " + back, b"cd " + there, b"get *", b"ls", b"ls -l"]
    done = process.run([programs.SFTP, "-N", "-b", "-", "-D", server], stdin=b"\n".join(lines) + b"\n", cwd=source, text=False)
    assert done.returncode == 0, done.stderr
    assert {name: read(back, name) for name in os.listdir(back)} == {name: name for name in ODD}
    outputs = done.stdout.replace(os.fsencode("raw\udcff\" "), b"").split(b"sftp> lcd", 1)[1]
    assert b"\x1b" not in outputs and b"\xff" not in outputs and b"esc\\033[31m" in outputs and b"raw\\377" in outputs


def make_tree(path):
    os.makedirs(path + "/a/b")
    os.mkdir(path + "/empty")
    for n in range(150):
        write(path, "a", str(n), data=b"%d\n" % n)
    write(path, "a/b/big", data=os.urandom(700_000))
    os.chmod(path + "/a/7", 0o640)
    for name in ("a/7", "a/b/big", "a/b", "empty"):
        os.utime(os.path.join(path, name), (1_000_000_000, 1_100_000_000))


def listing(path):
    found = []
    for root, folders, files in os.walk(path):
        for name in folders + files:
            full = os.path.join(root, name)
            st = os.stat(full)
            found.append((os.path.relpath(full, path), stat.S_IMODE(st.st_mode), int(st.st_mtime), None if stat.S_ISDIR(st.st_mode) else read(full)))
    return sorted(found)


def test_trees(workdir, server):
    make_tree(workdir + "/tree")
    os.utime(workdir + "/tree/a", (1_000_000_000, 1_000_000_000))
    batch(workdir, server, "put -Rp tree there", "get -rp there back", "mkdir into", "put -pr tree into", "get -Pr into from", flags=["-f"])
    for copy in ("there", "back", "into/tree", "from/tree"):
        assert listing(workdir + "/" + copy) == listing(workdir + "/tree"), copy
    assert sftp(workdir, server, "-b", "-", lines=["get tree other"]).returncode == 1
    assert not os.path.exists(workdir + "/other")
    batch(workdir, server, "get tree other", flags=["-r"])
    assert len(os.listdir(workdir + "/other/a")) == 151


def test_two_files_of_one_name(workdir, server):
    """They come one after the other, and do not mix."""
    for folder in "abc":
        os.mkdir(workdir + "/" + folder)
        write(workdir, folder, "same", data=folder.encode() * 400_000)
    os.mkdir(workdir + "/to")
    batch(workdir, server, "get ?/same to")
    assert read(workdir, "to/same") == b"c" * 400_000


@pytest.mark.parametrize("direction", ["get", "put"])
def test_resume_after_a_kill(workdir, server, direction):
    """The server dies in the middle: status 255, a beginning of the file, and the rest of it by reget or reput."""
    data = os.urandom(12_000_000)
    write(workdir, "whole", data=data)
    argv = [programs.SFTP, "-l", "40000", "-B", "16384", "-b", "-", "-D", "sh -c " + shlex.quote("echo $$ > pid; exec " + server)]
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=workdir)
    p.stdin.write(b"%s whole part\n" % direction.encode())
    p.stdin.close()
    part = workdir + "/part"
    process.wait_until(lambda: os.path.exists(part) and os.path.getsize(part) > 500_000, "some of the file")
    os.kill(int(read(workdir, "pid")), signal.SIGKILL)
    said = p.stderr.read()
    assert p.wait(20) == 255 and b"Connection closed" in said
    assert 0 < os.path.getsize(part) < len(data) and data.startswith(read(part))
    batch(workdir, server, "re%s whole part" % direction)
    assert read(part) == data
    write(part, data=b"something else")
    other = sftp(workdir, server, "-b", "-", "-a", lines=["%s whole part" % direction])
    assert other.returncode == 1 and "differs" in other.stderr and read(part) == b"something else"


@pytest.mark.parametrize("refused, lines", [
    ("realpath,stat,lstat,open,read,close", ["get file copy", "get file d", "get -p file copy2"]),
    ("realpath,stat,lstat,open,write,close", ["put file copy", "put f*e d"]),
    ("realpath,stat,lstat,opendir,readdir,close", ["ls -ln", "ls -l d", "ls d", "ls file"])], ids=["get", "put", "ls"])
def test_restricted_server(workdir, server, refused, lines):
    """A server that allows nothing else is enough."""
    write(workdir, "file", data=b"content")
    os.truncate(workdir + "/file", 3_000_000)
    os.mkdir(workdir + "/d")
    batch(workdir, server + " -p " + refused, *lines)
    for name in ("copy", "d/file"):
        assert "ls -ln" in lines or read(workdir, name) == read(workdir, "file")


def test_server_side(workdir, server):
    """Commands that a server may or may not have."""
    write(workdir, "file", data=b"content")
    os.symlink("nowhere", workdir + "/soft")
    out = batch(workdir, server, "cp file copy", "-cp copy copy", "df", "df -h .", "df -i", "chmod -h 700 copy", "chown %d copy" % os.getuid(),
                "chgrp -h %d soft" % os.getgid(), "rename -l copy moved", "rename moved file")
    assert read(workdir, "file") == b"content" and not os.path.exists(workdir + "/copy")
    assert "%Capacity" in out
    few = [programs.SFTP, "-b", "-", "-D", server + " -P copy-data,hardlink,statvfs,lsetstat"]
    for line in ("cp file x", "ln file x", "df", "chmod -h 600 file"):
        done = process.run(few, stdin=line + "\n", cwd=workdir)
        assert done.returncode == 1 and ("not support" in done.stderr or "Permission denied" in done.stderr), done.stderr


# ---- destinations, over ssh ----

@pytest.mark.parametrize("kind", ["our_sshd", "debian_sshd"])
@pytest.mark.parametrize("program", ["ours", "debian"])
def test_over_ssh(request, kind, program, our_ssh, workdir):
    """Our sftp over our ssh; Debian's over ours, too."""
    if program == "debian" and not programs.peer("sftp"):
        pytest.skip("no sftp of another make here")
    client = our_ssh(request.getfixturevalue(kind)())
    data = os.urandom(3_000_000)
    write(workdir, "up", data=data)
    argv = [programs.SFTP] if program == "ours" else [programs.peer("sftp"), "-S", programs.SSH]
    argv += ["-F", client.config]
    done = process.run([*argv, "-b", "-", "test"], stdin="put up down\nls -l down\nget down back\nmkdir dir\nrename down dir/f\n", cwd=workdir)
    assert done.returncode == 0, done.stderr
    assert read(workdir, "back") == data
    fetched = process.run([*argv, "test:dir/f", "got"], cwd=workdir)
    assert fetched.returncode == 0 and read(workdir, "got") == data
    there = process.run([*argv, "-b", "-", "sftp://test/dir"], stdin="pwd\nrm f\ncd ..\nrmdir dir\n", cwd=workdir)
    assert there.returncode == 0, there.stderr
    assert process.run([*argv, "test:missing", "x"], cwd=workdir).returncode == 1


# ---- at a terminal ----

def test_completion(workdir, server):
    os.makedirs(workdir + "/remote dir/inner")
    write(workdir, "remote dir/one file")
    write(workdir, "loc'al")
    with Typed(workdir, server) as t:
        assert t("rena\tx y").startswith("remote rename")
        assert t("ls -1 rem\tone\t") == "remote dir/one file\n"
        assert t("ls -1 \"remote dir/on\t") == "remote dir/one file\n"
        assert "inner" in t("ls -1 rem\tin\t\t..")
        assert "Uploading loc'al to" in t("put -p loc\t")
        t.p.send("pr\t")
        t.p.expect_exact("ogress")
        t.p.send("\x15p\t")
        t.p.expect("put +pwd")
        t.p.expect_exact(PROMPT + "p")
        t.p.send("\x03")
        t.p.expect_exact(PROMPT)
        assert "Remote working directory" in t("pwd")
        assert "Remote working directory" in t("\x1b[A")  # history


def test_columns_follow_the_width(workdir, server):
    for name in ("h\u00e9h\u00e9", "\u6f22\u5b57", "plain", "esc\x1b[m"):
        write(workdir, name)
    write(workdir, ".hidden")
    with Typed(workdir, server, columns=40) as t:
        wide = t("ls")
        assert wide == "esc\\033[m    h\u00e9h\u00e9         plain        \n\u6f22\u5b57         \n"
        assert "\x1b" not in wide and "\\033" in wide
        t.p.setwinsize(24, 15)
        assert len(t("ls").strip().split("\n")) == 4


@pytest.mark.parametrize("direction", ["get", "put"])
def test_interrupt(workdir, server, direction):
    """What is there is a beginning, as long as the message says; the connection goes on."""
    data = os.urandom(30_000_000)
    write(workdir, "from", data=data)
    with Typed(workdir, server, "-l", "80000", "-B", "32768") as t:
        t.p.send("%s from to\n" % direction)
        t.p.expect_exact("--:-- ETA")
        process.wait_until(lambda: os.path.exists(workdir + "/to") and os.path.getsize(workdir + "/to") > 100_000, "some of the file")
        t.p.send("\x03")
        t.p.expect(r"has the first (\d+) of 30000000 bytes")
        size = int(t.p.match.group(1))
        t.p.expect_exact(PROMPT)
        assert "Remote working directory" in t("pwd")
        assert os.path.getsize(workdir + "/to") == size and data.startswith(read(workdir, "to"))
    batch(workdir, server, "re%s from to" % direction)
    assert read(workdir, "to") == data


def test_meter(workdir, server):
    write(workdir, "one", data=bytes(1000))
    os.mkdir(workdir + "/many")
    for n in range(5):
        write(workdir, "many", "f%d" % n)
    with Typed(workdir, server, columns=60) as t:
        assert "\none                       100% 1000 " in t("get one copy").replace("ETA", "ETA\n")
        many = t("get many/* /tmp/../dev/null") + t("get -r many copies")
        assert many.count("100%    2  ") >= 5 and "of 5 files" in many
        assert t("progress") == "Progress meter disabled\n"
        assert "%" not in t("get one copy")


def test_connection_lost_at_the_prompt(workdir, server):
    with Typed(workdir, "sh -c " + shlex.quote("echo $$ > pid; exec " + server)) as t:
        os.kill(int(read(workdir, "pid")), signal.SIGKILL)
        t.p.expect_exact("Connection closed")
        t.p.expect(pexpect.EOF)
        t.p.wait()
        assert t.p.exitstatus == 255


# ---- a server that cannot be believed ----

HOSTILE = r'''
import struct, sys
u32 = lambda n: struct.pack(">I", n)
s = lambda b: u32(len(b)) + b
def get(n): return sys.stdin.buffer.read(n)
def put(b): sys.stdout.buffer.write(u32(len(b)) + b); sys.stdout.buffer.flush()
listed = False
while True:
    head = get(4)
    if len(head) < 4: break
    p = get(struct.unpack(">I", head)[0])
    kind, i = p[0], p[1:5]
    if kind == 1: put(b"\x02" + u32(3))
    elif kind == 16: put(b"\x68" + i + u32(1) + s(b"/\x1b[31mroot") + s(b"") + u32(0))
    elif kind in (7, 17): put(b"\x69" + i + u32(4) + u32(0o40755))
    elif kind == 11: listed = False; put(b"\x66" + i + s(b"h"))
    elif kind == 12 and not listed:
        listed = True
        names = [b"../escape", b"..", b"", b"/etc/x", b"evil\x1b]0;title\x07"]
        put(b"\x68" + i + u32(len(names)) + b"".join(s(n) + s(b"-rw \x1b[2J " + n) + u32(4) + u32(0o100644) for n in names))
    elif kind == 12: put(b"\x65" + i + u32(1) + s(b"\x1b[1m") + s(b""))
    elif kind == 3: put(b"\x66" + i + s(b"h"))
    elif kind == 5: put(b"\x65" + i + u32(1) + s(b"") + s(b""))
    else: put(b"\x65" + i + u32(0) + s(b"") + s(b""))
'''


def test_hostile_server(workdir):
    """Nothing is written outside of what was asked for, and nothing raw comes to the terminal."""
    os.mkdir(workdir + "/in")
    write(workdir, "server.py", data=HOSTILE.encode())
    server = "%s %s/server.py" % (sys.executable, workdir)
    done = sftp(workdir + "/in", server, lines=["pwd", "ls", "ls -l", "ls -la", "get *", "get -r x", "cd y", "pwd"])
    said = done.stdout + done.stderr
    assert "\x1b" not in said and "\x07" not in said
    assert "evil\\033" in said
    assert sorted(os.listdir(workdir)) == ["in", "server.py"]
    assert set(os.listdir(workdir + "/in")) <= {"evil\x1b]0;title\x07", "x"}
