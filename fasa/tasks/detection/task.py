"""Two-stage detectors by MMDetection: LVIS v1 and COCO-LT, and generated scenes in their place."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from fasa.errors import UserError
from fasa.tasks.detection.config_files import config_files, statements
from fasa.tasks.detection.measured import COMPARED, MEASURED
from fasa.tasks.detection.recipe import DetectionRecipe, manifest_path
from fasa.tasks.detection.scale import DetectionScale
from fasa.tasks.task import Job, Run, Task

NO_CUDA = "not available"  # mmcv's word


class Detection(Task):
    """MMEngine's runner on the recipe's config, one run after the other."""

    name = "detection"
    recipe_model = DetectionRecipe
    scale_model = DetectionScale
    measurements = MEASURED
    compared = COMPARED
    packages = ("onedl-mmdetection", "onedl-mmcv")
    optional_measurements = ("norcal",)
    measuring_version = 4  # 1 called mask_ap "lvis", 2 had no class_top1, 3 no checksum

    def at_scale(self, recipe: DetectionRecipe, scale: DetectionScale, where: str) -> DetectionRecipe:
        return scale.apply(recipe, where)

    def unsupported_reason(self, recipe: DetectionRecipe, scale: DetectionScale) -> str | None:
        # A preset that keeps statistics of each process differs from others in more than that.
        alone = scale.devices == 1 and recipe.augmenter.options.get("global_statistics") is False
        return "but one device" if alone else None

    def decided_by(self, declared: Any, recipe: DetectionRecipe, scale: Any, root: Path) -> dict[str, Any]:
        urls = scale.weights.get(recipe.backbone)
        return {
            "config": [text for path in config_files(root, declared, scale) for text in statements(path)],
            "pretraining": scale.pretraining,
            # What a file says, and how many share a step; of one device nothing, as when there was no more.
            **({"devices": scale.devices} if scale.devices > 1 else {}),
            **({"weights": urls[0].rsplit("/", 1)[-1]} if urls else {}),
        }

    def training_seconds(self, recipe: DetectionRecipe, scale: DetectionScale) -> float:
        return scale.seconds.get(recipe.backbone, 0.0) * recipe.schedule.epochs

    def akin(self, recipe: DetectionRecipe) -> Hashable:
        return recipe.data.name, recipe.detector, recipe.backbone, recipe.stage_two, recipe.calibrated

    def data_path(self, root: Path, recipe: DetectionRecipe) -> Path:
        return manifest_path(root, recipe.data)

    def prepare(self, root: Path, recipe: DetectionRecipe, source: Path | None) -> Path:
        from fasa import datasets
        from fasa.evaluation.arrays import cores

        destination = self.data_path(root, recipe)
        if not datasets.is_whole(destination):
            datasets.prepare_detection(recipe.data.name, recipe.data.options, source, destination, cores())
        return destination

    def check(self, root: Path, recipe: DetectionRecipe, source: Path | None) -> tuple[list[str], list[str]]:
        from fasa import datasets

        found = datasets.check_detection(recipe.data.name, source, self.data_path(root, recipe).parent)
        return list(found.facts), list(found.problems)

    def first_weights(self, root: Path, scale_name: str, recipe: DetectionRecipe, scale: DetectionScale) -> Path | None:
        if addresses := self.first_weights_addresses(recipe, scale):
            return root / "resources" / "weights" / addresses[0].rpartition("/")[2]
        if scale.pretraining is None:
            return None
        return root / "resources" / "glyphs" / "backbones" / f"{scale_name}_{recipe.backbone}.pt"

    def first_weights_addresses(self, recipe: DetectionRecipe, scale: DetectionScale) -> tuple[str, ...]:
        return scale.weights.get(recipe.backbone, ())

    def provide_first_weights(self, job: Job) -> Path:
        if job.first_weights is None:
            return super().provide_first_weights(job)
        if not job.scale.pretraining:
            from fasa.tasks.detection import published_weights

            return published_weights.provide(job)
        self._choose(job, None)
        from rich.progress import Progress

        from fasa.tasks.detection import pretraining

        with Progress(transient=True, disable=None) as progress:  # type: ignore[arg-type]  # None: if no terminal
            bar = progress.add_task("pre-training", total=None)
            return pretraining.provide(job, lambda done, total, _: progress.update(bar, completed=done, total=total))

    def train(self, jobs: Sequence[Job], device: str | None) -> dict[Run, Exception]:
        self._choose(jobs[0], device)
        from fasa.tasks.detection import session

        return session.train(jobs)

    def evaluate(self, job: Job, device: str | None, started: float) -> Path:
        self._choose(job, device)
        from fasa.tasks.detection import session

        return session.evaluate(job, started)

    def verify(self, job: Job) -> int:
        from fasa.datasets import read_manifest
        from fasa.evaluation.score.verification import verify

        annotations = Path(read_manifest(job.data).val.annotations)
        compared = verify(annotations, job.work_dir / "detections.npz", protocols=("standard",), tide=True)
        wrong = [comparison for comparison in compared if not comparison.equal]
        print(f"{job}: {len(compared) - len(wrong)} of {len(compared)} figures equal the tools'")
        for comparison in wrong:
            print(f"  {comparison.metric}: {comparison.ours} here, {comparison.official} by {comparison.tool}")
        return len(wrong)

    def dump_config(self, job: Job) -> str:
        from fasa.tasks.detection.training import dump_config

        return dump_config(job)

    def _choose(self, job: Job, device: str | None) -> None:
        """A detector runs on what it sees, so a run on the CPU must not see a GPU, and one on a GPU needs operators."""
        from fasa.tasks.devices import choose_device, hide_gpus

        if choose_device(job, device).type == "cpu":
            hide_gpus()
            return
        from mmcv.ops import get_compiling_cuda_version

        if get_compiling_cuda_version() == NO_CUDA:
            raise UserError(
                "mmcv's operators were compiled for CPUs alone: run `FASA_NVCC=pypi make setup`, or say --device cpu."
            )


TASK = Detection()
