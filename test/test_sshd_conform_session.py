"""Sessions as the other sshd runs them: environment, rc files, signals, terminals, and what is left when a process of theirs dies."""
import os
import re
import signal
import struct
import time

import pexpect
import pytest

from lib import process, programs
from lib.marks import needs_root
from lib.rawssh import CLOSE, DATA, EOF, EXTENDED_DATA, FAILURE, REQUEST, SUCCESS, Reader, client_at, load_key, message, string, u8, u32

pytestmark = needs_root


def put(entry, name, text, mode=0o644):
    path = os.path.join(entry.pw_dir, ".ssh", name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chown(path, entry.pw_uid, entry.pw_gid)
    os.chmod(path, mode)
    return path


@pytest.fixture
def home_file(account):
    """home_file(name, text) makes a file in the account's ~/.ssh for one test."""
    made = []

    def make(name, text):
        made.append(put(account, name, text))
        return made[-1]

    yield make
    for path in made:
        os.unlink(path)


def authorized(workdir, keys, options):
    path = os.path.join(workdir, "ak")
    with open(path, "w", encoding="utf-8") as f:
        f.write("%s %s\n" % (options, keys.public(keys.user["ed25519"])))
    os.chmod(path, 0o644)
    return "AuthorizedKeysFile " + path


def environment(client):
    done = client.run("env -0", text=False)
    return dict(one.split("=", 1) for one in done.stdout.decode().split("\0") if "=" in one), done.stderr.decode()


# ---- environment ----


def test_a_client_does_not_say_who_it_is(our_sshd, debian_ssh, account):
    one = our_sshd(["AcceptEnv *"])
    sent = "SetEnv USER=root LOGNAME=root HOME=/tmp PATH=/evil SHELL=/bin/false MAIL=x SSH_CONNECTION=x TZ=Mars OWN=kept"
    env, _ = environment(debian_ssh(one, [sent], user=account.pw_name))
    assert (env["USER"], env["LOGNAME"], env["HOME"], env["SHELL"]) == (account.pw_name, account.pw_name, account.pw_dir, account.pw_shell)
    assert env["MAIL"] == "/var/mail/" + account.pw_name and "/evil" not in env["PATH"] and env["SSH_CONNECTION"].startswith("127.0.0.1 ")
    assert (env["OWN"], env["TZ"]) == ("kept", "Mars")


def test_the_daemons_environment_stays_outside(our_sshd, debian_ssh, account):
    one = our_sshd(env={**os.environ, "SECRET_OF_THE_DAEMON": "1", "LANG": "xx_XX", "XDG_RUNTIME_DIR": "/run/user/0"})
    env, _ = environment(debian_ssh(one, user=account.pw_name))
    assert set(env) <= {"USER", "LOGNAME", "HOME", "PATH", "SHELL", "MAIL", "SSH_CLIENT", "SSH_CONNECTION", "PWD", "SHLVL", "_"}


def test_mail_is_left_to_pam(our_sshd, debian_ssh, account):
    assert "MAIL" in environment(debian_ssh(our_sshd(["UsePAM no"]), user=account.pw_name))[0]
    assert "MAIL" not in environment(debian_ssh(our_sshd(["UsePAM yes"]), user=account.pw_name))[0]


@pytest.mark.parametrize("value,seen", [("no", set()), ("yes", {"A", "B", "K"}), ("A*,K", {"A", "K"})])
def test_user_environment(our_sshd, debian_ssh, account, home_file, keys, workdir, value, seen):
    path = home_file("environment", "A=1\n# no\n\nB=2\nbroken\n")
    one = our_sshd(["PermitUserEnvironment " + value, authorized(workdir, keys, 'environment="K=v w",environment="A=key"')])
    env, said = environment(debian_ssh(one, user=account.pw_name))
    assert {"A", "B", "K"} & set(env) == seen
    assert ("Bad line 5 in " + path in said) == (value != "no")
    if seen:
        assert (env["A"], env["K"]) == ("1", "v w")


def test_order_of_set_env(our_sshd, debian_ssh, account):
    one = our_sshd(["AcceptEnv *", "SetEnv A=server HOME=/elsewhere"])
    env, _ = environment(debian_ssh(one, ["SetEnv A=client"], user=account.pw_name))
    assert (env["A"], env["HOME"]) == ("server", "/elsewhere")


# ---- rc ----


@pytest.mark.parametrize("lines,options,runs", [
    ([], "", True), (["PermitUserRC no"], "", False), ([], "no-user-rc", False), ([], "restrict", False), ([], "restrict,user-rc", True),
    (["ForceCommand echo in"], "", False), ([], 'command="echo in"', True),
])
def test_rc_file(our_sshd, debian_ssh, account, home_file, keys, workdir, lines, options, runs):
    home_file("rc", "echo rc\n")
    one = our_sshd([*lines, authorized(workdir, keys, options)])
    assert debian_ssh(one, user=account.pw_name).run("echo in").stdout == ("rc\nin\n" if runs else "in\n")


def test_rc_file_of_the_system(our_sshd, debian_ssh, account, home_file, workdir):
    """Where the user has none of his own; in a mount namespace with an /etc of its own."""
    if process.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("no mount namespaces here (a chroot)")
    etc = workdir + "/etc"
    process.run(["cp", "-a", "/etc", etc])
    os.makedirs(etc + "/ssh", exist_ok=True)
    with open(etc + "/ssh/sshrc", "w", encoding="utf-8") as f:
        f.write("echo system $USER\n")
    one = our_sshd(wrapper=["unshare", "-m", "sh", "-c", "mount --bind %s /etc && exec \"$0\" \"$@\"" % etc])
    assert debian_ssh(one).run("echo in").stdout == "system %s\nin\n" % account.pw_name
    home_file("rc", "echo own\n")
    assert debian_ssh(one).run("echo in").stdout == "own\nin\n"


@pytest.mark.parametrize("text", ["exit 7\n", "kill -9 $$\n"])
def test_rc_file_that_fails_stops_nothing(our_sshd, debian_ssh, account, home_file, text):
    home_file("rc", text)
    assert debian_ssh(our_sshd(), user=account.pw_name).run("cat", stdin="in").stdout == "in"


# ---- what runs ----


def test_key_command_sees_what_was_asked_for(our_sshd, debian_ssh, account, keys, workdir):
    one = our_sshd([authorized(workdir, keys, 'command="echo [$SSH_ORIGINAL_COMMAND]"'), "Subsystem foo /bin/foo -x"])
    client = debian_ssh(one, user=account.pw_name)
    assert client.run("a b").stdout == "[a b]\n"
    assert client.run("foo", flags=("-s",)).stdout == "[/bin/foo -x]\n"


def test_subsystem_with_arguments(our_sshd, debian_ssh, account):
    one = our_sshd(["Subsystem foo echo a 'b  c' $HOME"])
    client = debian_ssh(one, user=account.pw_name)
    assert client.run("foo", flags=("-s",)).stdout == "a b  c %s\n" % account.pw_dir
    assert client.run("bar", flags=("-s",)).returncode == 255
    one.log.wait("subsystem request for bar by user %s failed, subsystem not found" % account.pw_name)


def test_home_that_is_not_there(our_sshd, debian_ssh, account):
    """The directory goes, not the account's entry: usermod waits for nobody's processes."""
    hidden = account.pw_dir + ".away"
    os.rename(account.pw_dir, hidden)
    try:
        done = debian_ssh(our_sshd(), user=account.pw_name).run("pwd")
    finally:
        os.rename(hidden, account.pw_dir)
    assert (done.returncode, done.stdout) == (0, "/\n")
    assert done.stderr == "Could not chdir to home directory %s: No such file or directory\n" % account.pw_dir


def test_login_texts_in_order(our_sshd, debian_ssh, account):
    """Last login before the message of the day; neither with a command, nor with ~/.hushlogin."""
    client = debian_ssh(our_sshd(), user=account.pw_name)

    def shell():
        argv = client.argv("-tt", "test")
        shell = pexpect.spawn(argv[0], argv[1:], encoding="utf-8", timeout=20)
        shell.expect(r"\$ ")
        text = shell.before
        shell.sendline("exit")
        shell.expect(pexpect.EOF)
        return text

    shell()
    with open("/etc/motd", encoding="utf-8") as f:
        motd = f.read().strip().split("\n")[0]
    text = shell()
    assert text.index("Last login: ") < text.index(motd)
    hush = os.path.join(account.pw_dir, ".hushlogin")
    open(hush, "w", encoding="utf-8").close()
    try:
        assert "Last login" not in shell()
    finally:
        os.unlink(hush)


# ---- signals and the like, with a client that can say anything ----


@pytest.fixture
def session(our_sshd, account, keys):
    """session(command, lines) gives a raw peer and its channel with the command running."""
    open_peers = []

    def start(command, lines=()):
        one = our_sshd(lines)
        peer = client_at(one.port, "after login", account.pw_name, load_key(keys.user["ed25519"]))
        open_peers.append(peer)
        channel = peer.open_session()
        assert peer.exec(channel, command)
        return peer, channel

    yield start
    for peer in open_peers:
        peer.__exit__()


def ask(peer, channel, name, *parts):
    """A request that wants a reply. Gives it with what came before."""
    peer.send(message(REQUEST, u32(channel), string(name), u8(1), *parts))
    seen = []
    while True:
        got = peer.recv()
        seen.append(got)
        if got[0] in (SUCCESS, FAILURE):
            return got[0] == SUCCESS, seen


def until_close(peer):
    seen = []
    while not seen or seen[-1][0] != CLOSE:
        seen.append(peer.recv())
    return seen


def requests(seen):
    found = []
    for payload in seen:
        if payload[0] == REQUEST:
            r = Reader(payload, 5)
            found.append((r.string().decode(), payload))
    return found


def wait_data(peer, text):
    data = b""
    while text not in data:
        got = peer.recv()
        if got[0] == DATA:
            data += Reader(got, 5).string()
    return data


@pytest.mark.parametrize("name", ["ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2"])
def test_signal_and_exit_signal(session, name):
    """By dash, since a bash that has not yet become sleep ignores QUIT."""
    peer, channel = session("exec dash -c 'echo ready; exec sleep 60'")
    wait_data(peer, b"ready")
    ok, seen = ask(peer, channel, "signal", string(name))
    assert ok
    ends = [p for n, p in requests(seen + until_close(peer)) if n == "exit-signal"]
    assert len(ends) == 1 and string(name) in ends[0]


@pytest.mark.parametrize("name", ["", "NOSUCH", "SIGTERM", "9", pytest.param("A" * 5000, id="long")])
def test_signal_that_there_is_not(session, name):
    peer, channel = session("echo ready; exec sleep 60")
    wait_data(peer, b"ready")
    assert not ask(peer, channel, "signal", string(name))[0]


def test_no_signals_into_forced_commands(session):
    peer, channel = session("x", ["ForceCommand echo ready; exec sleep 60"])
    wait_data(peer, b"ready")
    assert not ask(peer, channel, "signal", string("TERM"))[0]


def test_break_and_window_change_need_a_terminal(session):
    peer, channel = session("echo ready; exec sleep 60")
    wait_data(peer, b"ready")
    assert not ask(peer, channel, "break", u32(500))[0]
    assert not ask(peer, channel, "window-change", u32(80), u32(24), u32(0), u32(0))[0]
    assert not ask(peer, channel, "shell")[0]


def test_eow_when_nobody_reads(session):
    peer, channel = session("echo ready; sleep 0.3; exec <&-; sleep 2")
    wait_data(peer, b"ready")
    peer.send(message(DATA, u32(channel), string(b"x" * 1000)))
    names = [n for n, _ in requests(until_close(peer))]
    assert names == ["eow@openssh.com", "exit-status"]


def test_eow_behind_our_eof_and_twice(session):
    """The command loses its reader all the same, and nobody objects to another one that was on the way."""
    peer, channel = session("trap '' PIPE; cat; echo ready; while echo y; do :; done 2>/dev/null; exit 4")
    peer.send(message(EOF, u32(channel)))
    wait_data(peer, b"ready")
    for _ in range(2):
        peer.send(message(98, u32(channel), string("eow@openssh.com"), u8(0)))
    status = [p for n, p in requests(until_close(peer)) if n == "exit-status"]
    assert status and struct.unpack(">I", status[0][-4:])[0] == 4


def test_no_more_sessions(session):
    peer, channel = session("echo ready; exec sleep 60")
    wait_data(peer, b"ready")
    peer.send(message(80, string("no-more-sessions@openssh.com"), u8(0)))
    peer.send(message(90, string("session"), u32(9), u32(1 << 20), u32(1 << 15)))
    assert channel is not None
    seen = peer.rest()
    assert not any(p[0] == 91 for p in seen)


def test_data_after_exit_and_eof_in_order(session):
    peer, _ = session("echo out; echo err >&2; exit 7")
    seen = until_close(peer)
    numbers = [p[0] for p in seen if p[0] in (DATA, EXTENDED_DATA, EOF, CLOSE)]
    assert sorted(numbers[:2]) == [DATA, EXTENDED_DATA] and numbers[-2:] == [EOF, CLOSE]
    status = [p for n, p in requests(seen) if n == "exit-status"]
    assert status and struct.unpack(">I", status[0][-4:])[0] == 7


# ---- limits ----


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_max_sessions(our_sshd, account, keys, limit):
    one = our_sshd(["MaxSessions %d" % limit])
    with client_at(one.port, "after login", account.pw_name, load_key(keys.user["ed25519"])) as peer:
        for number in range(limit + 1):
            peer.send(message(90, string("session"), u32(number), u32(1 << 20), u32(1 << 15)))
            assert peer.expect(91, 92)[0] == (91 if number < limit else 92)
    one.log.wait("no more sessions")


def test_client_that_does_not_answer(our_sshd, account, keys):
    one = our_sshd(["ClientAliveInterval 1", "ClientAliveCountMax 2"])
    with client_at(one.port, "after login", account.pw_name, load_key(keys.user["ed25519"])):
        began = time.monotonic()
        one.log.wait("Timeout, client not responding from user %s 127.0.0.1 port" % account.pw_name)
        assert 2 < time.monotonic() - began < 5


# ---- deaths ----


@pytest.mark.parametrize("who,number", [(who, n) for who in ("monitor", "user") for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL)])
def test_a_process_of_the_session_dies(our_sshd, debian_ssh, account, who, number):
    one = our_sshd(["UsePAM yes"])
    argv = debian_ssh(one, user=account.pw_name).argv("-tt", "test", "tty; exec sleep 987")
    client = pexpect.spawn(argv[0], argv[1:], encoding="utf-8", timeout=20)
    client.expect(r"(/dev/pts/\d+)\r")
    terminal = client.match.group(1)
    titles = {pid: process.command_line(pid) for pid, _ in one.sessions()}
    assert "sshd: %s@%s" % (account.pw_name, terminal[5:]) in titles.values()
    title = "sshd: %s [priv]" % account.pw_name if who == "monitor" else "sshd: %s@%s" % (account.pw_name, terminal[5:])
    os.kill(next(pid for pid, text in titles.items() if text == title), number)
    client.expect(pexpect.EOF)
    client.wait()
    mine = lambda: [text for text in map(process.command_line, [pid for pid, _ in one.sessions()]) if account.pw_name in text or "sleep 987" in text]
    process.wait_until(lambda: not mine() and not os.path.exists(terminal), "the end of %s" % title)


def test_no_zombies_and_few_processes(our_sshd, debian_ssh, account):
    one = our_sshd()
    client = debian_ssh(one, user=account.pw_name).start("sleep 60")
    process.wait_until(lambda: any("sleep" in name for _, name in one.sessions()), "the command")
    time.sleep(0.3)
    states = [process.stat_of(pid) for pid, _ in one.sessions()]
    client.kill()
    client.wait()
    assert not [state for state in states if state and state[1] == "Z"]


def test_sudo_like_programs_work(our_sshd, debian_ssh, account):
    """Neither no_new_privs, nor a filter, nor a lowered core limit or a changed oom score follows the user."""
    done = debian_ssh(our_sshd(), user=account.pw_name).run("grep -E 'NoNewPrivs|Seccomp:|SigBlk|SigIgn' /proc/self/status; cat /proc/self/oom_score_adj")
    values = re.findall(r"^(?:\w+:\s+)?(\S+)$", done.stdout, re.M)
    assert all(set(value) == {"0"} for value in values[:4]), done.stdout
    with open("/proc/self/oom_score_adj", encoding="utf-8") as f:
        assert values[-1] == f.read().strip()


@pytest.mark.skipif(not programs.has(programs.peer("ss")), reason="no ss here")
def test_ip_qos(our_sshd, debian_ssh, account):
    one = our_sshd(["IPQoS af41 cs1"])

    def tos(*flags):
        client = debian_ssh(one, user=account.pw_name).start("sleep 60", flags=flags)
        process.wait_until(lambda: any(name == "sleep" for _, name in one.sessions()), "the command")
        text = process.run([programs.peer("ss"), "-tn", "--tos", "sport = :%d" % one.port]).stdout
        client.kill()
        client.wait()
        process.wait_until(lambda: not any(name == "sleep" for _, name in one.sessions()), "its end")
        return re.findall(r"tos:(0x\w+)", text)

    assert tos("-T") == ["0x20"]
    assert tos("-tt") == ["0x88"]
