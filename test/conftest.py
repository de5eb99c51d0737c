"""Fixtures for whole-program tests. See lib/ for what they are made of; test/README says how to write one."""
import getpass
import os
import pwd
import shutil
import signal
import tempfile

import pytest

from lib import account as accounts
from lib import process, programs, server
from lib.client import Client
from lib.keys import Keys

TEST_LIMIT_S = 60
# Unless a test gives others: the first choice of Debian's ssh costs it more time than the rest of a login.
QUICK_KEX = "KexAlgorithms curve25519-sha256,ecdh-sha2-nistp256,diffie-hellman-group14-sha256"


def pytest_configure():
    process.adopt_orphans()
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):  # ignored in what a shell starts in the background, and inherited
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def time_limit():
    """A test that hangs fails instead."""

    def expire(*_):
        raise TimeoutError("the test took more than %d s" % TEST_LIMIT_S)

    signal.signal(signal.SIGALRM, expire)
    signal.alarm(TEST_LIMIT_S)
    yield
    signal.alarm(0)


def temp_folder():
    """In memory where that is possible, and passable for other users."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    path = tempfile.mkdtemp(prefix="nacre-test-", dir=base)
    os.chmod(path, 0o755)
    return path


@pytest.fixture(scope="session")
def session_folder():
    path = temp_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def workdir():
    path = temp_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def keys(session_folder):
    return Keys(session_folder)


@pytest.fixture(scope="session")
def account(session_folder, keys):
    """pwd entry of a second user with accounts.PASSWORD, whose ~/.ssh/authorized_keys has our keys. Root only."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make an account")
    name = "nacretest%d" % os.getpid()
    with accounts.account(name, os.path.join(session_folder, "home")) as entry:
        ssh = os.path.join(entry.pw_dir, ".ssh")
        os.mkdir(ssh, 0o700)
        shutil.copy(keys.authorized_keys, ssh)
        for path in (ssh, os.path.join(ssh, "authorized_keys")):
            os.chown(path, entry.pw_uid, entry.pw_gid)
        yield entry


@pytest.fixture(scope="session")
def login(request):
    """pwd entry of whom tests log in as: the second account for root, oneself otherwise."""
    return request.getfixturevalue("account") if os.geteuid() == 0 else pwd.getpwnam(getpass.getuser())


@pytest.fixture
def servers():
    """The servers of a test; stopped after it, and nothing may be left of them."""
    started = []
    yield started
    for one in started:
        one.stop()
    for one in started:
        bad = one.log.find(r"AddressSanitizer|runtime error:|killed by signal (31|11|6)|CHECK|internal error")
        assert not bad, one.log.text()
    try:
        process.wait_until(lambda: not process.leftovers(), "the end of what the servers left behind")
    except AssertionError:
        left = process.leftovers()
        process.kill(pid for pid, _ in left)  # or they would be found after every later test too
        pytest.fail("left behind: %s\n%s" % (left, "".join(one.log.text() for one in started)))


@pytest.fixture
def our_sshd(servers, workdir, keys):
    """our_sshd(config_lines, flags=...) starts our server; given lines win over the defaults of lib/server.py."""

    def start(lines=(), **options):
        servers.append(server.start_sshd(programs.SSHD, workdir, keys, lines, **options))
        return servers[-1]

    return start


@pytest.fixture
def debian_sshd(servers, workdir, keys):
    program = programs.peer("sshd")
    if not program:
        pytest.skip("no sshd of another make here")

    def start(lines=(), **options):
        servers.append(server.start_sshd(program, workdir, keys, lines, **options))
        return servers[-1]

    return start


@pytest.fixture
def dropbear(servers, workdir, keys):
    if not programs.peer("dropbear"):
        pytest.skip("no dropbear here")

    def start(**options):
        servers.append(server.start_dropbear(workdir, keys, **options))
        return servers[-1]

    return start


@pytest.fixture
def our_ssh(workdir, keys, login):
    """our_ssh(server, config_lines, user=, key=) makes a lib/client.Client with our ssh."""

    def make(one, lines=(), user=None, key=keys.user["ed25519"]):
        return Client(programs.SSH, workdir, one, user or login.pw_name, key, lines)

    if not programs.has(programs.SSH):
        pytest.skip("ssh is not built")
    return make


@pytest.fixture
def debian_ssh(workdir, keys, login):
    program = programs.peer("ssh")
    if not program:
        pytest.skip("no ssh of another make here")

    def make(one, lines=(), user=None, key=keys.user["ed25519"]):
        return Client(program, workdir, one, user or login.pw_name, key, [*lines, QUICK_KEX])

    return make
