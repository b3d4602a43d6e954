"""Run this bundle: python run.py INPUTS.npy [OUTPUTS.npy] (float32 as README.md says, [N, ...]).

Several outputs are written as OUTPUTS.npz, by name.
"""

import sys

import numpy as np

from hardware.runtime.loader import Bundle

bundle = Bundle(__file__.rpartition("/")[0] or ".")
inputs = np.load(sys.argv[1]) if len(sys.argv) > 1 else np.zeros((1, *bundle.input_shape), "f4")
found = bundle.run(inputs)
if isinstance(found, tuple) or found.ndim != 2:
    every = found if isinstance(found, tuple) else (found,)
    for name, values in zip(bundle.outputs, every, strict=True):
        print(name, values.shape, f"from {values.min():.4f} to {values.max():.4f}")
else:
    for number, row in enumerate(found):
        best = int(row.argmax())
        print(number, bundle.labels[best] if bundle.labels else best, f"{row[best]:.4f}")
print(f"{bundle.time_ms():.4f} ms for one, median")
if len(sys.argv) > 2 and isinstance(found, tuple):
    named = dict(zip(bundle.outputs, found, strict=True))
    np.savez(sys.argv[2].removesuffix(".npy"), allow_pickle=False, **named)
elif len(sys.argv) > 2:
    np.save(sys.argv[2], found)
