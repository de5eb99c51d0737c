"""Our ssh's session: streams, statuses, terminals, escapes, signals, the background. The server is Debian's."""
import fcntl
import hashlib
import os
import re
import signal
import subprocess
import termios
import threading
import time

import pexpect
import pytest

from lib import process
from lib.marks import needs_our_ssh

pytestmark = needs_our_ssh

BULK = 30 * 1000 * 1000


@pytest.fixture
def client(debian_sshd, our_ssh):
    """client(lines) is our ssh against a server of Debian's."""
    server = debian_sshd(["AcceptEnv TEST_*"])
    return lambda lines=(): our_ssh(server, lines)


def terminal(one, *command, flags=("-tt",), **options):
    argv = one.argv(*flags, "test", *command)
    return pexpect.spawn(argv[0], argv[1:], timeout=15, encoding="utf-8", dimensions=(33, 101), **options)


def shell(one, flags=("-tt",), **options):
    """An interactive shell over there, at its prompt."""
    child = terminal(one, "PS1='@''> ' exec bash --norc --noprofile -i", flags=flags, **options)
    child.expect_exact("@> ")
    return child


def ends(child, status=None, killed_by=None):
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, child.signalstatus) == (status, killed_by)


# ---- streams ----


def test_streams_and_status(client):
    done = client().run("cat; echo err >&2; exit 42", stdin="in\n")
    assert (done.returncode, done.stdout, done.stderr) == (42, "in\n", "err\n")
    assert client().run("true").returncode == 0
    assert client().run("kill -9 $$").returncode == 255


def test_bulk_in_and_out(client):
    data = os.urandom(BULK)
    want = hashlib.sha256(data).hexdigest()
    assert client().run("sha256sum", stdin=data, text=False).stdout.split()[0].decode() == want
    assert hashlib.sha256(client().run("cat", stdin=data, text=False).stdout).hexdigest() == want


def test_slow_reader_gets_everything(client):
    """Output that the pipe does not take waits, and the window opens again as it is read."""
    child = client().start("head -c %d /dev/zero; echo end" % BULK)
    time.sleep(1)
    n, last = 0, b""
    while data := os.read(child.stdout.fileno(), 1 << 20):
        n, last = n + len(data), data
    child.communicate()
    assert (n, last[-4:], child.returncode) == (BULK + 4, b"end\n", 0)


def test_reader_that_leaves(client):
    """The command is told, and gets its SIGPIPE."""
    child = client().start("yes")
    assert os.read(child.stdout.fileno(), 2) == b"y\n"
    child.stdout.close()
    assert child.wait(15) == 255


def test_reader_that_leaves_with_a_server_that_knows_no_eow(dropbear, our_ssh):
    child = our_ssh(dropbear()).start("yes")
    assert os.read(child.stdout.fileno(), 2) == b"y\n"
    child.stdout.close()
    assert child.wait(15) == 255


def test_command_that_closes_its_input(client):
    child = client().start("exec 0<&-; sleep 0.5; echo still here", stdin=subprocess.PIPE)

    def feed():
        try:
            while True:
                child.stdin.write(bytes(65536))
        except OSError:
            pass

    thread = threading.Thread(target=feed)
    thread.start()
    assert child.stdout.read() == b"still here\n"
    assert child.wait(15) == 0
    thread.join()


def test_null_input(client):
    assert client().run("cat; echo done", flags=["-n"], stdin="lost\n").stdout == "done\n"


def test_standard_descriptors_stay_blocking(client):
    """Who shares our pipes must not find them changed."""
    read_end, write_end = os.pipe()
    client().start("echo x", stdout=write_end).communicate()
    assert not fcntl.fcntl(write_end, fcntl.F_GETFL) & os.O_NONBLOCK
    os.close(read_end)
    os.close(write_end)


# ---- requests ----


def test_environment(client):
    one = client(["SendEnv TEST_A* -TEST_AX", 'SetEnv TEST_B="two words" TEST_H=%h'])
    done = one.run("env", env=dict(os.environ, TEST_A="1", TEST_ONLY_HERE="2"))
    lines = done.stdout.split("\n")
    assert {"TEST_A=1", "TEST_B=two words", "TEST_H=127.0.0.1"} <= set(lines)
    assert not [line for line in lines if "ONLY_HERE" in line]


def test_remote_command_and_local_command(client, workdir):
    one = client(["RemoteCommand echo to %n as %r", "PermitLocalCommand yes", "LocalCommand echo local %n >&2"])
    done = one.run()
    assert re.fullmatch(r"to test as \S+\n", done.stdout) and "local test\n" in done.stderr


def test_refused_requests(client, debian_sshd, our_ssh):
    done = client().run("nosuch", flags=["-s"])
    assert done.returncode == 255 and "subsystem request failed on channel 0" in done.stderr
    one = our_ssh(debian_sshd(["PermitTTY no"]))
    child = terminal(one, "echo on")
    child.expect_exact("PTY allocation request failed on channel 0")
    ends(child, 255)
    child = terminal(one, flags=())  # was not asked for by name: the shell runs without
    child.expect_exact("PTY allocation request failed on channel 0")
    child.sendline("echo o''n; exit 3")
    child.expect_exact("on\r\n")
    ends(child, 3)


def test_refused_channel(debian_sshd, our_ssh):
    done = our_ssh(debian_sshd(["MaxSessions 0"])).run("true")
    assert done.returncode == 255 and "channel 0: open failed: " in done.stderr


@pytest.mark.parametrize("flags, command, is_said", [([], ["true"], False), (["-t"], ["true"], True), ([], [], True), (["-T"], [], False)])
def test_no_terminal_for_a_pipe(client, flags, command, is_said):
    done = client().run(*command, flags=flags, stdin="")
    assert ("Pseudo-terminal will not be allocated because stdin is not a terminal.\n" == done.stderr) == is_said
    assert done.returncode == 0


# ---- terminals ----


def test_terminal(client):
    child = terminal(client(), "tty; stty size; echo $TERM; stty -a", flags=("-t",), env=dict(os.environ, TERM="vt220"),
                     preexec_fn=lambda: subprocess.run(["stty", "intr", "^G"], check=False))
    child.expect(r"/dev/pts/\d+\r\n33 101\r\nvt220\r\n")
    child.expect(r"intr = \^G")
    child.expect_exact("Connection to 127.0.0.1 closed.\r")
    ends(child, 0)


def test_quiet_says_no_farewell(client):
    child = terminal(client(), "exit 3", flags=("-q", "-t"))
    child.expect(pexpect.EOF)
    assert child.before == ""
    ends(child, 3)


def test_window_size_follows(client):
    child = shell(client())
    child.setwinsize(44, 99)
    child.sendline("stty size")
    child.expect_exact("44 99")
    child.sendline("exit 6")
    ends(child, 6)


def test_every_byte_reaches_a_raw_program(client):
    child = terminal(client(), "stty raw -echo; printf go; head -c 6 | od -An -tx1; stty sane")
    child.expect_exact("go")
    os.write(child.child_fd, b"\x03\x1a\x04\x00\xff\x11")
    child.expect_exact("03 1a 04 00 ff 11")
    ends(child, 0)


def test_interrupt_goes_to_the_command(client):
    child = shell(client())
    child.sendline("sleep 100")
    child.sendcontrol("c")
    child.expect_exact("@> ")
    child.sendline("exit 9")
    ends(child, 9)


def test_paste(client):
    data = b"0123456789abcdef" * 100000
    child = terminal(client(), "stty raw -echo; printf go; head -c %d | sha256sum; stty sane" % len(data))
    child.expect_exact("go")
    sender = threading.Thread(target=lambda: [os.write(child.child_fd, data[i:i + 4096]) for i in range(0, len(data), 4096)])
    sender.start()
    child.expect_exact(hashlib.sha256(data).hexdigest())
    sender.join()
    ends(child, 0)


def test_forced_terminal_takes_escapes_from_a_pipe(client):
    done = client().run("cat", flags=["-tt"], stdin="hello\n~.\n")
    assert done.returncode == 255


def test_terminal_modes_are_restored(client):
    for finish in ("exit", "kill -9 $PPID", "~."):
        child = pexpect.spawn("/bin/sh", ["-c", 'stty -a | tr ";" "\\n" > "$0"; "$@"; stty -a | tr ";" "\\n" | cmp - "$0" && echo mo""des kept', "/dev/shm/nacre-modes-%d" % os.getpid(),
                                          *client().argv("-tt", "test", "PS1='@''> ' exec bash --norc --noprofile -i")], timeout=15, encoding="utf-8")
        child.expect_exact("@> ")
        child.send("\r" if finish[0] == "~" else "")
        child.send(finish + "\r")
        child.expect_exact("modes kept")
        child.close()
        os.unlink("/dev/shm/nacre-modes-%d" % os.getpid())


# ---- escapes ----


@pytest.mark.parametrize("escape, answer", [
    ("~?", "~?\r\nSupported escape sequences:\r\n"),
    ("~#", "~#\r\nThe following connections are open:\r\n  #0 client-session"),
    ("~I", "Connection to 127.0.0.1"),
    ("~V", "~V [LogLevel ERROR]\r\n"),
    ("~v", "~v [LogLevel VERBOSE]\r\n"),
    ("~B", "~B\r\n"),
    ("~C", "commandline disabled\r\n"),
])
def test_escape_texts(client, escape, answer):
    child = shell(client())
    child.send("\r" + escape)
    child.expect_exact(answer)
    child.sendline("echo un''harmed")
    child.expect_exact("unharmed")
    child.send("\r~.")
    child.expect_exact("Connection to 127.0.0.1 closed." if escape != "~V" else pexpect.EOF)
    ends(child, 255)


def test_escapes_that_are_none(client):
    child = terminal(client(), "stty -echo; printf go; cat")
    child.expect_exact("go")
    for typed, seen in (("a~.", "a~."), ("~~x", "~x"), ("~x", "~x"), ("~", "~")):
        child.send(typed + "\r")
        child.expect_exact(seen + "\r\n")
    child.send("~.")
    ends(child, 255)


def test_escape_character_of_ones_own(client):
    child = terminal(client(), "stty -echo; printf go; cat", flags=("-tt", "-e", "^]"))
    child.expect_exact("go")
    child.send("~.\r")
    child.expect_exact("~.\r\n")
    child.send("\x1d.")
    ends(child, 255)


def test_no_escapes(client):
    child = terminal(client(), "stty -echo; printf go; cat", flags=("-tt", "-e", "none"))
    child.expect_exact("go")
    child.send("~.\r")
    child.expect_exact("~.\r\n")
    child.sendcontrol("d")
    ends(child, 0)


def test_rekey(client):
    child = shell(client(), flags=("-tt", "-v"))
    child.send("\r~R")
    child.expect_exact("SSH2_MSG_NEWKEYS received")
    child.sendline("echo after''wards")
    child.expect_exact("afterwards")
    child.sendline("exit")
    ends(child, 0)


def test_suspend_and_resume(client):
    local = pexpect.spawn("bash", ["--norc", "--noprofile", "-i"], timeout=15, encoding="utf-8", dimensions=(24, 80), env=dict(os.environ, PS1="L> "))
    local.expect_exact("L> ")
    local.sendline(" ".join("'%s'" % word.replace("'", "'\\''") for word in client().argv("-t", "test", "PS1='@''> ' exec bash --norc --noprofile -i")))
    local.expect_exact("@> ")
    local.send("\r~\x1a")
    local.expect_exact("[suspend ssh]")
    local.expect("Stopped")
    local.sendline("stty -a | grep -o '.icanon'; echo che''cked")
    local.expect_exact(" icanon")
    local.expect_exact("checked")
    local.setwinsize(40, 100)
    local.sendline("fg")
    local.send("\r")
    local.expect_exact("@> ")
    local.sendline("stty size; exit 4")
    local.expect_exact("40 100")
    local.expect_exact("Connection to 127.0.0.1 closed.")
    local.sendline("echo status $?")
    local.expect_exact("status 4")
    local.close(force=True)


def test_background_by_escape(client, workdir):
    """The terminal is free again; the command's input is over, and it may go on."""
    os.chmod(workdir, 0o777)
    mark = workdir + "/mark"
    child = terminal(client(), "trap '' HUP; echo go; cat >/dev/null; sleep 0.5; echo yes >%s" % mark)
    child.expect_exact("go")
    child.send("\r~&")
    child.expect_exact("~& [backgrounded]")
    ends(child, 0)
    process.wait_until(lambda: os.path.exists(mark), "the command's end")


# ---- keystroke timing ----


def packets_sent(child):
    child.send("\r~I")
    child.expect(r"in (\d+) packets, received")
    return int(child.match.group(1))


@pytest.mark.parametrize("value, hides", [("yes", True), ("no", False), ("interval:50", True)])
def test_keystroke_timing(our_sshd, our_ssh, value, hides):
    """With a server that knows ping, chaff follows a keystroke for a second at least, and then ends."""
    child = terminal(our_ssh(our_sshd(), ["ObscureKeystrokeTiming " + value]), "stty -echo; printf go; cat >/dev/null")
    child.expect_exact("go")
    before = packets_sent(child)
    child.send("k")
    time.sleep(1.05)
    during = packets_sent(child) - before
    interval_ms = 50 if "50" in value else 20
    assert 0.6 * 1000 / interval_ms < during < 1.3 * 1050 / interval_ms if hides else during < 5
    time.sleep(3.3)
    last = packets_sent(child)
    time.sleep(0.1)
    child.send("~.")
    ends(child, 255)
    assert last - before < 4600 / interval_ms if hides else last - before < 8


def test_typing_is_prompt(client):
    """An echo takes no longer than the grid asks for, with a server that knows no ping not even that."""
    child = terminal(client(), "stty raw -echo; printf go; cat")
    child.expect_exact("go")
    child.delaybeforesend = None
    started = time.monotonic()
    for i in range(20):
        child.send("abcdefghijklmnopqrst"[i])
        child.expect_exact("abcdefghijklmnopqrst"[i])
    assert time.monotonic() - started < 2
    child.close(force=True)


# ---- signals and the background ----


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_dies_of_the_signal(client, number):
    child = client().start("echo go; sleep 20", flags=["-v"])
    assert child.stdout.readline() == b"go\n"
    child.send_signal(number)
    _, said = child.communicate(timeout=15)
    assert child.returncode == -number and b"Killed by signal %d." % number in said


def test_signal_with_a_terminal(client):
    child = terminal(client(), "echo go; sleep 20")
    child.expect_exact("go")
    modes = termios.tcgetattr(child.child_fd)
    assert not modes[3] & termios.ICANON
    os.kill(child.pid, signal.SIGTERM)
    ends(child, None, signal.SIGTERM)


def test_ignored_hangup_stays_ignored(client):
    child = client().start("echo go; sleep 1; echo survived", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert child.stdout.readline() == b"go\n"
    child.send_signal(signal.SIGHUP)
    assert child.communicate(timeout=15)[0] == b"survived\n" and child.returncode == 0


def background_pids(one):
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if one.config.encode() in read(pid, "cmdline").split(b"\0")]


def read(pid, name):
    try:
        with open("/proc/%d/%s" % (pid, name), "rb") as f:
            return f.read()
    except OSError:
        return b""


def test_fork_with_a_command(client):
    """The parent leaves with status 0 once logged in; output still comes, and signals still end the child."""
    one = client()
    started = time.monotonic()
    child = one.start("sleep 1; echo late", flags=["-f"])
    assert child.wait(15) == 0
    assert child.stdout.read() == b"late\n" and time.monotonic() - started >= 1
    process.wait_until(lambda: not background_pids(one), "the end of the background process")


def test_fork_without_a_session(client):
    one = client()
    child = one.start(flags=["-f", "-N"])
    assert child.wait(15) == 0
    assert child.stdout.read() == b""  # closed: whoever waits for our output is not kept
    (pid,) = background_pids(one)
    assert os.readlink("/proc/%d/fd/0" % pid) == "/dev/null" and os.getsid(pid) == pid
    os.kill(pid, signal.SIGTERM)
    process.wait_until(lambda: not background_pids(one), "the end of the background process")


def test_server_that_goes_away(client):
    done = client().run("kill -9 $PPID; sleep 5")
    assert done.returncode == 255 and "Connection to 127.0.0.1 closed by remote host." in done.stderr


def test_stopped_terminal_does_not_keep_signals(client):
    """Nobody reads the terminal: writing to it may not block."""
    child = terminal(client(), "yes")
    child.expect_exact("y")
    time.sleep(1)
    os.kill(child.pid, signal.SIGTERM)
    process.wait_until(lambda: os.waitpid(child.pid, os.WNOHANG)[0], "the end of ssh")


# ---- prompts ----


@pytest.mark.parametrize("require, display, asked", [("force", "", True), ("prefer", ":0", True), ("prefer", "", False), ("never", ":0", False), ("", ":0", True)])
def test_askpass(client, workdir, require, display, asked):
    os.chmod(workdir, 0o777)
    program = workdir + "/askpass"
    with open(program, "w", encoding="utf-8") as f:
        f.write('#!/bin/sh\necho "$1" >>%s/asked\necho wrong\n' % workdir)
    os.chmod(program, 0o755)
    one = client(["BatchMode no", "PreferredAuthentications password", "NumberOfPasswordPrompts 1"])
    env = dict(os.environ, SSH_ASKPASS=program, SSH_ASKPASS_REQUIRE=require, DISPLAY=display)
    env.pop("WAYLAND_DISPLAY", None)
    child = one.start("true", env=env)
    assert child.communicate(timeout=30) and child.returncode == 255
    assert os.path.exists(workdir + "/asked") == asked
    if asked:
        with open(workdir + "/asked", encoding="utf-8") as f:
            assert re.fullmatch(r"\S+@127\.0\.0\.1's password: \n", f.read())
