"""What our client does with a server that breaks the rules: it says why in one line, exits with 255, and nothing else happens."""
import os
import re
import subprocess
import socket
import time
import zlib

import pytest

from lib import programs, rawssh
from lib.every_message import AUTH_FREE, FREE, in_parallel, say
from lib.marks import needs_our_ssh
from lib.rawssh import CIPHERS, PHASES, Peer, message, mpint, string, u8, u32
from lib.server import write_config

pytestmark = needs_our_ssh


class Victim:
    """A client that was started against a socket of ours: peer is our end, once it has called."""

    def __init__(self, config, host_key, flags=(), **options):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        listener.settimeout(rawssh.WAIT_S)
        argv = [programs.SSH, "-F", config, "-p", str(listener.getsockname()[1]), *flags, "test", "true"]
        self.popen = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.peer = Peer(listener.accept()[0], host_key=host_key, **options)
        listener.close()
        self.status = self.out = self.err = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peer.sock.close()
        self.popen.kill()
        self.popen.communicate()

    def bring_to(self, phase):
        peer, steps = self.peer, PHASES.index(phase)
        peer.send_ident()
        peer.read_ident()
        peer.read_kexinit()
        if steps == 0:
            return peer
        peer.send_kexinit()
        if steps == 1:
            peer.expect(30)
            return peer
        peer.exchange_keys()
        peer.expect(5)
        if steps >= 3:
            peer.send(message(6, string("ssh-userauth")))
            peer.expect(50)
        if steps >= 4:
            peer.send(message(52))
            peer.start_compression()
            self.channel = peer.accept_session()
        if steps >= 5:
            peer.send_kexinit()
            peer.read_kexinit()
            peer.expect(30)
        return peer

    def wait(self):
        """What it printed on standard error, once it has ended by itself."""
        try:
            out, err = self.popen.communicate(timeout=rawssh.WAIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError("the client hangs") from None
        self.status, self.out, self.err = self.popen.returncode, out, err.decode("utf-8", "replace")
        return self.err

    def refuses(self, pattern="."):
        """It has ended as it should when a server breaks the rules; its last line. One before may say what was wrong with a packet."""
        lines = [line for line in self.wait().split("\n") if line.strip() and not re.match(r"Keys of |  /", line)]
        assert self.status == 255, (self.status, self.err)
        assert 1 <= len(lines) <= 2 and any(re.search(pattern, line) for line in lines), (pattern, self.err)
        assert all(line.strip("\r").isprintable() for line in lines)
        assert self.out == b""
        return lines[-1]


@pytest.fixture
def victim(workdir, keys):
    """victim(flags=..., cipher=..., lists=...) starts one."""
    host_key = rawssh.load_key(keys.host["ed25519"])
    known = write_config(os.path.join(workdir, "known"), ["raw " + " ".join(keys.public(keys.host["ed25519"]).split()[:2])])
    config = write_config(
        os.path.join(workdir, "config"),
        ["Host *", "HostName 127.0.0.1", "HostKeyAlias raw", "User me", "IdentityFile " + keys.user["ed25519"], "IdentitiesOnly yes", "IdentityAgent none",
         "UserKnownHostsFile " + known, "GlobalKnownHostsFile /dev/null", "StrictHostKeyChecking yes", "UpdateHostKeys no", "WarnWeakCrypto no", "BatchMode yes", "ControlPath none"],
    )
    return lambda flags=(), key=host_key, **options: Victim(config, key, flags, **options)


def test_the_good_case(victim):
    for cipher in CIPHERS:
        with victim(cipher=cipher) as v:
            peer = v.bring_to("after login")
            peer.rekey()
            assert peer.is_alive()
            peer.send(message(94, u32(v.channel), string("hello\n")))
            peer.send(message(98, u32(v.channel), string("exit-status"), u8(0), u32(7)))
            peer.send(message(97, u32(v.channel)))
            v.wait()
            assert (v.status, v.out, v.err) == (7, b"hello\n", "")


# ---- every message number in every phase ----

OTHERWISE_TESTED = {1, 20, 31}
ALLOWED = {  # (what is taken, what is answered with UNIMPLEMENTED)
    "before kex": ({2, 3, 4}, set()),
    "during kex": ({2, 3, 4}, set()),
    "after kex": ({2, 3, 4, 6, 7, 192, 193}, FREE),
    "during auth": ({2, 3, 4, 7, 52, 53, 192, 193}, FREE | AUTH_FREE),
    "after login": ({2, 3, 4, 80, 90, 192, 193}, FREE | set(range(83, 90)) | set(range(101, 192))),
    "during re-kex": ({2, 3, 4}, set()),
}


@pytest.mark.parametrize("phase", PHASES)
def test_numbers_that_end_the_connection(victim, phase):
    taken, unimplemented = ALLOWED[phase]
    numbers = set(range(256)) - taken - unimplemented - OTHERWISE_TESTED
    if phase == "during auth":
        numbers.remove(51)  # an answer like any other

    def send(number):
        with victim() as v:
            peer = v.bring_to(phase)
            peer.send(say(number))
            end = peer.end()
            assert end and end[0] in (2, 3), (number, end)
            v.refuses("^ssh_dispatch_run_fatal: Connection to 127.0.0.1 port")

    in_parallel(send, sorted(numbers))


@pytest.mark.parametrize("phase", PHASES)
def test_numbers_that_are_taken(victim, phase):
    taken, unimplemented = ALLOWED[phase]

    def send(number):
        with victim(strict=False) as v:
            peer = v.bring_to(phase)
            peer.send(say(number))
            if phase == "before kex":
                peer.send_kexinit()
                peer.exchange_keys()
            if phase in ("before kex", "after kex", "during auth", "after login"):
                assert peer.is_alive(), number

    in_parallel(send, sorted(taken))
    if unimplemented:
        with victim() as v:
            peer = v.bring_to(phase)
            for number in sorted(unimplemented):
                sequence = peer.sent_n
                peer.send(say(number))
                assert peer.expect(3, skip=(50, 80, 90, 98)) == message(3, u32(sequence)), number


@pytest.mark.parametrize("phase", PHASES)
def test_disconnect(victim, phase):
    with victim() as v:
        v.bring_to(phase).send(message(1, u32(11), string("so\x1b[2Jlong\r\n\u202eevil"), string("")))
        text = v.wait()
        assert v.status == 255
        assert "Received disconnect from 127.0.0.1 port" in text and "Disconnected from" in text
        assert all(line.strip("\r").isprintable() for line in text.split("\n")), repr(text)


@pytest.mark.parametrize("phase", ["before kex", "during kex"])
@pytest.mark.parametrize("number", [2, 3, 4])
def test_strict_kex_takes_nothing_in_between(victim, phase, number):
    with victim() as v:
        peer = v.bring_to(phase)
        peer.send(say(number))
        if phase == "before kex":
            peer.send_kexinit()
        assert peer.end()[0] == 2
        v.refuses("unexpected message")


# ---- identification ----


@pytest.mark.parametrize("sent,pattern", [
    (b"SSH-1.5-old\r\n", "^Protocol major versions differ"),
    (b"SSH-3.0-new\r\n", "^Protocol major versions differ"),
    (b"SSH-2.0\r\n", "identification"),
    (b"SSH-2.0-\r\n", "identification"),
    (b"SSH-2.0-a\0b\r\n", "identification"),
    (b"SSH-2.0-" + b"a" * 300000, "identification"),
    (b"HTTP/1.1 400 Bad Request\r\n" + b"a" * 100000, "identification"),
    (b"line\r\n" * 3000, "identification"),
    (b"\0" * 100000, "identification"),
], ids=range(9))
def test_wrong_identification(victim, sent, pattern):
    with victim() as v:
        v.peer.raw(sent)
        v.peer.read_to_end()
        lines = v.wait().strip().split("\n")
        assert v.status == 255 and len(lines) == 2 and re.search(pattern, lines[0]) and lines[1].startswith("banner exchange: "), lines


def test_lines_before_the_identification(victim):
    with victim(flags=["-v"]) as v:
        v.peer.raw(b"Wel\x1b[2Jcome\r\n" + b"x" * 8000 + b"\n\r\n\n")
        v.bring_to("after kex")
        v.peer.sock.close()
        assert "\x1b" not in v.wait() and v.status == 255


def test_server_that_says_nothing(victim):
    with victim(flags=["-o", "ConnectTimeout=1"]) as v:
        began = time.monotonic()
        assert "timed out" in v.wait() and v.status == 255
        assert time.monotonic() - began < 4


def test_server_that_goes_away(victim):
    for phase in PHASES[:4]:
        with victim() as v:
            v.bring_to(phase)
            v.peer.sock.close()
            assert "Connection closed by" in v.wait() and v.status == 255
    with victim() as v:
        v.peer.sock.close()
        assert "Connection closed by" in v.wait() or "Connection reset by" in v.err


# ---- lengths, padding, tags ----

BAD_LENGTHS = [0, 1, 5, 7, 13, 34999, 35001, 35003, 2**31, 2**32 - 4, 2**32 - 1]


def test_lengths_in_clear(victim):
    def send(length):
        with victim() as v:
            v.bring_to("before kex").raw(u32(length) + bytes(28))
            v.refuses("Bad packet length %d\\." % length)

    in_parallel(send, BAD_LENGTHS)


@pytest.mark.parametrize("cipher", CIPHERS)
def test_lengths_encrypted(victim, cipher):
    def send(length):
        with victim(cipher=cipher) as v:
            peer = v.bring_to("after kex")
            peer.raw(peer.seal_packet(u32(length) + bytes(60)))
            v.refuses("packet length|authentication code|padding")

    in_parallel(send, BAD_LENGTHS)


@pytest.mark.parametrize("cipher", CIPHERS)
def test_tampered_packets_all_look_alike(victim, cipher):
    def tamper(at):
        with victim(cipher=cipher) as v:
            peer = v.bring_to("during auth")
            sealed = bytearray(peer.seal(message(2, string(bytes(100)))))
            sealed[at] ^= 0x40
            peer.raw(bytes(sealed))
            said = peer.read_to_end()
            v.refuses("message authentication code incorrect|Corrupted MAC on input")
            return said

    assert set(in_parallel(tamper, [4, 5, 20, 40, 90, -1, -16])) == {b""}


@pytest.mark.parametrize("pad_byte", [0, 3, 255])
def test_padding(victim, pad_byte):
    for phase in ("before kex", "after kex"):
        with victim(strict=False) as v:
            v.bring_to(phase).send(message(2, string(b"abc")), pad_byte=pad_byte)
            v.refuses("padding error")


# ---- key exchange ----


@pytest.mark.parametrize("slot,name", [("kex", "key exchange method"), ("host_key", "host key type"), ("cipher", "cipher"), ("mac", "MAC"),
                                       ("compression", "compression method")])
def test_nothing_in_common(victim, slot, name):
    with victim(cipher=CIPHERS[2], lists={slot: "flying,carpet"}) as v:
        peer = v.bring_to("before kex")
        peer.send_kexinit()
        assert peer.end()[0] == 3
        v.refuses("^Unable to negotiate with 127.0.0.1 port \\d+: no matching %s found. Their offer: flying,carpet" % name)


KEX_VALUES = [
    ("curve25519-sha256", bytes(32)),
    ("curve25519-sha256", b"\x01" + bytes(31)),
    ("curve25519-sha256", b"\xed" + b"\xff" * 30 + b"\x7f"),
    ("curve25519-sha256", b""),
    ("curve25519-sha256", bytes(33)),
    ("ecdh-sha2-nistp256", b"\x04" + bytes(64)),
    ("ecdh-sha2-nistp256", b"\x00"),
    ("ecdh-sha2-nistp384", b"\x04" + b"\x01" * 96),
    ("mlkem768x25519-sha256", bytes(1088 + 31)),
    ("mlkem768x25519-sha256", bytes(1088 + 32)),
    ("sntrup761x25519-sha512", bytes(1039 + 32)),
    ("sntrup761x25519-sha512", b""),
    ("diffie-hellman-group14-sha256", b""),
    ("diffie-hellman-group14-sha256", b"\x01"),
    ("diffie-hellman-group14-sha256", b"\x00" + b"\xff" * 256),
    ("diffie-hellman-group14-sha256", b"\xff" * 256),
]


def test_key_exchange_values(victim, keys):
    blob = rawssh.ed25519_blob(rawssh.load_key(keys.host["ed25519"]).public_key())

    def send(one):
        with victim(flags=["-o", "KexAlgorithms=" + one[0]], lists={"kex": one[0] + ",kex-strict-s-v00@openssh.com"}) as v:
            peer = v.bring_to("during kex")
            peer.send(message(31, string(blob), string(one[1]), string(string("ssh-ed25519") + string(bytes(64)))))
            end = peer.end()
            assert end and end[0] in (2, 3), (one, end)
            v.refuses()

    in_parallel(send, KEX_VALUES)


# (p, g) of a group exchange: too small, even, no generator
GROUPS = [(2**1023 + 1155, 2), (2**2047, 2), (2**2048 - 1942289, 0), (2**2048 - 1942289, 1), (2**16384 + 1, 2), (0, 2), (2**2047 + 1, 2**2047)]


def test_group_exchange_groups(victim):
    name = "diffie-hellman-group-exchange-sha256"

    def send(one):
        with victim(flags=["-o", "KexAlgorithms=" + name], lists={"kex": name + ",kex-strict-s-v00@openssh.com"}) as v:
            peer = v.bring_to("before kex")
            peer.send_kexinit()
            peer.expect(34)
            peer.send(message(31, mpint(one[0]), mpint(one[1])))
            end = peer.end()
            assert end and end[0] in (2, 3), (one, end)
            v.refuses()

    in_parallel(send, GROUPS)


def changed(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


SPOILED = {
    "signature": lambda key, public, sig: (key, public, changed(sig, -1)),
    "algorithm of the signature": lambda key, public, sig: (key, public, string("ssh-rsa") + sig[15:]),
    "empty signature": lambda key, public, sig: (key, public, b""),
    "short signature": lambda key, public, sig: (key, public, sig[:15] + string(sig[19:50])),
    "bytes behind the signature": lambda key, public, sig: (key, public, sig + b"x"),
    "another public value": lambda key, public, sig: (key, changed(public, 3), sig),
    "another key": lambda key, public, sig: (changed(key, -1), public, sig),
    "type of the key": lambda key, public, sig: (string("ssh-rsa") + key[15:], public, sig),
    "no key": lambda key, public, sig: (b"", public, sig),
}


@pytest.mark.parametrize("what", SPOILED)
def test_server_that_cannot_prove_its_key(victim, what):
    with victim() as v:
        peer = v.bring_to("before kex")
        peer.send_kexinit()
        peer.server_exchange(spoil=SPOILED[what])
        peer.send(message(21))
        assert all(payload[0] != 21 for payload in peer.rest())
        v.refuses()


def test_right_signature_of_an_unknown_key(victim, keys):
    with victim(key=rawssh.load_key(keys.user["ed25519"])) as v:
        peer = v.bring_to("before kex")
        peer.send_kexinit()
        peer.server_exchange()
        assert all(payload[0] not in (21, 50) for payload in peer.rest())
        assert "Host key verification failed." in v.wait() and v.status == 255


def test_kex_messages_out_of_turn(victim):
    for payloads in ([message(21)], [message(31, string(""), string(""))], [message(33, string("k"), mpint(2), string("s"))]):
        with victim() as v:
            peer = v.bring_to("during kex")
            for payload in payloads:
                peer.send(payload)
            assert peer.end()[0] in (2, 3)
            v.refuses()
    with victim() as v:
        peer = v.bring_to("during kex")
        peer.send(peer.kexinit())
        assert peer.end()[0] == 2
        v.refuses("unexpected message")


def test_host_key_changes_in_rekey(victim, keys):
    """The key of a later exchange has to be known as well."""
    with victim() as v:
        peer = v.bring_to("after login")
        peer.host_key = rawssh.load_key(keys.user["ed25519"])
        peer.send_kexinit()
        peer.read_kexinit()
        peer.server_exchange()
        assert all(payload[0] != 21 for payload in peer.rest())
        v.wait()
        assert v.status == 255 and v.out == b""


# ---- authentication ----


def test_success_nobody_asked_for(victim):
    """Before the service was granted."""
    with victim() as v:
        v.bring_to("after kex").send(message(52))
        v.refuses("unexpected message")


@pytest.mark.parametrize("payload", [
    message(51, string("publickey")),
    message(51, string("pub\0key"), u8(0)),
    message(51, string("x" * 60000), u8(0)),
    message(60, string("ssh-ed25519"), string("another key")),
    message(53, string("x" * 66000), string("")),
    message(53, u32(2**32 - 1)),
    message(52, b"x"),
    message(51, string(""), u8(0)),
], ids=range(8))
def test_malformed_answers(victim, payload):
    with victim() as v:
        peer = v.bring_to("during auth")
        peer.send(payload)
        for late in peer.rest():
            assert late[0] in (1, 50)
            if late[0] == 50:
                peer.send(message(51, string("none-that-is-known"), u8(0)))
        v.refuses()


def test_banner_does_not_rule_the_terminal(victim):
    with victim() as v:
        peer = v.bring_to("during auth")
        peer.send(message(53, string("hello\r\n\x1b]0;title\x07\x9b2Jworld\n"), string("")))
        peer.send(message(51, string("hostbased"), u8(0)))
        text = v.wait()
        assert "hello" in text and "world" in text and "\x1b" not in text and "\x07" not in text and v.status == 255


def test_endless_failures(victim):
    """A server that lists the method again and again is not tried for ever."""
    with victim() as v:
        peer = v.bring_to("during auth")
        try:
            for _ in range(100):
                peer.send(message(51, string("publickey"), u8(0)))
                peer.expect(50)
            raise AssertionError("it still tries")
        except (rawssh.Closed, AssertionError) as e:
            assert "still" not in str(e)
        assert "Permission denied" in v.wait() and v.status == 255


# ---- channels ----

ABUSES = {
    "a packet larger than announced": lambda c: [message(94, u32(c), string(bytes(140000)))],
    "a string longer than its packet": lambda c: [message(94, u32(c), u32(2**32 - 1), b"x")],
    "bytes behind the string": lambda c: [message(94, u32(c), string(b"x"), b"y")],
    "extended data of type 0": lambda c: [message(95, u32(c), u32(0), string(b"x"))],
    "data after EOF": lambda c: [message(96, u32(c)), message(94, u32(c), string(b"x"))],
    "EOF after EOF": lambda c: [message(96, u32(c)), message(96, u32(c))],
    "an unknown channel": lambda c: [message(94, u32(c + 1), string(b"x"))],
    "the channel 2^32-1": lambda c: [message(96, u32(2**32 - 1))],
    "window beyond 2^32-1": lambda c: [message(93, u32(c), u32(2**32 - 1))],
    "second confirmation": lambda c: [message(91, u32(c), u32(0), u32(1), u32(1))],
    "late refusal": lambda c: [message(92, u32(c), u32(1), string(""), string(""))],
    "success nobody waits for": lambda c: [message(99, u32(c))],
    "global success nobody waits for": lambda c: [message(81)],
    "a request cut short": lambda c: [message(98, u32(c), string("exit-status"))],
    "an open cut short": lambda c: [message(90, string("x11"), u32(1))],
}


@pytest.mark.parametrize("what", ABUSES)
def test_channel_abuse_ends_the_connection(victim, what):
    with victim() as v:
        peer = v.bring_to("after login")
        for payload in ABUSES[what](v.channel):
            peer.send(payload)
        assert peer.end()[0] == 2
        v.wait()
        assert v.status == 255 and "ssh_dispatch_run_fatal" in v.err


UNASKED = {
    "x11": string("127.0.0.1") + u32(80),
    "forwarded-tcpip": string("127.0.0.1") + u32(80) + string("1.2.3.4") + u32(5),
    "forwarded-streamlocal@openssh.com": string("/run/socket") + string(""),
    "auth-agent@openssh.com": b"",
    "session": b"",
    "": b"",
    "x" * 20000: b"",
}


@pytest.mark.parametrize("kind", UNASKED, ids=range(len(UNASKED)))
def test_channels_nobody_asked_for(victim, kind):
    with victim() as v:
        peer = v.bring_to("after login")
        peer.send(message(90, string(kind), u32(5), u32(1 << 20), u32(1 << 15), UNASKED[kind]))
        assert peer.expect(92)[1:5] == u32(5)
        assert peer.is_alive()


@pytest.mark.parametrize("data", [b"", u32(2**32 - 1), u32(1) + b"x"])
def test_strange_exit_status(victim, data):
    with victim() as v:
        peer = v.bring_to("after login")
        peer.send(message(98, u32(v.channel), string("exit-status"), u8(0), data))
        peer.send(message(97, u32(v.channel)))
        peer.rest()
        v.wait()
        assert v.status not in (0, None) and v.status >= 0, v.status


def test_eow_that_crosses_our_eof(victim):
    with victim(flags=["-n"]) as v:
        peer = v.bring_to("after login")
        peer.expect(96)  # ours
        for _ in range(2):
            peer.send(message(98, u32(v.channel), string("eow@openssh.com"), u8(0)))
        peer.send(message(94, u32(v.channel), string("hello\n")))
        peer.send(message(98, u32(v.channel), string("exit-status"), u8(0), u32(7)))
        peer.send(message(97, u32(v.channel)))
        v.wait()
        assert (v.status, v.out, v.err) == (7, b"hello\n", "")


def test_global_requests_nobody_reads_the_answers_of(victim):
    with victim() as v:
        peer = v.bring_to("after login")
        n = 5000
        peer.raw(b"".join(peer.seal(message(80, string("hostkeys-00@openssh.com"), u8(1), bytes(10))) for _ in range(n)))
        for _ in range(n):
            assert peer.expect(81, 82, skip=(93,))
        assert peer.is_alive()


def test_more_than_the_window(victim):
    """Nobody reads what the client would print, so nothing is announced again."""
    with victim() as v:
        peer = v.bring_to("after login")
        left = peer.their_window[v.channel] + 1
        while left:
            n = min(left, 30000)
            peer.send(message(94, u32(v.channel), string(bytes(n))))
            left -= n
        assert peer.end()[0] == 2
        v.wait()
        assert v.status == 255 and "more data than the window allows" in v.err


# ---- compression ----


@pytest.mark.parametrize("what", ["garbage", "bomb", "nothing"])
def test_compressed_packets(victim, what):
    with victim(flags=["-C"], compression="zlib@openssh.com") as v:
        peer = v.bring_to("after login")
        assert peer.is_alive()
        deflate, peer.deflate = peer.deflate, None
        peer.send({
            "garbage": os.urandom(3000),
            "bomb": deflate.compress(message(2) + bytes(100 << 20)) + deflate.flush(zlib.Z_PARTIAL_FLUSH),
            "nothing": deflate.flush(zlib.Z_PARTIAL_FLUSH),
        }[what])
        assert peer.end()[0] in (2, 6)
        v.refuses()


def test_slow_loris_is_served(victim):
    with victim() as v:
        whole = v.peer.sock.sendall
        v.peer.raw = lambda data: [whole(data[i : i + 1]) for i in range(len(data))]
        peer = v.bring_to("after login")
        peer.send(message(94, u32(v.channel), string("done\n")))
        peer.send(message(98, u32(v.channel), string("exit-status"), u8(0), u32(0)))
        peer.send(message(97, u32(v.channel)))
        v.wait()
        assert (v.status, v.out) == (0, b"done\n"), v.err
