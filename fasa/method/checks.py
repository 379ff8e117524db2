"""What a training hands over, seen by its shapes and types alone: nothing here waits for the device."""

from __future__ import annotations

from torch import Tensor


def check_examples(values: Tensor, labels: Tensor, what: str, width: int | None = None) -> None:
    """See that there is one row of ``values``, ``[n, width]`` or ``[n]`` without a width, for each of ``labels [n]``.

    Raises:
        ValueError: there is not, or ``labels`` are no whole numbers.
    """
    shape = "[n]" if width is None else f"[n, {width}]"
    given = f"{what} have the shape {[*values.shape]}"
    if width is not None and values.ndim == 4:
        raise ValueError(f"{given}: they are maps; pool them to {shape}, such as by maps.mean((2, 3))")
    if values.ndim != (1 if width is None else 2) or (width is not None and values.shape[1] != width):
        told = "one number for each sample" if width is None else "the classifier's input"
        raise ValueError(f"{given}; they must be {shape}, {told}")
    if labels.ndim == 2:
        raise ValueError(f"labels have the shape {[*labels.shape]}: they are one-hot; give labels.argmax(1)")
    if labels.ndim != 1 or len(labels) != len(values):
        raise ValueError(f"labels have the shape {[*labels.shape]}; there must be one for each of {len(values)} {what}")
    if labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"labels are of the type {labels.dtype}; give whole numbers, such as labels.long()")
