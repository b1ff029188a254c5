"""Work in several processes: order, memory, threads, and errors that arrive whole."""

from __future__ import annotations

import os
import signal

import pytest

from ser_edge_runtime.blas_threads import THREAD_VARIABLES
from ser_edge_runtime.errors import FileError
from ser_edge_train import workers


def environment_of(_, items):
    return [tuple(os.environ.get(name) for name in THREAD_VARIABLES) for _ in items]


def pid_of(_, items):
    return os.getpid()


def double(state, items):
    return [state * item for item in items]


def times(argument):
    return argument


def kill_itself(_, items):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(argument):
    raise FileError(argument, "is silent", "record it again")


@pytest.mark.parametrize("processes", [1, 2])
def test_workers_answer_in_order(processes):
    pieces = workers.chunks(list(range(100)), 7)
    answers = list(workers.work(double, times, 3, pieces, processes))
    assert [value for answer in answers for value in answer] == [3 * n for n in range(100)]


def test_workers_have_one_blas_thread_and_the_parent_keeps_its_own(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    (answer,) = workers.work(environment_of, times, 0, [[1]], 2)
    assert answer == [("1",) * len(THREAD_VARIABLES)]
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_one_process_is_this_one():
    assert list(workers.work(pid_of, times, 0, [[1], [2]], 1)) == [os.getpid()] * 2
    assert os.getpid() not in workers.work(pid_of, times, 0, [[1], [2]], 2)


def test_a_killed_worker_is_one_clear_error():
    with pytest.raises(workers.WorkerDied, match=r"ended from outside.*fewer processes"):
        list(workers.work(kill_itself, times, 0, [[1], [2]], 2))


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_of_the_setup_arrives_whole(processes):
    with pytest.raises(FileError) as caught:
        list(workers.work(double, refuse, "a.wav", [[1]], processes))
    assert str(caught.value) == "a.wav: is silent; record it again"
    assert caught.value.fault == "is silent"


def test_few_pieces_wait_at_a_time():
    taken = []

    def pieces():
        for number in range(500):
            taken.append(number)
            yield [number]

    answers = workers.work(double, times, 1, pieces(), 2)
    next(answers)
    assert len(taken) <= 2 * workers.WAITING + 1
    answers.close()
