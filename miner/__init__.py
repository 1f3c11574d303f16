"""Who works: tracer, executor, work units, blob store, roles and their command lines."""
