"""Keys for tests, made with Debian's ssh-keygen so that they do not depend on ours."""
import os
import shutil

from lib import process, programs

TYPES = {"ed25519": [], "ecdsa": ["-b", "256"], "rsa": ["-b", "2048"]}


def make(path, kind, *flags, passphrase=""):
    argv = [programs.peer("ssh-keygen"), "-q", "-t", kind, "-N", passphrase, "-C", os.path.basename(path), "-f", path, *TYPES.get(kind, []), *flags]
    done = process.run(argv)
    assert done.returncode == 0, done.stderr
    return path


class Keys:
    """host and user: path of the private key by type; authorized_keys lists all user keys."""

    def __init__(self, folder):
        self.folder = folder
        self.host = {kind: make(os.path.join(folder, "host_" + kind), kind) for kind in TYPES}
        self.user = {kind: make(os.path.join(folder, "user_" + kind), kind) for kind in TYPES}
        for kind, bits in (("ecdsa384", "384"), ("ecdsa521", "521")):
            self.user[kind] = make(os.path.join(folder, "user_" + kind), "ecdsa", "-b", bits)
        self.pem_host = make(os.path.join(folder, "host_pem"), "rsa", "-m", "PEM")
        self.authorized_keys = os.path.join(folder, "authorized_keys")
        with open(self.authorized_keys, "w", encoding="utf-8") as f:
            for path in self.user.values():
                f.write(self.public(path) + "\n")
        os.chmod(self.authorized_keys, 0o644)

    @staticmethod
    def public(path):
        with open(path + ".pub", encoding="utf-8") as f:
            return f.read().strip()

    @staticmethod
    def fingerprint(path):
        done = process.run([programs.peer("ssh-keygen"), "-l", "-f", path + ".pub"])
        return done.stdout.split()[1]

    def ppk(self, kind="ed25519"):
        """The user key in PuTTY's format."""
        path = os.path.join(self.folder, "user_%s.ppk" % kind)
        if not os.path.exists(path):
            done = process.run([programs.peer("puttygen"), self.user[kind], "-O", "private", "-o", path])
            assert done.returncode == 0, done.stderr
        return path

    def dropbear(self, kind="rsa"):
        """The user key in Dropbear's format; from a PEM copy, the only one its converter reads everywhere."""
        path = os.path.join(self.folder, "user_%s.dropbear" % kind)
        if not os.path.exists(path):
            copy = path + ".pem"
            shutil.copy(self.user[kind], copy)
            os.chmod(copy, 0o600)
            done = process.run([programs.peer("ssh-keygen"), "-q", "-p", "-m", "PEM", "-P", "", "-N", "", "-f", copy])
            assert done.returncode == 0, done.stderr
            done = process.run([programs.peer("dropbearconvert"), "openssh", "dropbear", copy, path])
            assert done.returncode == 0, done.stderr
        return path
