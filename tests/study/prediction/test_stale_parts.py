"""`study predict` after a killed run: half-written files go, those of others stay."""

import os
import subprocess

from study.cli.app import app
from study.cli.main import guarded
from tests.fake_trained import write_trained
from trainables.phantom import PhantomSettings, write_echonet


def test_half_written_files_of_a_killed_run_are_removed(tmp_path, capsys):
    folder, out = write_trained(tmp_path / "ws"), tmp_path / "out"
    write_echonet(tmp_path / "data", PhantomSettings(subjects=3, frames=8, size=48))
    video = next((tmp_path / "data/Videos").glob("*.avi"))
    killed = subprocess.Popen(["true"])
    killed.wait()
    (out / "masks").mkdir(parents=True)
    stale = [out / f".prediction.json.{killed.pid}-0123abcd.part", out / f"masks/.{killed.pid}-0123abcd.part.nii.gz"]
    others = [out / f"masks/.{os.getppid()}-0123abcd.part.nii.gz", out / ".notes.part"]
    for path in (*stale, *others):
        path.write_text("half")
    arguments = ["predict", "fake", str(video), "--out", str(out), "--workspace", str(folder.workspace.root)]
    assert guarded(lambda: app(arguments, standalone_mode=False)) == 0, capsys.readouterr().err
    assert not any(path.exists() for path in stale)
    assert all(path.exists() for path in others)
    assert (out / f"masks/{video.stem}.nii.gz").exists()
