"""Work that SIGKILL ends, for real, at any touch of the disk."""

import os
import signal
import sys
from contextlib import suppress

DISK = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}
"""Audit events."""


def killed_at(touch, work):
    """Do some work in another process that kills itself before its n-th touch of the disk; whether it came to that."""
    child = os.fork()
    if child == 0:
        left = [touch]

        def count(event, arguments):
            if event in DISK:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        with suppress(BaseException):
            sys.addaudithook(count)
            work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def every_touch(work):
    """0, 1, 2 … as long as the work was killed there; the caller looks at what is left and sets it up again."""
    touch = 0
    while killed_at(touch, work):
        yield touch
        touch += 1
