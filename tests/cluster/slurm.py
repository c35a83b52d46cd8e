"""A Slurm cluster of several nodes on one machine: Debian's slurmctld, slurmd, slurmdbd, MariaDB and munge.

Everything lies in one folder and ends with the process that started it: no file of the system is touched, and nothing
is left behind. Each node is a slurmd in namespaces of its own (processes, mounts, host name): killing the first of its
processes kills its daemon and all its jobs at once, as when a machine loses power.

Needs root, and the packages of PACKAGES. To try something by hand:
``python -m tests.cluster.slurm COMMAND ...`` runs a command (or a shell, without one) beside a cluster.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PACKAGES = "slurm-wlm slurmdbd mariadb-server munge"
PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "mariadbd", "mariadb-install-db", "munged", "unshare")
MEMORY_CGROUP = Path("/sys/fs/cgroup/memory")
SYSTEM_CONFIGURATION = Path("/etc/slurm")
CGROUPS = f"CgroupMountpoint={MEMORY_CGROUP.parent}\nCgroupPlugin=cgroup/v1\nConstrainRAMSpace=yes\n"
ACCOUNT = "project"


@dataclass(frozen=True)
class Node:
    """What a node says that it has; Slurm counts it, the machine need not have it."""

    name: str
    cpus: int = 8
    memory_mb: int = 64000
    gpus: int = 0


NODES = (Node("gpu1", gpus=1), Node("gpu2", gpus=1), Node("cpu1"))
"""Two nodes with one GPU each and one without: training fits the first two alone."""


def missing() -> str | None:
    """Why no cluster can be made here, and what to do; None where it can."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    absent = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if absent:
        return f"{', '.join(absent)} not found: apt-get install --no-install-recommends {PACKAGES}"
    return None if os.geteuid() == 0 else "a Slurm with nodes of its own needs root"


def constrains_memory() -> bool:
    """Whether memory can be limited by control groups (version 1); else Slurm looks at it every second."""
    return os.access(MEMORY_CGROUP / "memory.limit_in_bytes", os.R_OK) and os.access(MEMORY_CGROUP, os.W_OK)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(condition: Callable[[], object], what: str, seconds: float, every: float = 0.2) -> None:
    """Returns when a condition holds; raises TimeoutError when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"no {what} after {seconds:.0f} s")
        time.sleep(every)


class Cluster:
    """A running cluster; a context manager that ends all of it.

    Args:
        nodes: its nodes.
        node_timeout: seconds without a sign of life after which a node is down. Slurm's default is 300.
    """

    def __init__(self, nodes: Iterable[Node] = NODES, node_timeout: int = 15) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.node_timeout = node_timeout
        self.folder = Path(tempfile.mkdtemp(prefix="ita-slurm-"))
        self.folder.chmod(0o755)
        self.ports = {name: free_port() for name in ("slurmctld", "slurmdbd", "mariadb", *self.nodes)}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]),
        }

    def __enter__(self) -> Cluster:
        # A cluster whose process is asked to end goes with it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            self._start()
        except BaseException:
            print(self.last_words(), file=sys.stderr)
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def call(self, *command: str) -> str:
        """Runs a command of Slurm and returns its output; raises RuntimeError with its message when it fails."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def state(self, node: str) -> str:
        """State of a node, such as idle, mixed, drained, down."""
        return self.call("sinfo", "-h", "-N", "-n", node, "-o", "%T").strip()

    def start_node(self, name: str) -> None:
        """Starts the slurmd of a node, in the foreground of a PID namespace whose first process is a shell."""
        # The plugin hides SLURM_CONF from srun inside of jobs, so a node has the configuration where Slurm expects it.
        steps = (
            f"hostname {name}",
            f"mount --bind {self.folder} {SYSTEM_CONFIGURATION}",
            f"{{ nice -n 10 slurmd -D -N {name} & }}",
            "wait",
        )
        namespaces = ("unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--uts")
        self._spawn(name, *namespaces, "bash", "-c", " && ".join(steps))

    def kill_node(self, name: str) -> None:
        """Kills a node with all that runs on it, without a word to anybody."""
        self.processes[name].kill()
        self.processes.pop(name).wait()

    def drain(self, name: str) -> None:
        """Lets a node end its jobs and take no new ones."""
        self.call("scontrol", "update", f"nodename={name}", "state=drain", "reason=test")

    def resume(self, name: str) -> None:
        """Lets a drained or failed node take jobs again."""
        self.call("scontrol", "update", f"nodename={name}", "state=resume")

    def last_words(self, lines: int = 8) -> str:
        """The last lines of every daemon's output."""
        parts = []
        for path in sorted(self.folder.glob("*.out")) + sorted(self.folder.glob("*.log")):
            text = path.read_text(errors="replace").splitlines()[-lines:]
            parts += [f"--- {path.name}", *text]
        return "\n".join(parts)

    def close(self) -> None:
        """Ends all jobs and daemons and removes the folder."""
        for name in reversed(self.processes):
            # The nodes first; munge and the database, started first, last. A node knows no other end than SIGKILL.
            process = self.processes[name]
            process.send_signal(signal.SIGKILL if name in self.nodes else signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()
        with suppress(TimeoutError):
            wait_for(self._without_cgroups, "empty control groups", 10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _without_cgroups(self) -> bool:
        """Removes the control groups of the nodes' jobs; false while a process that was killed is still in one."""
        groups = [group for name in self.nodes for group in MEMORY_CGROUP.glob(f"slurm_{name}/**/")]
        for group in sorted(groups, reverse=True):
            with suppress(OSError):
                group.rmdir()
        return not any(group.exists() for group in groups)

    def _start(self) -> None:
        if not self._without_cgroups():
            raise RuntimeError("another such cluster runs on this machine")
        self._write_configuration()
        self._start_munge()
        self._start_database()
        self._spawn("slurmdbd", "slurmdbd", "-D")
        wait_for(lambda: self._answers("sacctmgr", "-n", "show", "cluster"), "slurmdbd", 60)
        self._spawn("slurmctld", "slurmctld", "-D", "-f", str(self.folder / "slurm.conf"))
        wait_for(lambda: self._answers("scontrol", "ping"), "slurmctld", 60)
        for command in (("account", ACCOUNT), ("user", "root", f"account={ACCOUNT}")):
            self.call("sacctmgr", "-i", "add", *command)
        for name in self.nodes:
            self.start_node(name)
        wait_for(lambda: all(self.state(name) == "idle" for name in self.nodes), "idle nodes", 60)

    def _spawn(self, name: str, *command: str) -> None:
        with open(self.folder / f"{name}.out", "ab") as output:
            self.processes[name] = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def _answers(self, *command: str) -> bool:
        for name, process in self.processes.items():
            if process.poll() is not None:
                output = (self.folder / f"{name}.out").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{name} ended: {output}")
        return subprocess.run(command, env=self.environment, capture_output=True, timeout=60).returncode == 0

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        folder.mkdir(mode=0o755)
        key = folder / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        files = {name: folder / name for name in ("socket", "pid-file", "log-file", "seed-file")}
        options = [f"--{name}={path}" for name, path in files.items()]
        self._spawn("munged", "munged", "--foreground", "--force", f"--key-file={key}", *options)
        wait_for(files["socket"].exists, "munged", 10)

    def _start_database(self) -> None:
        data = self.folder / "mariadb"
        # --no-defaults has to be the first option.
        common = ("--no-defaults", f"--datadir={data}", "--user=root")
        self.call("mariadb-install-db", *common, "--skip-test-db", "--auth-root-authentication-method=normal")
        start = self.folder / "grants.sql"
        start.write_text("CREATE USER slurm@localhost IDENTIFIED BY 'slurm';\nGRANT ALL ON *.* TO slurm@localhost;\n")
        self._spawn(
            "mariadb",
            "mariadbd",
            *common,
            f"--socket={data}/socket",
            "--bind-address=127.0.0.1",
            f"--port={self.ports['mariadb']}",
            f"--init-file={start}",
        )
        wait_for(lambda: self._listens("mariadb"), "database", 60)

    def _listens(self, name: str) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.ports[name])) == 0

    def _write_configuration(self) -> None:
        for name, text in (
            ("slurm.conf", self._slurm_conf()),
            ("slurmdbd.conf", self._slurmdbd_conf()),
            ("gres.conf", self._gres_conf()),
            (
                "cgroup.conf",
                f"CgroupMountpoint={MEMORY_CGROUP.parent}\nCgroupPlugin=cgroup/v1\nConstrainRAMSpace=yes\n",
            ),
        ):
            (self.folder / name).write_text(text)
        (self.folder / "slurmdbd.conf").chmod(0o600)
        (self.folder / "state").mkdir()

    def _slurm_conf(self) -> str:
        memory = (
            # As on most clusters: the kernel ends a job above its memory.
            "TaskPlugin=task/cgroup\nProctrackType=proctrack/linuxproc\n"
            if constrains_memory()
            # Slurm looks every second and ends a job above its memory.
            else "TaskPlugin=task/none\nProctrackType=proctrack/linuxproc\nJobAcctGatherParams=OverMemoryKill,UsePss\n"
        )
        nodes = "".join(
            f"NodeName={node.name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={self.ports[node.name]}"
            f" CPUs={node.cpus} RealMemory={node.memory_mb}{f' Gres=gpu:{node.gpus}' if node.gpus else ''}\n"
            for node in self.nodes.values()
        )
        return f"""
ClusterName={self.folder.name}
SlurmctldHost={socket.gethostname()}(127.0.0.1)
SlurmctldPort={self.ports["slurmctld"]}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={self.folder}/munge/socket
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool-%n
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/slurmd-%n.pid
SlurmctldLogFile={self.folder}/slurmctld.log
SlurmdLogFile={self.folder}/slurmd-%n.log
{memory}JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={self.ports["slurmdbd"]}
# The socket of munge, in spite of its name.
AccountingStoragePass={self.folder}/munge/socket
AccountingStorageEnforce=associations,limits
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MpiDefault=none
ReturnToService=2
SlurmdTimeout={self.node_timeout}
KillWait=5
# The nodes are what they say, not what this machine has.
SlurmdParameters=config_overrides
{nodes}PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

    def _slurmdbd_conf(self) -> str:
        return f"""
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={self.ports["slurmdbd"]}
SlurmUser=root
AuthInfo=socket={self.folder}/munge/socket
LogFile={self.folder}/slurmdbd.log
PidFile={self.folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={self.ports["mariadb"]}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""

    def _gres_conf(self) -> str:
        """GPUs that are files with no device behind them: counted and handed out, never used."""
        lines = []
        for node in self.nodes.values():
            for number in range(node.gpus):
                device = self.folder / f"{node.name}-gpu{number}"
                os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
                lines.append(f"NodeName={node.name} Name=gpu File={device}\n")
        return "".join(lines)


def main(command: list[str]) -> int:
    """Runs a command beside a cluster; returns its exit code."""
    if reason := missing():
        print(reason, file=sys.stderr)
        return 1
    with Cluster() as cluster:
        return subprocess.run(command or [os.environ.get("SHELL", "/bin/bash")], env=cluster.environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
