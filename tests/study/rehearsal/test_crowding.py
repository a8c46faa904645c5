from study.planning.machine import Machine
from study.rehearsal.crowding import Demand, crowded


def test_jobs_that_run_at_once_must_fit_together():
    large = Demand("downstream", jobs=1, workers=1, cpus=1, gpus=0, gigabytes=20.0)
    small = Demand("downstream", jobs=9, workers=1, cpus=1, gpus=0, gigabytes=5.0)
    (failure,) = crowded([small, large], Machine(cpus=4, gpus=0, gigabytes=32.0))
    assert failure.reason.startswith("4 jobs run at once and take 35.0 GB")
    assert failure.reason.endswith("Fix: set resources.downstream.cpus to 4")
    assert not crowded([small, large], Machine(cpus=3, gpus=0, gigabytes=32.0))


def test_a_job_that_never_fits_needs_smaller_steps():
    (failure,) = crowded([Demand("pretext", 2, 1, 1, 0, 40.0)], Machine(cpus=1, gpus=0, gigabytes=32.0))
    assert failure.reason.startswith("one job takes 40.0 GB")
    assert "pretext.fit.micro_batch" in failure.reason


def test_jobs_without_a_gpu_of_their_own_share_its_memory():
    shared = Demand("downstream", 4, 1, 1, 0.5, 1.0, gpu_gigabytes=15.0)
    machine = Machine(cpus=8, gpus=1, gigabytes=64.0, gpu_gigabytes=24.0)
    (failure,) = crowded([shared], machine)
    assert failure.reason.startswith("2 workers share a GPU and take 30.0 GB (found 24.0 GB")
    assert not crowded([Demand("downstream", 4, 1, 1, 1.0, 1.0, gpu_gigabytes=15.0)], machine)
