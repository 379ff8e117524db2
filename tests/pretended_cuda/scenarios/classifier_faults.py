"""Mistakes in the training of a classifier, each of which must be caught."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pretended_cuda import checks
from pretended_cuda.graphs import CUDAGraph, graph
from pretended_cuda.planting import Fault, Scenario, scenarios_of
from pretended_cuda.scenarios import classifiers
from pretended_cuda.scenarios.classifiers import checkpoint_of_the_cpu, graphed_is_eager, side_by_side_is_alone
from pretended_cuda.streams import DEFAULT_STREAM, StreamContext

from fasa.augmenters.fasa import FasaAugmenter
from fasa.augmenters.moex import MoEx
from fasa.method import fasa as method
from fasa.method import virtual_loss
from fasa.method.fasa import FASA
from fasa.tasks import checkpoint
from fasa.tasks.classification import graphs
from fasa.tasks.classification.graphs import GraphedStep
from fasa.tasks.classification.training import Training
from fasa.tasks.task import Job

prepare = classifiers.prepare
observe, make, register_buffer = FASA.observe, FASA._make, FASA.register_buffer
build_augmenter, evaluate = FasaAugmenter.__init__, Training._evaluate
call_graph, find_graph, newest = GraphedStep.__call__, GraphedStep._graph, checkpoint.newest_checkpoint


# ------------------------------------------------------------------------------------------------------------- waiting
def counted_on_the_host(self: FASA, features: Any, labels: Any) -> None:
    observe(self, features, labels)
    self.seen = self.observations.sum().item()


def indexed_from_the_cpu(self: FASA, labels: Any) -> Any:
    return make(self, torch.arange(len(labels)))


def constant_of_python(self: FASA, labels: Any) -> Any:
    return make(self, labels) * torch.tensor(1.0, device=labels.device)


def chosen_by_a_mask(self: FASA, features: Any, labels: Any) -> None:
    known = labels >= 0
    observe(self, features[known], labels[known])


def loss_of_this_step(self: Training) -> float:
    return float(self.total_loss)


# ------------------------------------------------------------------------------------------------------------- devices
def left_behind(self: FASA, name: str, tensor: Any, persistent: bool = True) -> None:
    if name == "variance":
        self.__dict__[name] = tensor
    else:
        register_buffer(self, name, tensor, persistent)


def noise_of_the_cpu(mean: Any, variance: Any, generator: Any = None) -> Any:
    return mean + variance.sqrt() * torch.randn(mean.shape)


def read_by_numpy(self: Training, images: Any, labels: Any) -> Any:
    validation = evaluate(self, images, labels)
    validation.loss.numpy()
    return validation


# ------------------------------------------------------------------------------------------------------ random numbers
def drawn_by_default(self: FASA) -> Any:
    chance = torch.rand(len(self.mean), device=self.mean.device)
    return (chance < self.probabilities) & (self.observations > 0)


def drawn_by_the_cpu(self: FasaAugmenter, context: Any, **options: Any) -> None:
    context.generator = torch.Generator().manual_seed(0)
    build_augmenter(self, context, **options)


def device_not_looked_at(job: Job) -> Any:
    state = newest(job)
    return state and {key: value for key, value in state.items() if key != "device"}


# -------------------------------------------------------------------------------------------------- graphs and streams
def warmed_by_any_batch(self: GraphedStep, indices: Any) -> None:
    if self.eager.total() >= graphs.EAGER_STEPS:
        self.eager[len(indices)] = graphs.EAGER_STEPS
    call_graph(self, indices)


def rate_not_in_the_key(self: GraphedStep, indices: Any) -> Any:
    self.rate = lambda: 0.0
    return find_graph(self, indices)


def copied_to_elsewhere(self: GraphedStep, indices: Any) -> Any:
    captured, static = find_graph(self, indices)
    return captured, static.clone()


def counted_in_python(self: FASA, features: Any, labels: Any) -> None:
    self.steps = getattr(self, "steps", 0) + 1
    self.momentum = 1 / (1 + self.steps)
    observe(self, features, labels)


def decayed_in_a_tensor_of_the_cpu(self: FASA, features: Any, labels: Any) -> None:
    self.decay = getattr(self, "decay", torch.tensor(1.0)) * 0.9
    observe(self, features * self.decay, labels)


def validated_on_another_stream(self: Training, images: Any, labels: Any) -> Any:
    with StreamContext(DEFAULT_STREAM):
        return evaluate(self, images, labels)


def moex_graphed_is_eager(folder: Path) -> None:
    """An augmenter that is not captured."""
    graphed_is_eager(folder, "moex")


def fault(
    target: Any, name: str, replacement: Any, caught: str, scenario: Scenario = graphed_is_eager, *others: Any
) -> Fault:
    """``name`` of ``target`` replaced, and what ``others`` name."""
    return Fault(((target, name, replacement), *others), scenario, caught)


WAITS = r"SynchronisationError: synchronisation \("
DIFFERS = r"DifferentError: ldam_fasa seed 0: .* differ"
TWO_EAGER_STEPS = (graphs, "EAGER_STEPS", 2)  # as many as there are before the short batch
NO_SEARCH = (checks, "check_search", lambda *_: None)
ONE_STREAM = (torch.cuda, "graph", lambda captured, stream: graph(captured))

FAULTS = {
    ".item() in a step": fault(FASA, "observe", counted_on_the_host, WAITS + r"_local_scalar_dense\) in a step"),
    "an index tensor of the CPU": fault(FASA, "_make", indexed_from_the_cpu, WAITS + "an index from the CPU"),
    "a constant copied to the device in a step": fault(
        FASA, "_make", constant_of_python, WAITS + "a copy from the CPU"
    ),
    "a boolean mask in a step": fault(FASA, "observe", chosen_by_a_mask, WAITS + "index by a mask"),
    "as many virtual features as were drawn": fault(
        virtual_loss, "static_shapes", lambda device: False, WAITS + "index by a mask"
    ),
    "the loss read after each step": fault(
        Training, "_last_loss", loss_of_this_step, WAITS + r"_local_scalar_dense\) in the loop over steps"
    ),
    "statistics that are no buffer": fault(
        FASA, "register_buffer", left_behind, "DeviceError: .* on cuda:0 and the CPU"
    ),
    "noise made on the CPU": fault(
        method, "generate", noise_of_the_cpu, "DeviceError: mul: operands on cuda:0 and the CPU"
    ),
    ".numpy() in validation": fault(
        Training, "_evaluate", read_by_numpy, "TypeError: can't convert cuda:0 device type"
    ),
    "torch's default generator": fault(FASA, "_draw", drawn_by_default, "DefaultGeneratorError: rand"),
    "a generator of the CPU": fault(
        FasaAugmenter, "__init__", drawn_by_the_cpu, "DeviceError: rand: a generator of the CPU"
    ),
    "a CPU's checkpoint resumed": fault(
        checkpoint, "newest_checkpoint", device_not_looked_at, "RNG state is wrong size", checkpoint_of_the_cpu
    ),
    "a generator unknown to the graph": fault(
        CUDAGraph, "register_generator_state", lambda self, generator: None, "CaptureError: .* not registered"
    ),
    "the short batch captured cold": fault(
        GraphedStep, "__call__", warmed_by_any_batch, "CaptureError: cuDNN searches", graphed_is_eager, TWO_EAGER_STEPS
    ),
    "every batch captured cold": fault(graphs, "EAGER_STEPS", 0, "CaptureError: cuDNN searches"),
    "momentum made in a capture": fault(graphs, "EAGER_STEPS", 0, DIFFERS, graphed_is_eager, NO_SEARCH),
    ".item() in a capture": fault(
        FASA,
        "observe",
        counted_on_the_host,
        r"CaptureError: synchronisation \(_local_scalar_dense\) while capturing",
        graphed_is_eager,
        (graphs, "EAGER_STEPS", 0),
        NO_SEARCH,
    ),
    "the rate not in the graph's key": fault(GraphedStep, "_graph", rate_not_in_the_key, DIFFERS),
    "a batch copied to where no graph reads": fault(GraphedStep, "_graph", copied_to_elsewhere, DIFFERS),
    "a counter of Python's in a step": fault(FASA, "observe", counted_in_python, DIFFERS),
    "a number that changes on the CPU": fault(FASA, "observe", decayed_in_a_tensor_of_the_cpu, DIFFERS),
    "all captures on torch's one stream": fault(
        *ONE_STREAM, "StreamError: .*cuBLAS's workspace", side_by_side_is_alone
    ),
    "captures on the default stream": fault(
        torch.cuda, "Stream", lambda device: DEFAULT_STREAM, "CaptureError: .* non-default stream"
    ),
    "a set-up that is not waited for": fault(
        torch.cuda, "synchronize", lambda device: None, r"StreamError: .* stream 0, which has written"
    ),
    "validation on another stream": fault(
        Training, "_evaluate", validated_on_another_stream, r"StreamError: .* stream 0, which has written"
    ),
    "an augmenter that cannot be captured": fault(MoEx, "graphable", True, WAITS + "nonzero", moex_graphed_is_eager),
}
SCENARIOS = scenarios_of(FAULTS)
