"""scp: both protocols, all directions, with our server and those of others; its words beside Debian's."""
import os
import re
import shutil
import signal
import stat
import subprocess
import sys

import pytest

from lib import process, programs

SCP = programs.ours("scp", "scp")
THEIRS = programs.peer("scp")
EVERY_BYTE = bytes(b for b in range(1, 256) if b not in b"/\n")

needs_theirs = pytest.mark.skipif(not THEIRS, reason="no scp of another make here")

# In place of ssh: the command, or the SFTP server, here, in the folder "there".
LOCAL_SSH = """#!/bin/sh
sub=
while [ $# -gt 0 ]; do
    case "$1" in
    -l|-p|-c|-i|-F|-J|-o) shift 2 ;;
    -s) sub=1; shift ;;
    --) shift; break ;;
    *) shift ;;
    esac
done
shift
cd "%(there)s" || exit 9
[ -z "$sub" ] || exec %(server)s
PATH=%(path)s:$PATH exec sh -c "$*"
"""
# The same, but it only writes down how it was called.
NOTING_SSH = """#!/bin/sh
printf '%%s|' "$@" >> %(log)s; echo >> %(log)s
exit 3
"""


def script(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, 0o755)
    return path


def make_tree(top):
    """A tree with names, modes, times and sizes of all kinds."""
    names = [b"plain", b" sp ace ", b"-dash", b"*?[x]", b"\xff\xfe bytes", "ünï".encode(), b"'quote\"", b"back\\slash", b"$HOME `x`", b";&|<>"]
    os.makedirs(os.path.join(top, b"deep/er/empty"))
    for n, name in enumerate(names):
        with open(os.path.join(top, b"deep", name), "wb") as f:
            f.write(name * (n * 700))
    for name, size in ((b"big", 3 << 20), (b"none", 0), (EVERY_BYTE[:200], 5), (EVERY_BYTE[200:], 5)):
        with open(os.path.join(top, name), "wb") as f:
            f.write(os.urandom(size))
    os.symlink(b"big", os.path.join(top, b"link"))
    os.chmod(os.path.join(top, b"deep/plain"), 0o640)
    os.chmod(os.path.join(top, b"deep/er"), 0o750)
    for name in (b"big", b"deep/plain", b"deep/er"):
        os.utime(os.path.join(top, name), (1000000, 1234567))


def contents(top, with_times=True):
    """Everything below, links followed."""
    found = {}
    for path, dirs, files in os.walk(top, followlinks=True):
        for name in dirs + files:
            if not os.path.exists(os.path.join(path, name)):
                continue
            st = os.stat(os.path.join(path, name))
            data = None if stat.S_ISDIR(st.st_mode) else open(os.path.join(path, name), "rb").read()
            key = os.path.relpath(os.path.join(path, name), top)
            found[key] = (data, stat.S_IMODE(st.st_mode), int(st.st_mtime)) if with_times else data
    return found


@pytest.fixture
def places(workdir):
    """here and there, for copies without a network; ssh() makes what stands in for ssh."""

    class Places:
        here, there = os.path.join(workdir, "here"), os.path.join(workdir, "there")

        def __init__(self):
            os.mkdir(self.here)
            os.mkdir(self.there)

        def ssh(self, path=os.path.dirname(SCP)):
            return script(os.path.join(workdir, "ssh.%s" % path.replace("/", "_")), LOCAL_SSH % {"there": self.there, "server": programs.SFTP_SERVER, "path": path})

        def run(self, *args, program=SCP, ssh=None):
            return process.run([program, "-S", ssh or self.ssh(), *args], cwd=self.here, timeout=20)

    return Places()


# ---- over ssh ----


class Far:
    """A server, and the folder there that copies go to; clients of ours."""

    def __init__(self, server, client, folder, login):
        self.server, self.client, self.folder = server, client, folder
        os.mkdir(folder)
        os.chown(folder, login.pw_uid, login.pw_gid)

    def scp(self, *args, program=SCP, flags=()):
        return process.run([program, "-F", self.client.config, *flags, *args])

    def at(self, path=""):
        return "test:%s/%s" % (self.folder, path)


@pytest.fixture
def far(request, workdir, login, our_ssh):
    """With ours, the scp there is ours too."""
    start = request.getfixturevalue({"ours": "our_sshd", "debian": "debian_sshd", "dropbear": "dropbear"}[request.param])
    server = start(["SetEnv PATH=%s:/usr/bin:/bin" % os.path.dirname(SCP)]) if request.param == "ours" else start()
    client = our_ssh(server, ["LogLevel ERROR"])
    one = Far(server, client, os.path.join(workdir, "far"), login)
    if request.param != "ours" and not THEIRS:
        pytest.skip("no scp of another make for that server")
    return one


@pytest.mark.parametrize("far, flags", [("ours", ["-rp"]), ("ours", ["-rpO"]), ("debian", ["-rp"]), ("debian", ["-rpO"]), ("dropbear", ["-rpO"])],
                         indirect=["far"])
def test_trees_both_ways(far, workdir, flags):
    tree, back = os.path.join(workdir, "tree"), os.path.join(workdir, "back")
    make_tree(tree.encode())
    done = far.scp(tree, far.at("copy"), flags=flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(os.path.join(far.folder, "copy")) == contents(tree)
    done = far.scp(far.at("copy"), back, flags=flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(back) == contents(tree)
    assert os.stat(os.path.join(far.folder, "copy/deep/er")).st_mtime == 1234567


def test_several_files_over_one_connection(our_sshd, our_ssh, workdir, login):
    server = our_sshd(["LogLevel VERBOSE"])
    far = Far(server, our_ssh(server), os.path.join(workdir, "far"), login)
    names = ["one", "two", "three"]
    for name in names:
        with open(os.path.join(far.folder, name), "w", encoding="utf-8") as f:
            f.write(name)
    for way in (["-q"], ["-O", "-q"]):
        target = os.path.join(workdir, "to" + way[0])
        os.mkdir(target)
        done = far.scp(*[far.at(name) for name in names], target, flags=way)
        assert (done.returncode, done.stderr) == (0, "")
        assert contents(target, False) == {name: name.encode() for name in names}
    assert len(server.log.find("Accepted publickey")) == 1 + len(names)


@needs_theirs
def test_theirs_with_our_server_and_our_scp(our_sshd, debian_ssh, workdir, login):
    server = our_sshd(["SetEnv PATH=%s:/usr/bin:/bin" % os.path.dirname(SCP)])
    far = Far(server, debian_ssh(server), os.path.join(workdir, "far"), login)
    tree, back = os.path.join(workdir, "tree"), os.path.join(workdir, "back")
    make_tree(tree.encode())
    for flags in (["-rp"], ["-rp", "-O"]):
        process.run(["rm", "-rf", far.folder + "/copy", back])
        done = far.scp(tree, far.at("copy"), program=THEIRS, flags=flags)
        assert (done.returncode, done.stderr) == (0, "")
        done = far.scp(far.at("copy"), back, program=THEIRS, flags=flags)
        assert (done.returncode, done.stderr) == (0, "")
        assert contents(back) == contents(tree)


@pytest.mark.skipif(not programs.peer("pscp"), reason="no pscp here")
@pytest.mark.parametrize("protocol", ["-scp", "-sftp"])
def test_pscp(our_sshd, workdir, login, keys, protocol):
    server = our_sshd(["SetEnv PATH=%s:/usr/bin:/bin" % os.path.dirname(SCP)])
    folder, key = os.path.join(workdir, "far"), os.path.join(workdir, "key.ppk")
    os.mkdir(folder)
    os.chown(folder, login.pw_uid, login.pw_gid)
    done = process.run([programs.peer("puttygen"), keys.user["ed25519"], "-o", key, "-O", "private"])
    assert done.returncode == 0, done.stderr
    with open(keys.host["ed25519"] + ".pub", encoding="utf-8") as f:
        blob = f.read().split()[1]
    fingerprint = process.run([programs.KEYGEN, "-lf", keys.host["ed25519"] + ".pub"]).stdout.split()[1]
    assert blob
    base = [programs.peer("pscp"), "-batch", "-q", protocol, "-P", str(server.port), "-i", key, "-hostkey", fingerprint]
    source, back = os.path.join(workdir, "source"), os.path.join(workdir, "back")
    with open(source, "wb") as f:
        f.write(os.urandom(100000))
    env = {**os.environ, "HOME": workdir}
    done = process.run([*base, "-p", source, "%s@127.0.0.1:%s/copy" % (login.pw_name, folder)], env=env)
    assert done.returncode == 0, done.stderr
    done = process.run([*base, "-p", "%s@127.0.0.1:%s/copy" % (login.pw_name, folder), back], env=env)
    assert done.returncode == 0, done.stderr
    with open(source, "rb") as a, open(back, "rb") as b:
        assert a.read() == b.read()


@pytest.mark.parametrize("flags", [[], ["-O"], ["-R"]])
def test_between_two_servers(our_sshd, our_ssh, workdir, login, keys, flags):
    """-R: the scp there is one that finds the way back."""
    there = os.path.join(workdir, "bin")
    os.mkdir(there)
    server = our_sshd(["SetEnv PATH=%s:%s:/usr/bin:/bin" % (there, os.path.dirname(SCP))])
    far = Far(server, our_ssh(server), os.path.join(workdir, "far"), login)
    if "-R" in flags:
        script(os.path.join(there, "scp"), "#!/bin/sh\nexec %s -S %s/ssh \"$@\"\n" % (SCP, there))
        script(os.path.join(there, "ssh"), LOCAL_SSH % {"there": "/", "server": programs.SFTP_SERVER, "path": os.path.dirname(SCP)})
    make_tree(os.path.join(far.folder, "from").encode())
    process.run(["chown", "-R", str(login.pw_uid), far.folder])
    done = far.scp(far.at("from"), far.at("to"), flags=["-rp", *flags])
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(far.folder + "/to") == contents(far.folder + "/from")


def test_home_and_other_homes(our_sshd, our_ssh, workdir, login):
    server = our_sshd()
    far = Far(server, our_ssh(server), os.path.join(workdir, "far"), login)
    with open(os.path.join(login.pw_dir, "at home"), "w", encoding="utf-8") as f:
        f.write("x")
    os.chown(os.path.join(login.pw_dir, "at home"), login.pw_uid, login.pw_gid)
    for n, source in enumerate(["test:at home", "test:~/at home", "test:~%s/at home" % login.pw_name, "scp://test/at%20home"]):
        target = os.path.join(workdir, "got%d" % n)
        done = far.scp(source, target)
        assert (done.returncode, done.stderr, os.path.exists(target)) == (0, "", True), source
    done = far.scp("test:~nobody-of-that-name/x", workdir)
    assert done.returncode == 1 and "~nobody-of-that-name" in done.stderr
    os.unlink(os.path.join(login.pw_dir, "at home"))


# ---- beside Debian's, without a network ----


def set_scene(top):
    """Names and contents that the command lines below are about."""
    for folder in ("here", "there"):
        shutil.rmtree(os.path.join(top, folder), ignore_errors=True)
    for folder in ("there/dir/sub", "here/ldir"):
        os.makedirs(os.path.join(top, folder))
    for name in ("there/one", "there/two", "there/dir/x", "there/dir/sub/y", "there/sp ace*", "here/loc", "here/ldir/1", "here/other"):
        with open(os.path.join(top, name), "w", encoding="utf-8") as f:
            f.write(name)
    os.symlink("one", top + "/there/link")
    os.symlink("/nope", top + "/here/dang")


# Those that are the same to the last byte, but for Debian's further line on what the first line was about.
SAME = """h:one .|h:one new|h:nothing .|h:one h2:new|-r h:dir .|-r h:dir newdir|h:one h:two .|h:one h:two new|h:one h:two loc|h:t* .|h:[ot]* new|h:[ot]* loc
h:zz* .|h:one ldir|h:one ldir/|h:one nodir/|h:one nodir/f|h:link .|-r h:dir/ newd|-r h:dir/. newd|h:/etc/none .|loc h:|loc h:new|loc h:dir|loc h:dir/|loc h:nodir/
loc h:nodir/x|nothere h:|ldir h:|-r ldir h:|-r ldir h:newdir|-r ldir h:dir|-r ldir/ h:newdir|-r ldir/. h:newdir|loc other h:|loc other h:nodir|loc other h:dir|dang h:
/dev/null h:|loc h:~|h:one h2:dir|h:one h2:nodir/x|-r h:dir h2:newd|-r h:dir h2:one|h:one h:two h2:dir|h:nothing h2:x|h:one loc h2:dir|loc h:one h2:dir
loc h:one ldir|-p loc h:|-rp h:dir newdir|loc nodir/x|loc ldir|-r ldir new|ldir new|nothere here|loc|-Z|-l 0 loc h:|-X foo loc h:|-1 loc h:
-O h:one .|-O h:one new|-O h:nothing .|-O h:one h2:new|-O h:dir .|-O -r h:dir .|-O -r h:dir newdir|-O -r h:dir loc|-O h:one h:two .|-O h:one h:two new|-O h:t* .
-O h:zz* .|-O h:one ldir|-O h:one nodir/|-O h:one nodir/f|-O h:one /dev/full|-O h:link .|-O h:. .|-O -r h:dir/ newd|-O loc h:
-O loc h:new|-O loc h:dir|-O loc h:nodir/|-O loc h:nodir/x|-O nothere h:|-O nothere loc h:|-O ldir h:|-O -r ldir h:|-O -r ldir h:dir|-O -r ldir h:one|-O loc other h:
-O loc other h:one|-O loc other h:nodir|-O loc other h:dir|-O loc h:/dev/full|-O dang h:|-O /dev/null h:|-O loc h:~|-O h:one h2:dir|-O h:one h2:nodir/x
-O -r h:dir h2:newd|-O h:one h:two h2:dir|-O h:nothing h2:x|-O h:one loc h2:dir|-O loc h:one ldir|-O -p loc h:|-O -rp h:dir newdir"""
FURTHER = re.compile(r"^scp: (failed to upload|Download of|upload \").*\n", re.M)


@needs_theirs
@pytest.mark.parametrize("line", range(len(SAME.split("\n"))))
def test_same_words_and_files(workdir, line):
    ends = {}
    for who, program in (("ours", SCP), ("theirs", THEIRS)):
        top = os.path.join(workdir, who)
        os.mkdir(top)
        bin_ = os.path.join(top, "bin")
        os.mkdir(bin_)
        os.symlink(program, os.path.join(bin_, "scp"))
        ssh = script(os.path.join(bin_, "ssh"), LOCAL_SSH % {"there": top + "/there", "server": programs.SFTP_SERVER, "path": bin_})
        for command in SAME.split("\n")[line].split("|"):
            set_scene(top)
            done = process.run([bin_ + "/scp", "-S", ssh, *command.split(" ")], cwd=top + "/here", timeout=20, env={**os.environ, "HOME": top + "/there"})
            err = FURTHER.sub("", done.stderr.replace(bin_ + "/", "").replace("\r\n", "\n"))
            err = re.sub(r'download "?([^"\n]*?)/?"?: not', r"download \1: not", err)
            found = sorted(contents(top + "/here", False).items()) + sorted(contents(top + "/there", False).items())
            ends.setdefault(command, []).append((1 if done.returncode else 0, err, done.stdout, found))
    different = {command: [end[:2] for end in both] for command, both in ends.items() if both[0] != both[1]}
    assert not different


@needs_theirs
def test_how_ssh_is_called(workdir):
    """The same arguments, in the same order; -R joins the command itself, and both of -3 with -O start together."""
    commands = ["loc h:", "loc u@h:x", "-O loc u@h:x", "-O -rpvq loc h:", "-P 33 -c aes -i k -F cfg -J j -o A=b -C -4 -B loc h:/x", "scp://u@h:222/p/q .",
                "[::1]:x .", "u@[::1]:x .", "h1:a h2:b", "-O loc loc h:x", "-O -T -- h:-x -y", "-O loc h:-x", "./a:b .", "-2 loc h:", "-P 22 scp://h:23/x .",
                "-R h1:a u@h2:b", "-R -r -A -P 22 -l 100 scp://u@h1:222/x h2:y"]
    with open(os.path.join(workdir, "loc"), "w", encoding="utf-8") as f:
        f.write("x")
    for command in commands:
        said = []
        for who, program in (("ours", SCP), ("theirs", THEIRS)):
            log = os.path.join(workdir, who)
            process.run([program, "-S", script(os.path.join(workdir, "ssh." + who), NOTING_SSH % {"log": log}), *command.split(" ")], cwd=workdir)
            said.append(open(log, encoding="utf-8").read() if os.path.exists(log) else "")
            if os.path.exists(log):
                os.unlink(log)
        if "-R" in command:
            said = [text.replace("|", " ") for text in said]
        assert said[0] == said[1], command


# ---- what nobody should believe ----


@pytest.mark.parametrize("bytes_, words", [
    (r"C0644 1 ../x\nA\0", "error: unexpected filename: ../x"),
    (r"C0644 1 y\nA\0", "protocol error: filename does not match request"),
    (r"D0755 0 a\n", "protocol error: received directory without -r"),
    (r"Hello\n", "Hello"),
    (r"\001scp: \033[31mred\n", r"scp: \033[31mred"),
    (r"C0644 5 a\nab", "lost connection"),
    (r"C0644 99999999999999999999999 a\n", "protocol error: size out of range"),
])
def test_hostile_source(workdir, bytes_, words):
    hostile = script(os.path.join(workdir, "hostile"), "#!/bin/sh\nprintf '%s'\n" % bytes_)
    os.mkdir(os.path.join(workdir, "to"))
    done = process.run([SCP, "-O", "-S", hostile, "h:a", "."], cwd=os.path.join(workdir, "to"))
    assert (done.returncode, done.stderr) == (1, words + "\n")
    assert not set(os.listdir(os.path.join(workdir, "to"))) - {"a"}
    assert not os.path.exists(os.path.join(workdir, "x"))


def test_hostile_source_of_a_tree(workdir):
    hostile = script(os.path.join(workdir, "hostile"), "#!/bin/sh\nprintf 'D0755 0 .ssh\\nC0600 1 authorized_keys\\nx\\0E\\n'\n")
    done = process.run([SCP, "-O", "-r", "-S", hostile, "h:dir", "."], cwd=workdir)
    assert done.returncode == 1 and "does not match" in done.stderr and not os.path.exists(os.path.join(workdir, ".ssh"))
    done = process.run([SCP, "-O", "-r", "-T", "-S", hostile, "h:dir", "."], cwd=workdir)
    assert done.returncode == 0 and os.path.exists(os.path.join(workdir, ".ssh/authorized_keys"))


HOSTILE_SERVER = r"""
import struct, sys
i, o = sys.stdin.buffer, sys.stdout.buffer
def s(b): return struct.pack(">I", len(b)) + b
def send(b): o.write(s(b)); o.flush()
listed = 0
while True:
    head = i.read(4)
    if len(head) < 4: break
    p = i.read(struct.unpack(">I", head)[0])
    t, id = p[0], p[1:5]
    if t == 1: send(b"\x02" + struct.pack(">I", 3))
    elif t == 11: send(b"\x66" + id + s(b"h"))
    elif t == 12 and not listed:
        listed = 1
        names = [b"../evil", b"/tmp/evil", b"a/b", b"..", b"", b"ok\x1b[31m"]
        send(b"\x68" + id + struct.pack(">I", len(names)) + b"".join(s(n) + s(n) + struct.pack(">II", 4, 0o100644) for n in names))
    elif t == 12: send(b"\x65" + id + struct.pack(">I", 1) + s(b"") + s(b""))
    elif t in (7, 17): send(b"\x69" + id + struct.pack(">II", 4, 0o040755))
    elif t == 3: send(b"\x65" + id + struct.pack(">I", 3) + s(b"\x1b[2Jno") + s(b""))
    else: send(b"\x65" + id + struct.pack(">I", 0) + s(b"") + s(b""))
"""


@pytest.mark.parametrize("request_", ["h:*", "h:dir"])
def test_hostile_sftp_server(workdir, request_):
    server = script(os.path.join(workdir, "server"), "#!%s\n%s" % (sys.executable, HOSTILE_SERVER))
    to = os.path.join(workdir, "to")
    os.mkdir(to)
    done = process.run([SCP, "-r", "-D", server, request_, "."], cwd=to)
    assert done.returncode == 1 and "\x1b" not in done.stderr, done.stderr
    assert "ok\\033[31m" in done.stderr and "Permission denied" in done.stderr
    assert not os.path.exists(os.path.join(workdir, "evil")) and not os.path.exists("/tmp/evil")


# ---- what can go wrong on the way ----


@pytest.mark.parametrize("old", [[], ["-O"]])
def test_the_rest_goes_on(places, old, workdir):
    """Unreadable, missing, a FIFO, a full disk: each is said, all else is copied, and the status is 1."""
    os.mkdir(places.here + "/t")
    os.mkfifo(places.here + "/t/fifo")
    os.symlink("nowhere", places.here + "/t/dangling")
    for name in ("a", "z"):
        with open("%s/t/%s" % (places.here, name), "w", encoding="utf-8") as f:
            f.write(name)
    done = places.run(*old, "-r", "t", "missing", "h:")
    assert done.returncode == 1
    for word in ("fifo", "dangling", "missing"):
        assert len(re.findall(r"%s.*(?:No such file|not a regular file)" % word, done.stderr)) == 1, done.stderr
    assert contents(places.there, False) == {"t": None, "t/a": b"a", "t/z": b"z"}
    os.mkdir(places.there + "/t/y")
    with open(places.here + "/t/y", "w", encoding="utf-8") as f:
        f.write("y")
    done = places.run(*old, "-r", "t", "h:")
    assert done.returncode == 1 and re.search(r"t/y\"?: (Failure|Is a directory)", done.stderr), done.stderr


@pytest.mark.parametrize("old", [[], ["-O"]])
def test_files_that_change_while_they_are_sent(places, workdir, old):
    """One that shrinks: the number of bytes is kept, and it is said (-O), or it is simply shorter; what follows arrives."""
    big, after = places.here + "/big", places.here + "/after"
    with open(big, "wb") as f:
        f.truncate(6 << 20)
    with open(after, "w", encoding="utf-8") as f:
        f.write("after")
    popen = subprocess.Popen([SCP, "-S", places.ssh(), "-l", "40000", *old, "big", "after", "h:"], cwd=places.here, stderr=subprocess.PIPE, text=True)
    process.wait_until(lambda: os.path.exists(places.there + "/big"), "the beginning of the copy")
    os.truncate(big, 200000)
    _, err = popen.communicate(timeout=20)
    with open(places.there + "/after", encoding="utf-8") as f:
        assert f.read() == "after"
    assert (popen.returncode, "became shorter" in err) == ((1, True) if old else (0, False)), err


def test_setuid_and_read_only(places):
    for name, mode in (("suid", 0o4755), ("ro", 0o444)):
        with open("%s/%s" % (places.here, name), "w", encoding="utf-8") as f:
            f.write("x")
        os.chmod("%s/%s" % (places.here, name), mode)
    for flags, modes in (([], (0o755, 0o444)), (["-p"], (0o4755, 0o444)), (["-O"], (0o755, 0o444)), (["-O", "-p"], (0o4755, 0o444))):
        process.run(["rm", "-f", places.there + "/suid", places.there + "/ro"])
        done = places.run(*flags, "suid", "ro", "h:")
        assert (done.returncode, done.stderr) == (0, "")
        assert tuple(stat.S_IMODE(os.stat("%s/%s" % (places.there, n)).st_mode) for n in ("suid", "ro")) == modes, flags


def test_same_name_twice_the_last_wins(places):
    for folder in ("a", "b", "c"):
        os.mkdir("%s/%s" % (places.here, folder))
        with open("%s/%s/same" % (places.here, folder), "w", encoding="utf-8") as f:
            f.write(folder * 300000)
    done = places.run("a/same", "b/same", "c/same", "h:")
    assert (done.returncode, done.stderr) == (0, "")
    with open(places.there + "/same", encoding="utf-8") as f:
        assert f.read() == "c" * 300000


def test_limit(places):
    """60 KB, of which the first 32 are free, at 800 Kbit/s."""
    with open(places.here + "/f", "wb") as f:
        f.write(bytes(60000))
    times = []
    for flags in ([], ["-O"]):
        begin = os.times().elapsed
        done = places.run(*flags, "-l", "800", "f", "h:")
        times.append(os.times().elapsed - begin)
        assert done.returncode == 0, done.stderr
    assert all(t > 0.2 for t in times), times


# ---- at a terminal ----


@pytest.mark.parametrize("flags", [[], ["-O"]])
def test_meter_and_interrupt(places, flags):
    pexpect = pytest.importorskip("pexpect")
    with open(places.here + "/f\x1b[31m", "wb") as f:
        f.write(bytes(2 << 20))
    child = pexpect.spawn(SCP, ["-S", places.ssh(), *flags, "f\x1b[31m", "h:"], cwd=places.here, timeout=20, encoding="utf-8")
    child.expect(r"f\\033\[31m +100% 2048KB")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    child = pexpect.spawn(SCP, ["-S", places.ssh(), "-q", *flags, "f\x1b[31m", "h:"], cwd=places.here, timeout=20, encoding="utf-8")
    child.expect(pexpect.EOF)
    assert child.before == ""
    child.close()
    child = pexpect.spawn(SCP, ["-S", places.ssh(), "-l", "100", *flags, "f\x1b[31m", "h:new"], cwd=places.here, timeout=20, encoding="utf-8")
    child.expect("0%|1%")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1 or child.signalstatus == signal.SIGINT
    size = os.path.getsize(places.there + "/new")
    assert size < 2 << 20
