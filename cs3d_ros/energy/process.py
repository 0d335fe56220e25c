"""A power source behind a long-lived child process that prints one reading per line."""

import atexit
import os
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from cs3d_ros.energy.source import PowerReading, PowerSourceError

_GRACE_S = 0.5
_MAX_LINE = 16_384
_MAX_QUOTE = 200

LineParser = Callable[[str, int], PowerReading | None]


class ProcessPowerSource(ABC):
    """A `PowerSource` that parses the lines of a command.

    The command runs in a process group of its own, which is terminated by `stop` and when the
    interpreter exits. Should this process be killed, the broken pipe ends the command at its next
    line.

    Attributes:
        name: See `PowerSource`.
        scope: See `PowerSource`.
        averaging_s: See `PowerSource`.
        hint: Why the command may run without giving a reading, and what to do about it.
    """

    name: str
    scope: str
    averaging_s: float = 0.0
    hint: str

    def __init__(self, command: Sequence[str]) -> None:
        """Prepare to run `command`, whose first word is looked up on PATH."""
        self._command = tuple(command)
        self._lock = threading.Lock()
        self._child: _Child | None = None

    @abstractmethod
    def parse(self, line: str, t_ns: int) -> PowerReading | None:
        """Return the reading on `line`, which arrived at `t_ns`; None if it holds none."""

    def start(self) -> None:
        """Run the command, if it does not run yet.

        Raises:
            PowerSourceError: If the command cannot be run.
        """
        with self._lock:
            if self._child is not None:
                return
            try:
                self._child = _Child(self._command, self.parse)
            except FileNotFoundError as error:
                raise PowerSourceError(f"{self.name}: not found on PATH") from error
            except OSError as error:
                raise PowerSourceError(f"{self.name}: cannot be run: {error}") from error
            atexit.register(self.stop)

    def read(self, timeout_s: float) -> PowerReading:
        """Return the newest unread reading, waiting up to `timeout_s` seconds for one.

        Raises:
            PowerSourceError: If the command gave no reading in time, has ended, or is not
                running; it is stopped then.
        """
        child = self._child
        if child is None:
            raise PowerSourceError(f"{self.name}: not started")
        reading = child.next_reading(timeout_s)
        if reading is not None:
            return reading
        ended = child.ended
        self.stop()
        what = (
            f"ended with exit status {child.exit_status}"
            if ended
            else f"no power reading within {timeout_s:g} s"
        )
        said = f"; it said {' / '.join(child.last_words)!r}" if child.last_words else ""
        raise PowerSourceError(f"{self.name}: {what}{said}. {self.hint}")

    def stop(self) -> None:
        """Terminate the command and everything it started; without effect if it does not run."""
        with self._lock:
            child, self._child = self._child, None
            if child is not None:
                child.close()
                atexit.unregister(self.stop)


class _Child:
    """One run of a command. A restart makes a new one, so no late line of the old can reach it."""

    def __init__(self, command: Sequence[str], parse: LineParser) -> None:
        self.ended = False
        self.last_words: deque[str] = deque(maxlen=2)
        self._parse = parse
        self._reading: PowerReading | None = None
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(
            target=self._read_lines, name=f"{command[0]} reader", daemon=True
        )
        self._reader.start()

    @property
    def exit_status(self) -> int | None:
        """As `subprocess.Popen.returncode`, known once closed."""
        return self._process.returncode

    def next_reading(self, timeout_s: float) -> PowerReading | None:
        """Wait for an unread reading; None if there was none in time or no more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._reading is not None or self.ended, timeout_s)
            reading, self._reading = self._reading, None
            return reading

    def close(self) -> None:
        """End the process group and reap its leader. To be called once."""
        # The leader is reaped last: as a zombie it keeps the group's number from being given to
        # somebody else's processes, so that both signals reach ours only.
        self._signal(signal.SIGTERM)
        self._reader.join(_GRACE_S)  # at the end of the output nobody holds the pipe any more
        self._signal(signal.SIGKILL)
        # A tool that hangs inside a driver cannot even be killed; it must not hang us too.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        self._reader.join(_GRACE_S)
        if self._process.stdout and not self._reader.is_alive():
            self._process.stdout.close()

    def _signal(self, number: signal.Signals) -> None:
        # PermissionError: a tool that runs setuid root belongs to somebody else.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        try:
            while line := self._process.stdout.readline(_MAX_LINE):
                t_ns = time.monotonic_ns()
                # A line cut short can still look like a reading, with a wrong number.
                reading = self._parse(line, t_ns) if line.endswith("\n") else None
                with self._changed:
                    if reading is not None:
                        self._reading = reading
                        self._changed.notify_all()
                    elif line.strip():
                        self.last_words.append(line.strip()[:_MAX_QUOTE])
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()
