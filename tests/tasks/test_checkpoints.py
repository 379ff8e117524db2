"""mmengine's checkpoints, read safely: a damaged one gives way to the one before, and code in one is never run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from fasa import torch_files
from fasa.cli import main
from fasa.errors import UserError
from fasa.mmdet.checkpoints import ALLOWED, newest, read_weights, resumed_by_mmengine
from fasa.study import Study, load_study

ROOT = Path(__file__).parents[2]


def save(folder: Path, epoch: int) -> Path:
    """A checkpoint with what mmengine's hold beside tensors."""
    log = HistoryBuffer()
    log.update(0.5)
    path = folder / f"epoch_{epoch}.pth"
    torch.save({"state_dict": {"w": torch.ones(3)}, "message_hub": {"log_scalars": {"loss": log}}}, path)
    return path


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


class MakesFolder:
    """A pickle that leaves a trace when it is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


class AsksFor:
    """A pickle that asks for an attribute, as those of logs do."""

    def __init__(self, owner: object, name: str) -> None:
        self.asked = owner, name

    def __reduce__(self):
        return getattr, self.asked


def test_the_newest_by_number(tmp_path, capsys):
    assert newest(tmp_path) is None
    for epoch in (2, 9, 10):
        save(tmp_path, epoch)
    assert newest(tmp_path) == tmp_path / "epoch_10.pth"
    assert capsys.readouterr().err == ""


def test_a_damaged_one_gives_way_to_the_one_before(tmp_path, capsys):
    for epoch in (1, 2):
        save(tmp_path, epoch)
    tear(tmp_path / "epoch_2.pth")
    assert newest(tmp_path) == tmp_path / "epoch_1.pth"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"fasa: {tmp_path}/epoch_2.pth is damaged") and line.endswith("the one before it is used.")
    tear(tmp_path / "epoch_1.pth")
    assert newest(tmp_path) is None


def test_mmengine_reads_it_by_us(tmp_path):
    content = CheckpointLoader.load_checkpoint(resumed_by_mmengine(save(tmp_path, 1)), map_location="cpu")
    assert content["message_hub"]["log_scalars"]["loss"].statistics("mean") == 0.5


def test_code_is_not_run_where_mmengine_would(tmp_path):
    trace, path = tmp_path / "trace", tmp_path / "epoch_1.pth"
    torch.save({"state_dict": {}, "evil": MakesFolder(trace)}, path)
    assert newest(tmp_path) is None
    with pytest.raises(UserError, match="holds code, which is never run"):
        CheckpointLoader.load_checkpoint(resumed_by_mmengine(path), map_location="cpu")
    with pytest.raises(UserError, match="holds code"):
        read_weights(path, "mend it")
    assert not trace.exists()
    CheckpointLoader.load_checkpoint(str(path), map_location="cpu")
    assert trace.exists()


@pytest.mark.parametrize(("owner", "name"), [(HistoryBuffer, "__init__"), (dict, "fromkeys")])
def test_of_a_log_only_statistics_are_to_be_had(owner, name, tmp_path):
    torch.save({"mean": AsksFor(HistoryBuffer, "mean")}, tmp_path / "x.pt")
    assert torch_files.read(tmp_path / "x.pt", "mend it", ALLOWED)["mean"] is HistoryBuffer.mean
    torch.save({"state_dict": AsksFor(owner, name)}, tmp_path / "x.pt")
    with pytest.raises(UserError, match="holds code"):
        torch_files.read(tmp_path / "x.pt", "mend it", ALLOWED)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Study:
    """One recipe, trained at the scale smoke."""
    root = tmp_path_factory.mktemp("checkpoints")
    (root / "configs").symlink_to(ROOT / "configs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(["data", "mask_rcnn_fasa", "--scale", "smoke"]) == 0
        assert main(["train", "mask_rcnn_fasa", "--seed", "0", "--scale", "smoke"]) == 0
    return load_study(root, "smoke")


@pytest.mark.slow
def test_a_training_goes_on_from_what_is_whole(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained.root)
    weights, folder = trained.work_dir("mask_rcnn_fasa", 0) / "model.pt", trained.checkpoint_dir("mask_rcnn_fasa", 0)
    before = torch.load(weights, weights_only=True)["state_dict"]
    weights.unlink()
    last = folder / f"epoch_{trained.recipe('mask_rcnn_fasa').schedule.epochs}.pth"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1  # torch would not notice
    last.write_bytes(content)
    capsys.readouterr()
    assert main(["train", "mask_rcnn_fasa", "--seed", "0", "--scale", "smoke"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fasa:")]
    assert len(told) == 1 and f"{last.name} is damaged" in told[0]
    after = torch.load(weights, weights_only=True)["state_dict"]
    assert after.keys() == before.keys()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=0, equal_nan=True, msg=name)
    assert newest(folder) == last  # written anew
