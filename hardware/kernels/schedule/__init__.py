"""How the work of a layer is cut, packed and copied; what direct and transformed kernels share."""
