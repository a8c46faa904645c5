"""Settings and fixtures that all tests share."""

import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from whole_studies import TINY, study

settings.register_profile("shared machine", deadline=None)  # a slow moment of the machine is no failure
settings.load_profile("shared machine")


def pytest_configure(config: pytest.Config) -> None:
    """Hide all GPUs from tests outside the group `cuda`: equality to the bit is claimed for CPUs only."""
    if config.option.markexpr != "cuda":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of a whole tiny study that nothing disturbed."""
    root = tmp_path_factory.mktemp("whole")
    ran = study(root, "run", str(TINY))
    assert ran.returncode == 0, ran.stderr
    return root


@pytest.fixture
def aws_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of an empty imitation of AWS on this machine; the environment has its address and credentials."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    }.items():
        monkeypatch.setenv(name, value)
    # All servers of a process share what they hold.
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/moto-api/reset", method="POST")).close()
    yield port
    server.stop()


@pytest.fixture
def s3_server(aws_server: int) -> int:
    """The port of an S3-compatible server on this machine that holds an empty bucket, `studies`; the environment has
    its address and credentials.
    """
    import boto3

    boto3.client("s3").create_bucket(Bucket="studies")
    return aws_server
