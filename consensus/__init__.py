"""What is right, without I/O or clocks: exact numerics, graphs, commitments, protocol rules."""
