"""Units of work: task specifications, data order, segments, checkpoints, the worker process, replays."""
