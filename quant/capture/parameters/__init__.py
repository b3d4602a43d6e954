"""What of an exported program does not depend on its input: parameters, folded layer by layer."""
