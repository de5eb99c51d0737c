"""Our reading of ssh_config and sshd_config beside the installed OpenSSH's: the same lines in, the same values out.

Only the keywords that a case names are compared: defaults differ between releases on purpose.
"""
import re

import pytest

from lib import process, programs
from lib.marks import needs_our_ssh, needs_peer, needs_root

needs_ssh = needs_peer("ssh")
needs_sshd = needs_peer("sshd")

SSH_CASES = [
    "Port 2 # c\n  Port\t3\n\tHost=a b\nport 4",
    "Host foo\nPort 1\nHost h\nPort 2\nHost *\nPort 3\nUser u",
    "Host !h *\nPort 1",
    "Host !x\nPort 1",
    "Host h !x\nPort 1",
    'Host "h" # foo\nPort 1',
    "Host H\nPort 1",
    "Match host H\nPort 1",
    "Match originalhost h,b\nPort 1",
    "Match host h # foo\nPort 1",
    "Match !host h\nPort 1\nMatch all\nPort 2",
    "Match user root,x\nPort 1",
    "Match exec true\nPort 1",
    'Match exec "exit 3"\nPort 1',
    "Match !exec false\nPort 7",
    "Match localuser root\nPort 1",
    "HostName x\nMatch host x\nPort 1",
    "Hostname %h.y\nMatch host h.y\nPort 1",
    "User x\nMatch user x\nPort 1",
    "Match final\nPort 1",
    "IdentityFile a\nMatch final host h\nIdentityFile b\nUser z",
    "Match host h user nobody\nPort 4\nMatch host h\nPort 5",
    "SendEnv a b\nSendEnv c\nSendEnv -a",
    "SetEnv A=1\nSetEnv B=2",
    "SetEnv A=1 B=2",
    "IdentityFile a\nIdentityFile a\nIdentityFile b",
    "UserKnownHostsFile a b\nGlobalKnownHostsFile none",
    "User a\"b\"c",
    'User "a\\"b"',
    "User 'a b'",
    "User a\\ b",
    "User=a\r\nPort = 9\r\n",
    'ProxyCommand a b "c d" # comment',
    "ProxyCommand=a b",
    "ProxyCommand none\nProxyJump a",
    "ProxyJump a,b:22,c@d\nProxyCommand x",
    "LogLevel DEBUG1",
    "LogLevel verbose",
    "ConnectTimeout 1h30m\nServerAliveInterval 2m",
    "ControlPersist 10m\nControlMaster autoask\nControlPath /a/b",
    "AddKeysToAgent confirm 1h",
    "AddKeysToAgent 1h",
    "TunnelDevice 1\nTunnel ethernet",
    "IPQoS af11 0x10",
    "IPQoS none",
    "RekeyLimit 1G 1h",
    "RekeyLimit default none",
    "RekeyLimit 100k",
    "StreamLocalBindMask 77",
    "LocalForward 1 a:2\nLocalForward *:8 a:9\nLocalForward [::1]:8 [::2]:9\nLocalForward 3 b/22",
    "RemoteForward 0 b:22\nRemoteForward 9\nRemoteForward [::1]:0 /x\nRemoteForward /x",
    "DynamicForward 5\nDynamicForward *:9",
    "PermitRemoteOpen a:1 b:*",
    "PermitRemoteOpen none",
    "CanonicalDomains a b\nCanonicalizeMaxDots 3",
    "StrictHostKeyChecking off\nVerifyHostKeyDNS ask\nUpdateHostKeys ask",
    "PubkeyAuthentication unbound\nRequestTTY force\nSessionType none",
    "FingerprintHash md5\nSyslogFacility local3",
    "ChallengeResponseAuthentication no\nDSAAuthentication no\nKbdInteractiveAuthentication yes",
    "IgnoreUnknown fo*\nFoo bar\nPort 3",
    "Cipher foo\nProtocol 1\nUseRoaming no\nPort 8",
    "NumberOfPasswordPrompts 010\nConnectionAttempts 3",
    "EscapeChar none",
    "ForwardAgent no\nForwardX11Timeout 0",
]

SSH_BAD = [
    "Foo bar", "Host x\nFoo bar", "Port 0", "Port 22 33", "Port 22#", "BatchMode 1", "ConnectTimeout -1", "LogLevel foo", "IPQoS 300",
    "StreamLocalBindMask 9", "LocalForward a", "LocalForward 22 a", "LocalForward 0 b:22", "DynamicForward a", "EscapeChar ab",
    "Tunnel foo", "TunnelDevice foo", "RekeyLimit foo", "RekeyLimit 1", "SendEnv A=b", "SetEnv A", "User \"a b", "User a b", "User", "User \"\"",
    "Host", "Match", "Match host", "Match host h user", "Match all host h", "Match all all", "Match foo x", "NumberOfPasswordPrompts -1",
    "NumberOfPasswordPrompts 0x10", "ProxyJump ::1", "ProxyJump a,,b", "PermitRemoteOpen a:b", "PermitRemoteOpen a:1 none",
    "UserKnownHostsFile none a", "IdentityFile a b", "CanonicalizePermittedCNAMEs a", "AddKeysToAgent yes 1h", "Ciphers foo", "Ciphers +foo",
    "Port==1", "BatchMode =", "Host x\nPort foo\nConnectTimeout x", "Foo y\nBar x\nPort 0", "Include", "UserKnownHostsFile \"\"",
]

SSHD_CASES = [
    ("AllowUsers a\nAllowUsers b c\nMatch user x\nAllowUsers d\nMatch all\nAllowUsers e", True),
    ("AllowUsers a\nAllowUsers b c\nDenyGroups g*", True),
    ("AcceptEnv a b\nAcceptEnv c\nMatch all\nAcceptEnv z\nAcceptEnv y", True),
    ("SetEnv A=1 B=2\nSetEnv C=3", False),
    ("SetEnv A=1\nMatch all\nSetEnv Z=1", True),
    ("PermitOpen a:1\nPermitOpen b:2\nPermitListen 80 x:81", False),
    ("Port 1\nPort 2\nListenAddress 1.2.3.4\nListenAddress [::1]:33", False),
    ("ListenAddress 1.2.3.4\nPort 5", False),
    ("Banner none\nMatch User x\nBanner /b\nForceCommand a \"b  c\" # d\nMatch all\nBanner /c\nPermitTTY no", True),
    ("Banner /a\nMatch User y\nBanner /b", True),
    ("AuthorizedKeysFile a b %h/x", False),
    ("AuthenticationMethods publickey,password keyboard-interactive:pam", False),
    ("RekeyLimit 1G 1h\nPerSourceMaxStartups 5\nPerSourceNetBlockSize 24:64", False),
    ("PermitUserEnvironment A*,B\nMaxStartups 5:3:10\nPermitTunnel ethernet", False),
    ("PubkeyAuthOptions touch-required verify-required\nIPQoS af11", False),
    ("UnusedConnectionTimeout 0\nClientAliveInterval 5m\nLoginGraceTime 1m", False),
    ("Compression delayed\nGatewayPorts clientspecified\nAllowTcpForwarding all\nAllowStreamLocalForwarding local", False),
    ("PermitRootLogin prohibit-password\nIgnoreRhosts shosts-only", False),
    ("VersionAddendum a b c\nPidFile none", False),
    ("PasswordAuthentication=no\nX11Forwarding\tyes", False),
    ("ChannelTimeout session:*=5m agent=1h", False),
    ("LogVerbose a b c\nXAuthLocation none", False),
] + [(f"Match {c}\nMaxSessions 3\nBanner /x", True) for c in (
    "address 1.2.3.0/24", "address !1.2.3.4,1.2.3.*", "address 1.2.3", "host h,!x", "user X", "USER x", "user=x", "all",
    "user x host h", "user x # c", "localaddress 10.0.0.0/8", "localport 22", "localport 23", "address ::/0", "address 0.0.0.0/0,!1.2.3.5")]

SSHD_BAD = [
    "Foo bar", "Port", "Port 70000", "Port 22 33", "PermitRootLogin maybe", "AllowUsers", "UseDNS foo", "LogLevel foo", "Ciphers foo",
    "MaxStartups 1:2", "MaxStartups 0", "MaxStartups 10:30:5", "RekeyLimit 1", "Match foo x", "Match user", "Match !user x", "Match user x all",
    "Match address 1.2.3.4/8", "Match localport x", "ListenAddress a b", "ListenAddress 1.2.3.4:0", "Subsystem a", "IPQoS foo", "MaxAuthTries a",
    "MaxAuthTries -1", "StreamLocalBindMask 9", "PermitOpen a", "PermitListen localhost:0", "AcceptEnv A=b", "SetEnv A", 'HostKey "a',
    "AuthenticationMethods foo", "AuthenticationMethods any password", "Match user a\nPort 22", "ChannelTimeout a", "PubkeyAuthOptions foo",
    "LoginGraceTime 1x", "LoginGraceTime none", "PermitTunnel foo", "SyslogFacility foo", "AuthorizedKeysCommand foo", "PerSourceNetBlockSize 33",
    "Banner a b", "AllowUsers a@1.2.3.4/8", "PasswordAuthentication yes#no", "Include",
]


def keywords(text):
    names = {m.lower() for m in re.findall(r"^\s*(\w+)", text, re.M)}
    aliases = {"challengeresponseauthentication": "kbdinteractiveauthentication", "dsaauthentication": "pubkeyauthentication"}
    names |= {aliases[n] for n in names if n in aliases}
    return names - {"host", "match", "include", "ignoreunknown"}


def chosen(output, names):
    lines = [line.rstrip() for line in output.splitlines()]
    return [line for line in lines if line.split(" ")[0].lower() in names]


def config(tmp_path, text):
    path = tmp_path / "config"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def both_ssh(path):
    return [process.run([program, "-F", path, "-G", "h"]) for program in (programs.peer("ssh"), programs.SSH)]


@needs_ssh
@needs_our_ssh
@pytest.mark.parametrize("text", SSH_CASES)
def test_ssh_values(tmp_path, text):
    path = config(tmp_path, text)
    theirs, ours = both_ssh(path)
    assert ours.returncode == 0, ours.stderr
    names = keywords(text)
    if "updatehostkeys" not in text.lower():
        names -= {"updatehostkeys"}
    # a forward of a socket is listed once more by the old ssh, and hostname has its %h expanded by the program
    want = chosen(theirs.stdout, names - {"hostname"})
    assert chosen(ours.stdout, names - {"hostname"}) == want


@needs_ssh
@needs_our_ssh
@pytest.mark.parametrize("text", SSH_BAD)
def test_ssh_errors(tmp_path, text):
    path = config(tmp_path, text)
    theirs, ours = both_ssh(path)
    assert theirs.returncode != 0 and ours.returncode != 0
    said = ours.stderr.splitlines()
    for line in theirs.stderr.splitlines():
        if line.startswith(str(path)) and "Match" not in line:
            assert any(mine.lower().startswith(line.lower()) for mine in said), line


def both_sshd(path, host_key, with_match):
    flags = ["-T", "-f", path, "-h", host_key]
    if with_match:
        flags += ["-C", "user=x,host=h,addr=1.2.3.4,laddr=10.1.1.1,lport=22"]
    return [process.run([program, *flags]) for program in (programs.peer("sshd"), programs.SSHD)]


@needs_sshd
@needs_root
@pytest.mark.parametrize("text,with_match", SSHD_CASES)
def test_sshd_values(tmp_path, keys, text, with_match):
    theirs, ours = both_sshd(config(tmp_path, text), keys.host["ed25519"], with_match)
    if "this version cannot do it yet" in ours.stderr:
        pytest.skip(ours.stderr)
    assert theirs.returncode == 0 and ours.returncode == 0, theirs.stderr + ours.stderr
    assert chosen(ours.stdout, keywords(text)) == chosen(theirs.stdout, keywords(text))


@needs_sshd
@needs_root
@pytest.mark.parametrize("text", SSHD_BAD)
def test_sshd_errors(tmp_path, keys, text):
    path = config(tmp_path, text)
    theirs, ours = both_sshd(path, keys.host["ed25519"], "Match" in text)
    assert theirs.returncode != 0 and ours.returncode != 0, theirs.stderr + ours.stderr
    said = ours.stderr.splitlines()
    for line in theirs.stderr.splitlines():
        if line.startswith(str(path)) and "Match" not in line:
            assert any(mine.lower().startswith(line.lower()) for mine in said), line
