"""Which engine is usually the fastest, for machines on which nobody has measured."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FLOOR", "PRIORS", "prior_order"]

FLOOR = "torch"  # what is always there, and faster than the network as it is

# Kind of processor -> class of the network ("*": any other) -> engines, the fastest first.
# Those of x86-64 are read off benchmarks/results (bench.txt, priors.txt): OpenVINO is the fastest
# to within 10 %, and ONNX Runtime is slower than PyTorch for a ViTPose of several people.
# ARM has not been measured: there is nothing but the floor until `posekit doctor measure=true`.
PRIORS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "x86-64": {"*": ("openvino", "onnxruntime"), "ViTPose": ("openvino",)},
}


def prior_order(processor: str, network: str) -> tuple[str, ...]:
    """The engines for a network on a CPU, the fastest first; the last is always available.

    Args:
        processor: as `processor_kind` names it; for an unknown kind only `FLOOR` is tried.
        network: the name of its class.
    """
    of_kind = PRIORS.get(processor, {})
    return (*of_kind.get(network, of_kind.get("*", ())), FLOOR)
