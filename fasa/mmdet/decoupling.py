"""Decoupled training: a second stage that trains a new classifier on frozen features (Kang et al., ICLR 2020)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

from mmdet.models.detectors import CascadeRCNN, MaskRCNN, TwoStageDetector
from mmdet.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from fasa.errors import UserError
from fasa.mmdet.checkpoints import read_weights

# State of the second stage's own: an augmenter's statistics and a loss's buffers start anew with the classifier.
FRESH = ("augmenter", "loss_cls")


class StageTwo(TwoStageDetector):
    """Mixed into a detector: the second stage of cRT (Kang et al.) and BAGS (Li et al.).

    All but the modules named in ``retrain`` is frozen where the detector is built, hence before data parallelism looks
    for parameters to wait for, and its normalisations stay in eval mode. ``init_weights`` loads the first stage's
    weights strictly but for those modules, which are initialised as in a first training. A resumed run replaces it all.

    Args:
        stage_one: checkpoint of the first stage; None if all weights come by other ways, as in testing.
        retrain: names of the modules to train anew, wherever in the detector they are.

    Raises:
        UserError: a name in ``retrain`` that no module with parameters has, or, from ``init_weights``, a checkpoint
            that cannot be read or does not fit.
    """

    def __init__(
        self, *args: Any, stage_one: str | Path | None = None, retrain: Collection[str] = ("fc_cls",), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.stage_one, self.retrain = stage_one, frozenset(retrain)
        freeze(self, self.retrain)
        if stage_one is not None:
            self.backbone.init_cfg = None  # no download of weights that the first stage's replace

    def init_weights(self) -> None:
        super().init_weights()
        if self.stage_one is not None:
            weights = read_weights(Path(self.stage_one), "stage_one must be a checkpoint; train the first stage again")
            load_stage_one(self, weights, self.retrain | set(FRESH), str(self.stage_one))

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for name, module in self.named_modules():
            if isinstance(module, _NormBase) and not _within(name, self.retrain):
                module.eval()
        return self


@MODELS.register_module()
class StageTwoMaskRCNN(StageTwo, MaskRCNN):
    """Mask R-CNN in its second stage: ``model = dict(type="StageTwoMaskRCNN", stage_one=…)``, the rest as ever."""


@MODELS.register_module()
class StageTwoCascadeRCNN(StageTwo, CascadeRCNN):
    """Cascade (Mask) R-CNN in its second stage; the classifiers of all its box heads are trained."""


def freeze(model: nn.Module, retrain: Collection[str]) -> None:
    """Let only the parameters of modules named in ``retrain`` require a gradient.

    Raises:
        UserError: a name that no module with parameters has.
    """
    names = [name for name, _ in model.named_parameters()]
    for wanted in retrain:
        if not any(_within(name, {wanted}) for name in names):
            raise UserError(f"retrain names {wanted!r}, but no module of the detector with weights is called so.")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(_within(name, retrain))


def load_stage_one(model: nn.Module, weights: Mapping[str, Tensor], new: Collection[str], source: str) -> None:
    """Load ``weights`` into ``model``, all of them and all of it but for modules named in ``new``, which stay as is.

    Raises:
        UserError: weights are missing, left over or of another shape; ``source`` is named.
    """
    own = {name: value for name, value in model.state_dict().items() if not _within(name, new)}
    given = {name: value for name, value in weights.items() if not _within(name, new)}
    troubles = [
        (sorted(own.keys() - given.keys()), "lacks"),
        (sorted(given.keys() - own.keys()), "has, but the detector has not,"),
        (sorted(n for n in own.keys() & given.keys() if own[n].shape != given[n].shape), "has in another shape"),
    ]
    for names, what in troubles:
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise UserError(
                f"stage_one is {source}, which {what} {', '.join(names[:3])}{more}; give a checkpoint of the same "
                "detector."
            )
    model.load_state_dict(given, strict=False)


def _within(name: str, modules: Collection[str]) -> bool:
    """Whether a dotted name passes through a module that is called one of ``modules``."""
    return not set(modules).isdisjoint(name.split("."))
