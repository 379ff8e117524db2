"""Reading what torch saved: whole files only, and never a line of code."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import pytest
import torch

from fasa import torch_files
from fasa.errors import UserError

CONTENT = {"weights": torch.arange(1000.0), "fingerprint": "abc", "epoch": 3}


class Malicious:
    """A pickle that leaves a file behind when it is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    torch.save(CONTENT, tmp_path / "x.pt")
    return tmp_path / "x.pt"


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as refused:
        torch_files.read(path, "mend it")
    assert str(refused.value).startswith(str(path)) and str(refused.value).endswith("; mend it.")
    return str(refused.value)


@pytest.mark.parametrize("zipped", [True, False])  # torch's format, and that of before 1.6
def test_what_was_saved_is_read(zipped: bool, tmp_path: Path):
    torch.save(CONTENT, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    content = torch_files.read(tmp_path / "x.pt", "mend it")
    assert content.keys() == CONTENT.keys() and torch.equal(content["weights"], CONTENT["weights"])


def test_a_missing_file(tmp_path: Path):
    assert "is missing" in refusal(tmp_path / "no.pt")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_torn_file(share: float, path: Path):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "is damaged" in refusal(path)


def test_one_wrong_byte_in_a_tensor(path: Path):
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip().endswith("data/0")  # torch itself says nothing
    assert not torch.equal(torch.load(path, weights_only=True)["weights"], CONTENT["weights"])
    assert "is damaged" in refusal(path)


def test_code_is_not_run(tmp_path: Path):
    trace, path = tmp_path / "trace", tmp_path / "x.pt"
    torch.save({"weights": Malicious(trace)}, path)
    assert re.search("holds code, which is never run", refusal(path))
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists()  # it would have


def test_what_is_allowed_is_read_and_only_while_it_is_read(tmp_path: Path):
    path, kind = tmp_path / "x.pt", type(Path("a"))
    name = f"{kind.__module__}.{kind.__qualname__}"
    torch.save({"folder": Path("a")}, path)
    assert torch_files.read(path, "mend it", {name: kind}) == {"folder": Path("a")}
    assert torch_files.read(path, "mend it", {name: lambda *parts: "/".join(parts)}) == {"folder": "a"}
    refusal(path)


def test_something_else(tmp_path: Path):
    torch.save([1, 2], tmp_path / "x.pt")
    assert "does not hold what this program writes" in refusal(tmp_path / "x.pt")
