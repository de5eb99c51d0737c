"""sftp-server as a whole program: driven packet by packet over pipes, and by Debian's sftp(1) with -D."""
import os
import select
import shutil
import stat
import struct
import subprocess
import time

import pytest

SERVER = os.environ.get("NACRE_BUILD", "build") + "/src/prog/sftp-server/sftp-server"
OK, EOF, NO_FILE, DENIED, FAILURE, BAD, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
READ, WRITE, APPEND, CREAT, TRUNC, EXCL = 1, 2, 4, 8, 16, 32


def u32(n):
    return struct.pack(">I", n)


def u64(n):
    return struct.pack(">Q", n)


def string(b):
    b = os.fsencode(b)
    return u32(len(b)) + b


def attrs(size=None, owner=None, mode=None, times=None):
    flags, body = 0, b""
    if size is not None:
        flags, body = flags | 1, body + u64(size)
    if owner is not None:
        flags, body = flags | 2, body + u32(owner[0]) + u32(owner[1])
    if mode is not None:
        flags, body = flags | 4, body + u32(mode)
    if times is not None:
        flags, body = flags | 8, body + u32(times[0]) + u32(times[1])
    return u32(flags) + body


class Server:
    """The program with pipes at both ends. Every read has a time limit."""

    def __init__(self, cwd, *flags, init=True, level="DEBUG3"):
        self.log = open(os.path.join(str(cwd), ".log"), "w+")
        self.p = subprocess.Popen([SERVER, "-e", "-l", level, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=self.log, cwd=str(cwd), bufsize=0)
        self.buffer, self.id = b"", 0
        if init:
            self.send(b"\x01" + u32(3))
            self.version = self.receive()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.end()

    def send(self, payload):
        self.raw(string(payload))

    def raw(self, data):
        while data:
            data = data[self.p.stdin.write(data):]

    def fill(self, n):
        while len(self.buffer) < n:
            if not select.select([self.p.stdout], [], [], 10)[0]:
                raise TimeoutError("no answer")
            more = os.read(self.p.stdout.fileno(), 1 << 20)
            if not more:
                return False
            self.buffer += more
        return True

    def receive(self):
        if not self.fill(4):
            return None
        n = struct.unpack(">I", self.buffer[:4])[0]
        assert self.fill(4 + n)
        payload, self.buffer = self.buffer[4:4 + n], self.buffer[4 + n:]
        return payload

    def ask(self, kind, body):
        self.id += 1
        self.send(bytes([kind]) + u32(self.id) + body)
        answer = self.receive()
        assert answer is not None and answer[1:5] == u32(self.id)
        return answer[0], answer[5:]

    def status(self, kind, body):
        t, rest = self.ask(kind, body)
        assert t == 101
        return struct.unpack(">I", rest[:4])[0]

    def extended(self, name, body):
        return self.ask(200, string(name) + body)

    def extended_status(self, name, body):
        return self.status(200, string(name) + body)

    def handle(self, kind, body):
        t, rest = self.ask(kind, body)
        assert t == 102, rest
        return rest[4:]

    def open(self, path, flags, a=attrs()):
        return self.handle(3, string(path) + u32(flags) + a)

    def close(self, handle):
        return self.status(4, string(handle))

    def name(self, kind, body):
        t, rest = self.ask(kind, body)
        assert t == 104 and rest[:4] == u32(1), rest
        n = struct.unpack(">I", rest[4:8])[0]
        return os.fsdecode(rest[8:8 + n])

    def end(self):
        self.p.stdin.close()
        status = self.p.wait(timeout=10)
        self.log.seek(0)
        self.lines = self.log.read().replace("\r", "").splitlines()
        return status


def strings(data):
    out = []
    while data:
        n = struct.unpack(">I", data[:4])[0]
        out.append(data[4:4 + n])
        data = data[4 + n:]
    return out


@pytest.fixture
def work(tmp_path):
    os.umask(0o022)
    d = tmp_path / "work"
    d.mkdir()
    return d


def test_version_lists_extensions(work):
    with Server(work) as s:
        assert s.version[:5] == b"\x02" + u32(3)
        pairs = strings(s.version[5:])
        assert dict(zip(pairs[::2], pairs[1::2])) == {
            b"posix-rename@openssh.com": b"1", b"statvfs@openssh.com": b"2", b"fstatvfs@openssh.com": b"2",
            b"hardlink@openssh.com": b"1", b"fsync@openssh.com": b"1", b"lsetstat@openssh.com": b"1",
            b"limits@openssh.com": b"1", b"expand-path@openssh.com": b"1", b"copy-data": b"1", b"home-directory": b"1",
            b"users-groups-by-id@openssh.com": b"1"}


def test_write_and_read(work):
    with Server(work) as s:
        h = s.open("f", WRITE | CREAT | TRUNC, attrs(mode=0o640))
        assert s.status(6, string(h) + u64(0) + string(b"hello")) == OK
        assert s.status(6, string(h) + u64(10) + string(b"world")) == OK
        assert s.status(5, string(h) + u64(0) + u32(5)) == NO_FILE  # EBADF: not open for reading
        assert s.close(h) == OK
        assert s.close(h) == NO_FILE
        assert (work / "f").read_bytes() == b"hello" + bytes(5) + b"world"
        assert stat.S_IMODE((work / "f").stat().st_mode) == 0o640
        h = s.open("f", READ)
        assert s.ask(5, string(h) + u64(3) + u32(4)) == (103, string(b"lo\0\0"))
        assert s.ask(5, string(h) + u64(12) + u32(0xffffffff)) == (103, string(b"rld"))
        assert s.status(5, string(h) + u64(15) + u32(1)) == EOF
        assert s.ask(5, string(h) + u64(15) + u32(0)) == (103, string(b""))
        assert s.status(5, string(h) + u64(1 << 63) + u32(1)) == BAD
        assert s.status(6, string(h) + u64(0) + string(b"x")) == NO_FILE
        assert s.end() == 0
        assert 'open "f" flags WRITE,CREATE,TRUNCATE mode 0640' in s.lines
        assert 'close "f" bytes read 0 written 10' in s.lines
        assert 'forced close "f" bytes read 7 written 0' in s.lines
        assert s.lines[0].startswith("session opened for local user ") and s.lines[0].endswith(" from [UNKNOWN]")
        assert s.lines[-1].startswith("session closed for local user ")


def test_open_flags(work):
    (work / "old").write_bytes(b"old")
    with Server(work) as s:
        assert s.status(3, string("no") + u32(READ) + attrs()) == NO_FILE
        assert s.status(3, string("") + u32(READ) + attrs()) == NO_FILE
        assert s.status(3, string("old") + u32(WRITE | CREAT | EXCL) + attrs()) == FAILURE
        assert s.status(3, string(".") + u32(WRITE) + attrs()) == FAILURE
        assert s.status(3, string("x" * 5000) + u32(READ) + attrs()) == BAD
        h = s.open("old", WRITE | APPEND)
        assert s.status(6, string(h) + u64(0) + string(b"new")) == OK
        assert (work / "old").read_bytes() == b"oldnew"
        h2 = s.open("old", READ | WRITE | TRUNC)
        assert h2 != h
        assert (work / "old").read_bytes() == b""
        assert s.close(h) == OK
        assert s.open("old", READ) == h  # places are used again


def test_handles_never_given(work):
    (work / "f").write_bytes(b"")
    with Server(work) as s:
        f, d = s.open("f", READ), s.handle(11, string("."))
        for bad in (b"", b"x", u32(9), u32(0xffffffff), f + b"\0", b"x" * 300):
            assert s.status(5, string(bad) + u64(0) + u32(1)) == FAILURE
            assert s.status(8, string(bad)) == FAILURE
            assert s.status(4, string(bad)) == NO_FILE
        assert s.status(12, string(f)) == FAILURE
        assert s.status(5, string(d) + u64(0) + u32(1)) == FAILURE


def test_attributes(work):
    f = work / "f"
    f.write_bytes(b"12345")
    os.symlink("f", work / "l")
    with Server(work) as s:
        st = f.stat()
        want = u32(15) + u64(5) + u32(st.st_uid) + u32(st.st_gid) + u32(st.st_mode) + u32(int(st.st_atime)) + u32(int(st.st_mtime))
        assert s.ask(17, string("f")) == (105, want)
        assert s.ask(17, string("l")) == (105, want)
        assert s.ask(7, string("l"))[1][28 - 8:24] == u32(os.lstat(work / "l").st_mode)
        assert s.ask(8, string(s.open("f", READ))) == (105, want)
        assert s.status(17, string("no")) == NO_FILE
        assert s.status(9, string("f") + attrs(size=2, mode=0o100600, times=(1000, 2000), owner=(st.st_uid, st.st_gid))) == OK
        st = f.stat()
        assert (st.st_size, stat.S_IMODE(st.st_mode), st.st_atime, st.st_mtime) == (2, 0o600, 1000, 2000)
        h = s.open("f", WRITE)
        assert s.status(10, string(h) + attrs(size=7, mode=0o640, times=(3, 4))) == OK
        st = f.stat()
        assert (st.st_size, stat.S_IMODE(st.st_mode), st.st_mtime) == (7, 0o640, 4)
        assert s.status(9, string("f") + attrs()) == OK
        assert s.status(9, string("f") + u32(0x80000000) + u32(1) + string("k") + string("v")) == OK
        assert s.extended_status("lsetstat@openssh.com", string("l") + attrs(times=(5, 6))) == OK
        assert os.lstat(work / "l").st_mtime == 6 and f.stat().st_mtime == 4
        assert s.extended_status("lsetstat@openssh.com", string("l") + attrs(size=0)) == BAD
        assert f.stat().st_size == 7


def test_names(work):
    with Server(work) as s:
        assert s.status(14, string("d") + attrs(mode=0o750)) == OK
        assert stat.S_IMODE((work / "d").stat().st_mode) == 0o750
        assert s.status(14, string("d") + attrs()) == FAILURE
        (work / "a").write_bytes(b"a")
        (work / "b").write_bytes(b"b")
        assert s.status(18, string("a") + string("b")) == FAILURE  # never over a file
        assert s.status(18, string("d") + string("b")) == FAILURE
        assert s.status(18, string("no") + string("x")) == NO_FILE
        assert s.status(18, string("a") + string("c")) == OK
        assert s.status(18, string("d") + string("e")) == OK
        assert s.extended_status("posix-rename@openssh.com", string("c") + string("b")) == OK
        assert (work / "b").read_bytes() == b"a"
        assert s.status(20, string("b") + string("link")) == OK
        assert os.readlink(work / "link") == "b"
        assert s.name(19, string("link")) == "b"
        assert s.status(19, string("b")) == BAD
        assert s.status(18, string("link") + string("link2")) == OK and os.path.islink(work / "link2")
        assert s.extended_status("hardlink@openssh.com", string("b") + string("hard")) == OK
        assert (work / "hard").stat().st_nlink == 2
        assert s.status(18, string("hard") + string("b")) == FAILURE
        assert s.status(13, string("e")) == FAILURE
        assert s.status(15, string("b")) == NO_FILE
        assert s.status(15, string("e")) == OK
        assert s.status(13, string("hard")) == OK and s.status(13, string("hard")) == NO_FILE


def test_realpath(work):
    (work / "f").write_bytes(b"")
    (work / "d").mkdir()
    os.symlink("d/../f", work / "link")
    os.symlink("nowhere", work / "dangling")
    os.symlink("loop", work / "loop")
    base = os.path.realpath(work)
    with Server(work) as s:
        for path, want in ((".", base), ("", base), ("new", base + "/new"), ("link", base + "/f"), ("d/..//./d", base + "/d"),
                           ("dangling", base + "/nowhere"), ("f/..", base), ("/", "/"), ("/..", "/"), ("/usr//lib/../share/", "/usr/share"),
                           ("\u00e4\u6f22", base + "/\u00e4\u6f22")):
            assert s.name(16, string(path)) == want
        for path in ("new/", "new/x", "new/..", "f/x", "loop"):
            assert s.status(16, string(path)) == NO_FILE


def test_readdir(work):
    names = {"f%03d" % i for i in range(700)} | {"\u00fcml\u00e4ut", "with space", "new\nline"}
    for n in names:
        (work / n).write_bytes(b"abc")
    os.utime(work / "f000", (946684800, 946684800))
    os.chmod(work / "f001", 0o6751)
    with Server(work) as s:
        h = s.handle(11, string("."))
        got = {}
        while True:
            t, rest = s.ask(12, string(h))
            if t == 101:
                assert rest[:4] == u32(EOF)
                break
            n, rest = struct.unpack(">I", rest[:4])[0], rest[4:]
            assert n > 0
            for _ in range(n):
                ln = struct.unpack(">I", rest[:4])[0]
                name, rest = rest[4:4 + ln], rest[4 + ln:]
                ln = struct.unpack(">I", rest[:4])[0]
                got[os.fsdecode(name)], rest = os.fsdecode(rest[4:4 + ln]), rest[4 + ln:]
                assert rest[:4] == u32(15)
                rest = rest[32:]
            assert rest == b""
        assert set(got) == names | {".", "..", ".log"}
        assert got["f000"].startswith("-rw-r--r--    1 ") and got["f000"].endswith("        3 Jan  1  2000 f000")
        assert got["f001"].startswith("-rwsr-s--x    1 ")
        assert got["."].startswith("drwxr-xr-x ")
        assert s.close(h) == OK
        assert s.status(11, string("f000")) == NO_FILE


def test_extensions(work):
    (work / "f").write_bytes(b"x")
    with Server(work) as s:
        v = os.statvfs(work)
        t, rest = s.extended("statvfs@openssh.com", string("."))
        assert t == 201
        numbers = struct.unpack(">11Q", rest)
        assert (numbers[0], numbers[1], numbers[2], numbers[5], numbers[10]) == (v.f_bsize, v.f_frsize, v.f_blocks, v.f_files, v.f_namemax)
        h = s.open("f", READ | WRITE)
        t, rest = s.extended("fstatvfs@openssh.com", string(h))
        assert t == 201 and len(rest) == 88
        assert s.extended_status("fsync@openssh.com", string(h)) == OK
        assert s.extended_status("fsync@openssh.com", string(u32(77))) == NO_FILE
        t, rest = s.extended("limits@openssh.com", b"")
        assert t == 201 and struct.unpack(">4Q", rest)[:3] == (262144, 261120, 261120) and struct.unpack(">4Q", rest)[3] > 0
        base = os.path.realpath(work)
        assert s.name(200, string("expand-path@openssh.com") + string("~/x")) == base + "/x"
        assert s.name(200, string("expand-path@openssh.com") + string("~root")) == os.path.expanduser("~root")
        assert s.extended_status("expand-path@openssh.com", string("~nosuchuser/x")) == NO_FILE
        assert s.name(200, string("home-directory") + string("root")) == os.path.expanduser("~root")
        assert s.name(200, string("home-directory") + string("")) == os.path.expanduser("~")
        assert s.extended_status("home-directory", string("nosuchuser")) == FAILURE
        t, rest = s.extended("users-groups-by-id@openssh.com", string(u32(0) + u32(4000000000)) + string(u32(0)))
        users, groups = strings(rest)
        assert strings(users) == [b"root", b""] and strings(groups) == [b"root"]
        assert s.extended_status("users-groups-by-id@openssh.com", string(b"abc") + string(b"")) == BAD
        assert s.extended_status("nothing@example.com", b"abc") == UNSUPPORTED
        assert s.status(99, b"") == UNSUPPORTED


def test_copy_data(work):
    (work / "src").write_bytes(b"0123456789")
    with Server(work) as s:
        src, dst = s.open("src", READ), s.open("dst", READ | WRITE | CREAT)

        def copy(a, at, n, b, to):
            return s.extended_status("copy-data", string(a) + u64(at) + u64(n) + string(b) + u64(to))
        assert copy(src, 2, 3, dst, 1) == OK
        assert (work / "dst").read_bytes() == b"\x00234"
        assert copy(src, 8, 0, dst, 4) == OK
        assert copy(src, 8, 100, dst, 6) == OK
        assert (work / "dst").read_bytes() == b"\x002348989"
        end = s.open("dst", WRITE | APPEND)
        assert copy(src, 0, 2, end, 0) == OK
        assert (work / "dst").read_bytes() == b"\x00234898901"
        assert copy(src, 0, 1, src, 0) == FAILURE
        assert copy(src, 0, 1, s.open("src", WRITE), 5) == FAILURE
        assert copy(src, 0, 1, u32(99), 5) == FAILURE
        assert copy(src, 1 << 63, 0, dst, 0) == BAD


def test_read_only(work):
    (work / "f").write_bytes(b"x")
    with Server(work, "-R") as s:
        assert b"posix-rename@openssh.com" not in s.version and b"limits@openssh.com" in s.version
        for flags in (WRITE, READ | WRITE, READ | CREAT, READ | TRUNC):
            assert s.status(3, string("f") + u32(flags) + attrs()) == DENIED
        h = s.open("f", READ)
        for kind, body in ((6, string(h) + u64(0) + string(b"y")), (9, string("f") + attrs(mode=0)), (10, string(h) + attrs(mode=0)),
                           (13, string("f")), (14, string("d") + attrs()), (15, string("d")), (18, string("f") + string("g")),
                           (20, string("f") + string("l"))):
            assert s.status(kind, body) == DENIED
        for name, body in (("posix-rename@openssh.com", string("f") + string("g")), ("hardlink@openssh.com", string("f") + string("g")),
                           ("lsetstat@openssh.com", string("f") + attrs(mode=0)), ("fsync@openssh.com", string(h)),
                           ("copy-data", string(h) + u64(0) + u64(0) + string(h) + u64(0))):
            assert s.extended_status(name, body) == DENIED
        assert s.ask(5, string(h) + u64(0) + u32(9)) == (103, string("x"))
        assert s.end() == 0
        assert "Refusing remove request in read-only mode" in s.lines
    assert sorted(os.listdir(work)) == [".log", "f"]


def test_lists_of_requests(work):
    (work / "f").write_bytes(b"x")
    with Server(work, "-P", "remove,limits", "-p", "open,remove,realpath,expand-path") as s:
        assert b"limits@openssh.com" not in s.version and b"expand-path@openssh.com" in s.version
        h = s.open("f", READ)
        assert s.status(13, string("f")) == DENIED
        assert s.status(4, string(h)) == DENIED
        assert s.name(16, string("/")) == "/"
        s.end()
        assert "Refusing denylisted remove request" in s.lines and "Refusing non-allowlisted close request" in s.lines


def test_start_dir_and_umask(work):
    (work / "%").mkdir()
    with Server(work, "-d", str(work) + "/%%", "-u", "027") as s:
        assert s.name(16, string(".")) == os.path.realpath(work) + "/%"
        assert s.status(14, string("d") + attrs()) == OK
        assert stat.S_IMODE((work / "%" / "d").stat().st_mode) == 0o750
    with Server(work, "-d", "/nowhere/%u") as s:
        assert s.name(16, string(".")) == os.path.realpath(work)
        s.end()
        assert any(line.startswith('chdir to "/nowhere/') for line in s.lines)


@pytest.mark.parametrize("raw,status", [
    (b"\x00\x04\x00\x01", 11), (b"\xff\xff\xff\xff", 11), (b"\x00\x00\x00\x00", 11),
    (string(b"\x11"), 255), (string(b"\x11" + u32(1) + u32(9) + b"x"), 255), (string(b"\x11" + u32(1) + string(b"/\0x")), 255),
    (string(b"\x06" + u32(1) + string(b"\0\0\0\0") + u64(0) + u32(100) + b"x"), 255), (u32(20) + b"\x11", 0), (b"\0\0", 0)])
def test_bad_packets_end_the_session(work, raw, status):
    s = Server(work)
    s.raw(string(b"\x10" + u32(1) + string("/")) + raw)  # a good one before is still answered
    assert s.receive()[0] == 104
    s.p.stdin.close()
    assert s.receive() is None
    assert s.p.wait(timeout=10) == status


def test_needs_init(work):
    s = Server(work, init=False)
    s.send(b"\x11" + u32(1) + string("/"))
    assert s.receive() is None
    assert s.p.wait(timeout=10) == 255


def test_trailing_bytes_are_refused_but_no_end(work):
    with Server(work) as s:
        assert s.status(17, string("/") + b"more") == BAD
        assert s.ask(17, string("/"))[0] == 105


def test_input_cut_anywhere(work):
    """The same answers when bytes come one by one."""
    requests = b"".join(string(bytes([17]) + u32(i) + string("/")) for i in range(3))
    with Server(work) as s:
        for i in range(len(requests)):
            s.raw(requests[i:i + 1])
        assert [s.receive()[:5] for _ in range(3)] == [b"\x69" + u32(i) for i in range(3)]


def test_many_requests_before_any_answer_is_read(work):
    """A peer that pipelines reads far beyond the bound of unsent answers gets all of them, in order."""
    data = os.urandom(1 << 20)
    (work / "f").write_bytes(data)
    with Server(work, level="ERROR") as s:
        h = s.open("f", READ)
        n, size = 200, 32768
        s.raw(b"".join(string(b"\x05" + u32(i) + string(h) + u64(i % 32 * size) + u32(size)) for i in range(n)))
        time.sleep(0.3)
        for i in range(n):
            assert s.receive() == b"\x67" + u32(i) + string(data[i % 32 * size:][:size])


def test_answers_come_after_end_of_input(work):
    with Server(work, level="ERROR") as s:
        s.raw(b"".join(string(bytes([16]) + u32(i) + string("/")) for i in range(20000)))
        s.p.stdin.close()
        for i in range(20000):
            assert s.receive()[1:5] == u32(i)
        assert s.receive() is None and s.p.wait(timeout=10) == 0


def test_names_cannot_forge_log_lines(work):
    with Server(work) as s:
        assert s.status(13, string("x\nsession closed\x1b[2J")) == NO_FILE
        s.end()
        assert not any(line.startswith("session closed\x1b") or "\x1b" in line for line in s.lines)
        assert any(line.startswith('remove name "x\\') for line in s.lines)


def run(*args):
    return subprocess.run([SERVER, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10)


def test_command_line():
    r = run("-Q", "requests")
    assert r.returncode == 0
    assert r.stdout.split() == ("open close read write lstat fstat setstat fsetstat opendir readdir remove mkdir rmdir realpath stat rename "
                                "readlink symlink posix-rename statvfs fstatvfs hardlink fsync lsetstat limits expand-path copy-data "
                                "home-directory users-groups-by-id").split()
    r = run("-Q", "nothing")
    assert (r.returncode, r.stderr) == (1, "Invalid query type\n")
    for flag in ("-h", "-z", "-d"):
        r = run(flag)
        assert r.returncode == 1 and r.stderr.startswith("usage: sftp-server [-ehR]")
    assert run("-u", "9").returncode == 255 and run("-u", "7777").returncode == 255
    assert run("-l", "LOUD").returncode == 1
    assert run("-e", "-lINFO", "-u077").returncode == 0


needs_sftp = pytest.mark.skipif(not shutil.which("sftp"), reason="no sftp(1)")


def sftp(work, batch, *flags):
    return subprocess.run(["sftp", "-b", "-", *flags, "-D", os.path.abspath(SERVER)], input=batch, capture_output=True, text=True, timeout=60,
                          cwd=str(work))


@needs_sftp
def test_openssh_client_batch(work):
    data = os.urandom(3000000)
    (work / "local").write_bytes(data)
    os.chmod(work / "local", 0o640)
    os.utime(work / "local", (1e9, 1e9))
    r = sftp(work, "mkdir remote\nput -p local remote/a\nget -p remote/a back\nls -ln remote\ncd remote\npwd\nrename a b\nln b hard\nln -s b soft\n"
             "ls -1\nchmod 600 b\ndf\nrm soft\ncp b c\nrename c d\nget b again\nrm hard\nrm b\nrm d\ncd ..\nrmdir remote\n", "-B", "200000")
    assert r.returncode == 0, r.stderr
    assert (work / "back").read_bytes() == data and (work / "again").read_bytes() == data
    st = (work / "back").stat()
    assert (st.st_mtime, stat.S_IMODE(st.st_mode)) == (1e9, 0o640)
    assert not (work / "remote").exists()
    assert os.path.realpath(work) + "/remote" in r.stdout


@needs_sftp
def test_openssh_client_tree_and_resume(work):
    for d in ("tree/a/b", "tree/c"):
        (work / d).mkdir(parents=True)
    for i in range(300):
        (work / "tree" / "a" / ("f%d" % i)).write_bytes(b"%d" % i * i)
    (work / "tree/a/b/\u00e9").write_text("utf-8")
    r = sftp(work, "put -r tree up\nget -r up down\n")
    assert r.returncode == 0, r.stderr
    assert subprocess.run(["diff", "-r", "tree", "down"], cwd=str(work)).returncode == 0
    (work / "big").write_bytes(os.urandom(1 << 20))
    (work / "part").write_bytes((work / "big").read_bytes()[:300000])
    r = sftp(work, "reget big part\n")
    assert r.returncode == 0 and (work / "part").read_bytes() == (work / "big").read_bytes()
