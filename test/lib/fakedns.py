"""A network and mount namespace with a DNS server of one's own: lookup results, DNSSEC's AD bit too, are what the test says. Real are the C
library's resolver, resolv.conf and everything above it; not real are validation and the rest of DNS.

As a program (inside the namespace): fakedns.py FOLDER. It answers from FOLDER/zone, which is read again for each query: lines "name TYPE value", TYPE
A, SSHFP (value: rdata in hexadecimal) or CNAME, and a line "secure" when answers are authenticated."""
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys

ADDRESS = "10.9.8.7"  # of the machine in the namespace, beside 127.0.0.1
TYPES = {"A": 1, "CNAME": 5, "SSHFP": 44}
AD, DO = 0x0020, 0x8000


class Namespace:
    """run([...]) runs inside. Root only; says None from make() where namespaces are forbidden."""

    @classmethod
    def make(cls, folder):
        if os.geteuid() != 0 or not os.path.exists("/etc/resolv.conf") or subprocess.run(["unshare", "-n", "-m", "true"], check=False, capture_output=True).returncode:
            return None
        return cls(folder)

    def __init__(self, folder):
        self.folder = folder
        self.resolver("nameserver 127.0.0.1")
        self.zone()
        argv = ["unshare", "-n", "-m", sys.executable, os.path.abspath(__file__), folder]
        self.popen = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.popen.stdout.readline() == b"ready\n"
        self.enter = ["nsenter", "-t", str(self.popen.pid), "-n", "-m", "--"]

    def _write(self, name, lines):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.writelines(line + "\n" for line in lines)

    def resolver(self, *lines):
        self._write("resolv.conf", lines)

    def zone(self, *lines):
        self._write("zone", lines)

    def stop(self):
        self.popen.stdin.close()
        self.popen.stdout.close()
        self.popen.wait(10)


def bring_up(name, address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = struct.pack("16sH2s4s8x", name.encode(), socket.AF_INET, b"", socket.inet_aton(address))
        fcntl.ioctl(s, 0x8916, request)  # SIOCSIFADDR
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", name.encode(), 0x41))  # SIOCSIFFLAGS: up, running


def encode_name(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.strip(".").split(".")) + b"\0"


def rdata(kind, value):
    if kind == "A":
        return socket.inet_aton(value)
    return encode_name(value) if kind == "CNAME" else bytes.fromhex(value)


def read_zone(folder):
    with open(os.path.join(folder, "zone"), encoding="utf-8") as f:
        lines = [line.split() for line in f if line.strip()]
    return [line for line in lines if len(line) == 3], ["secure"] in lines


def answer(query, folder):
    number, flags, _, _, _, extra = struct.unpack(">6H", query[:12])
    end, labels = 12, []
    while query[end]:
        labels.append(query[end + 1 : end + 1 + query[end]].decode())
        end += 1 + query[end]
    kind = struct.unpack(">H", query[end + 1 : end + 3])[0]
    question, rest = query[12 : end + 5], query[end + 5 :]
    records, secure = read_zone(folder)
    name, chain = ".".join(labels).lower(), []
    for _ in range(8):  # aliases on the way
        alias = [r for r in records if r[0] == name and r[1] == "CNAME"]
        if not alias or kind == TYPES["CNAME"]:
            break
        chain.append(alias[0])
        name = alias[0][2]
    known = any(r[0] == name for r in records)
    found = chain + [r for r in records if r[0] == name and TYPES[r[1]] == kind]
    wants_ad = flags & AD or (extra and len(rest) >= 9 and struct.unpack(">H", rest[7:9])[0] & DO)
    flags = 0x8180 | (AD if secure and wants_ad else 0) | (0 if known or chain else 3)
    body = b"".join(encode_name(r[0]) + struct.pack(">HHIH", TYPES[r[1]], 1, 5, len(rdata(*r[1:]))) + rdata(*r[1:]) for r in found)
    return struct.pack(">6H", number, flags, 1, len(found), 0, 0) + question + body


def main(folder):
    bring_up("lo", "127.0.0.1")
    bring_up("lo:1", ADDRESS)
    subprocess.run(["mount", "--bind", os.path.join(folder, "resolv.conf"), "/etc/resolv.conf"], check=True)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", 53))
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([server, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        query, peer = server.recvfrom(4096)
        server.sendto(answer(query, folder), peer)


if __name__ == "__main__":
    main(sys.argv[1])
