import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

from cs3d_ros.datasets import engines, making
from cs3d_ros.datasets.build import build
from cs3d_ros.datasets.engines import Cluster, Processes, Serial, choose_engine
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.making import make, tasks_of
from dataset_helpers import contents, some_plan


@contextmanager
def some_cluster(n_workers=2):
    """A scheduler and worker processes on this machine, nothing beyond the loopback."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
        silence_logs=50,
    ) as local:
        yield local


@pytest.fixture(scope="module")
def cluster():
    with some_cluster() as local:
        yield local


def square(n):
    return n * n


def square_and_die_at_7(n):
    if n == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n


def fail_at_7(n):
    if n == 7:
        raise DatasetError("seven")
    return n * n


def square_and_pid(n):
    time.sleep(0.1)
    return n * n, os.getpid()


class TestSameBytes:
    def test_two_processes_make_what_one_makes(self, tmp_path):
        build(some_plan(tmp_path, [(3, "fails")]), tmp_path / "one", Serial())
        build(some_plan(tmp_path, [(3, "fails")]), tmp_path / "two", Processes(2))
        assert contents(tmp_path / "two") == contents(tmp_path / "one")
        assert len(contents(tmp_path / "one")) == 9

    def test_two_workers_of_a_cluster_make_what_one_makes(self, tmp_path, cluster):
        build(some_plan(tmp_path, [(3, "fails")]), tmp_path / "one", Serial())
        build(
            some_plan(tmp_path, [(3, "fails")]),
            tmp_path / "two",
            Cluster(cluster.scheduler_address),
        )
        assert contents(tmp_path / "two") == contents(tmp_path / "one")


class TestProcesses:
    def test_both_work_on_tasks_that_are_fetched_as_there_is_room(self):
        fetched = []
        tasks = (fetched.append(n) or n for n in range(20))
        results = Processes(2).map_unordered(square_and_pid, tasks)
        first = [next(results) for _ in range(4)]
        assert len(fetched) <= 8
        rest = list(results)
        assert sorted(square for square, _ in first + rest) == [n * n for n in range(20)]
        assert len({pid for _, pid in first + rest}) == 2

    def test_an_error_ends_it(self):
        with pytest.raises(DatasetError, match="seven"):
            list(Processes(1).map_unordered(fail_at_7, range(20)))

    def test_a_build_goes_on_after_a_killed_worker(self, tmp_path):
        plan = some_plan(tmp_path, [(13, "dies")])
        with pytest.raises(DatasetError, match=r"a worker process ended unexpectedly.*to go on"):
            build(plan, tmp_path / "out", Processes(2))
        (tmp_path / "mended").touch()
        build(plan, tmp_path / "out", Serial())
        build(plan, tmp_path / "at_once", Serial())
        assert contents(tmp_path / "out") == contents(tmp_path / "at_once")


class TestCluster:
    def test_errors_of_clips_come_back(self, tmp_path, cluster):
        with pytest.raises(DatasetError, match=r"clip 1 of parts/train-00001.*Odd: this and that"):
            build(
                some_plan(tmp_path, [(5, "odd")]),
                tmp_path / "out",
                Cluster(cluster.scheduler_address),
            )

    def test_killed_workers_are_told(self):
        dask = pytest.importorskip("dask")
        # The scheduler would try it with three more workers.
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": 0}),
            some_cluster(n_workers=1) as local,
            pytest.raises(DatasetError, match="workers ended unexpectedly, perhaps for lack of"),
        ):
            list(Cluster(local.scheduler_address).map_unordered(square_and_die_at_7, [7]))

    def test_no_workers(self, monkeypatch):
        monkeypatch.setattr(engines, "_CONNECT_S", 2.0)
        with (
            some_cluster(n_workers=0) as idle,
            pytest.raises(DatasetError, match="the scheduler has no workers; start them with"),
        ):
            list(Cluster(idle.scheduler_address).map_unordered(square, [1]))

    def test_a_lost_scheduler_is_told(self, monkeypatch):
        monkeypatch.setattr(engines, "_CONNECT_S", 4.0)
        with some_cluster(n_workers=1) as lost:
            results = Cluster(lost.scheduler_address).map_unordered(square, range(1000))
            next(results)
        with pytest.raises(DatasetError, match="run the same command again to go on"):
            list(results)

    def test_no_scheduler(self, monkeypatch):
        monkeypatch.setattr(engines, "_CONNECT_S", 1.0)
        with pytest.raises(DatasetError, match="no Dask scheduler answers"):
            list(Cluster("tcp://127.0.0.1:9").map_unordered(square, [1]))

    @pytest.mark.parametrize("address", ["", "nonsense://x", "127.0.0.1:notaport"])
    def test_no_address(self, address):
        with pytest.raises(DatasetError, match="no Dask scheduler answers"):
            list(Cluster(address).map_unordered(square, [1]))


class TestChoice:
    def test_by_what_a_command_was_given(self):
        assert choose_engine() == Serial()
        assert choose_engine(3) == Processes(3)
        assert choose_engine(2, "tcp://a:1") == Cluster("tcp://a:1")
        cores = len(os.sched_getaffinity(0))
        assert choose_engine(0) == (Serial() if cores == 1 else Processes(cores))
        with pytest.raises(DatasetError, match="-1 workers"):
            choose_engine(-1)


class TestTasks:
    def test_threads_of_a_worker_take_turns(self, tmp_path):
        at_work = []
        most = []

        def crowded(settings, sources):
            at_work.append(1)
            time.sleep(0.05)
            most.append(len(at_work))
            at_work.pop()

        # The context of another task each time, so that none is remembered.
        tasks = [
            replace(tasks_of(some_plan(tmp_path))[-1], make_context=crowded, arguments=f"[{n}, 0]")
            for n in range(4)
        ]
        with ThreadPoolExecutor(4) as threads, pytest.raises(DatasetError, match="NoneType"):
            list(threads.map(make, tasks))
        assert most == [1, 1, 1, 1]

    def test_a_worker_with_other_versions_is_refused(self, tmp_path, monkeypatch):
        task = tasks_of(some_plan(tmp_path))[-1]
        theirs = {**making.environment(), "numpy": "0.1", "machine": "m68k"}
        monkeypatch.setattr(making, "environment", lambda: theirs)
        with pytest.raises(DatasetError, match=r"worker on m68k has machine m68k.*numpy 0\.1"):
            make(task)

    def test_the_context_is_loaded_once(self, tmp_path, monkeypatch):
        import dataset_helpers

        loaded = []
        load = dataset_helpers.load
        plan = some_plan(tmp_path, settings={"base": 99})

        def counted(settings, sources):
            loaded.append(settings)
            return load(settings, sources)

        counted.__module__, counted.__qualname__ = "dataset_helpers", "load"
        monkeypatch.setattr(dataset_helpers, "load", counted)
        plan = some_plan(tmp_path, settings={"base": 99}, make_context=counted)
        for task in tasks_of(plan):
            make(task)
        assert loaded == [{"base": 99}]

    def test_linear_algebra_and_opencv_use_one_thread(self):
        import cv2
        import threadpoolctl

        before = cv2.getNumThreads()
        with making.one_thread():
            assert cv2.getNumThreads() == 1
            assert all(pool["num_threads"] == 1 for pool in threadpoolctl.threadpool_info())
        assert cv2.getNumThreads() == before
