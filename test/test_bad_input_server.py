"""What our server does with input that breaks the rules: it ends that connection with a reason and one log line, and nothing else."""
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import account as accounts
from lib import process, programs, rawssh, server
from lib.every_message import AUTH_FREE, FREE, THREADS, in_parallel, say
from lib.marks import needs_root
from lib.rawssh import CIPHERS, PHASES, Peer, Reader, client_at, message, mpint, string, u8, u32

# A process of ours that died instead of ending, or that a sanitizer stopped.
CRASH = r"network process|terminated by|could not serve|signal \d|core dumped|Sanitizer|runtime error|internal error"


@contextlib.contextmanager
def healthy(sshd):
    """No process of the server dies, and it still serves."""
    yield sshd
    with Peer.connect(sshd.port) as peer:
        peer.start()
        peer.exchange_keys()
    assert not sshd.log.find(CRASH), sshd.log.text()


def ended_by(sshd, peer, number_of_lines=1):
    """The lines about the end of a connection; there has to be one and no more."""
    pattern = r"port %d\b" % peer.port
    process.wait_until(lambda: about_end(sshd, pattern), "a line on %s in\n%s" % (pattern, sshd.log.text()))
    lines = about_end(sshd, pattern)
    assert len(lines) == number_of_lines, lines
    return lines[0]


def about_end(sshd, pattern):
    return [line for line in sshd.log.find(pattern) if not re.search("^(Accepted|Failed|Invalid user|User|(error: )?maximum)", line)]


@pytest.fixture
def key(keys):
    return rawssh.load_key(keys.user["ed25519"])


@pytest.fixture
def sshd(our_sshd):
    with healthy(our_sshd()) as one:
        yield one


@pytest.fixture
def old_sshd(our_sshd):
    """One that also has what is off by default."""
    with healthy(our_sshd(["KexAlgorithms +diffie-hellman-group14-sha256,diffie-hellman-group-exchange-sha256"])) as one:
        yield one


@pytest.fixture(params=["root", "ordinary user"])
def either_sshd(request, our_sshd, servers, workdir, keys, login):
    """A server of root, and one of an ordinary user who serves himself."""
    ordinary = request.param != "root"
    if ordinary == (os.geteuid() != 0):
        one = our_sshd()
    elif ordinary:
        one = start_as(servers, workdir, keys, login)
    else:
        pytest.skip("needs root")
    with healthy(one):
        yield one


def start_as(servers, workdir, keys, user):
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv here")
    become = ["setpriv", "--reuid=%d" % user.pw_uid, "--regid=%d" % user.pw_gid, "--clear-groups"]
    if subprocess.run(become + ["test", "-x", programs.SSHD], check=False).returncode:
        pytest.skip("other users cannot run what was built here")
    host_key = shutil.copy(keys.host["ed25519"], os.path.join(workdir, "host_key"))
    os.chown(host_key, user.pw_uid, user.pw_gid)
    shutil.copy(keys.host["ed25519"] + ".pub", host_key + ".pub")
    port = server.free_port()
    config = server.sshd_config(workdir, keys, port, ["HostKey " + host_key, "PerSourcePenalties no"], "internal-sftp")
    servers.append(server.Server(become + [programs.SSHD, "-D", "-e", "-f", config], port, [host_key], ready="Server listening on"))
    return servers[-1]


# ---- every message number in every phase ----

# (what is taken, what is answered with UNIMPLEMENTED); 1 ends it without a word, and the rest by DISCONNECT.
ALLOWED = {
    "before kex": ({2, 3, 4}, set()),
    "during kex": ({2, 3, 4}, set()),
    "after kex": ({2, 3, 4, 5, 7, 192, 193}, FREE),
    "during auth": ({2, 3, 4, 5, 50, 192, 193}, FREE | AUTH_FREE),
    "after login": ({2, 3, 4, 50, 80, 90, 192, 193}, FREE | set(range(83, 90)) | set(range(101, 192))),
    "during re-kex": ({2, 3, 4}, set()),
}
OTHERWISE_TESTED = {20, 30}  # what a key exchange is made of


@pytest.mark.parametrize("phase", PHASES)
def test_numbers_that_end_the_connection(sshd, login, key, phase):
    taken, unimplemented = ALLOWED[phase]
    numbers = set(range(256)) - taken - unimplemented - {1} - OTHERWISE_TESTED

    def send(number):
        with client_at(sshd.port, phase, login.pw_name, key) as peer:
            peer.send(say(number))
            end = peer.end()
            assert end and end[0] in (2, 3), (number, end)
            return peer

    peers = in_parallel(send, sorted(numbers))
    for peer in peers:
        ended_by(sshd, peer, sum(other.port == peer.port for other in peers))  # the kernel may give a port twice


@pytest.mark.parametrize("phase", PHASES)
def test_numbers_that_are_taken(sshd, login, key, phase):
    taken, unimplemented = ALLOWED[phase]
    for number in sorted(taken):
        with client_at(sshd.port, phase, login.pw_name, key, strict=False) as peer:
            peer.send(say(number))
            if phase == "before kex":
                peer.send_kexinit()
            if phase.startswith(("before", "during")) and phase != "during auth":
                peer.exchange_keys()
            assert peer.is_alive(), number
    if unimplemented:
        with client_at(sshd.port, phase, login.pw_name, key) as peer:
            for number in sorted(unimplemented):
                sequence = peer.sent_n
                peer.send(say(number))
                assert peer.expect(3) == message(3, u32(sequence)), number


@pytest.mark.parametrize("phase", PHASES)
def test_disconnect_is_the_last_word(sshd, login, key, phase):
    with client_at(sshd.port, phase, login.pw_name, key) as peer:
        peer.send(say(1))
        assert peer.end() is None
        sshd.log.wait(r"^Received disconnect from 127\.0\.0\.1 port %d:11: bye" % peer.port)


@pytest.mark.parametrize("phase", ["before kex", "during kex"])
@pytest.mark.parametrize("number", [2, 3, 4])
def test_strict_kex_takes_nothing_in_between(sshd, phase, number):
    """A packet put in before NEWKEYS, which a man in the middle could do (CVE-2023-48795)."""
    with client_at(sshd.port, phase) as peer:
        peer.send(say(number))
        if phase == "before kex":
            peer.send_kexinit()
        assert peer.end()[0] == 2
        ended_by(sshd, peer)


def test_kex_messages_out_of_turn(sshd):
    for steps in (["init", "newkeys", "newkeys"], ["init", "init"], ["newkeys", "init"], ["init", "kexinit"]):
        with client_at(sshd.port, "during kex") as peer:
            for step in steps:
                if step == "init":
                    peer.send(message(30, string(peer.client_public())))
                elif step == "newkeys":
                    peer.send(message(21))
                else:
                    peer.send(peer.kexinit())
            assert peer.rest(), steps  # the second is sealed by now with keys that we did not take
            ended_by(sshd, peer)


# ---- identification ----

IDENTS = [
    (b"GET / HTTP/1.0\r\n\r\n", b"Invalid SSH identification string.\r\n"),
    (b"\r\n", b"Invalid SSH identification string.\r\n"),
    (b"SSH-2.0\r\n", b"Invalid SSH identification string.\r\n"),
    (b"SSH-2.0-\r\n", b"Invalid SSH identification string.\r\n"),
    (b"SSH-x.0-y\r\n", b"Invalid SSH identification string.\r\n"),
    (b"SSH-2.0-a\0b\r\n", b"Invalid SSH identification string.\r\n"),
    (b"SSH-99999999999999999999.0-y\r\n", b"Invalid SSH identification string.\r\n"),
    (b"\xff\xfb\x1f\xff\xfb\x20\xff" * 40, b"Invalid SSH identification string.\r\n"),
    (b"SSH-1.5-old\r\n", b"Protocol major versions differ.\r\n"),
    (b"SSH-3.0-new\r\n", b"Protocol major versions differ.\r\n"),
    (b"SSH-2.0-" + b"a" * 246 + b"\r\n", b""),
    (b"SSH-2.0-" + b"a" * 100000, b""),
    (b"a" * 100000, b"Invalid SSH identification string.\r\n"),
    (b"SSH-2.0-\x1b[2J\nx", None),
]


def test_wrong_identification(either_sshd):
    for sent, answer in IDENTS:
        send_identification(either_sshd, sent, answer)


def send_identification(either_sshd, sent, answer):
    with Peer.connect(either_sshd.port) as peer:
        assert peer.read_ident()
        peer.read_kexinit()
        peer.raw(sent)
        peer.sock.shutdown(1)
        said = peer.read_to_end()
        assert answer is None or said == answer
        line = ended_by(either_sshd, peer)
        assert answer is None or "banner exchange: Connection from 127.0.0.1 port %d: " % peer.port in line
        assert "\x1b" not in either_sshd.log.text() and "\0" not in either_sshd.log.text()


@pytest.mark.parametrize("sent", [b"SSH-2.0-x\r\n", b"SSH-2.0-x\n", b"SSH-1.99-x\r\n", b"SSH-2.0-x with a comment\r\n", b"SSH-2.0-" + b"a" * 245 + b"\r\n"], ids=range(5))
def test_strange_but_good_identification(sshd, sent):
    with Peer.connect(sshd.port) as peer:
        peer.raw(sent)
        peer.own_ident = sent.rstrip(b"\r\n")
        peer.read_ident()
        peer.send_kexinit()
        peer.read_kexinit()
        peer.exchange_keys()
        assert peer.is_alive()


def test_silence_and_early_ends(sshd):
    for sent in (b"", b"SSH-", rawssh.IDENT + b"\r\n", rawssh.IDENT + b"\r\n\0\0"):
        with Peer.connect(sshd.port) as peer:
            peer.raw(sent)
            peer.sock.shutdown(1)
            peer.read_to_end()
            assert "Connection closed by 127.0.0.1 port %d" % peer.port in ended_by(sshd, peer)


# ---- lengths, padding, tags ----

BAD_LENGTHS = [0, 1, 5, 7, 13, 34999, 35001, 35003, (256 << 10) + 12, 2**31 - 4, 2**31, 2**31 + 12, 2**32 - 4, 2**32 - 1]


def test_lengths_in_clear(either_sshd):
    for length in BAD_LENGTHS:
        with client_at(either_sshd.port, "before kex") as peer:
            peer.raw(u32(length) + bytes(28))
            peer.rest()
            assert "bad packet length" in ended_by(either_sshd, peer), length


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("phase", ["after kex", "after login"])
def test_lengths_encrypted(sshd, login, key, cipher, phase):
    for length in BAD_LENGTHS:
        with client_at(sshd.port, phase, login.pw_name, key, cipher=cipher) as peer:
            peer.raw(peer.seal_packet(u32(length) + bytes(60)))
            peer.read_to_end()
            ended_by(sshd, peer)


@pytest.mark.parametrize("cipher", ["clear"] + CIPHERS)
def test_largest_packets_of_the_rfc(sshd, cipher):
    """RFC 4253 6.1: all implementations take 35000 bytes with 32768 of payload."""
    with client_at(sshd.port, "before kex" if cipher == "clear" else "after kex", strict=False, cipher=CIPHERS[0] if cipher == "clear" else cipher) as peer:
        apart = peer.sealer.length_apart
        block = peer.sealer.block
        for total in (35000 - block, 35000, 35000 + block):
            packet_len = (total - (0 if apart else 4)) // block * block + (0 if apart else -4)
            payload = message(2, string(bytes(packet_len - 1 - 5 - 10)))
            peer.send(payload, pad=10)
        if cipher == "clear":
            peer.send_kexinit()
            peer.exchange_keys()
        assert peer.is_alive()


def test_padding(sshd):
    for how in (dict(pad_byte=0), dict(pad_byte=3), dict(pad_byte=255), dict(pad=3), dict(pad=0)):
        for cipher in [None] + CIPHERS:
            with client_at(sshd.port, "after kex" if cipher else "before kex", strict=False, cipher=cipher or CIPHERS[0]) as peer:
                payload = message(2, string(b"abc"))
                if "pad" in how:  # a whole number of blocks with too little padding
                    apart = 0 if peer.sealer.length_apart else 4
                    payload += bytes(-(apart + 1 + len(payload) + how["pad"]) % peer.sealer.block)
                peer.send(payload, **how)
                assert peer.end() == (2, "padding error"), (how, cipher)
                ended_by(sshd, peer)


@pytest.mark.parametrize("cipher", CIPHERS)
def test_tampered_packets_all_look_alike(sshd, login, key, cipher):
    def tamper(at):
        with client_at(sshd.port, "after login", login.pw_name, key, cipher=cipher) as peer:
            peer.expect(80)  # the server's other keys
            sealed = bytearray(peer.seal(message(2, string(bytes(100)))))
            sealed[at] ^= 0x40
            peer.raw(bytes(sealed))
            said = peer.read_to_end()
            assert "message authentication code incorrect" in ended_by(sshd, peer)
            return said

    assert set(in_parallel(tamper, [4, 5, 20, 40, 90, -1, -16])) == {b""}


def test_replayed_and_cut_packets(sshd):
    with client_at(sshd.port, "after kex") as peer:
        sealed = peer.seal(message(2, string(b"x")))
        peer.raw(sealed + sealed)
        assert peer.read_to_end()[:0] == b""
        assert "code incorrect" in ended_by(sshd, peer)
    with client_at(sshd.port, "after kex") as peer:
        peer.raw(peer.seal(message(2, string(b"x")))[:-3])
        peer.sock.shutdown(1)
        peer.read_to_end()
        assert "Connection closed by" in ended_by(sshd, peer)


# ---- key exchange ----

SLOTS = {"kex": "key exchange method", "host_key": "host key type", "cipher": "cipher", "mac": "MAC", "compression": "compression method"}


@pytest.mark.parametrize("slot", SLOTS)
def test_nothing_in_common(either_sshd, slot):
    with Peer.connect(either_sshd.port, cipher=CIPHERS[2]) as peer:
        peer.start(**{slot: "flying,carpet@example.org"})
        reason, text = peer.end()
        assert reason == 3 and text.startswith("no matching %s found" % SLOTS[slot])
        line = ended_by(either_sshd, peer)
        assert line == "Unable to negotiate with 127.0.0.1 port %d: no matching %s found. Their offer: flying,carpet@example.org [preauth]" % (peer.port, SLOTS[slot])


def test_names_in_kexinit_do_not_reach_the_log_raw(sshd):
    with Peer.connect(sshd.port) as peer:
        peer.start(kex="a\x1b[2Jb\nAccepted password for root")
        peer.end()
        line = ended_by(sshd, peer)
        assert "\x1b" not in line and not sshd.log.find("^Accepted")


@pytest.mark.parametrize("cut", ["cookie", "list", "end", "trailing", "long list", "empty list"])
def test_malformed_kexinit(sshd, cut):
    with client_at(sshd.port, "before kex") as peer:
        whole = peer.kexinit()
        payload = {
            "cookie": whole[:10],
            "list": whole[:40],
            "end": whole[:-1],
            "trailing": whole + b"x",
            "long list": whole[:17] + u32(2**32 - 1) + whole[21:],
            "empty list": peer.kexinit(kex=""),
        }[cut]
        peer.send(payload)
        assert peer.end()[0] in (2, 3)
        ended_by(sshd, peer)


GROUP14 = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"
    "4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05"
    "98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF",
    16,
)
P256_X = bytes.fromhex("6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296")
P256_P = bytes.fromhex("FFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF")

KEX_VALUES = (
    [("diffie-hellman-group14-sha256", mpint(e)) for e in (0, 1, GROUP14 - 1, GROUP14, GROUP14 + 1, 2**2100)]
    + [("diffie-hellman-group14-sha256", s) for s in (string(b"\x80"), string(b"\xff" * 256), string(bytes(200000 // 8)), u32(2**32 - 1))]
    + [("curve25519-sha256", string(s)) for s in (bytes(32), b"\x01" + bytes(31), b"", bytes(31), bytes(33), b"\xff" * 40000,
                                                  b"\xec" + b"\xff" * 30 + b"\x7f", b"\xed" + b"\xff" * 30 + b"\x7f", b"\xee" + b"\xff" * 30 + b"\x7f")]
    + [("ecdh-sha2-nistp256", string(s)) for s in (b"\x04" + P256_X + P256_X, b"\x04" + bytes(64), b"\x00", b"", b"\x04", b"\x04" + P256_P + P256_X,
                                                   b"\x02" + P256_X, b"\x04" + b"\xff" * 64, b"\x05" + P256_X * 2, b"\x04" + P256_X * 3)]
    + [("ecdh-sha2-nistp521", string(b"\x04" + bytes([1]) * 132)), ("ecdh-sha2-nistp384", string(b"\x04" + b"\xff" * 96))]
    + [("mlkem768x25519-sha256", string(s)) for s in (b"", bytes(32), bytes(1184 + 31), bytes(1184 + 33), b"\xff" * 1216, bytes(1184) + bytes(32))]
    + [("sntrup761x25519-sha512", string(s)) for s in (b"", bytes(32), bytes(1158 + 31), b"\xff" * (1158 + 33), bytes(1158) + bytes(32))]
)


def test_key_exchange_values(old_sshd):
    def send(one):
        name, value = one
        with Peer.connect(old_sshd.port, cipher=CIPHERS[2]) as peer:
            peer.start(kex=name + ",kex-strict-c-v00@openssh.com")
            peer.send(message(30, value))
            end = peer.end()
            assert end and end[0] in (2, 3), (name, value[:80], end)
            return peer

    for peer in in_parallel(send, KEX_VALUES):
        ended_by(old_sshd, peer)


@pytest.mark.parametrize("bits", [(0, 0, 0), (2048, 1024, 8192), (8192, 8192, 2048), (512, 512, 1024), (16384, 16384, 32768), (2**32 - 1,) * 3])
def test_group_exchange_sizes(old_sshd, bits):
    with Peer.connect(old_sshd.port, cipher=CIPHERS[2]) as peer:
        peer.start(kex="diffie-hellman-group-exchange-sha256")
        peer.send(message(34, *(u32(n) for n in bits)))
        assert peer.end()[0] == 3
        ended_by(old_sshd, peer)


@pytest.mark.parametrize("e", ["0", "1", "p-1", "p"])
def test_group_exchange_values(old_sshd, e):
    with Peer.connect(old_sshd.port, cipher=CIPHERS[2]) as peer:
        peer.start(kex="diffie-hellman-group-exchange-sha256")
        peer.send(message(34, u32(2048), u32(2048), u32(8192)))
        p = int.from_bytes(Reader(peer.expect(31), 1).string(), "big")
        peer.send(message(32, mpint({"0": 0, "1": 1, "p-1": p - 1, "p": p}[e])))
        assert peer.end()[0] == 3
        ended_by(old_sshd, peer)


def test_wrong_guess(sshd):
    """RFC 4253 7: the packet behind a wrong guess is passed over, once, and only if it is one of a key exchange."""
    with Peer.connect(sshd.port) as peer:
        peer.start(kex="ecdh-sha2-nistp521,curve25519-sha256,kex-strict-c-v00@openssh.com", kex_follows=1)
        # our first choice is what the server has further down, so what is agreed is not what both like best
        peer.send(message(80, string("x"), u8(1)))
        assert peer.end()[0] == 2
        ended_by(sshd, peer)


def test_endless_rekeying_before_login(sshd):
    with client_at(sshd.port, "after kex") as peer:
        with contextlib.suppress(AssertionError, rawssh.Closed):
            for _ in range(400):
                peer.rekey()
        peer.rest()
        ended_by(sshd, peer)


# ---- authentication ----


NAMES = ["x" * 255, "x" * 256, "x" * 65000, "", "a\nAccepted password for root from 1.2.3.4 port 1 ssh2", "\x1b]0;title\x07", "a\u202eb",
         "%s%n%s%n", "../../etc/passwd", "-l", "a:b:c", "root ", " root", "$(id)"]


def test_strange_user_names(either_sshd):
    for name in NAMES:
        try_name(either_sshd, name)


def try_name(either_sshd, name):
    with client_at(either_sshd.port, "during auth") as peer:
        for _ in range(2):
            peer.send(peer.auth_request(name, "password", u8(0), string("wrong")))
            payload = peer.expect(51)
        assert Reader(payload, 1).string() == b"publickey,password"
        lines = either_sshd.log.find(r"port %d\b" % peer.port)
        assert lines and not either_sshd.log.find("^Accepted"), lines
        assert all(len(line) < 4000 and line.isprintable() for line in lines), lines


@pytest.mark.parametrize("name", [b"ro\0ot", b"\0", b"root\0"])
def test_nul_in_user_names(sshd, name):
    with client_at(sshd.port, "during auth") as peer:
        peer.send(peer.auth_request(name, "none"))
        assert peer.end()[0] == 2
        ended_by(sshd, peer)


def test_change_of_user_name(sshd):
    for second in (("b", "ssh-connection"), ("a:style", "ssh-connection"), ("a", "ssh-other")):
        with client_at(sshd.port, "during auth") as peer:
            peer.try_password("a", "wrong")
            peer.send(peer.auth_request(second[0], "none", service=second[1]))
            assert peer.end()[0] in (2, 7)
            ended_by(sshd, peer)


@pytest.mark.parametrize("service", ["ssh-connection", "", "x" * 60000, "ssh-userauth "], ids=range(4))
def test_services(sshd, service):
    with client_at(sshd.port, "after kex") as peer:
        peer.send(message(5, string(service)))
        assert peer.end()[0] == 7
        ended_by(sshd, peer)


def auth_requests(peer, user, key):
    """Requests that are wrong in some way."""
    good = peer.signed_request(user, key)
    blob = rawssh.ed25519_blob(key.public_key())
    head = peer.auth_request(user, "publickey")
    for cut in range(1, len(good), 7):
        yield good[:cut]
    yield good + b"x"
    yield peer.signed_request(user, key, spoil=True)
    yield good[:1] + u32(2**32 - 1) + good[5:]
    for has_signature in (0, 1, 2, 255):
        for algorithm in ("ssh-ed25519", "rsa-sha2-512", "ssh-rsa", "", "ssh-ed25519-cert-v01@openssh.com", "x" * 5000, "ecdsa-sha2-nistp256"):
            for one in (blob, b"", string("ssh-ed25519"), string("ssh-ed25519") + string(bytes(31)), string("ssh-rsa") + mpint(1) + mpint(0), string("ssh-ed25519") + u32(2**31),
                        string("ecdsa-sha2-nistp256") + string("nistp256") + string(b"\x04" + bytes(64)), string("ssh-rsa") + mpint(3) + mpint(2**511 + 1)):
                yield head + u8(has_signature) + string(algorithm) + string(one) + (string(string(algorithm) + string(bytes(64))) if has_signature else b"")
    yield head + u8(1) + string("ssh-ed25519") + string(blob) + string("")
    yield head + u8(1) + string("ssh-ed25519") + string(blob) + string(string("ssh-ed25519") + string(""))
    yield head + u8(1) + string("ssh-ed25519") + string(blob) + string(string("ssh-rsa") + string(bytes(64)))
    yield peer.auth_request(user, "password")
    yield peer.auth_request(user, "password", u8(0))
    yield peer.auth_request(user, "password", u8(0), string("a\0b"))
    yield peer.auth_request(user, "password", u8(0), string("x" * 1024))
    yield peer.auth_request(user, "password", u8(0), string("x" * 1025))
    yield peer.auth_request(user, "password", u8(0), string("x" * 60000))
    yield peer.auth_request(user, "password", u8(0), string(""))
    yield peer.auth_request(user, "password", u8(1), string("old"), string("new"))
    yield peer.auth_request(user, "password", u8(1), string("old"))
    yield peer.auth_request(user, "keyboard-interactive", string(""), string("x" * 10000))
    yield peer.auth_request(user, "keyboard-interactive")
    yield peer.auth_request(user, "hostbased", string("ssh-ed25519"), string(blob), string("host"), string("user"), string(""))
    yield peer.auth_request(user, "gssapi-with-mic", u32(1), string("x"))
    yield peer.auth_request(user, "none", b"x")
    yield peer.auth_request(user, "")
    yield peer.auth_request(user, "no\nsuch\x1bmethod" + "x" * 3000)
    yield peer.auth_request(user, "publickey-hostbound-v00@openssh.com", u8(1), string("ssh-ed25519"), string(blob), string(b"other host key"), string(""))
    yield message(50)
    yield message(50, string("x"))
    yield message(61, u32(1), string("x"))
    yield message(61, u32(2**32 - 1))


@pytest.mark.parametrize("either_sshd", ["root"], indirect=True)
def test_malformed_requests(either_sshd, login, key):
    """None logs in, none hangs; each is a failure or the end."""
    with client_at(either_sshd.port, "during auth") as peer:
        n = len(list(auth_requests(peer, login.pw_name, key)))

    def send(idx):
        with client_at(either_sshd.port, "during auth") as peer:
            payload = list(auth_requests(peer, login.pw_name, key))[idx]
            peer.send(payload)
            answer = peer.expect(1, 51, 60, skip=(7,))
            assert answer[0] != 60 or b"ssh-ed25519" in answer, payload[:200]

    in_parallel(send, range(n))
    assert not either_sshd.log.find("^Accepted")


def test_signature_of_another_session(sshd, login, key):
    with client_at(sshd.port, "during auth") as first, client_at(sshd.port, "during auth") as second:
        second.send(first.signed_request(login.pw_name, key))
        assert second.expect(51, skip=(7,))
        second.send(second.signed_request(login.pw_name, key))
        assert second.expect(52)


def refusal(sshd, user, password):
    """(all that the server says, how long it took)"""
    with client_at(sshd.port, "during auth") as peer:
        began = time.monotonic()
        said = [peer.try_password(user, password)]
        took = time.monotonic() - began
        peer.send(message(1, u32(11), string(""), string("")))
        return said + peer.rest(), took


@needs_root
@pytest.mark.parametrize("pam", ["yes", "no"])
def test_refusals_look_alike(our_sshd, account, pam):
    """Unknown, wrong password, denied and locked: the same bytes, and about the same time."""
    rounds = 1 if pam == "yes" else 7  # pam_unix waits about two seconds
    plain = our_sshd(["UsePAM " + pam])
    denying = our_sshd(["UsePAM " + pam, "DenyUsers " + account.pw_name])
    seen = {}

    def measure(name, sshd, user, password):
        results = [refusal(sshd, user, password) for _ in range(rounds)]
        seen[name] = (results[0][0], statistics.median(took for _, took in results))

    cases = [
        ("wrong password", plain, account.pw_name, "wrong"),
        ("unknown", plain, "nobodysuch", "wrong"),
        ("no shell", plain, "daemon", "wrong"),
        ("denied", denying, account.pw_name, accounts.PASSWORD),
    ]
    with ThreadPoolExecutor(THREADS if pam == "yes" else 1) as pool:
        list(pool.map(lambda case: measure(*case), cases))
    process.run(["usermod", "-L", account.pw_name])
    try:
        measure("locked", plain, account.pw_name, accounts.PASSWORD)
    finally:
        process.run(["usermod", "-U", account.pw_name])
    assert len({str(said) for said, _ in seen.values()}) == 1, seen
    times = {name: took for name, (_, took) in seen.items()}
    if pam == "no":  # with PAM the modules decide, and pam_unix adds a random delay of its own
        assert max(times.values()) < 2 * min(times.values()) + 0.02, times
    assert not plain.log.find("^Accepted") and not denying.log.find("^Accepted")


# ---- channels ----


@pytest.fixture
def logged_in(sshd, login, key):
    with client_at(sshd.port, "after login", login.pw_name, key) as peer:
        yield peer


def busy_channel(peer):
    """A channel whose command never reads."""
    channel = peer.open_session()
    assert peer.exec(channel, "exec sleep 20")
    return channel


def over_window(peer, channel):
    left = peer.their_window[channel]
    while left:
        n = min(left, 32768)
        yield message(94, u32(channel), string(bytes(n)))
        left -= n
    yield message(94, u32(channel), string(b"x"))


ABUSES = {
    "more than the window": over_window,
    "extended data beyond the window": lambda p, c: list(over_window(p, c))[:-1] + [message(95, u32(c), u32(1), string(b"x"))],
    "a packet larger than announced": lambda p, c: [message(94, u32(c), string(bytes(32769)))],
    "a string longer than its packet": lambda p, c: [message(94, u32(c), u32(2**32 - 1), b"x")],
    "bytes behind the string": lambda p, c: [message(94, u32(c), string(b"x"), b"y")],
    "extended data of type 0": lambda p, c: [message(95, u32(c), u32(0), string(b"x"))],
    "data after EOF": lambda p, c: [message(96, u32(c)), message(94, u32(c), string(b"x"))],
    "EOF after EOF": lambda p, c: [message(96, u32(c)), message(96, u32(c))],
    "an unknown channel": lambda p, c: [message(94, u32(c + 1), string(b"x"))],
    "the channel 2^32-1": lambda p, c: [message(96, u32(2**32 - 1))],
    "window beyond 2^32-1": lambda p, c: [message(93, u32(c), u32(2**32 - 1))],
    "confirmation nobody waits for": lambda p, c: [message(91, u32(c), u32(0), u32(1), u32(1))],
    "refusal nobody waits for": lambda p, c: [message(92, u32(c), u32(1), string(""), string(""))],
    "success nobody waits for": lambda p, c: [message(99, u32(c))],
    "failure nobody waits for": lambda p, c: [message(100, u32(c))],
    "global success nobody waits for": lambda p, c: [message(81)],
    "a request cut short": lambda p, c: [message(98, u32(c), string("exec"))],
    "a request with NUL in its name": lambda p, c: [message(98, u32(c), string(b"ex\0ec"), u8(1), string("id"))],
    "a channel number cut short": lambda p, c: [message(94, b"\0\0")],
    "an open cut short": lambda p, c: [message(90, string("session"), u32(1))],
}


def test_channel_abuse_ends_the_connection(sshd, login, key):
    for what, payloads in ABUSES.items():
        with client_at(sshd.port, "after login", login.pw_name, key) as peer:
            channel = busy_channel(peer)
            for payload in payloads(peer, channel):
                peer.send(payload)
            end = peer.end()
            assert end and end[0] == 2, (what, end)
            ended_by(sshd, peer)


def test_data_after_close(sshd, logged_in):
    channel = busy_channel(logged_in)
    logged_in.send(message(97, u32(channel)))
    logged_in.send(message(94, u32(channel), string(b"x")))
    assert logged_in.end()[0] == 2
    ended_by(sshd, logged_in)


def test_close_twice(sshd, logged_in):
    channel = busy_channel(logged_in)
    logged_in.send(message(97, u32(channel)))
    logged_in.send(message(97, u32(channel)))
    assert logged_in.end()[0] == 2
    ended_by(sshd, logged_in)


MALFORMED_REQUESTS = [
    ("pty-req", b""),
    ("pty-req", string("vt100") + u32(2**32 - 1) * 4 + string(bytes(70000))),
    ("pty-req", string("vt100\nTERM=x") + u32(80) * 4 + string(b"\x80\xff\xff\xff\xff")),
    ("env", string("A")),
    ("env", string("LC_A\0B") + string("x")),
    ("exec", b""),
    ("exec", string("a\0b")),
    ("exec", string("id") + b"x"),
    ("subsystem", string("../../bin/sh")),
    ("subsystem", string("x" * 30000)),
    ("window-change", u32(80)),
    ("signal", string("../KILL")),
    ("signal", string("KILL")),
    ("break", b"x"),
    ("x11-req", u8(1)),
    ("auth-agent-req@openssh.com", b"x"),
    ("exit-status", u32(0)),
    ("x" * 30000, b""),
    ("\x1b[2J", b"x"),
]


def test_malformed_channel_requests(sshd, login, key):
    """A failure or the end; never a program."""
    for name, data in MALFORMED_REQUESTS:
        with client_at(sshd.port, "after login", login.pw_name, key) as peer:
            channel = peer.open_session()
            peer.send(message(98, u32(channel), string(name), u8(1), data))
            answer = peer.expect(1, 99, 100)
            assert answer[0] in (1, 100) or name == "pty-req", answer
    assert "\x1b" not in sshd.log.text()


def test_second_command_on_a_channel(logged_in):
    channel = busy_channel(logged_in)
    assert not logged_in.exec(channel, "id")
    assert logged_in.is_alive()


def test_ten_thousand_opens(logged_in):
    n, batch = 10000, 500
    reasons = set()
    for first in range(0, n, batch):
        kind = "session" if first else "unknown@example.org"
        logged_in.raw(b"".join(logged_in.seal(message(90, string(kind), u32(i), u32(1), u32(1))) for i in range(first, first + batch)))
        for _ in range(batch):
            payload = logged_in.expect(91, 92)
            reasons.add((payload[0], Reader(payload, 5).u32() if payload[0] == 92 else None))
    assert (92, 3) in reasons and (91, None) in reasons and len(reasons) == 3  # unknown type; sessions up to MaxSessions, then no more
    assert logged_in.is_alive()


def test_global_requests_nobody_reads_the_answers_of(logged_in):
    n = 20000
    logged_in.raw(b"".join(logged_in.seal(message(80, string("x"), u8(1))) for _ in range(n)))
    for _ in range(n):
        assert logged_in.expect(82) == message(82)


def memory_kib(pid):
    with open("/proc/%d/status" % pid, encoding="utf-8") as f:
        found = re.search(r"VmRSS:\s+(\d+)", f.read())
    return int(found.group(1)) if found else 0


def test_pings_without_end(sshd, logged_in):
    """A peer that orders answers and reads none is cut off, or not read from any more; memory has its bound either way."""
    logged_in.sock.settimeout(2)
    sealed = b"".join(logged_in.seal(message(192, string(bytes(30000)))) for _ in range(100))
    sent = 0
    with contextlib.suppress(OSError):
        while sent < 80 << 20:
            logged_in.sock.sendall(sealed)
            sent += len(sealed)
            sealed = b"".join(logged_in.seal(message(192, string(bytes(30000)))) for _ in range(100))
    assert max([memory_kib(pid) for pid, _ in sshd.sessions()] or [0]) < 64 << 10
    assert sent < 80 << 20


# ---- compression ----


@pytest.mark.parametrize("what", ["garbage", "bomb", "nothing", "end of stream"])
def test_compressed_packets(sshd, login, key, what):
    with client_at(sshd.port, "after login", login.pw_name, key, compression="zlib@openssh.com") as peer:
        assert peer.is_alive()
        deflate, peer.deflate = peer.deflate, None
        pids = [pid for pid, _ in sshd.sessions()]
        data = {
            "garbage": os.urandom(3000),
            "bomb": deflate.compress(message(2) + bytes(100 << 20)) + deflate.flush(zlib.Z_PARTIAL_FLUSH),
            "nothing": deflate.flush(zlib.Z_PARTIAL_FLUSH),
            "end of stream": deflate.compress(message(2, string(b"x"))) + deflate.flush(zlib.Z_FINISH) + b"more",
        }[what]
        peer.send(data)
        assert memory_kib(max(pids)) < 64 << 10
        assert peer.end()[0] in (2, 6)
        ended_by(sshd, peer)


# ---- time and numbers of connections ----


def test_slow_loris_is_served(our_sshd, login, key):
    """Every byte a segment of its own: slow, but right."""
    with healthy(our_sshd()) as sshd, Peer.connect(sshd.port) as peer:
        whole = peer.sock.sendall
        peer.raw = lambda data: [whole(data[i : i + 1]) for i in range(len(data))]
        peer.start()
        peer.exchange_keys()
        peer.log_in(login.pw_name, key)
        channel = peer.open_session()
        assert peer.exec(channel, "echo done")
        assert peer.expect(94, skip=(93,)) == message(94, u32(0), string(b"done\n"))


def test_silent_clients_run_out_of_grace(our_sshd):
    with healthy(our_sshd(["LoginGraceTime 1"])) as sshd:
        peers = [client_at(sshd.port, "during auth"), client_at(sshd.port, "during kex"), Peer.connect(sshd.port)]
        began = time.monotonic()
        for peer in peers:
            peer.read_to_end()
            assert time.monotonic() - began < 4
            sshd.log.wait(r"^Timeout before authentication for .*127\.0\.0\.1.* port %d|port %d.*[Tt]ime" % (peer.port, peer.port))
            peer.sock.close()


def test_half_open_connections(our_sshd, login, key):
    """Up to MaxStartups others wait, and a real login still goes through; beyond, a refusal; and room again when they go."""
    with healthy(our_sshd(["MaxStartups 10:100:10"])) as sshd:
        idle = [Peer.connect(sshd.port) for _ in range(9)]
        for peer in idle:
            peer.read_ident()
        with client_at(sshd.port, "after login", login.pw_name, key) as real:
            assert real.is_alive()
            idle.append(Peer.connect(sshd.port))  # a login does not count any more
            idle[-1].read_ident()
            with Peer.connect(sshd.port) as refused:
                assert refused.read_to_end() in (b"Exceeded MaxStartups\r\n", b"Not allowed at this time\r\n")
                sshd.log.wait(r"^drop connection #\d+ from \[127\.0\.0\.1\]:%d .* past MaxStartups$" % refused.port)
            idle.pop().sock.close()
            process.wait_until(lambda: can_log_in(sshd, login, key), "room again")
        for peer in idle:
            peer.sock.close()


def can_log_in(sshd, login, key):
    try:
        with client_at(sshd.port, "after login", login.pw_name, key) as peer:
            return peer.is_alive()
    except (rawssh.Closed, AssertionError):
        return False
