"""A small SSH-2 peer for tests of bad input: client or server, one algorithm of each kind, and any bytes at any moment.

Written from RFC 4251-4254, 4344, 5647, 6668, 8308, 8731 and OpenSSH's PROTOCOL documents (chacha20-poly1305, -etm, strict KEX). It checks only
what a test could miss: tags of received packets, the server's signature. Nothing here is meant to be fast or safe.

    peer = Peer.connect(port)            # or Peer(sock, host_key=...) for a server
    peer.start()                         # identification strings and KEXINIT, both ways
    peer.exchange_keys()                 # curve25519-sha256 and NEWKEYS
    peer.log_in("me", key)               # service, publickey
    channel = peer.open_session()
    peer.send(message(94, u32(channel), string(b"data")))
    peer.recv()                          # next payload; Closed at the end; AssertionError when nothing comes
"""
import hashlib
import hmac
import os
import socket
import struct
import zlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import poly1305, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

WAIT_S = 10
IDENT = b"SSH-2.0-Rawpeer_1"

(DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG, SERVICE_REQUEST, SERVICE_ACCEPT, EXT_INFO) = range(1, 8)
KEXINIT, NEWKEYS, KEX_INIT, KEX_REPLY = 20, 21, 30, 31
GEX_GROUP, GEX_INIT, GEX_REPLY, GEX_REQUEST = 31, 32, 33, 34
(AUTH_REQUEST, AUTH_FAILURE, AUTH_SUCCESS, AUTH_BANNER) = range(50, 54)
AUTH_60, AUTH_61 = 60, 61
(GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE) = range(80, 83)
(OPEN, OPEN_CONFIRMATION, OPEN_FAILURE, WINDOW_ADJUST, DATA, EXTENDED_DATA, EOF, CLOSE, REQUEST, SUCCESS, FAILURE) = range(90, 101)
PING, PONG = 192, 193

STRICT = {True: b"kex-strict-s-v00@openssh.com", False: b"kex-strict-c-v00@openssh.com"}  # by "is a server"
EXT = {True: b"ext-info-s", False: b"ext-info-c"}


class Closed(Exception):
    """The other side has closed the connection."""


# ---- RFC 4251 5 ----


def u8(n):
    return bytes([n])


def u32(n):
    return struct.pack(">I", n)


def string(s):
    s = s.encode() if isinstance(s, str) else s
    return u32(len(s)) + s


def mpint(n):
    return string(n.to_bytes(n.bit_length() // 8 + 1, "big") if n else b"")


def message(number, *parts):
    return u8(number) + b"".join(parts)


class Reader:
    def __init__(self, data, skip=0):
        self.data, self.at = data, skip

    def bytes(self, n):
        assert self.at + n <= len(self.data), "short message: %r" % self.data
        self.at += n
        return self.data[self.at - n : self.at]

    def u8(self):
        return self.bytes(1)[0]

    def u32(self):
        return struct.unpack(">I", self.bytes(4))[0]

    def string(self):
        return self.bytes(self.u32())


# ---- packets: RFC 4253 6. encrypt() takes 4 bytes of length and as many bytes as one likes; open() reads one packet ----


class Clear:
    block, tag, length_apart = 8, 0, False

    def encrypt(self, _sequence, packet):
        return packet

    def open(self, _sequence, read):
        return read(struct.unpack(">I", read(4))[0])


class CtrHmac:
    """AES-CTR (RFC 4344) with HMAC-SHA2-256, over the plain text or, etm, over the packet as it is sent."""

    block, tag = 16, 32

    def __init__(self, key, iv, mac_key, sealing, etm):
        cipher = Cipher(algorithms.AES(key), modes.CTR(iv))
        self.stream = (cipher.encryptor() if sealing else cipher.decryptor()).update
        self.mac_key, self.length_apart = mac_key, etm

    def _mac(self, sequence, data):
        return hmac.new(self.mac_key, u32(sequence) + data, hashlib.sha256).digest()

    def encrypt(self, sequence, packet):
        if self.length_apart:
            sent = packet[:4] + self.stream(packet[4:])
            return sent + self._mac(sequence, sent)
        return self.stream(packet) + self._mac(sequence, packet)

    def open(self, sequence, read):
        if self.length_apart:
            head = read(4)
            sent = head + read(struct.unpack(">I", head)[0])
            assert read(self.tag) == self._mac(sequence, sent)
            return self.stream(sent[4:])
        first = self.stream(read(self.block))
        whole = first + self.stream(read(4 + struct.unpack(">I", first[:4])[0] - self.block))
        assert read(self.tag) == self._mac(sequence, whole)
        return whole[4:]


class Gcm:
    """RFC 5647, with the length in clear as OpenSSH has it."""

    block, tag, length_apart = 16, 16, True

    def __init__(self, key, iv):
        self.aead, self.fixed, self.counter = AESGCM(key), iv[:4], int.from_bytes(iv[4:], "big")

    def _nonce(self):
        nonce = self.fixed + self.counter.to_bytes(8, "big")
        self.counter = (self.counter + 1) % 2**64
        return nonce

    def encrypt(self, _sequence, packet):
        return packet[:4] + self.aead.encrypt(self._nonce(), packet[4:], packet[:4])

    def open(self, _sequence, read):
        head = read(4)
        try:
            return self.aead.decrypt(self._nonce(), read(struct.unpack(">I", head)[0] + self.tag), head)
        except InvalidTag:
            raise AssertionError("wrong tag on a received packet") from None


class ChaChaPoly:
    """PROTOCOL.chacha20poly1305: the second half of the key hides lengths."""

    block, tag, length_apart = 8, 16, True

    def __init__(self, key):
        self.main, self.head = key[:32], key[32:]

    @staticmethod
    def _stream(key, sequence, counter, data):
        nonce = struct.pack("<Q", counter) + struct.pack(">Q", sequence)
        return Cipher(algorithms.ChaCha20(key, nonce), None).encryptor().update(data)

    def _tag(self, sequence, sent):
        return poly1305.Poly1305.generate_tag(self._stream(self.main, sequence, 0, bytes(32)), sent)

    def encrypt(self, sequence, packet):
        sent = self._stream(self.head, sequence, 0, packet[:4]) + self._stream(self.main, sequence, 1, packet[4:])
        return sent + self._tag(sequence, sent)

    def open(self, sequence, read):
        head = read(4)
        sent = head + read(struct.unpack(">I", self._stream(self.head, sequence, 0, head))[0])
        assert read(self.tag) == self._tag(sequence, sent)
        return self._stream(self.main, sequence, 1, sent[4:])


def make_cipher(name, derive, sealing):
    """derive(letter pair's place, n): 0 for the IV, 1 for the key, 2 for the MAC's key (RFC 4253 7.2)."""
    cipher, _, mac = name.partition("+")
    if cipher == "aes256-gcm@openssh.com":
        return Gcm(derive(1, 32), derive(0, 12))
    if cipher == "chacha20-poly1305@openssh.com":
        return ChaChaPoly(derive(1, 64))
    assert cipher in ("aes128-ctr", "aes256-ctr"), name
    return CtrHmac(derive(1, int(cipher[3:6]) // 8), derive(0, 16), derive(2, 32), sealing, mac.endswith("-etm@openssh.com"))


CIPHERS = ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr+hmac-sha2-256", "aes256-ctr+hmac-sha2-256-etm@openssh.com"]


def ed25519_blob(public):
    return string("ssh-ed25519") + string(public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))


def load_key(path):
    with open(path, "rb") as f:
        return serialization.load_ssh_private_key(f.read(), None)


class Peer:
    """host_key makes it a server. ciphers: one name of CIPHERS, for both directions."""

    def __init__(self, sock, host_key=None, cipher=CIPHERS[0], strict=True, compression="none", lists=None, timeout=WAIT_S):
        self.sock, self.host_key, self.is_server = sock, host_key, host_key is not None
        self.cipher_name, self.strict, self.compression = cipher, strict, compression
        self.lists = lists or {}
        self.sealer, self.opener = Clear(), Clear()
        self.sent_n = self.received_n = 0
        self.session_id = None
        self.own_kexinit = self.their_kexinit = None
        self.their_ident = None
        self.deflate = self.inflate = None
        self.unread = b""
        self.next_channel = 0
        self.their_window = {}
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = sock.getsockname()[1]

    @classmethod
    def connect(cls, port, **options):
        return cls(socket.create_connection(("127.0.0.1", port), WAIT_S), **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    # ---- bytes ----

    def raw(self, data):
        """Whether it was taken: a peer that has gone tells why in what there is to read."""
        try:
            self.sock.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def _more(self):
        try:
            data = self.sock.recv(1 << 16)
        except socket.timeout:
            raise AssertionError("the other side hangs: nothing for %s s" % self.sock.gettimeout()) from None
        except ConnectionResetError:
            raise Closed from None
        if not data:
            raise Closed
        self.unread += data

    def read(self, n):
        while len(self.unread) < n:
            self._more()
        data, self.unread = self.unread[:n], self.unread[n:]
        return data

    def read_line(self):
        while b"\n" not in self.unread:
            self._more()
        line, _, self.unread = self.unread.partition(b"\n")
        return line + b"\n"

    def read_to_end(self):
        """All bytes that still come, sealed or not."""
        try:
            while True:
                self._more()
        except Closed:
            pass
        data, self.unread = self.unread, b""
        return data

    # ---- packets ----

    def packet(self, payload, length=None, pad=None, pad_byte=None):
        """The bytes before sealing; length and pad_byte are what they say, pad is the number of bytes that are there."""
        if pad is None:
            apart = 0 if self.sealer.length_apart else 4
            pad = self.sealer.block - (apart + 1 + len(payload)) % self.sealer.block
            pad += self.sealer.block if pad < 4 else 0
        body = u8(pad if pad_byte is None else pad_byte) + payload + bytes(pad)
        return u32(len(body) if length is None else length) + body

    def seal_packet(self, packet):
        sealed = self.sealer.encrypt(self.sent_n % 2**32, packet)
        self.sent_n += 1
        return sealed

    def seal(self, payload, **how):
        if self.deflate:
            payload = self.deflate.compress(payload) + self.deflate.flush(zlib.Z_PARTIAL_FLUSH)
        return self.seal_packet(self.packet(payload, **how))

    def send(self, payload, **how):
        return self.raw(self.seal(payload, **how))

    def recv(self):
        body = self.opener.open(self.received_n % 2**32, self.read)
        self.received_n += 1
        payload = body[1 : len(body) - body[0]]
        return self.inflate.decompress(payload) if self.inflate else payload

    def expect(self, *numbers, skip=(IGNORE, DEBUG, EXT_INFO, GLOBAL_REQUEST)):
        """The next payload that is not of `skip`; its number has to be one of these."""
        while True:
            payload = self.recv()
            if payload[0] in numbers:
                return payload
            assert payload[0] in skip, "wanted %s, got %r" % (numbers, payload[:300])

    def rest(self):
        """All payloads until the other side closes."""
        found = []
        try:
            while True:
                found.append(self.recv())
        except Closed:
            return found

    def end(self):
        """(reason, text) of the DISCONNECT with which the other side ends, None if it closes without a word."""
        last = [payload for payload in self.rest() if payload[0] == DISCONNECT]
        assert len(last) < 2
        if not last:
            return None
        reader = Reader(last[0], 1)
        return reader.u32(), reader.string().decode()

    # ---- identification and KEXINIT ----

    def kexinit(self, **lists):
        """Payload; keyword arguments (kex, host_key, cipher, mac, compression, kex_follows) win over what fits this peer."""
        wanted = {**self.lists, **lists}
        cipher, _, mac = self.cipher_name.partition("+")
        kex = [b"curve25519-sha256", EXT[self.is_server]] + ([STRICT[self.is_server]] if self.strict else [])
        names = {"kex": b",".join(kex), "host_key": b"ssh-ed25519", "cipher": cipher, "mac": mac or b"hmac-sha2-256", "compression": self.compression}
        names.update({k: v for k, v in wanted.items() if k in names})
        body = string(names["kex"]) + string(names["host_key"])
        for name in ("cipher", "mac", "compression"):
            body += string(names[name]) * 2
        return message(KEXINIT, os.urandom(16), body, string("") * 2, u8(wanted.get("kex_follows", 0)), u32(0))

    def send_ident(self, ident=IDENT):
        self.own_ident = ident
        self.raw(ident + b"\r\n")

    def read_ident(self):
        self.their_ident = self.read_line().rstrip(b"\r\n")
        assert self.their_ident.startswith(b"SSH-2.0-"), self.their_ident
        return self.their_ident

    def send_kexinit(self, **lists):
        self.own_kexinit = self.kexinit(**lists)
        self.send(self.own_kexinit)

    def read_kexinit(self):
        self.their_kexinit = self.expect(KEXINIT)
        return self.their_kexinit

    def start(self, **lists):
        self.send_ident()
        self.read_ident()
        self.send_kexinit(**lists)
        self.read_kexinit()

    # ---- curve25519-sha256: RFC 8731 ----

    def _hash(self, host_key, client_public, server_public, secret):
        sides = [(self.own_ident, self.own_kexinit), (self.their_ident, self.their_kexinit)]
        if self.is_server:
            sides.reverse()
        parts = [side[0] for side in sides] + [side[1] for side in sides] + [host_key, client_public, server_public]
        return hashlib.sha256(b"".join(string(p) for p in parts) + mpint(int.from_bytes(secret, "big"))).digest()

    def _set_keys(self, secret, exchange_hash):
        self.session_id = self.session_id or exchange_hash
        shared = mpint(int.from_bytes(secret, "big"))

        def deriver(to_server):
            def derive(place, n):
                letter = b"ACE"[place : place + 1] if to_server else b"BDF"[place : place + 1]
                key = hashlib.sha256(shared + exchange_hash + letter + self.session_id).digest()
                while len(key) < n:
                    key += hashlib.sha256(shared + exchange_hash + key).digest()
                return key[:n]

            return derive

        self.next_sealer = make_cipher(self.cipher_name, deriver(not self.is_server), True)
        self.next_opener = make_cipher(self.cipher_name, deriver(self.is_server), False)

    def client_public(self):
        self.secret = X25519PrivateKey.generate()
        return self.secret.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    def client_exchange(self):
        public = self.client_public()
        self.send(message(KEX_INIT, string(public)))
        reply = Reader(self.expect(KEX_REPLY), 1)
        host_key, server_public, signature = reply.string(), reply.string(), Reader(reply.string())
        shared = self.secret.exchange(X25519PublicKey.from_public_bytes(server_public))
        exchange_hash = self._hash(host_key, public, server_public, shared)
        assert signature.string() == b"ssh-ed25519"
        Ed25519PublicKey.from_public_bytes(host_key[-32:]).verify(signature.string(), exchange_hash)
        self.server_host_key = host_key
        self._set_keys(shared, exchange_hash)

    def server_exchange(self, spoil=lambda host_key, public, signature: (host_key, public, signature)):
        """spoil may change what the reply is made of."""
        client_public = Reader(self.expect(KEX_INIT), 1).string()
        public = self.client_public()
        shared = self.secret.exchange(X25519PublicKey.from_public_bytes(client_public))
        host_key = ed25519_blob(self.host_key.public_key())
        exchange_hash = self._hash(host_key, client_public, public, shared)
        signature = string("ssh-ed25519") + string(self.host_key.sign(exchange_hash))
        self.send(message(KEX_REPLY, *(string(s) for s in spoil(host_key, public, signature))))
        self._set_keys(shared, exchange_hash)

    def send_newkeys(self):
        self.send(message(NEWKEYS))
        self.sealer = self.next_sealer
        self.sent_n = 0 if self.strict else self.sent_n

    def read_newkeys(self):
        self.expect(NEWKEYS)
        self.opener = self.next_opener
        self.received_n = 0 if self.strict else self.received_n

    def exchange_keys(self):
        (self.server_exchange if self.is_server else self.client_exchange)()
        self.send_newkeys()
        self.read_newkeys()

    def rekey(self):
        self.send_kexinit()
        self.read_kexinit()
        self.exchange_keys()

    # ---- login, as a client ----

    def request_service(self, name="ssh-userauth"):
        self.send(message(SERVICE_REQUEST, string(name)))
        return self.expect(SERVICE_ACCEPT)

    def auth_request(self, user, method, *parts, service="ssh-connection"):
        return message(AUTH_REQUEST, string(user), string(service), string(method), *parts)

    def signed_request(self, user, key, spoil=False):
        request = self.auth_request(user, "publickey", u8(1), string("ssh-ed25519"), string(ed25519_blob(key.public_key())))
        signature = bytearray(key.sign(string(self.session_id) + request))
        signature[7] ^= spoil
        return request + string(string("ssh-ed25519") + string(bytes(signature)))

    def log_in(self, user, key):
        self.request_service()
        self.send(self.signed_request(user, key))
        self.expect(AUTH_SUCCESS, skip=(IGNORE, DEBUG, EXT_INFO, AUTH_BANNER))
        self.start_compression()

    def try_password(self, user, password):
        self.send(self.auth_request(user, "password", u8(0), string(password)))
        return self.expect(AUTH_FAILURE, AUTH_SUCCESS, AUTH_60, skip=(IGNORE, DEBUG, EXT_INFO, AUTH_BANNER))

    def start_compression(self):
        if self.compression == "zlib@openssh.com":
            self.deflate, self.inflate = zlib.compressobj(), zlib.decompressobj()

    # ---- login, as a server that lets everybody in ----

    def let_in(self):
        """Answers service and authentication requests until the client is in; its user name."""
        service = Reader(self.expect(SERVICE_REQUEST), 1).string()
        self.send(message(SERVICE_ACCEPT, string(service)))
        user = Reader(self.expect(AUTH_REQUEST), 1).string()
        self.send(message(AUTH_SUCCESS))
        self.start_compression()
        return user

    def accept_session(self):
        """Takes the client's session and command; its number for the channel. Ours is 0."""
        theirs = None
        while True:
            payload = self.expect(OPEN, REQUEST)
            reader = Reader(payload, 1)
            if payload[0] == OPEN:
                reader.string()
                theirs = reader.u32()
                self.their_window[theirs] = reader.u32()
                self.send(message(OPEN_CONFIRMATION, u32(theirs), u32(0), u32(1 << 20), u32(1 << 15)))
                continue
            reader.u32()
            kind, wants_reply = reader.string(), reader.u8()
            if wants_reply:
                self.send(message(SUCCESS, u32(theirs)))
            if kind in (b"shell", b"exec", b"subsystem"):
                return theirs

    # ---- channels, as a client ----

    def open_session(self, window=1 << 20, packet=1 << 15):
        """The other side's number; ours counts from 0."""
        number, self.next_channel = self.next_channel, self.next_channel + 1
        self.send(message(OPEN, string("session"), u32(number), u32(window), u32(packet)))
        reader = Reader(self.expect(OPEN_CONFIRMATION), 1)
        assert reader.u32() == number
        theirs = reader.u32()
        self.their_window[theirs] = reader.u32()
        return theirs

    def exec(self, channel, command):
        self.send(message(REQUEST, u32(channel), string("exec"), u8(1), string(command)))
        return self.expect(SUCCESS, FAILURE, skip=(WINDOW_ADJUST, GLOBAL_REQUEST))[0] == SUCCESS

    def is_alive(self):
        """Whether a packet still comes through: an unknown number has to be answered."""
        number = self.sent_n % 2**32
        self.send(message(250))
        while True:
            payload = self.recv()
            if payload == message(UNIMPLEMENTED, u32(number)):
                return True
            assert payload[0] != DISCONNECT, payload


def client_at(port, phase, user=None, key=None, **options):
    """A client that stands in a phase; see PHASES."""
    peer = Peer.connect(port, **options)
    try:
        _bring_to(peer, PHASES.index(phase), user, key)
    except BaseException:
        peer.sock.close()
        raise
    return peer


def _bring_to(peer, steps, user, key):
    peer.send_ident()
    peer.read_ident()
    peer.read_kexinit()
    if steps >= 1:
        peer.send_kexinit()
    if steps >= 2:
        peer.exchange_keys()
    if steps >= 3:
        peer.request_service()
    if steps >= 4:
        peer.send(peer.signed_request(user, key))
        peer.expect(AUTH_SUCCESS)
        peer.start_compression()
    if steps >= 5:
        peer.send_kexinit()
        peer.read_kexinit()


PHASES = ["before kex", "during kex", "after kex", "during auth", "after login", "during re-kex"]
