"""search: the main job, from a network in the caller's hand to its bits."""

from typing import Any

from bitalloc.configuring import configuration
from bitalloc.result import Result
from experiments.run import run


def search(
    network: Any = None,
    data: Any = "digits",
    *,
    device: Any = "local",
    budget: Any = None,
    method: str = "ppo",
    **settings: Any,
) -> Result:
    """Search the bit-width of every layer of a network on a device, and return what was found.

    What `python -m experiments.run` does: a folder with every figure is written, progress is shown,
    and Ctrl-C leaves what is finished.

    Args:
        network: A trained `torch.nn.Module`, which stays as it is; or the name of a network of the
            catalogue, `package.module:function`, an ONNX file, or None for the task's own.
        data: `{"train": (inputs, labels), "search": ..., "test": ...}` of tensors or arrays, data
            sets, or whatever else docs/tasks.md lists; or the name of a task (`digits`,
            `fashion-mnist`, ...), `package.module:function`, or a file (.npz, .safetensors).
        device: `local` (this machine), `simulated`, or a `hardware.target.TargetConfig`.
        budget: A share of all-8-bit's measured latency, such as 0.6; a `BudgetConfig`; None for a
            third of the way from the fastest uniform allocation to all-8.
        method: How allocations are searched.
        settings: Fields of a run's configuration: `evaluations`, `seed`, `output`, `quiet`, ..., or
            its sections as dataclasses, such as `env=EnvConfig(bit_choices=(4, 8))`.

    Raises:
        BitAllocError: something that the caller can cause or cure; it says what helps.
        HardwareLostError: the device is gone; the folder can be resumed where network and data are
            named and not given.
    """
    config = configuration(network, data, device, budget, method=method, **settings)
    return Result(folder=run(config, "bitalloc.search from Python").path, config=config)
