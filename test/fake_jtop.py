"""A fake `jtop` library in a folder, which the child of the source imports as it would the real.

It has the names, signatures and habits of jetson-stats 4.2 to 7.2, as far as they are used: the
first data come within `start`, the same data come again when there are no new ones, and the reason
of an end is kept for `ok`. `test_jtop.py` compares it with the real library where that is
installed.
"""

from pathlib import Path

LIBRARY = """
import datetime, os, signal, sys, threading, time

with open({pids!r}, "a") as pids:
    print(os.getpid(), file=pids)


class JtopException(Exception):
    pass


class jtop(threading.Thread):
    def __init__(self, interval=1.0):
        super().__init__()
        self.asked = interval
        self._observers = set()
        self._error = None
        self._running = False

    def attach(self, observer):
        self._observers.add(observer)

    def start(self):
        self._data = service(self.asked)
        self._get_data()
        self._running = True
        self.daemon = True
        super().start()

    def run(self):
        try:
            while self._running:
                self._get_data()
        except Exception as error:
            self._error = error

    def _get_data(self):
        self._stats = next(self._data)
        for observer in self._observers:
            observer(self)

    def ok(self, spin=False):
        if not spin:
            time.sleep(60)
        if self._error:
            raise self._error
        return self._running

    @property
    def power(self):
        return self._stats["power"]

    @property
    def uptime(self):
        return datetime.timedelta(seconds=self._stats["uptime"])


def vdd_in(milliwatts):
    total = {{"volt": 5000, "curr": milliwatts // 5, "power": milliwatts, "avg": 1, "online": True}}
    return {{"rail": {{}}, "tot": {{"name": "VDD_IN", **total}}}}

"""


class FakeJetsonStats:
    """The library `jtop` in a folder that is to be on `sys.path`."""

    def __init__(self, folder: Path) -> None:
        self._library = folder / "jtop"
        self._pids = folder / "pids"
        self._pids.touch()

    def install(self, service: str) -> None:
        """Install it with a service that is the Python generator `service(interval)`.

        It yields `{"uptime": seconds, "power": dictionary}`, for which there is `vdd_in(mW)`.
        """
        self._library.mkdir()
        text = LIBRARY.format(pids=str(self._pids)) + service
        (self._library / "__init__.py").write_text(text)

    def pids(self) -> list[int]:
        """Every process that has loaded the library."""
        return [int(pid) for pid in self._pids.read_text().split()]
