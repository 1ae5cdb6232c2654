"""Work in processes that may crash or hang."""

import os
import time

import pytest

from tsmgan.evaluation.workers import Worker, WorkerError, call_here, run_tasks


def double(number):
    return 2 * number


def refuse(number):
    raise ValueError(f"not {number}")


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.stop()


def test_a_function_runs_in_another_process_and_may_be_a_lambda(worker):
    outside = 20
    assert worker.call(os.getpid) != os.getpid()
    assert worker.call(lambda number: number + outside, 1) == 21
    assert call_here(os.getpid) == os.getpid()


def test_what_a_function_raises_is_raised(worker):
    with pytest.raises(ValueError, match="not 3"):
        worker.call(refuse, 3)


def test_a_crash_and_a_hang_are_errors_and_the_next_call_has_a_new_process(worker):
    first = worker.call(os.getpid)
    with pytest.raises(WorkerError, match="crashed"):
        worker.call(os.abort)
    second = worker.call(os.getpid)
    with pytest.raises(WorkerError, match=r"longer than 0\.3 s"):
        worker.call(time.sleep, 600, time_limit=0.3)
    assert len({first, second, worker.call(os.getpid)}) == 3


def test_a_stopped_worker_has_no_process_and_starts_none(worker):
    process = worker.call(os.getpid)
    worker.stop()
    with pytest.raises(WorkerError, match="stopped"):
        worker.call(double, 1)
    with pytest.raises(OSError):
        os.kill(process, 0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_items(jobs):
    def task(number, call):
        call(time.sleep, 0.2 * (number == 0))
        return call(double, number)

    assert list(run_tasks(task, range(5), jobs=jobs)) == [0, 2, 4, 6, 8]


def test_an_iteration_that_is_given_up_ends_its_processes():
    seen = []

    def task(number, call):
        seen.append(call(os.getpid))
        return number

    results = run_tasks(task, range(3), jobs=2)
    assert next(results) == 0
    results.close()
    for process in seen:
        with pytest.raises(OSError):
            os.kill(process, 0)
