"""The distribution's fail2ban-regex with its filter for sshd, installed or unpacked among the peers."""
import os

from lib import process, programs


def run(log_path, *flags):
    program = programs.peer("fail2ban-regex")
    root = programs.PEERS if program.startswith(programs.PEERS) else ""
    env = dict(os.environ, PYTHONPATH=root + "/usr/lib/python3/dist-packages") if root else None
    argv = ["/usr/bin/python3", program, *flags, "-c", root + "/etc/fail2ban", log_path, root + "/etc/fail2ban/filter.d/sshd.conf"]
    return process.run(argv, env=env)
