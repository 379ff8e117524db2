"""Classification losses for the long tail, as modules of mmdet's registry.

Each has mmdet's interface and two more methods, which :class:`fasa.mmdet.bbox_head.AugmentedBBoxHead` calls:
``per_example(cls_score, labels)``, deterministic losses ``[n]`` for the validation loss, and
``virtual(cls_score, labels)``, losses ``[k]`` or a 0-d loss of virtual foreground features.
"""

from fasa.mmdet.losses.arcface import ArcFaceAngular
from fasa.mmdet.losses.bags import BalancedGroupSoftmax
from fasa.mmdet.losses.balanced_softmax import BalancedSoftmax
from fasa.mmdet.losses.eql import EqualizationLoss

__all__ = ["ArcFaceAngular", "BalancedGroupSoftmax", "BalancedSoftmax", "EqualizationLoss"]
