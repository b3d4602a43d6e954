"""Run this bundle: python run.py INPUTS.npy (float32, prepared as README.md says, [N, ...])."""

import sys

import numpy as np

from hardware.runtime.loader import Bundle

bundle = Bundle(__file__.rpartition("/")[0] or ".")
inputs = np.load(sys.argv[1]) if len(sys.argv) > 1 else np.zeros((1, *bundle.input_shape), "f4")
outputs = bundle.run(inputs)
for number, row in enumerate(outputs):
    if row.ndim == 1:
        best = int(row.argmax())
        print(number, bundle.labels[best] if bundle.labels else best, f"{row[best]:.4f}")
    else:
        print(number, row.shape, f"{row.min():.4f} to {row.max():.4f}")
print(f"{bundle.time_ms():.4f} ms for one, median")
if len(sys.argv) > 2:
    np.save(sys.argv[2], outputs)
