"""PKCS#11 tokens of SoftHSM's making, the stand-ins of test/doubles, and an askpass that gives PINs."""
import os

from lib import process, programs

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "123456"
SK_DOUBLE = os.path.join(programs.BUILD, "test", "doubles", "sk_double.so")
PKCS11_DOUBLE = os.path.join(programs.BUILD, "test", "doubles", "pkcs11_double.so")


class Tokens:
    """A SoftHSM of its own in a folder; env is what programs that load it need."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(os.path.join(folder, "tokens"))
        conf = os.path.join(folder, "softhsm2.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write("directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n" % folder)
        self.env = clean_env(SOFTHSM2_CONF=conf)

    def _run(self, *argv):
        done = process.run(list(argv), env=self.env)
        assert done.returncode == 0, done.stdout + done.stderr

    def add_token(self, label, pin=PIN):
        self._run("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "9876")

    def _tool(self, token, *args, pin=PIN):
        self._run("pkcs11-tool", "--module", SOFTHSM, "--token-label", token, "--login", "--pin", pin, *args)

    def add_key(self, token, kind, label, key_id, pin=PIN):
        """kind: rsa:2048, EC:prime256v1, EC:edwards25519, ..."""
        self._tool(token, "--keypairgen", "--key-type", kind, "--label", label, "--id", key_id, pin=pin)

    def hide_public(self, token, label):
        """Only the private half is left, and a public one that is to be seen after login alone."""
        self._tool(token, "--delete-object", "--type", "pubkey", "--label", label)

    def add_certificate(self, token, path, label, key_id):
        self._tool(token, "--write-object", path, "--type", "cert", "--label", label, "--id", key_id)

    def add_private(self, token, path, label, key_id):
        self._tool(token, "--write-object", path, "--type", "privkey", "--label", label, "--id", key_id)


def clean_env(**more):
    """Without what would answer in the test's place."""
    gone = ("SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY", "WAYLAND_DISPLAY", "SSH_SK_PROVIDER", "SSH_PKCS11_HELPER", "SSH_SK_HELPER")
    return {**{k: v for k, v in os.environ.items() if k not in gone}, **more}


def askpass(folder, answer, name="askpass"):
    """Environment of an askpass that gives this and notes what it was asked in <name>.log."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write('#!/bin/sh\necho "$SSH_ASKPASS_PROMPT|$1" >> "$0.log"\n[ "$SSH_ASKPASS_PROMPT" = none ] && exec sleep 60\necho "%s"\n' % answer)
    os.chmod(path, 0o755)
    return {"SSH_ASKPASS": path, "SSH_ASKPASS_REQUIRE": "force"}


def asked(folder, name="askpass"):
    path = os.path.join(folder, name + ".log")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as f:
        return f.read().splitlines()
