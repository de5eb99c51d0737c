"""Port forwarding: ours at both ends and at one, with what users put into forwards and what they forget."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from lib import process, programs, targets
from lib.marks import needs_localhost, needs_our_ssh, needs_peer, needs_root
from lib.server import free_port
from lib.targets import dial, dial_socks5, dial_unix, exchange, is_echo

pytestmark = needs_our_ssh
MB = 1 << 20
DIRECTIONS = ["ours both", "to ours", "from ours"]


@pytest.fixture
def echo():
    one = targets.Echo()
    yield one
    one.stop()


@pytest.fixture
def pair(our_sshd, debian_sshd, our_ssh, debian_ssh):
    """pair(direction, server_lines, client_lines) gives a client and its server."""

    def make(direction="ours both", server_lines=(), client_lines=(), **options):
        server = (debian_sshd if direction == "from ours" else our_sshd)(server_lines)
        return (debian_ssh if direction == "to ours" else our_ssh)(server, client_lines, **options), server

    return make


class Running:
    """An ssh -N that is up: its forwards are set."""

    def __init__(self, client, *flags, ready=r"all expected forwarding replies received|Entering interactive session", verbose=True):
        self.log = process.Lines()
        self.popen = client.start(flags=["-N", *(["-v"] if verbose else []), *flags], stdin=subprocess.PIPE, stderr=self.log.write_fd)
        self.log.close_write_end()
        if ready:
            self.log.wait(ready)

    def port(self, which=1):
        """Of the which-th -R 0."""
        return int(re.search(r"Allocated port (\d+)", self.log.wait("Allocated port", count=which)).group(1))

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.popen.pid))

    def stop(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(10)


@pytest.fixture
def run():
    started = []

    def start(*args, **options):
        started.append(Running(*args, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


# ---- the three kinds, with every peer ----


@needs_localhost
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_all_kinds(pair, run, echo, workdir, direction):
    """-L, -R, -D, remote SOCKS, unix sockets at either end, over one connection; each with a half-close carried through."""
    client, server = pair(direction)
    local, dynamic, half_unix = free_port(), free_port(), free_port()
    here, there, remote = (os.path.join(workdir, name) for name in ("here.sock", "echo.sock", "remote.sock"))
    os.chmod(workdir, 0o777)
    unix_echo = targets.Echo(path=there)
    os.chmod(there, 0o777)
    ssh = run(client, "-L", "%d:127.0.0.1:%d" % (local, echo.port), "-L", "%s:%s" % (here, there), "-L", "%d:%s" % (half_unix, there),
              "-D", str(dynamic), "-R", "0:localhost:%d" % echo.port, "-R", "%s:127.0.0.1:%d" % (remote, echo.port), "-R", "0",
              ready="all expected forwarding replies received")
    try:
        assert is_echo(dial(local))
        assert is_echo(dial_unix(here))
        assert is_echo(dial(half_unix))
        assert is_echo(dial(ssh.port()))
        process.wait_until(lambda: os.path.exists(remote), "the remote socket")
        os.geteuid() == 0 and os.chmod(remote, 0o777)
        assert is_echo(dial_unix(remote))
        assert is_echo(dial_socks5(dynamic, "localhost", echo.port))
        assert is_echo(dial_socks5(ssh.port(2), "127.0.0.1", echo.port))
    finally:
        unix_echo.stop()
    ssh.stop()
    assert direction == "to ours" or not os.path.exists(here), "the socket of -L is removed at the end"


def curl(version, proxy_port, host, port, *flags):
    return process.run(["curl", "-s", "--max-time", "10", *flags, "--socks" + version, "127.0.0.1:%d" % proxy_port,
                        "http://%s:%d/" % (host, port)])


@needs_localhost
def test_socks_versions(pair, run):
    """Every version, by address and by name, on -D and on a remote SOCKS; refusals come as such."""
    client, _ = pair()
    dynamic, web, nobody = free_port(), targets.Web(), free_port()
    ssh = run(client, "-D", str(dynamic), "-R", "0", ready="all expected forwarding replies received")
    try:
        for proxy in (dynamic, ssh.port()):
            for version in ("4", "4a", "5", "5-hostname"):
                done = curl(version, proxy, "127.0.0.1" if version in ("4", "5") else "localhost", web.port)
                assert done.stdout == "a page\n", (version, done, ssh.log.text())
            assert curl("5-hostname", proxy, "localhost", nobody).returncode == 97
            assert "(5)" in curl("5-hostname", proxy, "127.0.0.1", nobody, "-S").stderr  # connection refused, RFC 1928 6
            assert "(4)" in curl("5-hostname", proxy, "no-such-host.invalid", nobody, "-S").stderr  # host unreachable
    finally:
        web.stop()


# ---- amounts ----


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("flag", ["-L", "-R"])
def test_bulk_both_ways(pair, run, echo, direction, flag):
    client, _ = pair(direction)
    port = free_port() if flag == "-L" else 0
    ssh = run(client, flag, "%d:127.0.0.1:%d" % (port, echo.port), ready=None if flag == "-R" else "Entering interactive")
    assert targets.bulk_is_echoed(dial(port or ssh.port()), 16 * MB)


@needs_localhost
def test_many_at_once(pair, run, echo):
    """500 open at the same time through one forward, each with its own bytes; afterwards no descriptor is left."""
    client, server = pair()
    port = free_port()
    ssh = run(client, "-L", "%d:localhost:%d" % (port, echo.port))
    assert is_echo(dial(port))
    before = ssh.fds()
    all_of_them = [dial(port) for _ in range(500)]
    for i, one in enumerate(all_of_them):
        one.sendall(b"number %d" % i)
    for i, one in enumerate(all_of_them):
        assert one.recv(100) == b"number %d" % i
    for one in all_of_them:
        one.close()
    process.wait_until(lambda: ssh.fds() <= before, "the descriptors of closed connections")
    assert is_echo(dial(port))
    assert not server.log.find("Too many open files|accept:")


def resident_kb(pid):
    with open("/proc/%d/status" % pid, encoding="utf-8") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def user_children(server):
    return [pid for pid, name in server.sessions() if name == "sshd-user" and "ready" not in process.command_line(pid)
            and "user children" not in process.command_line(pid)]


def test_one_after_the_other(pair, run, echo):
    """1000 short connections leave neither descriptors nor memory behind, here and there."""
    client, server = pair()
    port = free_port()
    ssh = run(client, "-L", "%d:127.0.0.1:%d" % (port, echo.port), verbose=False, ready=None)
    process.wait_until(lambda: targets.answers(port), "the forward")

    def many(n):
        for _ in range(n):
            one = dial(port)
            one.sendall(b"x")
            assert one.recv(1) == b"x"
            one.close()

    many(200)
    process.wait_until(lambda: ssh.fds() < 30, "the descriptors of closed connections")
    child = user_children(server)[0]
    before = [(ssh.fds(), resident_kb(ssh.popen.pid)), (len(os.listdir("/proc/%d/fd" % child)), resident_kb(child))]
    many(1000)
    process.wait_until(lambda: ssh.fds() <= before[0][0] + 1, "the descriptors of closed connections")
    more = (64 if programs.SANITIZED else 1) << 10  # a sanitizer keeps for a while what was freed
    assert resident_kb(ssh.popen.pid) < before[0][1] + more
    assert resident_kb(child) < before[1][1] + more and len(os.listdir("/proc/%d/fd" % child)) <= before[1][0] + 1


def test_out_of_descriptors(pair, run, echo):
    """With few descriptors some connections wait; none is lost, and the loop does not spin."""
    client, _ = pair()
    port = free_port()
    wrapped = [*client.argv("-N", "-v", "-L", "%d:127.0.0.1:%d" % (port, echo.port), "test")]
    log = process.Lines()
    ssh = subprocess.Popen(["prlimit", "--nofile=32", *wrapped], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log.write_fd)
    log.close_write_end()
    try:
        log.wait("Entering interactive")
        all_of_them = [dial(port) for _ in range(30)]
        log.wait("accept: Too many open files")
        used = os.times().children_user
        for one in all_of_them:
            assert is_echo(one)
        assert os.times().children_user - used < 2
    finally:
        ssh.terminate()
        ssh.wait(10)


# ---- what goes wrong ----


BAD = [
    "x", "", "1:2", "1:a:b", "a:b:c:d:e", "70000:a:1", "0:a:1", "1:a:0", "1:a:70000", "[::1:1:a:2", "::1:1:a:2", "1:a:2:", "1::2", "-1:a:2", "1:a:2x",
    "/" + "x" * 120 + ":a:1",
]


@pytest.mark.parametrize("flag, word", [("L", "local"), ("R", "remote"), ("D", "dynamic")])
def test_bad_specifications(flag, word):
    for spec in BAD:
        if flag == "D" and spec == "1:2" or flag == "R" and spec in ("1:2", "0:a:1"):
            continue  # a bind address and a port; a port that the server chooses
        done = process.run([programs.SSH, "-F", "none", "-" + flag, spec, "nowhere.invalid", "true"])
        assert done.returncode == 255 and done.stderr.startswith("Bad %s forwarding specification '%s'" % (word, spec)), done


def test_listening_port_is_taken(pair, echo):
    client, server = pair()
    spec = "%d:127.0.0.1:%d" % (echo.port, echo.port)
    done = client.run("echo", "ran", flags=["-L", "127.0.0.1:" + spec])
    assert done.returncode == 0 and done.stdout == "ran\n"
    assert done.stderr.replace("\r", "") == ("bind [127.0.0.1]:%d: Address already in use\nchannel_setup_fwd_listener_tcpip: cannot listen to port: %d\n"
                                             "Could not request local forwarding.\n" % (echo.port, echo.port))
    done = client.run("echo", "ran", flags=["-oExitOnForwardFailure=yes", "-L", "127.0.0.1:" + spec])
    assert done.returncode == 255 and not done.stdout and "Could not request local forwarding." in done.stderr
    done = client.run("echo", "ran", flags=["-R", "127.0.0.1:" + spec])
    assert done.returncode == 0 and "Warning: remote port forwarding failed for listen port %d" % echo.port in done.stderr
    done = client.run("sleep", "5", flags=["-oExitOnForwardFailure=yes", "-R", "127.0.0.1:" + spec])
    assert done.returncode == 255 and "Error: remote port forwarding failed for listen port %d" % echo.port in done.stderr
    assert server.log.find(r"bind \[127.0.0.1\]:%d: Address already in use" % echo.port)


def test_refused_target(pair, run):
    client, server = pair()
    port, nobody = free_port(), free_port()
    ssh = run(client, "-L", "%d:127.0.0.1:%d" % (port, nobody), "-R", "0:127.0.0.1:%d" % nobody, ready="all expected")
    with dial(port) as one:
        assert one.recv(1) == b""
    ssh.log.wait(r"channel \d+: open failed: connect failed: Connection refused")
    server.log.wait("connect_to 127.0.0.1 port %d: failed." % nobody)
    with dial(ssh.port()) as one:
        assert one.recv(1) == b""
    ssh.log.wait("connect_to 127.0.0.1 port %d: failed." % nobody)


@contextlib.contextmanager
def may_hang_up():
    """At any point; but not be silent."""
    try:
        yield
    except TimeoutError:
        raise
    except OSError:
        pass


def test_malformed_socks(pair, run, echo):
    """A good request with every byte changed or missing: the proxy answers or hangs up, and lives."""
    client, _ = pair()
    port = free_port()
    run(client, "-D", str(port))
    port_bytes = echo.port.to_bytes(2, "big")
    for good in (b"\4\1" + port_bytes + b"\x7f\0\0\1me\0", b"\5\1\0\5\1\0\1\x7f\0\0\1" + port_bytes, b"\5\1\0\5\1\0\3\t127.0.0.1" + port_bytes):
        for at in range(len(good)):
            for bad in (good[:at], good[:at] + bytes([good[at] ^ 0x80]) + good[at + 1 :]):
                with dial(port) as one, may_hang_up():
                    one.sendall(bad)
                    one.shutdown(socket.SHUT_WR)
                    targets.rest_of(one)
    with dial(port) as one:
        one.sendall(b"\4\1" + port_bytes + b"\x7f\0\0\1" + b"u" * 100000)
        with may_hang_up():
            targets.rest_of(one)
    assert is_echo(dial_socks5(port, "127.0.0.1", echo.port))


# ---- what the server allows ----


def tries(client, port, echo, flags=()):
    return client.run(flags=[*flags, "-W", "127.0.0.1:%d" % port], stdin="hello")


@pytest.mark.parametrize("lines, good", [
    (["PermitOpen 127.0.0.1:{echo}"], True),
    (["PermitOpen *:{echo}"], True),
    (["PermitOpen 127.0.0.1:*"], True),
    (["PermitOpen localhost:{echo}"], False),
    (["PermitOpen 127.0.0.1:1"], False),
    (["PermitOpen none"], False),
    (["PermitOpen any"], True),
    (["AllowTcpForwarding remote"], False),
    (["DisableForwarding yes"], False),
])
def test_permit_open(our_sshd, our_ssh, echo, lines, good):
    server = our_sshd([line.format(echo=echo.port) for line in lines])
    done = tries(our_ssh(server), echo.port, echo)
    if good:
        assert done.returncode == 0 and done.stdout == "helloEND 5", done
        return
    assert done.returncode == 255 and "channel 0: open failed: administratively prohibited: open failed" in done.stderr
    server.log.wait("Received request from 127.0.0.1 port \\d+ to connect to host 127.0.0.1 port %d, but the request was denied." % echo.port
                           if lines[0].startswith("Permit") else "refused local port forward: originator 127.0.0.1 port 65535, target 127.0.0.1 port %d" % echo.port)


@pytest.mark.parametrize("options, may_open, may_listen", [
    ("restrict", False, False),
    ("no-port-forwarding", False, False),
    ("restrict,port-forwarding", True, True),
    ('permitopen="127.0.0.1:{echo}"', True, True),
    ('permitopen="localhost:*"', False, True),
    ('permitlisten="{port}"', True, True),
    ('permitlisten="localhost:1"', True, False),
])
def test_key_options(our_sshd, our_ssh, keys, workdir, echo, options, may_open, may_listen):
    port, path = free_port(), os.path.join(workdir, "authorized")
    with open(keys.user["ed25519"] + ".pub", encoding="utf-8") as key, open(path, "w", encoding="utf-8") as f:
        f.write(options.format(echo=echo.port, port=port) + " " + key.read())
    client = our_ssh(our_sshd(["AuthorizedKeysFile " + path]))
    assert (tries(client, echo.port, echo).stdout == "helloEND 5") == may_open
    done = client.run("true", flags=["-R", "%d:a:1" % port])
    assert ("remote port forwarding failed" not in done.stderr) == may_listen


@pytest.mark.parametrize("gateway, asked, everywhere, loopback", [
    ("no", "*:", False, True), ("no", "127.0.0.1:", False, True), ("no", "", False, True), ("yes", "", True, True), ("yes", "localhost:", True, True),
    ("clientspecified", "", False, True), ("clientspecified", "*:", True, True), ("clientspecified", "127.0.0.2:", False, False),
])
def test_gateway_ports(our_sshd, our_ssh, run, echo, gateway, asked, everywhere, loopback):
    """127.0.0.3 stands for the addresses that others see."""
    ssh = run(our_ssh(our_sshd(["GatewayPorts " + gateway])), "-R", "%s0:127.0.0.1:%d" % (asked, echo.port), ready="Allocated")
    assert targets.answers(ssh.port(), "127.0.0.3") == everywhere and targets.answers(ssh.port(), "127.0.0.1") == loopback


def test_low_ports_are_roots(our_sshd, our_ssh, account):
    done = our_ssh(our_sshd(), user=account.pw_name).run("true", flags=["-v", "-R", "999:a:1"])
    assert "remote port forwarding failed for listen port 999" in done.stderr and "Remote: Server has disabled port forwarding." in done.stderr


def test_unused_connection_ends(our_sshd, our_ssh):
    server = our_sshd(["UnusedConnectionTimeout 1"])
    done = our_ssh(server).run(flags=["-N"], timeout=15)
    assert done.returncode == 255
    server.log.wait("terminating inactive connection from user")


@pytest.mark.parametrize("where, lines", [("server", "ChannelTimeout direct-*=1s"), ("server", "ChannelTimeout global=1"),
                                          ("client", "ChannelTimeout session=5m direct-tcpip=1")])
def test_silent_channels_are_closed(our_sshd, our_ssh, run, echo, where, lines):
    client = our_ssh(our_sshd([lines] if where == "server" else []), [lines] if where == "client" else [])
    port = free_port()
    run(client, "-L", "%d:127.0.0.1:%d" % (port, echo.port))
    with dial(port) as one:
        one.sendall(b"x")
        assert one.recv(1) == b"x"
        assert one.recv(1) == b""


@pytest.mark.parametrize("where", ["server", "client"])
def test_silent_session_is_closed(our_sshd, our_ssh, where):
    line = ["ChannelTimeout session=1 direct-tcpip=5m"]
    done = our_ssh(our_sshd(line if where == "server" else []), line if where == "client" else []).run("echo begun; sleep 20; echo over", timeout=15)
    assert done.returncode == 255 and done.stdout == "begun\n"


# ---- jumps ----


def test_jump_through_three(our_sshd, debian_sshd, our_ssh, login, workdir):
    """Each hop with its own configuration; names are no shell's business."""
    servers = [our_sshd(), debian_sshd(), our_sshd(), our_sshd()]
    clients = [our_ssh(one) for one in servers]
    config = os.path.join(workdir, "jump_config")
    with open(config, "w", encoding="utf-8") as out:
        for i, client in enumerate(clients):
            with open(client.config, encoding="utf-8") as f:
                out.write("Host hop%d\n" % i + "".join(f.readlines()[1:]))
    ssh = [programs.SSH, "-F", config]
    done = process.run([*ssh, "-J", "hop0,hop1,hop2", "hop3", "echo", "$SSH_CONNECTION"])
    assert done.returncode == 0 and done.stdout.split()[3] == str(servers[3].port), done
    for one in servers:
        one.log.wait("Accepted publickey")
    done = process.run([*ssh, "-oProxyJump=%s@hop1" % login.pw_name, "hop3", "exit 7"])
    assert done.returncode == 7, done
    done = process.run([*ssh, "-v", "-J", "hop0,hop1", "hop3", "true"])
    assert "Setting implicit ProxyCommand from ProxyJump: " in done.stderr and " -J hop0 -F %s -v -W 127.0.0.1:%d -- hop1" % (config, servers[3].port) in done.stderr
    for bad in ("$(touch x)", "`x`", "a;b", "-oProxyCommand=x", "a b"):
        assert "Invalid -J argument" in process.run([*ssh, "-J", bad, "hop3", "true"]).stderr


def test_jump_to_itself(workdir):
    config = os.path.join(workdir, "loop")
    with open(config, "w", encoding="utf-8") as f:
        f.write("Host *\n  ProxyJump bastion.invalid\n")
    done = process.run([programs.SSH, "-F", config, "bastion.invalid", "true"], timeout=10)
    assert done.returncode == 255 and done.stderr == "jumphost loop via bastion.invalid\n", done


def test_background(pair, echo):
    """-f -N leaves when the forwards are there; the one in the background carries."""
    client, server = pair()
    port = free_port()
    done = client.run(flags=["-f", "-N", "-oExitOnForwardFailure=yes", "-L", "%d:127.0.0.1:%d" % (port, echo.port), "-R", "0:127.0.0.1:%d" % echo.port])
    assert done.returncode == 0 and "Allocated port" in done.stderr, done
    left = process.leftovers(pattern="^ssh$")
    try:
        assert is_echo(dial(port)) and is_echo(dial(int(re.search(r"Allocated port (\d+)", done.stderr).group(1))))
    finally:
        process.kill(pid for pid, _ in left)
    taken = client.run(flags=["-f", "-N", "-oExitOnForwardFailure=yes", "-R", "127.0.0.1:%d:a:1" % echo.port])
    assert taken.returncode == 255 and not process.leftovers(pattern="^ssh$"), taken


def test_session_waits_for_what_is_carried(pair, run, echo):
    """The command has ended, but a connection through us has not: ssh stays until that ends too."""
    client, _ = pair()
    port = free_port()
    ssh = client.start("read line; exit 3", flags=["-L", "%d:127.0.0.1:%d" % (port, echo.port)], stdin=subprocess.PIPE)
    process.wait_until(lambda: targets.answers(port), "the forward")
    with dial(port) as one:
        one.sendall(b"x")
        assert one.recv(1) == b"x"
        ssh.stdin.write(b"go\n")
        ssh.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            ssh.wait(0.5)
        one.sendall(b"y")
        assert one.recv(1) == b"y"
    out, err = ssh.communicate(timeout=10)
    assert ssh.returncode == 3, (out, err)


# ---- other peers ----


@needs_peer("dropbear")
def test_dropbear(dropbear, our_ssh, run, echo):
    port = free_port()
    ssh = run(our_ssh(dropbear()), "-L", "%d:127.0.0.1:%d" % (port, echo.port),
              "-R", "%d:127.0.0.1:%d" % (free_port(), echo.port))
    assert is_echo(dial(port))
    assert ssh.popen.poll() is None


def test_paramiko(our_sshd, keys, login, echo):
    paramiko = pytest.importorskip("paramiko")
    server = our_sshd()
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect("127.0.0.1", server.port, login.pw_name, key_filename=keys.user["ed25519"], allow_agent=False, look_for_keys=False)
        transport = client.get_transport()
        channel = transport.open_channel("direct-tcpip", ("127.0.0.1", echo.port), ("127.0.0.1", 1))
        channel.sendall(b"hello")
        channel.shutdown_write()
        got = b""
        while len(got) < 10:
            data = channel.recv(100)
            if not data:
                break
            got += data
        assert got == b"helloEND 5"
        port = transport.request_port_forward("127.0.0.1", 0)
        with dial(port) as one:
            back = transport.accept(10)
            one.sendall(b"ping")
            assert back.recv(4) == b"ping"
            back.sendall(b"pong")
            assert one.recv(4) == b"pong"
        transport.cancel_port_forward("127.0.0.1", port)
        process.wait_until(lambda: not targets.answers(port), "the end of the cancelled forward")
