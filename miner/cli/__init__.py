"""The command lines `aipow`, `aipow-miner` and `aipow-validator`."""
