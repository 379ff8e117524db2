"""What the pretended device raises, where a real one would raise, wait, or silently compute something else."""

from __future__ import annotations


class DeviceError(RuntimeError):
    """Operands on two devices, or a generator of another device."""


class CaptureError(RuntimeError):
    """What a capture forbids, or must not see."""


class SynchronisationError(RuntimeError):
    """The host waits for the device where it must not."""


class DefaultGeneratorError(RuntimeError):
    """A draw from torch's default generator of the device where every draw must be of the run's own."""


class StreamError(RuntimeError):
    """Two streams touch one buffer, and neither has waited for the other."""
