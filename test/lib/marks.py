"""Marks for tests that cannot run everywhere."""
import os
import socket

import pytest

from lib import programs

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a second account, PAM, other users' processes")


def needs_peer(name):
    return pytest.mark.skipif(not programs.has(programs.peer(name)), reason="%s is not there" % name)


def needs_ours(path):
    return pytest.mark.skipif(not programs.has(path), reason="%s is not built" % os.path.basename(path))


needs_our_ssh = needs_ours(programs.SSH)


def resolves(name):
    try:
        return bool(socket.getaddrinfo(name, None))
    except OSError:
        return False


needs_localhost = pytest.mark.skipif(not resolves("localhost"), reason="localhost has no address here")
