"""Both trainers give signs of life while they train, and a last one at their end."""

from __future__ import annotations

import json

from fasa.tasks import heartbeat as module
from fasa.tasks.heartbeat import read_heartbeat


def test_a_classifier_beats_at_every_step(study, build, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0)
    training = build(study, "ldam_fasa")
    epochs = []
    for _ in training.run():
        epochs.append(read_heartbeat(study.work_dir("ldam_fasa", 0), study.fingerprint("ldam_fasa")).epoch)
    assert epochs == sorted(epochs) and epochs[0] < 1 and len(set(epochs)) == len(epochs)
    last = read_heartbeat(study.work_dir("ldam_fasa", 0), study.fingerprint("ldam_fasa"))
    history = json.loads((study.work_dir("ldam_fasa", 0) / "history.json").read_text())["epochs"]
    assert last.epoch == last.epochs == 5
    assert last.loss == history["train_loss"][-1] and 0 < last.seconds <= training.seconds + 1e-3
