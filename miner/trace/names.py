"""Names of a traced step's state: a prefix, then PyTorch's name of the parameter or buffer."""

PARAMETER_PREFIX = "param/"
"""A parameter."""
BUFFER_PREFIX = "buffer/"
"""A buffer, read and passed on unchanged."""
SCALAR_PREFIX = "scalar/"
"""A scalar of the optimiser. Its per-parameter slots have their own names as prefixes (``moment1/``)."""
