"""Where the programs are: ours in the build directory, those of others on the machine or unpacked beside it.

NACRE_BUILD  our build directory; default build/ in the tree
NACRE_PEERS  where tools/need-packages unpacked packages of others; default build-peers/ in the tree
NACRE_SANITIZED  set where ours were built with sanitizers: they are slower, and larger
"""
import functools
import os
import shutil
import subprocess

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("NACRE_BUILD", os.path.join(TREE, "build")))
SANITIZED = bool(os.environ.get("NACRE_SANITIZED"))
PEERS = os.path.abspath(os.environ.get("NACRE_PEERS", os.path.join(TREE, "build-peers")))


def ours(folder, name):
    return os.path.join(BUILD, "src", "prog", folder, name)


SSH = ours("ssh", "ssh")
SSHD = ours("sshd", "sshd")
KEYGEN = ours("keygen", "ssh-keygen")
AGENT = ours("agent", "ssh-agent")
ADD = ours("add", "ssh-add")
KEYSCAN = ours("keyscan", "ssh-keyscan")
SFTP_SERVER = ours("sftp-server", "sftp-server")
SFTP = ours("sftp", "sftp")


def peer(name):
    """Path of another project's program, or None."""
    for folder in ("/usr/bin", "/usr/sbin", "/usr/lib/openssh", "/usr/local/bin"):
        for root in ("", PEERS):
            path = root + folder + "/" + name
            if os.access(path, os.X_OK):
                return path
    return shutil.which(name)


def has(path):
    return path is not None and os.access(path, os.X_OK)


@functools.lru_cache(maxsize=None)
def query(program, what):
    """The names that `ssh -Q what` prints; none if the program is not there."""
    if not has(program):
        return ()
    done = subprocess.run([program, "-Q", what], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
    return tuple(line for line in done.stdout.split("\n") if line) if done.returncode == 0 else ()


def both(what):
    """What both our ssh and Debian's know, in our order."""
    theirs = query(peer("ssh"), what)
    return [name for name in query(SSH, what) if name in theirs]
