"""Canaries: secrets and patients' identifiers that must not be found where others read."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pydicom
import pytest
from whole_studies import TINY, command, study

from trainables.data.layouts.cardiac_dicom import CardiacDicom
from trainables.data.settings import DataSettings
from trainables.data.store.prepare import prepare
from trainables.phantom import PHANTOMS, PhantomSettings

SECRETS = {
    "MLFLOW_TRACKING_TOKEN": "canary-token-5d41",
    "MLFLOW_TRACKING_PASSWORD": "canary-password-402a",
    "AWS_ACCESS_KEY_ID": "canary-name-77e0",
    "AWS_SECRET_ACCESS_KEY": "canary-key-bc4b",
    "AWS_SESSION_TOKEN": "canary-session-91fd",
    "RAY_AUTH_TOKEN": "canarycanarycanarycanarycanary-2a76",
}
PATIENT = "ROE-JANE-1948"


def found(place: Path, canary: str) -> list[str]:
    """Files below `place` whose name or content has the canary."""
    return [
        str(path)
        for path in place.rglob("*")
        if canary in path.name or (path.is_file() and canary.encode() in path.read_bytes())
    ]


@pytest.mark.ray
@pytest.mark.drill
def test_no_secret_and_no_patient_is_in_anything_that_a_study_writes(uninterrupted, tmp_path, monkeypatch):
    """Credentials in the environment, identifiers in the dataset's file names and tables."""
    source = tmp_path / "source"
    (made,) = (path for path in (uninterrupted / "data" / "phantom").iterdir() if path.is_dir())
    shutil.copytree(made, source)
    names = [line.partition(",")[0] for line in (source / "FileList.csv").read_text().splitlines()[1:]]
    for table in ("FileList.csv", "VolumeTracings.csv"):
        text = (source / table).read_text()
        for number, name in enumerate(names):
            text = text.replace(name, f"{PATIENT}-{number}")
        (source / table).write_text(text)
    for number, name in enumerate(names):
        (source / "Videos" / f"{name}.avi").rename(source / "Videos" / f"{PATIENT}-{number}.avi")
    for variable, secret in SECRETS.items():
        monkeypatch.setenv(variable, secret)
    logs = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # the sockets in it must have short paths
    monkeypatch.setenv("RAY_TMPDIR", str(logs))
    root = tmp_path / "workspace"
    said = ""
    for words in (
        ("run", str(TINY), "--data", f"echonet={source}", "--name", "canaries"),
        ("report", "canaries"),
        ("export", "backbone", "canaries", "--out", str(root / "backbone.pt")),
        ("best", "canaries"),
    ):
        ran = subprocess.run(command(root, *words), capture_output=True, text=True, timeout=300, check=False)
        assert ran.returncode == 0, ran.stderr
        said += ran.stdout + ran.stderr
    assert len(json.loads(study(root, "status", "canaries", "--json").stdout)["jobs"]) > 0
    assert PATIENT not in said
    assert not found(root, PATIENT)
    assert not found(logs, PATIENT)
    for secret in SECRETS.values():
        assert secret not in said
        assert not found(root, secret)
        assert not found(logs, secret)
    shutil.rmtree(logs)


def test_no_dicom_tag_of_a_patient_is_in_a_frame_store(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    PHANTOMS["cardiac_dicom"].write(source, PhantomSettings(subjects=3, frames=8, size=32, slices=4), None)
    planted = 0
    for path in source.rglob("*.dcm"):
        image = pydicom.dcmread(path)
        image.PatientID = f"{PATIENT}-{image.PatientID}"
        image.PatientName = image.InstitutionName = image.OtherPatientIDs = PATIENT
        image.PatientBirthDate = "19480229"
        image.save_as(path)
        planted += 1
    assert planted > 10
    settings = DataSettings(CardiacDicom(), path=str(source), image_size=32)
    store = prepare(settings, None, tmp_path / "data", b"key")
    assert len(store.subjects) == 3
    for canary in (PATIENT, "19480229"):
        assert not found(tmp_path / "data", canary)
