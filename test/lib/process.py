"""Processes: running them with a time limit, their output as it comes, and finding those that were left behind."""
import ctypes
import os
import re
import signal
import subprocess
import threading
import time

TIME_LIMIT_S = 60


def adopt_orphans():
    """Makes this process the parent of whatever its children leave behind, so that leftovers() sees it."""
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(argv, stdin=None, timeout=TIME_LIMIT_S, text=True, **options):
    """Runs to the end; stdin is text or bytes, or None for nothing. No terminal to ask on."""
    if stdin is None and "stdin" not in options:
        options["stdin"] = subprocess.DEVNULL
    elif stdin is not None and not isinstance(stdin, (str, bytes)):
        options["stdin"], stdin = stdin, None
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    return subprocess.run(argv, input=stdin, timeout=timeout, text=text, start_new_session=True, check=False,
                          **({k: v for k, v in options.items() if k != "stdin" or stdin is None}))


def wait_until(condition, what, timeout=10):
    """For what has no event to wait for."""
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, "waited %d s in vain for: %s" % (timeout, what)
        time.sleep(0.01)


class Lines:
    """What processes write to a pipe, line by line, with waiting for a line."""

    def __init__(self):
        read_end, self.write_fd = os.pipe()
        self.lines = []
        self.ended = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._read, args=(read_end,), daemon=True)
        self.thread.start()

    def _read(self, fd):
        with os.fdopen(fd, "rb") as pipe:
            for line in pipe:
                with self.changed:
                    self.lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def close_write_end(self):
        os.close(self.write_fd)

    def text(self):
        with self.changed:
            return "\n".join(self.lines) + "\n"

    def find(self, pattern):
        with self.changed:
            return [line for line in self.lines if re.search(pattern, line)]

    def wait(self, pattern, timeout=15, count=1):
        """The count-th line that matches, once it is there."""
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                found = [line for line in self.lines if re.search(pattern, line)]
                if len(found) >= count:
                    return found[count - 1]
                left = end - time.monotonic()
                assert left > 0 and not self.ended, "no line %d with %r in:\n%s" % (count, pattern, "\n".join(self.lines))
                self.changed.wait(left)

    def wait_end(self, timeout):
        with self.changed:
            return self.changed.wait_for(lambda: self.ended, timeout)


def stat_of(pid):
    """(command, state, parent), or None when there is no such process."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
            text = f.read()
    except OSError:
        return None
    name, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
    return name, rest[0], int(rest[1])


def children(parent):
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    stats = [(pid, stat_of(pid)) for pid in pids]
    return [(pid, stat[0], stat[1]) for pid, stat in stats if stat and stat[2] == parent]


def descendants(pid):
    found = []
    for child, name, _ in children(pid):
        found += [(child, name)] + descendants(child)
    return found


def command_line(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def leftovers(known=(), pattern="sshd|dropbear"):
    """Orphans that this process inherited. Zombies among them are reaped and not counted."""
    left = []
    for pid, name, state in children(os.getpid()):
        if pid in known or not re.search(pattern, name):
            continue
        if state == "Z":
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass
            continue
        left.append((pid, command_line(pid) or name))
    return left


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
