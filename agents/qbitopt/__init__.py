"""QBitOpt: bits solved for during training."""
