"""Servers on loopback with keys of their own: ours, Debian's sshd, dropbear."""
import os
import signal
import socket
import subprocess

from lib import process, programs

START_LIMIT_S = 20
PORTS_PER_WORKER = 1500  # below the range that the kernel gives to clients
next_port = [os.getpid() % PORTS_PER_WORKER]


def free_port():
    """A port nobody listens on. Parallel test workers use ranges of their own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    for _ in range(PORTS_PER_WORKER):
        next_port[0] = (next_port[0] + 1) % PORTS_PER_WORKER
        port = 20000 + worker % 8 * PORTS_PER_WORKER + next_port[0]
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port")


class Server:
    """A running server. log has what it says; stop() ends it and complains of what it left behind."""

    def __init__(self, argv, port, host_keys, env=None, ready=None, pass_fds=()):
        self.port, self.host_keys, self.log = port, host_keys, process.Lines()
        self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log.write_fd,
                                      start_new_session=True, env=env, pass_fds=pass_fds)
        self.log.close_write_end()
        self.pid = self.popen.pid
        try:
            if ready:
                self.log.wait(ready, START_LIMIT_S)
            else:
                process.wait_until(self.answers, "a server on port %d" % port, START_LIMIT_S)
        except AssertionError:
            self.popen.kill()
            self.popen.wait()
            raise

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 2).close()
            return True
        except OSError:
            return False

    def connect(self):
        """A plain TCP connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), 10)

    def known_hosts_lines(self):
        lines = []
        for key in self.host_keys:
            with open(key + ".pub", encoding="utf-8") as f:
                lines.append("[127.0.0.1]:%d %s" % (self.port, " ".join(f.read().split()[:2])))
        return lines

    def sessions(self):
        """Processes below the listener."""
        return process.descendants(self.pid)

    def signal(self, number):
        os.kill(self.pid, number)

    def stop(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError("the server does not end on SIGTERM:\n" + self.log.text()) from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def write_config(path, lines):
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    return path


def has_keyword(lines, keyword):
    """Whether the part before the first Match sets it."""
    for line in lines:
        word = line.replace("=", " ").split()[:1]
        if word and word[0].lower() == "match":
            return False
        if word and word[0].lower() == keyword.lower():
            return True
    return False


def sshd_config(workdir, keys, port, lines, internal_sftp):
    """lines come first, so they win; after them what a test server needs. Match blocks must be last, so they are moved there."""
    lines = list(lines)
    split = next((i for i, line in enumerate(lines) if line.split()[:1] and line.split()[0].lower() == "match"), len(lines))
    lines, blocks = lines[:split], lines[split:]
    defaults = [
        "ListenAddress 127.0.0.1:%d" % port,
        "AuthorizedKeysFile %s" % keys.authorized_keys,
        "PermitRootLogin yes",
        "StrictModes no",
        "UsePAM no",
        "KbdInteractiveAuthentication no",
        "PidFile none",
        "MaxStartups 100",
        "Subsystem sftp %s" % internal_sftp,
    ]
    for line in defaults:
        if not has_keyword(lines, line.split()[0]):
            lines.append(line)
    if not has_keyword(lines, "HostKey"):
        lines += ["HostKey %s" % path for path in keys.host.values()]
    return write_config(os.path.join(workdir, "sshd_config.%d" % port), lines + blocks)


def can(program, workdir, *lines):
    """Whether this sshd knows these configuration lines."""
    path = write_config(os.path.join(workdir, "sshd_config.try"), list(lines))
    return process.run([program, "-G", "-f", path]).returncode == 0


def start_sshd(program, workdir, keys, lines=(), flags=(), env=None, wrapper=()):
    port = free_port()
    if program != programs.peer("sshd") and not has_keyword(lines, "PerSourcePenalties"):
        lines = ["PerSourcePenalties no", *lines]  # tests fail to log in on purpose, all from one address
    config = sshd_config(workdir, keys, port, lines, "internal-sftp")
    argv = [*wrapper, program, "-D", "-e", "-f", config, *flags]
    server = Server(argv, port, list(keys.host.values()), env=env, ready="Server listening on")
    server.config = config
    return server


def start_dropbear(workdir, keys, flags=()):
    port = free_port()
    host_key = os.path.join(workdir, "dropbear_host_key")
    if not os.path.exists(host_key):
        done = process.run([programs.peer("dropbearconvert"), "openssh", "dropbear", keys.pem_host, host_key])
        assert done.returncode == 0, done.stderr
    argv = [programs.peer("dropbear"), "-F", "-E", "-r", host_key, "-p", "127.0.0.1:%d" % port, "-P", os.path.join(workdir, "dropbear.pid"), *flags]
    return Server(argv, port, [keys.pem_host], ready="Not backgrounding")
