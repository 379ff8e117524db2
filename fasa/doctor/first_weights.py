"""First weights of backbones: ImageNet's, which are fetched, or those that a small scale trains itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fasa.datasets.download import MIRROR, addresses, fits, named_checksum
from fasa.doctor.chosen import Chosen
from fasa.doctor.finding import Finding
from fasa.doctor.network import reachable


def findings(chosen: Chosen) -> Iterator[Finding]:
    """What there is to say of them, a line for each file."""
    study = chosen.study
    first = {path: name for name in reversed(chosen.detectors) if (path := study.first_weights(name))}
    published = study.scale.detection.weights if study.scale.detection else {}
    lost: dict[Path, list[str]] = {}
    for path, recipe in sorted(first.items()):
        command = f"fasa pretrain {recipe} --scale {study.scale.name}"
        backbone = study.recipe(recipe).backbone
        if backbone not in published:
            yield _trained(path, command)
        elif path.exists():
            yield _fetched(path, command)
        else:
            lost[path] = addresses(path.name, published[backbone])
    answered = reachable(url for urls in lost.values() for url in urls)
    for path, urls in lost.items():
        yield _to_fetch(path, urls, answered, f"fasa pretrain {first[path]} --scale {study.scale.name}")


def _trained(path: Path, command: str) -> Finding:
    if path.exists():
        return Finding("ok", f"{path} is there.")
    return Finding("note", f"{path.name} is not there yet; the workflow trains it, or this does:", command)


def _fetched(path: Path, command: str) -> Finding:
    if fits(path, named_checksum(path)):
        return Finding("ok", f"{path.name} is there, with the checksum of its name.")
    return Finding("missing", f"{path} has another checksum than its name says.", f"rm {path} && {command}")


def _to_fetch(path: Path, urls: list[str], answered: set[str], command: str) -> Finding:
    there = next((url for url in urls if url in answered), None)
    if there:
        return Finding("note", f"{path.name} is not there yet; the workflow fetches {there}.", command)
    return Finding(
        "missing",
        f"{path.name} is not here, and {' and '.join(urls)} cannot be reached from here: get the "
        "file elsewhere and put it into a FOLDER.",
        f"{MIRROR}=file:///FOLDER {command}",
    )
