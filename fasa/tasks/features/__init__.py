"""Detectors without images: a box head's classifier on fixed features of LVIS's own classes, which is a model."""
