import pytest

from study.cluster import preflight
from study.jobs import Need
from trainables.errors import UserError


def test_what_can_never_be_placed_is_refused_with_the_numbers():
    with pytest.raises(UserError, match=r"resources\.pretext: 2 worker\(s\) with 4 gpus each need 8 gpus, .* has 1"):
        preflight([("pretext", Need(workers=2, cpus=1, gpus=4))], {"CPU": 64.0, "GPU": 1.0})


def test_what_fits_passes():
    preflight([("pretext", Need(workers=2, cpus=1)), ("downstream", Need(gpus=0.5))], {"CPU": 2.0, "GPU": 1.0})
