"""One small step of prefill while nobody waits, so that real work waits for no more than that."""

from engine.model import Runner
from engine.scheduling import Scheduler, Sequence

CHUNK_TOKENS = 64


def prefill_chunk(scheduler: Scheduler, runner: Runner, sequence: Sequence) -> bool:
    """Compute the next tokens of `sequence` in free blocks; False if there is no room for any."""
    batch = scheduler.idle_batch(sequence, CHUNK_TOKENS)
    if batch is None:
        return False
    try:
        runner.run(batch)
    except Exception:
        scheduler.abort(batch)
        raise
    scheduler.commit(batch)
    return True
