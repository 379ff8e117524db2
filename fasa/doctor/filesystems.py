"""Which file system a folder lies on, as the mount table tells, and whether other machines see it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TABLE = Path("/proc/self/mounts")
# By the names that Linux gives them in its mount table.
SHARED = {
    *("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "fuse.ceph", "fuse.ceph-fuse", "cifs", "smb3", "wekafs"),
    *("panfs", "pvfs2", "glusterfs", "fuse.glusterfs", "afs", "quobyte", "fuse.sshfs", "vast", "virtiofs", "9p"),
}
MEMORY = {"tmpfs", "ramfs", "devtmpfs"}
LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "fuse.fuse-overlayfs", "squashfs"}


@dataclass(frozen=True)
class Mount:
    """A line of the mount table: where, of which type, with which options."""

    where: Path
    type: str
    options: tuple[str, ...]


def mount_of(path: Path, table: Path = TABLE) -> Mount | None:
    """The mount that ``path`` lies on; None where the system has no such table."""
    try:
        lines = table.read_text(errors="replace").splitlines()
    except OSError:
        return None
    resolved, found = path.resolve(), None
    for line in lines:
        _, where, kind, options, *_ = line.split(" ")
        here = Path(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), where))
        # The later of two on one place hides the earlier.
        if resolved.is_relative_to(here) and (found is None or len(here.parts) >= len(found.where.parts)):
            found = Mount(here, kind, tuple(options.split(",")))
    return found
