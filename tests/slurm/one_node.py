"""A real Slurm of one node with eight pretended GPUs, that needs root and Debian's packages and leaves nothing behind.

    python tests/slurm/one_node.py run -- snakemake --profile slurm --config scale=smoke

It lives in process and mount namespaces of its own: its /etc/slurm hides the machine's from nobody else, several may
run side by side, and when the process that started it ends, however it ends, the kernel ends all that ran in it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

PACKAGES = "slurmctld slurmd slurm-client munge"
BINARIES = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "unshare", "nsenter")
GPUS = 8
SBIN = "/usr/sbin:/sbin"
UP_WITHIN = 60  # seconds; it takes 3 on a quiet machine
CONTROLLER = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller}
SlurmdPort={daemon}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1
GresTypes=gpu
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=1
MinJobAge=300
KillWait=10
NodeName={host} NodeAddr=127.0.0.1 CPUs=64 RealMemory=500000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=other Nodes=ALL MaxTime=INFINITE State=UP
"""


def reason_against() -> str | None:
    """Why no cluster can be had here; None where one can."""
    os.environ["PATH"] += f":{SBIN}"  # of root's daemons, which not every shell has
    missing = [name for name in BINARIES if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)} here: on Debian, apt-get install --no-install-recommends {PACKAGES}"
    if os.geteuid() != 0:
        return "a Slurm of one node needs root"
    tried = subprocess.run([*_apart(), "true"], capture_output=True, text=True)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else None


class Cluster:
    """A running cluster: commands for it, and its state."""

    def __init__(self, folder: Path, outside: int) -> None:
        self.folder = folder
        self._outside = outside

    def inside(self, *command: str, folder: Path | None = None) -> list[str]:
        """``command``, to be run in the cluster from outside it, in ``folder`` or the current one."""
        spaces = Path("/proc") / str(self._outside) / "ns"
        where = ["--mount=" + str(spaces / "mnt"), "--pid=" + str(spaces / "pid_for_children")]
        # Not --wd: a folder opened outside is on another mount than its own absolute path, and renaming fails.
        there = ["sh", "-c", 'cd "$0" && exec "$@"', str(folder or Path.cwd())]
        return ["nsenter", *where, *there, *command]

    def ask(self, *command: str) -> str:
        """What one of Slurm's commands prints.

        Raises:
            RuntimeError: it failed.
        """
        done = subprocess.run(self.inside(*command), capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def jobs(self, *states: str) -> list[str]:
        """The numbers of jobs in ``states``: running ones where none is named."""
        return self.ask("squeue", "-h", "-o", "%i", "-t", ",".join(states or ("RUNNING",))).split()


@contextmanager
def one_node() -> Iterator[Cluster]:
    """A cluster for as long as the context lasts.

    Raises:
        RuntimeError: it did not come up; the daemons' last words.
    """
    folder = Path(mkdtemp(prefix="fasa_slurm_"))
    command = [*_apart(), sys.executable, __file__, "serve", str(folder)]
    # A session of its own: Ctrl-C is for the command in the cluster, and the cluster outlives that.
    server = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    cluster = Cluster(folder, server.pid)
    try:
        _wait(cluster, server)
        yield cluster
    finally:
        server.stdin.close()  # what the server waits for
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _apart() -> list[str]:
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def _wait(cluster: Cluster, server: subprocess.Popen) -> None:
    until = time.monotonic() + UP_WITHIN
    while server.poll() is None and time.monotonic() < until:
        try:
            if cluster.ask("sinfo", "-h", "-p", "main", "-o", "%T") == "idle":
                return
        except (RuntimeError, subprocess.TimeoutExpired):
            pass
        time.sleep(0.3)
    words = [path.read_text(errors="replace")[-1500:] for path in sorted(cluster.folder.glob("*.log"))]
    raise RuntimeError("Slurm did not come up:\n" + "\n".join(words))


def _serve(folder: Path) -> None:
    """Run the daemons as process 1 of the namespaces, until the one who started this closes its pipe or is gone."""
    settings = folder / "etc"
    for path in (settings, folder / "state", folder / "spool"):
        path.mkdir()
    host = socket.gethostname().split(".")[0]
    controller, daemon = _free_ports()
    values = {"host": host, "folder": folder, "controller": controller, "daemon": daemon, "gpus": GPUS}
    (settings / "slurm.conf").write_text(CONTROLLER.format(**values))
    for number in range(GPUS):
        (folder / f"gpu{number}").touch()
    (settings / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-{GPUS - 1}]\n")
    # The executor strips SLURM_CONF from its jobs, so the file must lie where Slurm looks by itself.
    Path("/etc/slurm").mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", settings, "/etc/slurm"], check=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    munged = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    munged += [f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munge.seed"]
    munged += [f"--log-file={folder}/munged.log"]
    for name, command in (("munge", munged), ("slurmctld", ["slurmctld", "-D", "-i"]), ("slurmd", ["slurmd", "-D"])):
        with (folder / f"{name}.log").open("w") as log:
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while name == "munge" and not (folder / "munge.socket").exists():
            time.sleep(0.05)
    signal.signal(signal.SIGCHLD, _reap)  # process 1 inherits every orphan
    sys.stdin.read()
    os.kill(-1, signal.SIGKILL)  # all but this one, and nothing outside
    shutil.rmtree(folder, ignore_errors=True)


def _reap(*_: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def main(arguments: Sequence[str]) -> int:
    """``run -- COMMAND``: the command's exit code, after it ran with a cluster at hand."""
    if arguments[:1] == ["serve"]:
        _serve(Path(arguments[1]))
        return 0
    if list(arguments[:2]) != ["run", "--"] or len(arguments) < 3:
        print("usage: one_node.py run -- COMMAND", file=sys.stderr)
        return 2
    if reason := reason_against():
        print(f"one_node: {reason}", file=sys.stderr)
        return 2
    with one_node() as cluster:
        command = subprocess.Popen(cluster.inside(*arguments[2:]))
        while True:
            try:
                return command.wait()
            except KeyboardInterrupt:  # the command has had it, too, and may take its time to leave
                continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
