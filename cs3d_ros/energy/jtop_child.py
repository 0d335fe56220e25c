"""The process in which jetson-stats runs: prints each new power as a line of JSON."""

import json
import os
import sys
import threading
import time
from typing import Any

_LOOK_S = 0.25


def main() -> None:
    """Print the power of `jtop.service` until it fails, or the parent process is gone.

    The first argument is the interval in seconds. The reason of a failure is the last line.
    """
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        from jtop import jtop

        client = jtop(interval=float(sys.argv[1]))
        client.attach(_Printer())
        client.start()
        # Not as it is by default: then it takes three intervals without news for the end, and
        # those are of the length that was asked for, not of that which the service keeps.
        while client.ok(spin=True):
            time.sleep(_LOOK_S)
        error = "the connection to jtop.service has ended"
    except Exception as failure:
        error = " ".join(f"{type(failure).__name__}: {failure}".split())
    print(error, flush=True)
    # Its threads may hang in the connection.
    os._exit(1)


class _Printer:
    """Prints what the service has measured since, and not what it had before.

    The client gives the same data again when the service stalls, and begins with those of the last
    connection of anybody, however long ago. What tells them apart is the `uptime`, which the
    service takes each time at the beginning.
    """

    def __init__(self) -> None:
        self._uptime: Any = None

    def __call__(self, client: Any) -> None:
        uptime = client.uptime
        before, self._uptime = self._uptime, uptime
        if before is not None and uptime != before:
            try:
                print(json.dumps(client.power), flush=True)
            except BrokenPipeError:
                os._exit(0)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(0)
