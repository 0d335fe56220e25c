"""Who does the work: this process, processes of this machine, or workers of a cluster."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.extras import load_extra

GO_ON = "what is finished is kept: run the same command again to go on"

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
_CONNECT_S = 10.0
_POLL_S = 2.0
_FETCH_S = 300.0


class Engine(Protocol):
    """Calls a function for many tasks."""

    def map_unordered(
        self, function: Callable[[_Task], _Result], tasks: Iterable[_Task]
    ) -> Iterator[_Result]:
        """Yield the results as they come, in any order.

        Only a few results wait at a time, so that memory does not grow with the number of tasks.
        Closing the iterator stops the workers that it has started.

        Args:
            function: Function at the top of a module.
            tasks: Its arguments; they and the results can be pickled.

        Raises:
            DatasetError: Workers were lost. What the function raises is raised, too.
        """
        ...


@dataclass(frozen=True, slots=True)
class Serial:
    """Does everything in this process."""

    def map_unordered(
        self, function: Callable[[_Task], _Result], tasks: Iterable[_Task]
    ) -> Iterator[_Result]:
        """See `Engine.map_unordered`."""
        return map(function, tasks)


@dataclass(frozen=True, slots=True)
class Processes:
    """Uses processes of this machine, which end with this one whatever way it ends.

    They are started anew and not forked, so that no thread or lock is inherited.

    Attributes:
        workers: How many.
    """

    workers: int

    def map_unordered(
        self, function: Callable[[_Task], _Result], tasks: Iterable[_Task]
    ) -> Iterator[_Result]:
        """See `Engine.map_unordered`."""
        # A worker that is stopped in the middle leaves its temporary files; here they are found.
        scratch = tempfile.mkdtemp(prefix="cs3d-workers-")
        executor = futures.ProcessPoolExecutor(
            self.workers, multiprocessing.get_context("spawn"), _begin_worker, (scratch,)
        )
        try:
            ahead = iter(tasks)
            waiting = {executor.submit(function, t) for t in islice(ahead, self.workers + 1)}
            while waiting:
                done, waiting = futures.wait(waiting, return_when=futures.FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                    waiting |= {executor.submit(function, t) for t in islice(ahead, 1)}
        except BrokenProcessPool:
            raise DatasetError(
                f"a worker process ended unexpectedly, perhaps for lack of memory; {GO_ON}, with "
                "fewer --workers"
            ) from None
        finally:
            _end(executor)
            shutil.rmtree(scratch, ignore_errors=True)


def _begin_worker(scratch: str) -> None:
    tempfile.tempdir = scratch
    # Ctrl-C reaches the whole group; the main process alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent, scratch), daemon=True).start()


def _end_with(parent: Any, scratch: str) -> None:
    parent.join()
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(1)


def _end(executor: futures.ProcessPoolExecutor) -> None:
    """Stop the workers at once, in the middle of a task too."""
    # Python 3.14 has terminate_workers() for this; before, the processes have no public name.
    processes = list((executor._processes or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


@dataclass(frozen=True, slots=True)
class Cluster:
    """Uses the workers of a running Dask scheduler, on any number of machines.

    They have to have the same versions installed, and the plan's sources at the same paths. Here
    no port is opened: this process connects to the scheduler and gets the files from there.

    Attributes:
        address: Of the scheduler, such as "tcp://10.0.0.1:8786".
    """

    address: str

    def map_unordered(
        self, function: Callable[[_Task], _Result], tasks: Iterable[_Task]
    ) -> Iterator[_Result]:
        """See `Engine.map_unordered`."""
        distributed = load_extra("distributed", "cluster")
        client = self._connect(distributed)
        waiting: set[Any] = set()
        try:
            slots = sum(client.nthreads().values())
            ahead = iter(tasks)

            def submit(count: int) -> None:
                for task in islice(ahead, count):
                    waiting.add(client.submit(function, task, pure=False))

            submit(slots + 1)
            while waiting:
                done = self._wait(distributed, client, waiting)
                waiting -= done
                for future in done:
                    yield self._result(distributed, future)
                    submit(1)
        finally:
            # A task that runs cannot be interrupted; what it makes is not asked for any more.
            if client.status == "running":
                client.cancel(list(waiting))
            client.close(timeout=_CONNECT_S)

    def _connect(self, distributed: Any) -> Any:
        try:
            client = distributed.Client(self.address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError, distributed.TimeoutError) as error:
            raise DatasetError(
                f"{self.address}: no Dask scheduler answers ({error}); start `dask scheduler` and, "
                "for each machine, `dask worker ADDRESS --nthreads 1 --nworkers N`"
            ) from None
        try:
            client.wait_for_workers(1, timeout=_CONNECT_S)
        except distributed.TimeoutError:
            client.close()
            raise DatasetError(
                f"{self.address}: the scheduler has no workers; start them with "
                f"`dask worker {self.address} --nthreads 1 --nworkers N`"
            ) from None
        return client

    def _wait(self, distributed: Any, client: Any, waiting: set[Any]) -> set[Any]:
        """Those that have ended; waits in steps, because a lost scheduler ends none."""
        while True:
            if client.status != "running":
                raise self._lost("the scheduler does not answer any more")
            try:
                with client.as_current():
                    done = distributed.wait(waiting, _POLL_S, "FIRST_COMPLETED")
            except distributed.TimeoutError:
                continue
            except distributed.CancelledError as error:
                raise self._lost(error) from None
            return set(done.done)

    def _result(self, distributed: Any, future: Any) -> Any:
        try:
            return future.result(timeout=_FETCH_S)
        except distributed.KilledWorker:
            raise self._lost("workers ended unexpectedly, perhaps for lack of memory") from None
        except (OSError, distributed.TimeoutError, distributed.CancelledError) as error:
            raise self._lost(f"a result was lost ({type(error).__name__}: {error})") from None

    def _lost(self, reason: object) -> DatasetError:
        return DatasetError(f"{self.address}: {reason}; {GO_ON}")


def choose_engine(workers: int = 1, cluster: str | None = None) -> Engine:
    """The engine for what a command was given.

    Args:
        workers: Processes on this machine; 0 for one a core, 1 for this process alone.
        cluster: Address of a Dask scheduler, instead.

    Raises:
        DatasetError: A negative number.
    """
    if cluster is not None:
        return Cluster(cluster)
    if workers < 0:
        raise DatasetError(f"{workers} workers, expected 0 (one a core) or more")
    workers = workers or len(os.sched_getaffinity(0))
    return Serial() if workers == 1 else Processes(workers)
