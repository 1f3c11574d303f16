"""The devnet: operator's node, launcher, the demo and its checks; `runtime/` holds the Rust runtime and its blob."""
