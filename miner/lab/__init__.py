"""The protocol's economics, tried out: what `aipow lab` computes."""
