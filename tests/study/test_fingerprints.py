"""What decides a run is hashed to what it was when the kept results were made, whatever is renamed or moved.

``fingerprints.txt`` has a line for each recipe: its fingerprint's first digits at each scale. A line may change only
with a change that trains another model, which makes the runs of that recipe stale; a new recipe or scale adds to it.
``python tests/study/test_fingerprints.py`` writes it anew.
"""

from __future__ import annotations

from pathlib import Path

from fasa.study import load_study

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).with_name("fingerprints.txt")
DIGITS = 8


def lines() -> list[str]:
    scales = sorted(path.stem for path in (ROOT / "configs/scales").glob("*.yaml"))
    studies = {scale: load_study(ROOT, scale) for scale in scales}
    recipes = sorted({name for study in studies.values() for name in study.resolved})
    return [
        f"{name}: "
        + " ".join(
            f"{scale}={study.fingerprint(name)[:DIGITS]}" for scale, study in studies.items() if name in study.resolved
        )
        for name in recipes
    ]


def test_every_recipe_has_the_fingerprint_that_it_had():
    assert lines() == KEPT.read_text().splitlines()


if __name__ == "__main__":
    KEPT.write_text("\n".join(lines()) + "\n")
