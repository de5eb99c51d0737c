"""Keys of PKCS#11 tokens and security keys in ssh-agent: ssh-add -s, -e, -K, -S, and what the agent signs with them. Tokens are SoftHSM's and the stand-ins of
test/doubles; agents and ssh-add of both makes."""
import os
import struct

import pytest

from lib import agent, process, programs, tokens
from lib import keys as key_files
from lib.agent import Agent, string
from lib.client import Client
from lib.marks import needs_our_ssh, needs_ours, needs_peer
from lib.tokens import PIN, PKCS11_DOUBLE, SK_DOUBLE, SOFTHSM

pytestmark = [needs_our_ssh, needs_ours(SK_DOUBLE), needs_ours(programs.AGENT), needs_peer("softhsm2-util"), needs_peer("pkcs11-tool")]
ALLOWED = "/usr/lib/*,%s/*" % os.path.realpath(programs.BUILD)
SK_PIN = "4321"


@pytest.fixture(scope="module")
def card(session_folder):
    made = tokens.Tokens(os.path.join(session_folder, "agent_card"))
    made.add_token("card")
    made.add_key("card", "rsa:2048", "my rsa", "01")
    made.add_key("card", "EC:prime256v1", "my ecdsa", "02")
    return made


@pytest.fixture
def start(workdir, card):
    """start(make, ...): an agent that knows the card and a stand-in for a security key; its own askpass gives the security key's PIN."""
    started = []
    device = os.path.join(workdir, "device")
    os.mkdir(device)

    def run(make="ours", flags=("-P", ALLOWED), **env):
        known = {**card.env, **tokens.askpass(workdir, SK_PIN, "agent_askpass"), "SK_DOUBLE": device, "DISPLAY": ":9", **env}
        started.append(Agent(agent.BY_NAME[make], workdir, flags, known))
        return started[-1]

    yield run
    for one in started:
        one.stop()


def add(one, workdir, *args, pin=PIN, make="ours"):
    return process.run([agent.ADD_BY_NAME[make], *args], env={**one.env, **tokens.askpass(workdir, pin)})


def helpers(one):
    return [name for _, name in process.descendants(one.popen.pid) if "-help" in name]  # names have 15 characters


def names(one):
    return [line.split()[2:] for line in process.run([programs.ADD, "-l"], env=one.env).stdout.splitlines() if "SHA256" in line]


def state(one, name, text):
    with open(os.path.join(one.env["SK_DOUBLE"], name), "w", encoding="utf-8") as f:
        f.write(text + "\n")


@pytest.fixture
def ssh(workdir, login):
    def run(server, one, program=programs.SSH, lines=()):
        client = Client(program, workdir, server, login.pw_name, None,
                        [*lines, "PubkeyAuthentication yes", "IdentityFile none", "IdentitiesOnly no", "IdentityAgent " + one.path, "PreferredAuthentications publickey"])
        return client.run("echo in", env=one.env)

    return run


def authorize(workdir, *lines):
    path = os.path.join(workdir, "authorized")
    with open(path, "w", encoding="utf-8") as f:
        f.write("".join(line + "\n" for line in lines))
    return "AuthorizedKeysFile %s" % path


@pytest.mark.parametrize("agent_make, add_make", [("ours", "ours"), ("ours", "debian"), ("debian", "ours")])
def test_card_comes_and_goes(start, workdir, agent_make, add_make):
    one = start(agent_make)
    done = add(one, workdir, "-s", SOFTHSM, make=add_make)
    assert (done.returncode, done.stderr.strip()) == (0, "Card added: " + SOFTHSM)
    assert names(one) == [["my", "rsa", "(RSA)"], ["my", "ecdsa", "(ECDSA)"]] or names(one) == [["my", "ecdsa", "(ECDSA)"], ["my", "rsa", "(RSA)"]]
    assert tokens.asked(workdir) == ["|Enter passphrase for PKCS#11: "]
    done = add(one, workdir, "-e", SOFTHSM, make=add_make)
    assert (done.returncode, done.stderr.strip()) == (0, "Card removed: " + SOFTHSM)
    assert names(one) == []
    done = add(one, workdir, "-e", SOFTHSM, make=add_make)
    assert (done.returncode, done.stderr.strip()) == (1, 'Could not remove card "%s": agent refused operation' % SOFTHSM)
    if agent_make == "ours":
        process.wait_until(lambda: not helpers(one), "the end of the helper")


def test_login_with_a_token_in_the_agent(start, workdir, our_sshd, debian_sshd, ssh):
    one = start()
    assert add(one, workdir, "-s", SOFTHSM).returncode == 0
    lines = process.run([programs.ADD, "-L"], env=one.env).stdout.splitlines()
    for server in (our_sshd([authorize(workdir)]), debian_sshd([authorize(workdir)])):
        for line in lines:
            authorize(workdir, line)
            for program in (programs.SSH, programs.peer("ssh")):
                done = ssh(server, one, program)
                assert done.stdout == "in\n", (line, done.stderr)
    assert helpers(one) == ["ssh-pkcs11-help"] and tokens.asked(workdir, "agent_askpass") == []


def test_added_again(start, workdir):
    """Takes the place of the first; with a wrong PIN nothing changes."""
    one = start()
    for args in (["-s", SOFTHSM], ["-c", "-s", SOFTHSM]):
        assert add(one, workdir, *args).returncode == 0
    assert len(names(one)) == 2
    process.wait_until(lambda: len(helpers(one)) == 1, "the end of the first helper")
    done = add(one, workdir, "-s", SOFTHSM, pin="nonsense")
    assert (done.returncode, done.stderr) == (1, 'Could not add card "%s": agent refused operation\n' % SOFTHSM)
    assert 'token "card": the PIN is wrong' in one.said() and len(names(one)) == 2
    process.wait_until(lambda: len(helpers(one)) == 1, "the end of the helper with the wrong PIN")


def test_helpers_end_with_their_keys(start, workdir):
    one = start()
    assert add(one, workdir, "-s", SOFTHSM).returncode == 0
    assert helpers(one)
    assert one.add("-D").returncode == 0
    process.wait_until(lambda: not helpers(one), "the end of the helper")


def test_only_allowed_providers(start, workdir):
    one = start(flags=("-P", "/usr/lib/other/*"))
    for args in (["-s", SOFTHSM], ["-s", PKCS11_DOUBLE], ["-s", "/nonexistent.so"]):
        assert add(one, workdir, *args).returncode == 1
    path = os.path.realpath(SOFTHSM)
    assert 'refusing provider "%s": not among those that are allowed' % path in one.said() and not helpers(one)
    key = key_of_device(one, workdir, "k")
    done = add(one, workdir, "-S", SK_DOUBLE, key)
    assert done.returncode == 1 and "agent refused operation" in done.stderr


def test_certificates_for_a_card(start, workdir, our_sshd, ssh, keys, login):
    one = start()
    assert add(one, workdir, "-s", SOFTHSM).returncode == 0
    public = os.path.join(workdir, "card.pub")
    with open(public, "w", encoding="utf-8") as f:
        f.write([line for line in process.run([programs.ADD, "-L"], env=one.env).stdout.splitlines() if "ecdsa" in line][0] + "\n")
    assert process.run([programs.peer("ssh-keygen"), "-q", "-s", keys.user["ed25519"], "-I", "id", "-n", login.pw_name, public]).returncode == 0
    cert = os.path.join(workdir, "card-cert.pub")
    assert add(one, workdir, "-s", SOFTHSM, cert).returncode == 0
    assert sorted(kind[-1] for kind in names(one)) == ["(ECDSA)", "(ECDSA-CERT)", "(RSA)"]
    assert one.add("-D").returncode == 0 and add(one, workdir, "-C", "-s", SOFTHSM, cert).returncode == 0
    assert [kind[-1] for kind in names(one)] == ["(ECDSA-CERT)"]
    server = our_sshd(["TrustedUserCAKeys %s.pub" % keys.user["ed25519"], "AuthorizedKeysFile none"])
    assert ssh(server, one).stdout == "in\n"
    done = add(one, workdir, "-s", SOFTHSM, public)
    assert done.returncode == 1 and "it is no certificate" in done.stderr


def test_module_that_crashes(start, workdir):
    """The agent says so and lives on."""
    one = start(PKCS11_DOUBLE="crash-sign")
    key = key_files.make(os.path.join(workdir, "other"), "ed25519")
    assert add(one, workdir, key).returncode == 0 and add(one, workdir, "-s", PKCS11_DOUBLE).returncode == 0
    with one.connect() as c:
        assert len(c.listed()) == 2
        for _ in range(2):
            assert c.sign(c.listed()[1], b"data")[0] == agent.FAILURE
        assert c.sign(agent.blob(key + ".pub"), b"data")[0] == agent.SIGNATURE
    assert "ssh-pkcs11-helper was killed by signal 6 (Aborted) while it used the library" in one.said()
    assert "it is not loaded any more; ssh-add -s loads it again" in one.said()
    one = start(PKCS11_DOUBLE="crash-init")
    assert add(one, workdir, "-s", PKCS11_DOUBLE).returncode == 1 and "was killed by signal 6" in one.said()


def test_many_signatures_at_once(start, workdir):
    """A token does one at a time; the others wait for it."""
    one = start()
    assert add(one, workdir, "-s", SOFTHSM).returncode == 0
    clients = [one.connect() for _ in range(12)]
    blobs = clients[0].listed()
    for i, c in enumerate(clients):
        c.send(bytes([agent.SIGN]) + string(blobs[i % 2]) + string(b"data %d" % i) + struct.pack(">I", 4))
    clients[5].close()  # before its answer
    for i, c in enumerate(clients):
        assert i == 5 or c.receive()[0] == agent.SIGNATURE
        c.close()


# ---- security keys ----


def key_of_device(one, workdir, name, *options, kind="ed25519-sk"):
    path = os.path.join(workdir, name)
    flags = [word for option in options for word in ("-O", option)]
    done = process.run([programs.KEYGEN, "-q", "-t", kind, "-N", "", "-f", path, "-w", SK_DOUBLE, *flags], env=one.env, stdin=SK_PIN + "\n")
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize("agent_make, add_make", [("ours", "ours"), ("ours", "debian"), ("debian", "ours")])
def test_login_with_a_security_key_in_the_agent(start, workdir, our_sshd, ssh, agent_make, add_make):
    one = start(agent_make)
    paths = [key_of_device(one, workdir, kind, kind=kind) for kind in ("ed25519-sk", "ecdsa-sk")]
    server = our_sshd([authorize(workdir)])
    for path in paths:
        assert add(one, workdir, "-S", SK_DOUBLE, path, make=add_make).returncode == 0
    for path in paths:
        with open(path + ".pub", encoding="utf-8") as f:
            authorize(workdir, f.read().strip())
        for program in (programs.SSH, programs.peer("ssh")):
            assert ssh(server, one, program).stdout == "in\n", one.said()


@pytest.mark.parametrize("make", ["ours", "debian"])
def test_ssh_adds_security_keys(start, workdir, our_sshd, login, make):
    """AddKeysToAgent, with the library that the agent is to use."""
    one = start(make)
    path = key_of_device(one, workdir, "k")
    with open(path + ".pub", encoding="utf-8") as f:
        server = our_sshd([authorize(workdir, f.read().strip())])
    client = Client(programs.SSH, workdir, server, login.pw_name, path,
                    ["SecurityKeyProvider " + SK_DOUBLE, "AddKeysToAgent yes", "IdentityAgent " + one.path])
    for calls in (1, 2):
        assert client.run("echo in", env=one.env).stdout == "in\n"
        assert [name[-1] for name in names(one)] == ["(ED25519-SK)"]
        with open(os.path.join(one.env["SK_DOUBLE"], "log"), encoding="utf-8") as f:
            assert f.read().count("sign ") == calls


def test_verification_asks_for_the_pin(start, workdir, our_sshd, ssh):
    one = start()
    state(one, "pin", SK_PIN)
    path = key_of_device(one, workdir, "k", "verify-required")
    assert add(one, workdir, "-S", SK_DOUBLE, path).returncode == 0
    with open(path + ".pub", encoding="utf-8") as f:
        server = our_sshd([authorize(workdir, "verify-required " + f.read().strip())])
    assert ssh(server, one).stdout == "in\n", one.said()
    fingerprint = process.run([programs.KEYGEN, "-l", "-f", path]).stdout.split()[1]
    assert "|Enter PIN for ED25519-SK key %s: " % fingerprint in tokens.asked(workdir, "agent_askpass")
    state(one, "pin", "another")
    done = ssh(server, one)
    assert done.returncode == 255 and "agent refused operation" in done.stderr
    assert "the security key wants its PIN, or another one" in one.said()


def test_resident_keys(start, workdir):
    one = start()
    state(one, "pin", SK_PIN)
    key_of_device(one, workdir, "k", "resident")
    done = add(one, workdir, "-K", "-S", SK_DOUBLE, pin=SK_PIN)
    fingerprint = process.run([programs.KEYGEN, "-l", "-f", os.path.join(workdir, "k")]).stdout.split()[1]
    assert (done.returncode, done.stderr) == (0, "Resident identity added: ED25519-SK %s\n" % fingerprint)
    assert tokens.asked(workdir) == ["|Enter PIN for authenticator: "]
    assert process.run([programs.ADD, "-T", os.path.join(workdir, "k.pub")], env=one.env).returncode == 0
    done = add(one, workdir, "-K", "-S", SK_DOUBLE, pin="1")
    assert done.returncode == 1 and "Unable to load resident keys: the security key wants its PIN, or another one" in done.stderr


def test_others_are_served_while_one_waits_for_a_touch(start, workdir):
    one = start()
    path = key_of_device(one, workdir, "k")
    assert add(one, workdir, "-S", SK_DOUBLE, path).returncode == 0
    state(one, "mode", "wait")
    with one.connect() as waits, one.connect() as leaves, one.connect() as other:
        blob = agent.blob(path + ".pub")
        for c in (waits, leaves):
            c.send(bytes([agent.SIGN]) + string(blob) + string(b"data of ssh") + struct.pack(">I", 0))
        process.wait_until(lambda: len(helpers(one)) == 2, "the helpers")
        assert other.listed() == [blob]
        leaves.close()
        assert other.listed() == [blob]
        state(one, "mode", "")
        answer = waits.receive()
        assert answer[0] == agent.SIGNATURE
        process.wait_until(lambda: not helpers(one), "the end of the helpers")
        assert other.listed() == [blob]


def test_security_key_that_fails(start, workdir):
    one = start()
    path = key_of_device(one, workdir, "k")
    assert add(one, workdir, "-S", SK_DOUBLE, path).returncode == 0
    for mode, why in (("crash", "ssh-sk-helper was killed by signal 6 (Aborted) while it used the library"), ("no-device", "device not found")):
        state(one, "mode", mode)
        assert process.run([programs.ADD, "-T", path + ".pub"], env=one.env).returncode == 1
        assert why in one.said()
    state(one, "mode", "")
    assert process.run([programs.ADD, "-T", path + ".pub"], env=one.env).returncode == 0
