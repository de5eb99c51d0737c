"""Our ssh-keygen beside the system's, in a directory of the test's own: `from lib.keygen import *`."""
import functools
import os
import pathlib
import subprocess
import tempfile

import pytest

from lib import programs

OURS = programs.KEYGEN
THEIRS = "/usr/bin/ssh-keygen"

__all__ = ["OURS", "THEIRS", "in_tmp", "run", "good", "both", "text", "make_keys", "needs_theirs", "agent"]
needs_theirs = pytest.mark.skipif(not os.path.exists(THEIRS), reason="needs the system's ssh-keygen")


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


def run(program, *args, stdin=b"", timeout=120):
    """Without a controlling terminal, so that prompts read stdin. Gives (status, stdout, stderr) as text."""
    p = subprocess.run([program, *args], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, timeout=timeout)
    err = "".join(line + "\n" for line in p.stderr.decode().splitlines() if not line.startswith("debug1: "))  # -v
    if "usage: " in err:
        err = err[:err.index("usage: ")]
    return p.returncode, p.stdout.decode(), err


def good(program, *args, **kw):
    status, out, err = run(program, *args, **kw)
    assert status == 0, (args, out, err)
    return out


def both(*args, before=None, **kw):
    """The same words to both. before is called before each, to put things back."""
    results = []
    for program in (OURS, THEIRS):
        if before:
            before()
        results.append(run(program, *args, **kw))
    assert results[0] == results[1], args
    return results[0]


def text(path):
    return pathlib.Path(path).read_text()


@functools.lru_cache(maxsize=None)
def made_key(maker, kind, name):
    """The two files of a key that is made once in a run: RSA keys take their time."""
    with tempfile.TemporaryDirectory() as folder:
        bits = ["-b", "2048"] if kind == "rsa" else []
        good(maker, "-q", "-t", kind, *bits, "-N", "", "-C", "c-" + name, "-f", folder + "/" + name)
        return tuple(pathlib.Path(folder, name + end).read_bytes() for end in ("", ".pub"))


def make_keys(*names, maker=THEIRS):
    """ed25519 keys, or of the type before the colon: "rsa:ca"."""
    for name in names:
        kind, _, path = name.rpartition(":")
        private, public = made_key(maker, kind or "ed25519", path)
        pathlib.Path(path).write_bytes(private)
        os.chmod(path, 0o600)
        pathlib.Path(path + ".pub").write_bytes(public)


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """A running agent of the system's; gives a function that adds keys to it."""
    program, adder = programs.peer("ssh-agent"), programs.peer("ssh-add")
    if not program or not adder:
        pytest.skip("no ssh-agent here")
    sock = str(tmp_path / "agent")
    with subprocess.Popen([program, "-D", "-a", sock], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True) as p:
        assert p.stdout.readline()  # it listens
        monkeypatch.setenv("SSH_AUTH_SOCK", sock)
        yield lambda *keys: subprocess.run([adder, "-q", *keys], check=True, timeout=20)
        p.terminate()
