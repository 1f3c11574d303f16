"""From a committed graph to groups of nodes that a backend makes kernels of; used by the native and the Triton backend.

lowered = lower(graph)
fuse_epilogues(lowered)         # where the backend's products have epilogues
stored = prune(lowered)         # roots that need a buffer
"""

from miner.kernels.lowering.groups import Access, Gemm, Group, Lowered, Member, Root
from miner.kernels.lowering.lower import lower
from miner.kernels.lowering.passes import fuse_epilogues, prune

__all__ = ["Access", "Gemm", "Group", "Lowered", "Member", "Root", "fuse_epilogues", "lower", "prune"]
