"""Units of work: task documents, data order, segments, checkpoints, worker processes, replays.

Who does what, in the order of a unit's life:
- submitter: `build.build_task(parts, shape, store) -> TaskSpec`, `task.compute_chain_task(spec, price, …) -> ChainTask`
- miner: `inputs.fetch_task(client, store, chain_task, task) -> TaskInputs`, `inputs.fetch_state(…)` for the start,
  `unit.UnitRunner(store, pool).run(UnitJob(…)) -> UnitResult` (resumes by itself), `UnitResult.compute_openings(…)`,
  after the window `unit.forget_unit(store, job.label)`
- validator: `inputs.fetch_transcript(…)`, `inputs.fetch_segment_start(…)`, `WorkerPool.replay(…) -> ReplayReport`
"""
