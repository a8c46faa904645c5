"""A store by URI: a folder, and a real S3-compatible server."""

import json
import os
import stat
import tempfile
from pathlib import Path

import pytest
from job_fakes import make_job
from whole_studies import TINY, check_complete, final_metrics, finished, study

from study.planning.jobs import Job, ResourceRequest
from study.storage.artifacts import ArtifactStore
from study.storage.node_cache import node_cache
from study.storage.remote import ARTIFACT, RESULT, RemoteIO, Storage, job_key
from study.storage.workspace import Workspace
from trainables.common.errors import UserError
from trainables.common.files import write_json


@pytest.fixture
def s3(s3_server: int) -> str:
    """The URI of an empty store."""
    return "s3://studies/team"


@pytest.fixture(params=["folder", "s3"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "folder" else str(request.getfixturevalue("s3"))


def test_a_folder_is_fetched_as_it_was_put_and_complete_with_its_marker(uri, tmp_path):
    storage, made, back = Storage(uri), tmp_path / "made", tmp_path / "back"
    (made / "deep").mkdir(parents=True)
    (made / "deep" / "weights.pt").write_bytes(bytes(range(256)) * 1000)
    (made / "empty").write_bytes(b"")
    storage.put_folder(made, "artifacts/abc", ARTIFACT)
    assert not storage.has("artifacts/abc", ARTIFACT)
    assert storage.list_complete("artifacts", ARTIFACT) == set()
    write_json(made / ARTIFACT, {"digest": "abc"})
    storage.put_folder(made, "artifacts/abc", ARTIFACT)
    assert storage.has("artifacts/abc", ARTIFACT)
    assert storage.list_complete("artifacts", ARTIFACT) == {"abc"}
    storage.get_folder("artifacts/abc", back, ARTIFACT)
    files = {path.relative_to(back).as_posix(): path.read_bytes() for path in back.rglob("*") if path.is_file()}
    assert files == {p.relative_to(made).as_posix(): p.read_bytes() for p in made.rglob("*") if p.is_file()}
    storage.get_folder("artifacts/none", tmp_path / "none", ARTIFACT)
    assert not (tmp_path / "none").exists()
    storage.remove("artifacts/abc/empty")
    storage.remove("artifacts/abc/empty")


@pytest.mark.parametrize("uri", ["s3x://bucket/here", "s3://key:secret@bucket/here"])
def test_a_uri_that_cannot_be_used_is_refused(uri):
    with pytest.raises(UserError, match=r"^storage: "):
        Storage(uri)


def test_a_node_resumes_from_the_checkpoint_of_another(uri, tmp_path):
    storage, driver = Storage(uri), tmp_path / "driver"
    for key, marker in (("data/frames1", "meta.json"), ("artifacts/start1", ARTIFACT)):
        (driver / key).mkdir(parents=True)
        (driver / key / "content").write_text(key)
        write_json(driver / key / marker, {})
        storage.put_folder(driver / key, key, marker)
    job = Job(
        "a-trial-0",
        "trial",
        "downstream",
        "a",
        {},
        0,
        {},
        {"data": "frames1"},
        "0123456789",
        {"pretext": "start1"},
        "",
        3,
        ResourceRequest(),
    )
    first = RemoteIO(job, storage, "study", tmp_path / "one")
    assert (Path(first.job.frames) / "content").read_text() == "data/frames1"
    assert (first.artifacts.folder("start1") / "content").read_text() == "artifacts/start1"
    first.folder.root.mkdir(parents=True)
    (first.folder.root / "checkpoint.pt").write_text("after two epochs")
    first.folder.metrics.write_text("{}\n{}\n")
    first.on_checkpoint()
    second = RemoteIO(job, storage, "study", tmp_path / "two")
    assert (second.folder.root / "checkpoint.pt").read_text() == "after two epochs"
    (second.folder.root / "checkpoint.pt").unlink()
    write_json(second.folder.result, {"status": "completed"})
    ArtifactStore(second.artifacts.root).put(job.digest, {"stage": "downstream"})
    second.on_end()
    third = RemoteIO(job, storage, "study", tmp_path / "three")
    assert third.folder.result.exists()
    assert not (third.folder.root / "checkpoint.pt").exists()
    assert storage.has(f"artifacts/{job.digest}", ARTIFACT)


def test_a_worker_that_fails_leaves_its_reason_for_the_driver(tmp_path):
    storage, job = Storage(str(tmp_path / "store")), make_job(config={"data": "frames1"})
    storage.put_folder(_folder_with(tmp_path / "frames", "meta.json"), "data/frames1", "meta.json")
    _failed(RemoteIO(job, storage, "study", tmp_path / "node")).on_failure()
    storage.get_folder(job_key("study", job), tmp_path / "driver", RESULT)
    assert sorted(path.name for path in (tmp_path / "driver").iterdir()) == ["error.txt", RESULT]


def test_a_failed_job_that_is_retried_runs_on_every_node(uri, tmp_path):
    storage, job = Storage(uri), make_job(config={"data": "frames1"})
    storage.put_folder(_folder_with(tmp_path / "frames", "meta.json"), "data/frames1", "meta.json")
    _failed(RemoteIO(job, storage, "study", tmp_path / "one")).on_end()
    for node in ("two", "one"):
        assert not RemoteIO(job, storage, "study", tmp_path / node).folder.result.exists()
    storage.get_folder(job_key("study", job), tmp_path / "driver", RESULT)
    assert not (tmp_path / "driver").exists()


def _failed(io: RemoteIO) -> RemoteIO:
    """Leave what a failed job leaves in its folder."""
    io.folder.root.mkdir(parents=True)
    (io.folder.root / "error.txt").write_text("Traceback")
    write_json(io.folder.result, {"status": "failed"})
    return io


def _folder_with(folder: Path, name: str) -> Path:
    folder.mkdir()
    write_json(folder / name, {})
    return folder


@pytest.mark.drill
@pytest.mark.ray
def test_a_study_whose_jobs_see_only_an_s3_store_ends_like_any_other(uninterrupted, s3, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "node"))
    ran = study(tmp_path / "here", "run", str(TINY), "--set", f"storage={s3}")
    assert ran.returncode == 0, ran.stderr
    check_complete(tmp_path / "here")
    mine, other = (Workspace(root).study("tiny") for root in (tmp_path / "here", uninterrupted))
    assert final_metrics(mine) == final_metrics(other)
    assert list((tmp_path / "node").iterdir())
    assert any(event.outcome.status == "stopped" for event in finished(mine))
    for event in finished(mine):
        lines = mine.job(event.job).metrics.read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == list(range(1, event.outcome.epochs + 1))


def test_only_this_user_may_read_the_cache_of_a_node(tmp_path, monkeypatch):
    monkeypatch.delenv("STUDY_CACHE", raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    before = os.umask(0)
    try:
        cache = node_cache()
        assert stat.S_IMODE(cache.stat().st_mode) == 0o700
        cache.chmod(0o755)  # by an earlier version
        assert stat.S_IMODE(node_cache().stat().st_mode) == 0o700
    finally:
        os.umask(before)
    cache.rmdir()
    cache.symlink_to(tmp_path)
    with pytest.raises(UserError, match="belongs to another user"):
        node_cache()
