//! Nothing but tests (`tests/`): what our Python host makes, read by the crates of a stock node.
