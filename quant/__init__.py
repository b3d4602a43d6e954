"""What a bit-width means: layers, allocations, quantizers, integer semantics, hand-over.

Nothing is imported here, so that the measuring worker reads `quant.deploy_graph` and
`quant.integer` without paying for torch.
"""
