"""`aipow-miner bench`: a training step exactly against the same step in PyTorch, on this machine, side by side."""
