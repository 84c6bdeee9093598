"""The guardian of ``karais up``: starts the supervisor, and again when it dies.

Runs as a script with the standard library alone and few megabytes, so that
nothing in it can fail; it does nothing but wait. Processes whose supervisor
died become its children, and the next supervisor adopts them.

usage: guardian.py LOCK SUPERVISOR-COMMAND...
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
FINAL = (0, 1, 2, 78)
"""Exit codes with which a supervisor ends on purpose; anything else is a crash."""
LONGEST_PAUSE = 5.0


def main(lock: str, command: list[str]) -> int:
    """Keep ``command`` running until it ends on purpose; return its exit code."""
    held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"karais: Another `karais up` starts at this moment (it holds {lock}).", file=sys.stderr)  # noqa: T201
        return 1
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number == signal.SIGCHLD or signal.getsignal(number) != signal.SIG_IGN:  # As nohup wants it.
            signal.signal(number, lambda *_: None)
    pause, stopping = 0.1, False
    while True:
        since = time.monotonic()
        supervisor = _spawn(command)
        status = None
        while status is None:
            select.select([woken], [], [])
            received = set(os.read(woken, 4096))
            if received & {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}:
                stopping = True
                os.kill(supervisor, signal.SIGTERM)
            status = _reap(supervisor)
        code = os.waitstatus_to_exitcode(status)
        if code in FINAL:
            return code
        if stopping:  # It died while it stopped the others: somebody has to finish that.
            command = [*command, "--stop"]
        pause = 0.1 if time.monotonic() - since > 10 else min(pause * 2, LONGEST_PAUSE)
        time.sleep(0 if stopping else pause)


def _spawn(command: list[str]) -> int:
    environ = {**os.environ, "KARAIS_PROCESS": "supervisor", "KARAIS_GUARDIAN": str(os.getpid())}
    return os.posix_spawn(command[0], command, environ, setsid=True)


def _reap(supervisor: int) -> int | None:
    """Collect every child that ended; return the supervisor's status if it is among them."""
    result = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return result
        if pid == 0:
            return result
        if pid == supervisor:
            result = status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
