"""The light Polkadot host: executes the runtime, authors, imports, serves RPC, and talks to peers."""
