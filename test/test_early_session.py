"""The session that comes along with the signature (doc/protocol.md, early-session): our ssh and our sshd, each also against raw peers."""
import os
import re

import pytest

from lib import account as accounts
from lib import process, rawssh
from lib.marks import needs_our_ssh, needs_root
from lib.server import write_config
from lib.rawssh import AUTH_FAILURE, AUTH_SUCCESS, DATA, EXT_INFO, OPEN, OPEN_CONFIRMATION, OPEN_FAILURE, REQUEST, SUCCESS, client_at, message, string, u8, u32
from test_bad_input_client import victim  # noqa: F401 (a fixture)

pytestmark = needs_our_ssh

EARLY = "Sending the session along with the signature."
FORGOTTEN = "The session that was sent along is forgotten."
OFFER = message(EXT_INFO, u32(1), string("early-session@nacre.alt"), string("0"))
MOST_PACKETS, MOST_BYTES = 64, 32 * 1024  # LIMIT_EARLY_*
SESSION = message(OPEN, string("session"), u32(0), u32(1 << 20), u32(1 << 15))


def run_request(text, channel=0):
    return message(REQUEST, u32(channel), string("exec"), u8(1), string(text))


def env_request(i, channel=0):
    return message(REQUEST, u32(channel), string("env"), u8(0), string("LC_%d" % i), string("x"))


@pytest.fixture
def key(keys):
    return rawssh.load_key(keys.user["ed25519"])


@pytest.fixture
def stranger(workdir):
    """A key that nobody has authorized: (path, private key)."""
    path = os.path.join(workdir, "stranger")
    process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path])
    return path, rawssh.load_key(path)


@pytest.fixture
def trace(login):
    """A file that commands can leave something in."""
    path = os.path.join(login.pw_dir, "trace.%d" % os.getpid())
    yield path
    if os.path.exists(path):
        os.unlink(path)


# ---- ssh and sshd ----


def test_session_of_every_kind(our_sshd, our_ssh):
    server = our_sshd(["AcceptEnv TEST_*"])
    client = our_ssh(server, ["SetEnv TEST_A=%h-x"])
    done = client.run("cat; echo $TEST_A >&2; exit 42", stdin="in\n", flags=["-v"])
    assert (done.returncode, done.stdout) == (42, "in\n") and EARLY in done.stderr and "127.0.0.1-x" in done.stderr
    assert done.stderr.index(EARLY) < done.stderr.index("Authenticated to") < done.stderr.index("Entering interactive session")
    assert FORGOTTEN not in done.stderr
    assert client.run(stdin="echo shell\n").stdout == "shell\n"
    assert client.run("tty", flags=["-tt"]).stdout.startswith("/dev/pts/")
    assert client.run("sftp", flags=["-s"], stdin="").returncode == 0
    assert client.run("echo fork >&2", flags=["-f"]).stderr.endswith("fork\n")
    assert not server.log.find("unknown|protocol")


@pytest.mark.parametrize("lines", [["EarlySession no"], ["Compression yes"], ["PermitLocalCommand yes", "LocalCommand true"],
                                   ["SetEnv " + " ".join("A%d=%s" % (i, "x" * 600) for i in range(60))], ["SetEnv " + " ".join("A%d=" % i for i in range(70))]], ids=range(5))
def test_not_early(our_sshd, our_ssh, lines):
    """When it is not wanted, something comes before the session, or it is too large."""
    client = our_ssh(our_sshd(), lines)
    done = client.run("echo out", flags=["-v"])
    assert (done.returncode, done.stdout) == (0, "out\n")
    too_large = lines[0].startswith("SetEnv")
    assert (EARLY in done.stderr) == too_large and FORGOTTEN not in done.stderr
    assert "Sending command: echo out" in done.stderr[done.stderr.index("Authenticated to") :]


def test_nothing_is_early_without_a_session(our_sshd, our_ssh):
    one = our_ssh(our_sshd()).start(flags=["-v", "-N"])
    text = b""
    while b"Entering interactive session" not in text:
        line = one.stderr.readline()
        assert line, text
        text += line
    one.kill()
    one.communicate()
    assert EARLY.encode() not in text


def test_refused_key_then_another(our_sshd, our_ssh, stranger, trace):
    """Only the session of the key that lets us in runs."""
    server = our_sshd()
    done = our_ssh(server, ["IdentityFile " + stranger[0]]).run("echo ran >> %s; echo $$" % trace, flags=["-v"])
    assert done.returncode == 0 and len(done.stdout.split()) == 1
    assert done.stderr.count(EARLY) == 2 and done.stderr.count(FORGOTTEN) == 1
    assert open(trace, encoding="utf-8").read() == "ran\n"
    done = our_ssh(server, key=stranger[0]).run("echo ran >> " + trace, flags=["-v"])
    assert done.returncode == 255 and re.search(r"Permission denied \(publickey[^)]*\)\.\r?\n", done.stderr) and FORGOTTEN in done.stderr
    assert open(trace, encoding="utf-8").read() == "ran\n"


def test_too_many_keys(our_sshd, our_ssh, stranger, keys):
    done = our_ssh(our_sshd(["MaxAuthTries 1"]), ["IdentityFile " + stranger[0]]).run("echo no")
    assert done.returncode == 255 and done.stdout == "" and "Too many authentication failures" in done.stderr


@needs_root
def test_two_methods(our_sshd, our_ssh, account, workdir):
    askpass = os.path.join(workdir, "askpass")
    with open(askpass, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\necho '%s'\n" % accounts.PASSWORD)
    os.chmod(askpass, 0o755)
    server = our_sshd(["UsePAM no", "AuthenticationMethods publickey,password"])
    env = dict(os.environ, SSH_ASKPASS=askpass, SSH_ASKPASS_REQUIRE="force")
    done = our_ssh(server, ["BatchMode no"]).run("id -un", flags=["-v"], env=env)
    assert (done.returncode, done.stdout) == (0, account.pw_name + "\n")
    assert "partial success" in done.stderr and FORGOTTEN in done.stderr


def test_banner_force_command_and_no_terminal(our_sshd, our_ssh, workdir):
    banner = os.path.join(workdir, "banner")
    with open(banner, "w", encoding="utf-8") as f:
        f.write("hello there\n")
    server = our_sshd(["Banner " + banner, "ForceCommand echo forced $SSH_ORIGINAL_COMMAND", "PermitTTY no"])
    done = our_ssh(server).run("mine", flags=["-v"])
    assert done.stdout == "forced mine\n" and "hello there" in done.stderr and EARLY in done.stderr
    done = our_ssh(server).run("mine", flags=["-tt"])
    assert done.returncode == 255 and "PTY allocation request failed on channel 0" in done.stderr


def test_no_sessions_at_all(our_sshd, our_ssh):
    """The open is refused, and the requests behind it are no error of the protocol."""
    server = our_sshd(["MaxSessions 0"])
    done = our_ssh(server).run("true", flags=["-v"])
    assert done.returncode == 255 and "channel 0: open failed: connect failed: open failed" in done.stderr and EARLY in done.stderr
    assert "ssh_dispatch_run_fatal" not in done.stderr
    server.log.wait("no more sessions")
    server.log.wait("Disconnected from user|Connection closed by")
    assert not server.log.find("ssh_dispatch_run_fatal")


def test_servers_that_do_not_offer_it(debian_sshd, our_ssh):
    done = our_ssh(debian_sshd()).run("echo out", flags=["-v"])
    assert (done.returncode, done.stdout) == (0, "out\n") and EARLY not in done.stderr


# ---- our sshd and a raw client ----


def test_offer_and_one_flight(our_sshd, login, key):
    with client_at(our_sshd().port, "after kex") as peer:
        offer = peer.expect(EXT_INFO, skip=())
        assert string("early-session@nacre.alt") + string("0") in offer
        peer.raw(peer.seal(message(5, string("ssh-userauth"))) + peer.seal(peer.signed_request(login.pw_name, key)) + peer.seal(SESSION) + peer.seal(env_request(1)) +
                 peer.seal(run_request("echo out")))
        peer.expect(6)
        peer.expect(AUTH_SUCCESS)
        confirmation = rawssh.Reader(peer.expect(OPEN_CONFIRMATION), 1)
        assert (confirmation.u32(), confirmation.u32()) == (0, 0)
        peer.expect(SUCCESS)
        assert peer.expect(DATA, skip=(rawssh.WINDOW_ADJUST,)) == message(DATA, u32(0), string("out\n"))


def test_dropped_with_its_request(our_sshd, login, key, trace, stranger):
    """What comes with a request that fails never runs, not even when the next request succeeds."""
    with client_at(our_sshd(["MaxAuthTries 20"]).port, "during auth") as peer:
        for _ in range(3):
            session = [SESSION] + [env_request(i) for i in range(MOST_PACKETS - 2)] + [run_request("touch " + trace)]
            peer.raw(peer.seal(peer.signed_request(login.pw_name, stranger[1])) + b"".join(peer.seal(p) for p in session))
        for _ in range(3):
            peer.expect(AUTH_FAILURE)
        peer.send(peer.signed_request(login.pw_name, key))
        peer.expect(AUTH_SUCCESS)
        assert peer.open_session() == 0
        assert peer.exec(0, "true")
        assert not os.path.exists(trace)


@pytest.mark.parametrize("before", ["nothing", "none", "a query", "a password"])
def test_at_the_wrong_time(our_sshd, login, key, before):
    server = our_sshd()
    for payload in (SESSION, run_request("true"), env_request(1)):
        with client_at(server.port, "during auth") as peer:
            if before == "none":
                peer.send(peer.auth_request(login.pw_name, "none"))
            elif before == "a query":
                peer.send(peer.auth_request(login.pw_name, "publickey", u8(0), string("ssh-ed25519"), string(rawssh.ed25519_blob(key.public_key()))))
            elif before == "a password":
                peer.send(peer.auth_request(login.pw_name, "password", u8(0), string("wrong")))
            if before != "nothing":
                peer.expect(AUTH_FAILURE, rawssh.AUTH_60)
            peer.send(payload)
            assert peer.end()[0] == 2


def test_more_or_other_than_allowed(our_sshd, login, stranger):
    server = our_sshd()
    for too_much in (
        [env_request(1)] * (MOST_PACKETS + 1),
        [run_request("x" * (MOST_BYTES // 2))] * 2,
        [message(80, string("no-more-sessions@openssh.com"), u8(0))],
        [message(DATA, u32(0), string("x"))],
        [message(rawssh.WINDOW_ADJUST, u32(0), u32(1))],
        [message(rawssh.EOF, u32(0))],
        [message(rawssh.CLOSE, u32(0))],
        [message(OPEN_CONFIRMATION, u32(0), u32(0), u32(1), u32(1))],
    ):
        with client_at(server.port, "during auth") as peer:
            peer.send(peer.signed_request(login.pw_name, stranger[1]))
            peer.expect(AUTH_FAILURE)
            for payload in too_much:
                peer.send(payload)
            assert peer.end()[0] in (2, 3), too_much[0]
            server.log.wait(r"port %d\b.*preauth" % peer.port)


def test_refused_open_drops_only_its_requests(our_sshd, login, key):
    server = our_sshd(["MaxSessions 0"])
    with client_at(server.port, "during auth") as peer:
        peer.raw(peer.seal(peer.signed_request(login.pw_name, key)) + peer.seal(SESSION) + peer.seal(run_request("true")))
        peer.expect(AUTH_SUCCESS)
        peer.expect(OPEN_FAILURE)
        assert peer.is_alive()
        peer.send(run_request("true", channel=1))
        assert peer.end()[0] == 2
    with client_at(server.port, "after login", login.pw_name, key) as peer:
        for number in range(2):
            peer.send(message(OPEN, string("session"), u32(number), u32(1 << 20), u32(1 << 15)))
            peer.expect(OPEN_FAILURE)
        peer.send(run_request("true"))
        assert peer.end()[0] == 2


def test_rekey_behind_the_session(our_sshd, login, key):
    """New keys asked for in the same flight: the session's packets are those of the old ones."""
    with client_at(our_sshd().port, "during auth") as peer:
        peer.raw(peer.seal(peer.signed_request(login.pw_name, key)) + peer.seal(SESSION) + peer.seal(run_request("read line; echo $line")))
        peer.send_kexinit()
        peer.expect(AUTH_SUCCESS)
        seen = []
        while not seen or seen[-1][0] != rawssh.KEXINIT:
            seen.append(peer.expect(OPEN_CONFIRMATION, SUCCESS, rawssh.KEXINIT))
        peer.their_kexinit = seen[-1]
        peer.exchange_keys()
        peer.send(message(DATA, u32(0), string("out\n")))
        assert peer.expect(DATA, skip=(OPEN_CONFIRMATION, SUCCESS, rawssh.WINDOW_ADJUST)) == message(DATA, u32(0), string("out\n"))


# ---- our ssh and a raw server ----


def offering(victim, flags=(), **options):  # noqa: F811
    """(victim, peer, what the client sent behind its signed request), before the answer to it."""
    v = victim(flags, **options)
    peer = v.peer
    make_offer(peer, OFFER)
    return v, peer, with_request(peer)


def make_offer(peer, offer, apart=False):
    """Up to the client's NEWKEYS. EXT_INFO is in one segment with NEWKEYS, as servers send it; or begins there and ends later."""
    peer.start()
    peer.server_exchange()
    newkeys = peer.seal(message(rawssh.NEWKEYS))
    peer.sealer, peer.sent_n = peer.next_sealer, 0
    sealed = newkeys + peer.seal(offer)
    peer.raw(sealed[:-1] if apart else sealed)
    peer.read_newkeys()
    if apart:
        peer.expect(5, skip=(EXT_INFO,))
        peer.raw(sealed[-1:])


def with_request(peer):
    """What comes up to the command; the request that only asks for the methods is answered and left out."""
    packets = []
    while not packets or packets[-1][0] != REQUEST or string("exec") not in packets[-1]:
        packets.append(peer.expect(5, 50, OPEN, REQUEST, skip=(EXT_INFO,)))
        if packets[-1][0] == 5:
            peer.send(message(6, string("ssh-userauth")))
        if packets[-1].endswith(string("none")):
            packets.pop()
            peer.send(message(AUTH_FAILURE, string("publickey"), u8(0)))
    return packets


def confirm(peer, ours):
    peer.send(message(OPEN_CONFIRMATION, u32(0), u32(ours), u32(1 << 20), u32(1 << 15)))


def test_one_flight_of_the_client(victim):  # noqa: F811
    v, peer, packets = offering(victim)
    with v:
        assert [p[0] for p in packets] == [5, 50, OPEN, REQUEST] and packets[-1] == run_request("true")
        peer.send(message(AUTH_SUCCESS))
        confirm(peer, 0)
        peer.send(message(SUCCESS, u32(0)))
        peer.send(message(DATA, u32(0), string("all at once")))
        peer.send(message(REQUEST, u32(0), string("exit-status"), u8(0), u32(3)))
        peer.send(message(97, u32(0)))
        v.wait()
        assert (v.status, v.out) == (3, b"all at once")


def test_server_breaks_its_promise(victim):  # noqa: F811
    v, peer, _ = offering(victim)
    with v:
        peer.send(message(AUTH_SUCCESS))
        confirm(peer, 1)
        v.refuses("ssh_dispatch_run_fatal")


@pytest.mark.parametrize("what", ["confirmation", "reply", "data", "open", "global request"])
def test_answers_before_success(victim, what):  # noqa: F811
    """The session is nobody's before the login: an answer to it is an error."""
    v, peer, _ = offering(victim)
    with v:
        peer.send({
            "confirmation": message(OPEN_CONFIRMATION, u32(0), u32(0), u32(1), u32(1)),
            "reply": message(SUCCESS, u32(0)),
            "data": message(DATA, u32(0), string("x")),
            "open": message(OPEN, string("x11"), u32(0), u32(1), u32(1)),
            "global request": message(80, string("x"), u8(0)),
        }[what])
        v.refuses()


def test_failure_and_once_more(victim, keys, stranger):  # noqa: F811
    """After a failure the next key brings its own; a reply to the first would be one too many."""
    v, peer, first = offering(victim, ["-i", stranger[0]])
    with v:
        peer.send(message(AUTH_FAILURE, string("publickey"), u8(0)))
        second = with_request(peer)
        assert [p[0] for p in second] == [50, OPEN, REQUEST] and second[1:] == first[2:] and second[0] != first[1]
        peer.send(message(AUTH_SUCCESS))
        confirm(peer, 0)
        peer.send(message(SUCCESS, u32(0)))
        peer.send(message(SUCCESS, u32(0)))
        v.refuses("ssh_dispatch_run_fatal")


def test_rekey_while_the_answer_is_awaited(victim):  # noqa: F811
    v, peer, _ = offering(victim)
    with v:
        peer.send_kexinit()
        peer.read_kexinit()
        peer.exchange_keys()
        peer.send(message(AUTH_SUCCESS))
        confirm(peer, 0)
        peer.send(message(SUCCESS, u32(0)))
        peer.send(message(REQUEST, u32(0), string("exit-status"), u8(0), u32(0)))
        peer.send(message(97, u32(0)))
        v.wait()
        assert v.status == 0, v.err


def test_unknown_value_of_the_offer(victim):  # noqa: F811
    """Another version is not ours."""
    with victim() as v:
        peer = v.peer
        make_offer(peer, message(EXT_INFO, u32(1), string("early-session@nacre.alt"), string("1")))
        peer.expect(5, skip=(EXT_INFO,))
        peer.send(message(6, string("ssh-userauth")))
        peer.expect(50)
        peer.send(message(AUTH_FAILURE, string("publickey"), u8(0)))
        peer.expect(50)
        peer.sock.settimeout(0.3)
        with pytest.raises(AssertionError, match="hangs"):
            peer.recv()


def test_offer_in_two_segments(victim, workdir, keys):  # noqa: F811
    """The client says nothing of its login before it has read what the server has begun to say: its very first request has the session."""
    write_config(os.path.join(workdir, "known.visits"), ["me@raw " + keys.public(keys.user["ed25519"])])
    with victim() as v:
        peer = v.peer
        make_offer(peer, OFFER, apart=True)
        assert [p[0] for p in with_request(peer)] == [50, OPEN, REQUEST]


def test_offer_that_never_ends(victim):  # noqa: F811
    """Something else was in the second segment: the login begins with SERVICE_ACCEPT."""
    with victim() as v:
        peer = v.peer
        make_offer(peer, message(rawssh.IGNORE, string("x")), apart=True)
        peer.send(message(6, string("ssh-userauth")))
        assert peer.expect(50)
