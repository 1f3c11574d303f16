"""Looking at graphs and machines: cost by layer, the node where two executions part, what this machine can do."""
