"""From a committed graph to groups of nodes that a backend makes kernels of; used by the native and the Triton backend.

`lower` groups the nodes; `recompute` saves memory by computing cheap values where they are read; `fuse_epilogues` puts
loops behind the products that they follow; `prune` drops what nothing needs and tells which roots need a buffer.
"""

from miner.kernels.lowering.groups import Access, Gemm, Group, Lowered, Member, Root
from miner.kernels.lowering.lower import lower
from miner.kernels.lowering.passes import fuse_epilogues, prune
from miner.kernels.lowering.recompute import recompute

__all__ = ["Access", "Gemm", "Group", "Lowered", "Member", "Root", "fuse_epilogues", "lower", "prune", "recompute"]
