"""Every message number, with a body that is well-formed where the number is known; for tests that try all of them."""
from concurrent.futures import ThreadPoolExecutor

from lib.rawssh import message, mpint, string, u8, u32

THREADS = 6

BODIES = {
    1: u32(11) + string("bye") + string(""),
    2: string("x"),
    3: u32(0),
    4: u8(0) + string("debug") + string(""),
    5: string("ssh-userauth"),
    6: string("ssh-userauth"),
    7: u32(0),
    20: bytes(16) + string("a") * 10 + u8(0) + u32(0),
    30: string(bytes(31) + b"\x09"),
    31: string("k") + string("f") + string("s"),
    32: mpint(5),
    33: string("k") + mpint(5) + string("s"),
    34: u32(2048) + u32(3072) + u32(8192),
    50: string("x") + string("ssh-connection") + string("none"),
    51: string("publickey") + u8(0),
    53: string("text") + string(""),
    60: string("ssh-ed25519") + string("k"),
    61: u32(0),
    80: string("unknown@request") + u8(1),
    90: string("session") + u32(7) + u32(1 << 20) + u32(1 << 15),
    91: u32(77) + u32(0) + u32(1 << 20) + u32(1 << 15),
    92: u32(77) + u32(1) + string("no") + string(""),
    93: u32(77) + u32(10),
    94: u32(77) + string("data"),
    95: u32(77) + u32(1) + string("data"),
    96: u32(77),
    97: u32(77),
    98: u32(77) + string("x") + u8(1),
    99: u32(77),
    100: u32(77),
    192: string("ping"),
    193: string("pong"),
}

FREE = set(range(8, 20)) | set(range(22, 30)) | set(range(194, 256))
AUTH_FREE = set(range(54, 60)) | set(range(62, 80))


def say(number):
    return message(number, BODIES.get(number, b""))


def in_parallel(work, items):
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, items))
