"""Our ssh's command line and -G beside the installed OpenSSH's: the same words in, the same lines out."""
import os
import re
import subprocess

import pytest

from lib import process, programs
from lib.marks import needs_our_ssh, needs_peer
from lib.server import write_config

pytestmark = [needs_our_ssh, needs_peer("ssh")]

# Newer than the other one, ours alone (EarlySession), patched into it, or with other defaults on purpose. Compared only where a case sets them.
DIFFER = """forwardx11trusted gssapikeyexchange gssapitrustdns gssapirenewalforcesrekey gssapikexalgorithms updatehostkeys warnweakcrypto
    obscurekeystroketiming ciphers hostkeyalgorithms hostbasedacceptedalgorithms kexalgorithms casignaturealgorithms pubkeyacceptedalgorithms
    channeltimeout ipqos canonicalizepermittedcnames serveraliveinterval earlysession""".split()
OTHER_KEYS = ("id_xmss", "id_dsa", "id_mldsa44_ed25519")


def dump(program, args):
    env = {k: v for k, v in os.environ.items() if k not in ("SSH_AUTH_SOCK", "DISPLAY")}
    done = process.run([program, "-G", *args], env=dict(env, FOO="of-foo", SHELL="/bin/sh"))
    text = re.sub(r"\S+/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts", done.stdout)  # ours are where the build was told
    lines = [line for line in text.splitlines() if not line.endswith(OTHER_KEYS)]
    return done.returncode, lines, done.stderr


def compare(args, set_here):
    def kept(lines):
        return [line for line in lines if line.split(" ")[0].lower() not in DIFFER or line.split(" ")[0].lower() in set_here]

    theirs, ours = dump(programs.peer("ssh"), args), dump(programs.SSH, args)
    assert ours[0] == theirs[0], ours[2] + theirs[2]
    assert kept(ours[1]) == kept(theirs[1])


COMMAND_LINES = """
h|u@h|-l u h|-l a b@h|b@h -l a|-p 77 h|h -p 77|-p 77 -p 88 h|ssh://h|ssh://h/|ssh://u@h:99|ssh://u%40x@h|ssh://u;fingerprint=x@h|ssh://u:pw@h|::1|u@::1
fe80::1%lo|a@b@h|-oPort=22 h|-oport=24 h|-4 h|-6 h|-46 h|h -4 -C -l z cmd -x|h cmd -l z|h -- -l|-- h -l z|-A h|-Aa h|-aA h|-K h|-k h|-X h|-xX h|-N h|-n h
-fN h|-nNf h|-s h sftp|-T h|-t h|-tt h|-ttt h|-tT h|-Tt h|-g h|-gN h|-M h|-MM h|-S none h|-S /tmp/%C h|-S /tmp/%r@%h:%p u@h|-MS /tmp/x h|-L 1:b:2 h
-L 1:b:2 -L *:3:c:4 -L [::1]:5:[::2]:6 h|-L /a:c:1 h|-R 1:b:2 h|-R 5 h|-R [::1]:5 h|-R 0:b:2 h|-R /a:/b h|-D 5 h|-D a:5 h|-J a h|-J u@a:22,[::1]:33 h
-J none h|-J a,ssh://u@b:22 h|-J ssh://u@a:22,ssh://b h|-J ssh://u;x=y@a h|-J ssh://b/ h|-W a:1 h|-w 0:1 h|-w any h|-i /nonexistent h|-c aes128-ctr h|-m hmac-sha1 h|-e none h|-e a h|-B lo h|-b 127.0.0.1 h|-CC h|-q h|-vvv h|-qv h|-vq h
-oHostname=%h.x h|-oHostname=127.1 h|HoSt|U@HOST|-oHostKeyAlias=AbC h|-oControlPath=%d/x-%n-%u-%i-%L h|-oControlPath=~/x h|-oControlPath=${FOO}/x h
-oIdentityAgent=~/a-%h h|-oIdentityAgent=$FOO h|-oIdentityAgent=${FOO}/x h|-oForwardAgent=/a/%h h|-oUserKnownHostsFile=~/%h h|-oProxyCommand=nc h
-oProxyJump=a -oProxyCommand=b h|-oProxyCommand=b -oProxyJump=a h|-oClearAllForwardings=yes -L1:a:2 h|-oBindAddress=1 -b 2 h|-b 2 -oBindAddress=1 h
-oCiphers=aes128-ctr -c aes256-ctr h|-c aes128-ctr -oCiphers=aes256-ctr h|-oUser=a -l b h|-oControlMaster=auto -M h|-oRequestTTY=force -t h|-oRequestTTY=yes -t h
-N -t h|-t -N h|-oLogLevel=ERROR -v h|-v -oLogLevel=ERROR h|-q -oLogLevel=ERROR h|-oLogLevel=QUIET h|-oTunnel=ethernet -w 1 h|-oProtocol=2 h|-oKeepAlive=no h
-oServerAliveInterval=1m h|-oRekeyLimit=1G h|-oSendEnv=LANG h|-oConnectTimeout=none h|-oAddKeysToAgent=5m h|-oRequestTTY=force h|-N h ls|-o  h|-o# h
"""


@pytest.mark.parametrize("line", [one for row in COMMAND_LINES.split("\n") for one in row.split("|") if one])
def test_command_line(line):
    words = line.split(" ")
    compare(["-F", "none", *words], {w[2:].split("=")[0].lower() for w in words if w.startswith("-o")} | ({"ciphers"} if "-c" in words else set()))


WRONG = """
ssh://h:abc|ssh://h:0|ssh://h/path|ssh://|ssh://u@|ssh://u%zz@h|@h|h -o|-f h|-s h|-L x h|-R x h|-D x h|-J , h|-J -x h|-w x h|-c foo h|-m foo h|-e ab h|-p 0 h|-p x h|-5 h|-? h|-1 h|-oFoo=bar h
-oPort h|-oPort=x h|-oHost=x h|-oCiphers=foo h|-oLogLevel=x h|-oControlPath=%q h|-oControlPath=${NOPE}/x h|-oHostname=%q h|-oRemoteCommand=x h ls|-N -s h|-s -N h x
-J a -J b h|-oProxyCommand=a -J b h|-l a;b h|a;b@h|h;x|h$x|-l -x h|-F /nonexistent h|-oConnectionAttempts=0 h
"""
SAID_ALIKE = {"-f h": 1, "-s h": 1, "-N -s h": 1, "-oRemoteCommand=x h ls": 1, "-J a -J b h": 1, "-F /nonexistent h": 1, "-c foo h": 1, "-p x h": 1, "-L x h": 1,
              "h -o": 1, "-5 h": 1, "-oFoo=bar h": 1, "h;x": 1, "-l a;b h": 1, "-oPort=x h": 1, "-1 h": 1}


@pytest.mark.parametrize("line", [one for row in WRONG.split("\n") for one in row.split("|") if one])
def test_wrong_command_line(line):
    args = ([] if "-F" in line else ["-F", "none"]) + line.split(" ")
    theirs, ours = dump(programs.peer("ssh"), args), dump(programs.SSH, args)
    assert ours[0] == 255 and theirs[0] == 255 and ours[2] and not ours[1]
    if line in SAID_ALIKE:
        assert ours[2].splitlines()[0].startswith(theirs[2].splitlines()[0].rstrip(".")), ours[2]


FILES = [
    "Include inc/a", "Include inc/*", "Host x\nInclude inc/a\nHost *\nPort 4", "Include nonexistent", "Match host h\nInclude inc/b",
    'Match exec "test %h = h"\nPort 9', 'Port 7\nMatch exec "test %p = 7"\nUser p', 'User bob\nMatch exec "test %r = bob"\nPort 9',
    'Hostname x.%h\nMatch exec "test %h = x.h"\nPort 9', 'Hostname x.%h\nMatch exec "test %n = h"\nPort 9', 'Match exec "test $FOO = of-foo"\nPort 9',
    'Match exec "exit 1"\nPort 9', "Match exec /nonexistent\nPort 9", 'Match exec "kill $$"\nPort 9', 'Match exec "test %q"\nPort 9',
    "Match originalhost h exec true\nPort 9", "Match host h,x !user bob\nPort 9", "Match final all\nPort 9", "Match !final host h\nPort 9",
    "Host h\nPort 2\nHost *\nPort 3\nUser u", "HostName %h.example\nMatch host h.example\nUser m", "Hostname ${FOO}", "ControlPath ~/.ssh/cm-%C",
    "IdentityFile ${FOO}/x\nIdentityFile ~/.ssh/%h", "UserKnownHostsFile ~/.ssh/%k /x/%h ~root/x", "GlobalKnownHostsFile /a ~/b",
    "RemoteCommand echo %h %p %r %d %u %i %L %l %n %C %% %k", "LocalCommand echo %h %T", "ProxyCommand nc %h %p", "SetEnv A=1 B=2", "SendEnv A B*",
    "RemoteForward /tmp/%h /x/%p", "Foo bar", "Port x\nUser a b", "IgnoreUnknown foo,ba*\nFoo 1\nBar 2", "LogLevel SILENT", "LogLevel QUIET",
    "IdentitiesOnly yes\nIdentityFile a\nIdentityFile none", "RequestTTY yes\nSessionType none", "Match localuser root\nPort 2", "\tHost h\n\t\tPort 9",
    "HOST h\nPORT 9", 'Host "h x"\nPort 9', "Match host h user nobody\nPort 4",
]


@pytest.mark.parametrize("text", FILES)
def test_file(workdir, text):
    os.mkdir(os.path.join(workdir, "inc"))
    write_config(os.path.join(workdir, "inc", "a"), ["User inc1"])
    write_config(os.path.join(workdir, "inc", "b"), ["Port 3333"])
    path = write_config(os.path.join(workdir, "config"), text.replace("Include ", "Include %s/" % workdir).split("\n"))
    compare(["-F", path, "h"], set())


def test_match_localnetwork(workdir):
    path = write_config(os.path.join(workdir, "config"), ["Match localnetwork 198.51.100.0/24,127.0.0.0/8", "Port 9", "Match localnetwork 198.51.100.0/24", "User no",
                                                          "Match !localnetwork 198.51.100.0/24", "HostKeyAlias yes"])
    lines = dump(programs.SSH, ["-F", path, "h"])[1]
    assert "port 9" in lines and "user no" not in lines and "hostkeyalias yes" in lines


def test_dump_is_input_again(workdir):
    flags = ["-oControlPath=~/%C", "-oUser=%u", "-oSetEnv=A=%h", "-L", "1:a:2", "-R", "0:b:3", "-D", "5", "-oIdentityFile=~/.ssh/%h", "-q", "-e", "^a", "-N"]
    first = process.run([programs.SSH, "-G", "-F", "none", *flags, "h"]).stdout
    path = write_config(os.path.join(workdir, "config"), [line for line in first.splitlines() if not line.startswith("host ")])
    again = process.run([programs.SSH, "-G", "-F", path, "h"])
    assert again.returncode == 0 and again.stdout == first, again.stderr


LATER = ["-O proxy", "-X", "-Y", "-w 0"]


@pytest.mark.parametrize("flags", LATER)
def test_what_is_missing_is_refused(flags):
    done = process.run([programs.SSH, "-F", "none", "-p", "1", *flags.split(" "), "127.0.0.1", "true"])
    assert done.returncode == 255 and "refused" not in done.stderr
    assert "is not available in this version" in done.stderr or "this version cannot do it yet" in done.stderr


@pytest.mark.parametrize("what", ["cipher", "cipher-auth", "compression", "kex", "key", "key-cert", "key-plain", "key-sig", "mac", "protocol-version", "sig",
                                  "Ciphers", "MACs", "KexAlgorithms", "HostKeyAlgorithms", "PubkeyAcceptedAlgorithms", "HostbasedKeyTypes"])
def test_query(what):
    """All of the other's but DSA, which is gone."""
    theirs = {name for name in programs.query(programs.peer("ssh"), what) if "dss" not in name}
    assert theirs and theirs <= set(programs.query(programs.SSH, what))


def test_query_help_and_unknown():
    names = programs.query(programs.SSH, "help")
    assert "cipher" in names and all(programs.query(programs.SSH, name) for name in names)
    done = process.run([programs.SSH, "-Q", "foo"])
    assert (done.returncode, done.stderr) == (255, 'Unsupported query "foo"\n')


def test_version():
    done = subprocess.run([programs.SSH, "-V"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0 and done.stdout == "" and done.stderr.startswith("Nacre_") and ", OpenSSL 3" in done.stderr
