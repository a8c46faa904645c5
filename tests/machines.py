"""Machines on this one: each has its own network, processes, `/tmp`, home folder and sshd; other files they share."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
PROGRAMS = ("ip", "make", "nsenter", "rsync", "setpriv", "ssh", "ssh-keygen", "sshd", "unshare")
ADDRESSES = {"head": "10.77.0.1", "worker": "10.77.0.2"}
PATH = f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

OWN = """
own() {  # NAME FOLDER KEPT...: a host name, /tmp and a home folder for this namespace; FOLDER and KEPT stay in sight
    local name=$1 folder=$2 path; shift
    hostname "$name"
    for path; do
        [[ $path == /tmp/* ]] || continue
        mkdir -p "$folder/$name$path"
        mount --bind "$path" "$folder/$name$path"
    done
    mount --rbind "$folder/$name/tmp" /tmp
    mount --bind "$folder/$name/passwd" /etc/passwd
}
"""

ROOM = """
set -eu
folder=$1
mount -t tmpfs none /run && mkdir /run/sshd
mount -t tmpfs none /dev/shm
ip link set lo up
ip link add machines type bridge
ip address add 10.77.0.254/24 dev machines
ip link set machines up
while read -r name address; do
    ip netns add "$name"
    ip link add "to-$name" type veth peer name eth0 netns "$name"
    ip link set "to-$name" master machines up
    ip -n "$name" link set lo up
    ip -n "$name" address add "$address/24" dev eth0
    ip -n "$name" link set eth0 up
    ip -n "$name" route add default via 10.77.0.254
    ip netns exec "$name" unshare --pid --mount --uts --fork --kill-child --mount-proc \\
        bash "$folder/machine.sh" "$name" "$@" &
done < "$folder/addresses"
own desk "$@"
touch "$folder/ready"
sleep infinity
"""
"""First process of the room, arguments FOLDER KEPT...: a network, the machines, and a desk at which commands run."""

MACHINE = """
set -eu
own "$@"
exec "$(command -v sshd)" -D -e -f "$2/$1/sshd_config" 2>> "$2/$1/sshd.log"
"""
"""First process of a machine, arguments NAME FOLDER KEPT..."""

SSHD = """Port 22
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/../desk/home/.ssh/id_ed25519.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
SetEnv PYTHONPATH={root}
"""


def missing() -> str:
    """Return why machines cannot be made here, or an empty text."""
    if os.geteuid() != 0:
        return "needs root, to make network and process namespaces"
    absent = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    probe = subprocess.run(["unshare", "--net", "--pid", "--mount", "--fork", "--mount-proc", "true"], check=False)
    return "may not make namespaces" if probe.returncode else ""


class Machines:
    """A desk, the machines of ADDRESSES and a folder that they share.

    They end, with all that they run, when `close` is called or this process ends.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shared = folder / "shared"
        self.shared.mkdir(parents=True)
        for name in ("desk", *ADDRESSES):
            self._furnish(name)
        self._key(self.home("desk") / ".ssh" / "id_ed25519")
        (folder / "addresses").write_text("".join(f"{name} {address}\n" for name, address in ADDRESSES.items()))
        (folder / "room.sh").write_text(OWN + ROOM)
        (folder / "machine.sh").write_text(OWN + MACHINE)
        kept = [str(folder), str(ROOT), sys.prefix, sys.base_prefix]
        apart = ["unshare", "--net", "--pid", "--mount", "--uts", "--fork", "--kill-child", "--mount-proc"]
        self.room = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *apart, "bash", str(folder / "room.sh"), *kept],
            env={"PATH": PATH},
            stdin=subprocess.DEVNULL,
        )
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def home(self, name: str) -> Path:
        """Return the home folder of a machine or of the desk."""
        return self.folder / name / "home"

    def at_desk(self, *command: str, timeout: float = 240, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command at the desk, from which every machine can be reached by ssh as root."""
        pid = psutil.Process(self.room.pid).children()[0].pid
        enter = ["nsenter", f"--target={pid}", "--net", "--pid", "--mount", "--uts", f"--wdns={self.home('desk')}"]
        environment = {"PATH": PATH, "HOME": str(self.home("desk")), "PYTHONPATH": str(ROOT), **environment}
        return subprocess.run(
            [*enter, *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )

    def processes(self) -> dict[int, str]:
        """Return the command lines of all processes of the machines and the desk, by their ids on this machine."""
        found = {}
        for process in psutil.Process(self.room.pid).children(recursive=True):
            try:
                found[process.pid] = " ".join(process.cmdline())
            except psutil.NoSuchProcess:
                continue
        return found

    def close(self) -> None:
        """End everything: with a room's first process end its namespaces, and with them processes, links and mounts."""
        below = psutil.Process(self.room.pid).children(recursive=True) if self.room.poll() is None else []
        self.room.kill()
        self.room.wait(timeout=30)
        alive = psutil.wait_procs(below, timeout=30)[1]
        assert not alive, alive

    def _furnish(self, name: str) -> None:
        """Write the files that a machine has from its installation: a home folder, an account, an sshd."""
        folder = self.folder / name
        (folder / "tmp").mkdir(parents=True, mode=0o1777)
        self.home(name).mkdir()
        (self.home(name) / ".bashrc").write_text("case $- in *i*) ;; *) return ;; esac\n")
        lines = Path("/etc/passwd").read_text().splitlines(keepends=True)
        others = [line for line in lines if not line.startswith(("root:", "sshd:"))]
        account = f"root:x:0:0:root:{self.home(name)}:/bin/bash\nsshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
        (folder / "passwd").write_text(account + "".join(others))
        if name in ADDRESSES:
            self._key(folder / "host_key")
            (folder / "sshd_config").write_text(SSHD.format(folder=folder, root=ROOT))

    @staticmethod
    def _key(path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)

    def _wait(self) -> None:
        """Wait until every machine answers."""
        end = time.monotonic() + 30
        while not (self.folder / "ready").exists():
            assert self.room.poll() is None, "the room could not be made; see above"
            assert time.monotonic() < end, "the room is not ready after 30 seconds"
            time.sleep(0.05)
        for address in ADDRESSES.values():
            said = ""
            while self.at_desk("bash", "-c", f": < /dev/tcp/{address}/22").returncode:
                assert time.monotonic() < end, said
                time.sleep(0.1)
