"""OpenSSH-like clients (ours and Debian's) with a configuration of their own, never the user's."""
import os
import subprocess

from lib import process
from lib.server import write_config


class Client:
    """argv(...) is for tests that start the program themselves; run(...) runs it to its end."""

    def __init__(self, program, workdir, server, user, key, lines=()):
        self.program, self.server = program, server
        known = write_config(os.path.join(workdir, "known_hosts.%d" % server.port), server.known_hosts_lines())
        defaults = [
            "HostName 127.0.0.1",
            "Port %d" % server.port,
            "User %s" % user,
            "IdentityFile %s" % key if key else "PubkeyAuthentication no",
            "IdentitiesOnly yes",
            "IdentityAgent none",
            "UserKnownHostsFile %s" % known,
            "GlobalKnownHostsFile /dev/null",
            "StrictHostKeyChecking yes",
            "UpdateHostKeys no",
            "BatchMode yes",
            "ControlPath none",
        ]
        self.config = os.path.join(workdir, "ssh_config.%d.%d" % (server.port, len(os.listdir(workdir))))
        write_config(self.config, ["Host *", *lines, *defaults])

    def argv(self, *args):
        """args from flags on: client.argv("-T", "test", "command")."""
        return [self.program, "-F", self.config, *args]

    def run(self, *command, flags=(), **options):
        return process.run(self.argv(*flags, "test", *command), **options)

    def start(self, *command, flags=(), **options):
        """Leaves it running; the caller ends it."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(self.argv(*flags, "test", *command), start_new_session=True, **options)
