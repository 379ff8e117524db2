"""The small numbers by which kernels say what became of detections; ``native/`` has the same."""

from __future__ import annotations

# A detection at one threshold and area range: it matched nothing, a truth that counts, or one that does not.
UNMATCHED, COUNTED, IGNORED_TRUTH = range(3)

# TIDE, the fate of a detection: matched, or the kind of error that it is ...
MATCHED, CLS, LOC, BOTH, DUPE, BKG = range(6)
KIND = 0b111
# ... to which may be added:
IGNORED = 8  # neither a true nor a false positive; it may be an error and repair one all the same (since tidecv 1.0.1)
REPAIRS = 16  # without its error it would be the one that finds a truth which nothing matches
FATES = 32

# TIDE, its role in a precision-recall curve; LAST: a false positive behind all true ones, where it costs nothing.
ABSENT, FALSE, REPAIRED, TRUE, LAST = range(5)

LAST_RECALL = 100  # TIDE reads curves at recall 0, 1 / 100 ... 1

# Of the bootstrap.
DRAWS = 8  # that are computed together: eight int32 weights are one vector register
EVERYWHERE = (1 << 10) - 1  # bits of all ten IoU thresholds
