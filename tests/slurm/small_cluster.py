"""A real Slurm of nodes with eight pretended GPUs, that needs root and Debian's packages and leaves nothing behind.

    python tests/slurm/small_cluster.py run -- snakemake --profile slurm --config scale=smoke

It lives in process and mount namespaces of its own: its /etc/slurm hides the machine's from nobody else, several may
run side by side, and when the process that started it ends, however it ends, the kernel ends all that ran in it. Each
node has a host name and processes of its own: killing the first of them is a power cut.
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
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp

PACKAGES = "slurmctld slurmd slurm-client munge"
BINARIES = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "unshare", "nsenter")
GPUS = 8
SBIN = "/usr/sbin:/sbin"
UP_WITHIN = 60  # seconds; it takes 3 on a quiet machine
CONTROLLER = """
ClusterName=small
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,requeue_delay=0
GresTypes=gpu
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
MinJobAge=300
KillWait=10
SlurmdTimeout=10
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=cancelled Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=CANCEL
PartitionName=first Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
NODE = "NodeName={name} NodeHostname={name} NodeAddr=127.0.0.1 Port={port} CPUs=64 RealMemory=500000 Gres=gpu:{gpus}"


def reason_against() -> str | None:
    """Why no cluster can be had here; None where one can."""
    os.environ["PATH"] += f":{SBIN}"  # of root's daemons, which not every shell has
    missing = [name for name in BINARIES if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)} here: on Debian, apt-get install --no-install-recommends {PACKAGES}"
    if os.geteuid() != 0:
        return "a Slurm of its own needs root"
    tried = subprocess.run([*_apart(), "true"], capture_output=True, text=True)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else None


class Cluster:
    """A running cluster: commands for it, and its state."""

    def __init__(self, folder: Path, outside: int, nodes: int) -> None:
        self.folder = folder
        self.nodes = nodes
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

    def node_of(self, job: str) -> str:
        """The node that job runs on."""
        return self.ask("squeue", "-h", "-j", job, "-o", "%N")

    def cut_power(self, node: str) -> None:
        """End all processes of ``node`` at once."""
        self.ask("pkill", "-KILL", "-f", f"^unshare .*hostname {node};")

    def kill_daemon(self, node: str) -> None:
        """End the daemon of ``node`` alone: it is out of reach, and its jobs live on."""
        self.ask("pkill", "-KILL", "-f", f"^slurmd -D -N {node}$")

    def switch_on(self, node: str) -> None:
        """Start ``node`` again after a power cut, and wait for it."""
        with (self.folder / f"slurmd.{node}.log").open("a") as log:
            subprocess.Popen(self.inside(*_node(node)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + UP_WITHIN
        while self.ask("sinfo", "-h", "-n", node, "-p", "main", "-o", "%T") not in ("idle", "mixed", "allocated"):
            assert time.monotonic() < until, node
            time.sleep(0.2)


@contextmanager
def small_cluster(nodes: int = 1) -> Iterator[Cluster]:
    """A cluster of ``nodes`` nodes, n1, n2, …, for as long as the context lasts.

    Raises:
        RuntimeError: it did not come up; the daemons' last words.
    """
    folder = Path(mkdtemp(prefix="fasa_slurm_"))
    command = [*_apart(), sys.executable, __file__, "serve", str(folder), str(nodes)]
    # A session of its own: Ctrl-C is for the command in the cluster, and the cluster outlives that.
    server = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    cluster = Cluster(folder, server.pid, nodes)
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
            if cluster.ask("sinfo", "-h", "-p", "main", "-o", "%T %D") == f"idle {cluster.nodes}":
                return
        except (RuntimeError, subprocess.TimeoutExpired):
            pass
        time.sleep(0.3)
    words = [path.read_text(errors="replace")[-1500:] for path in sorted(cluster.folder.glob("*.log"))]
    raise RuntimeError("Slurm did not come up:\n" + "\n".join(words))


def _serve(folder: Path, number: int) -> None:
    """Run the daemons as process 1 of the namespaces, until the one who started this closes its pipe or is gone."""
    settings = folder / "etc"
    for path in (settings, folder / "state"):
        path.mkdir()
    host = socket.gethostname().split(".")[0]
    names = [f"n{one}" for one in range(1, number + 1)]
    controller, *ports = _free_ports(1 + number)
    nodes = "\n".join(NODE.format(name=n, port=port, gpus=GPUS) for n, port in zip(names, ports, strict=True))
    values = {"host": host, "folder": folder, "controller": controller, "nodes": nodes}
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
    daemons = {"munge": munged, "slurmctld": ["slurmctld", "-D", "-i"]} | {f"slurmd.{n}": _node(n) for n in names}
    for name, command in daemons.items():
        with (folder / f"{name}.log").open("w") as log:
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while name == "munge" and not (folder / "munge.socket").exists():
            time.sleep(0.05)
    signal.signal(signal.SIGCHLD, _reap)  # process 1 inherits every orphan
    sys.stdin.read()
    os.kill(-1, signal.SIGKILL)  # all but this one, and nothing outside
    shutil.rmtree(folder, ignore_errors=True)


def _node(name: str) -> list[str]:
    """A node: its daemon, under a first process that outlives it."""
    first = f"hostname {name}; slurmd -D -N {name} & while :; do wait; sleep 1000; done"
    return ["unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", first]


def _reap(*_: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def main(arguments: Sequence[str]) -> int:
    """``run -- COMMAND``: the command's exit code, after it ran with a cluster at hand."""
    if arguments[:1] == ["serve"]:
        _serve(Path(arguments[1]), int(arguments[2]))
        return 0
    if list(arguments[:2]) != ["run", "--"] or len(arguments) < 3:
        print("usage: small_cluster.py run -- COMMAND", file=sys.stderr)
        return 2
    if reason := reason_against():
        print(f"small_cluster: {reason}", file=sys.stderr)
        return 2
    with small_cluster() as cluster:
        command = subprocess.Popen(cluster.inside(*arguments[2:]))
        while True:
            try:
                return command.wait()
            except KeyboardInterrupt:  # the command has had it, too, and may take its time to leave
                continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
