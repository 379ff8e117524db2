"""Detectors without images: a box head's classifier on fixed features of LVIS's own classes. A model, and said to be one."""
