"""Augmenters: FASA and its rivals, one file each, behind the one interface of :mod:`fasa.augmenters.base`.

This file says where each is and loads none of them, nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from fasa.errors import UserError

if TYPE_CHECKING:
    from fasa.augmenters.base import Augmenter


class Registered(NamedTuple):
    """Where an augmenter is: its classes and what else takes its options, each as ``module:Class``.

    A task builds the first class whose needs it meets. The options that a recipe may give are the parameters with a
    default, of a number, a boolean, a string or a ``Literal``, of that class and of ``options_of``. Of these,
    ``new_defaults`` once had another default: fingerprints hold them even where a recipe does not give them.
    ``package`` is the installed one that it is of, where it is not ours.
    """

    classes: tuple[str, ...]
    options_of: tuple[str, ...] = ()
    new_defaults: Mapping[str, Any] = MappingProxyType({})
    package: str | None = None

    def load(self) -> list[type[Augmenter]]:
        """The classes, imported.

        Raises:
            UserError: one of an installed package cannot be.
        """
        parts = (name.split(":") for name in self.classes)
        try:
            return [getattr(import_module(module), name) for module, name in parts]
        except (ImportError, AttributeError) as error:
            if self.package is None:
                raise
            raise UserError(f"package '{self.package}': {self.classes[0]} cannot be loaded ({error}).") from error


AUGMENTERS: dict[str, Registered] = {
    "none": Registered(("fasa.augmenters.base:Augmenter",)),
    "fasa": Registered(
        ("fasa.augmenters.fasa:FasaAugmenter",),
        options_of=("fasa.method.fasa:FASA",),
        new_defaults=MappingProxyType({"reduction": "pooled"}),
    ),
    "m2m": Registered(("fasa.augmenters.m2m:M2m",)),
    "chu": Registered(("fasa.augmenters.chu:Chu", "fasa.augmenters.roi_chu:RoIChu")),
    "smote": Registered(("fasa.augmenters.smote:Smote",)),
    "yin": Registered(("fasa.augmenters.yin:Yin",)),
    "moex": Registered(("fasa.augmenters.moex:MoEx",)),
    "mixup": Registered(("fasa.augmenters.mixup:Mixup",)),
    "remix": Registered(("fasa.augmenters.remix:Remix",)),
}
