"""A real account for password, PAM and pty tests; only as root. Removed at the end."""
import contextlib
import fcntl
import os
import pwd
import re

from lib import process

PASSWORD = "horse battery 17"


@contextlib.contextmanager
def account_lock():
    """useradd gives up at once where another one holds the lock."""
    with open("/run/lock/nacre-test-accounts" if os.path.isdir("/run/lock") else "/tmp/nacre-test-accounts", "w", encoding="utf-8") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def remove(name):
    with account_lock():
        process.run(["userdel", "-r", "-f", name])


def remove_stale():
    """Accounts of test runs that were killed: their names end in the process id."""
    for entry in pwd.getpwall():
        pid = re.fullmatch(r"nacretest(\d+)", entry.pw_name)
        if pid and not os.path.exists("/proc/" + pid.group(1)):
            remove(entry.pw_name)


@contextlib.contextmanager
def account(name, home):
    """The pwd entry of a fresh account whose password is PASSWORD."""
    remove_stale()
    remove(name)
    with account_lock():
        done = process.run(["useradd", "-m", "-d", home, "-s", "/bin/bash", name])
        assert done.returncode == 0, done.stderr
        done = process.run(["chpasswd", "-c", "SHA512"], stdin="%s:%s\n" % (name, PASSWORD))
        assert done.returncode == 0, done.stderr
    try:
        yield pwd.getpwnam(name)
    finally:
        process.run(["pkill", "-KILL", "-U", name])
        remove(name)
