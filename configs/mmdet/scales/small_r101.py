# Where the paper takes the deeper R101: an R34.
model = dict(backbone=dict(depth=34))
