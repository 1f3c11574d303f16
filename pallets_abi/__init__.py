"""The typed Python face of the runtime, generated from its metadata by `python -m pallets_abi.generate`."""
