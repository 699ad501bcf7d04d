"""The header fields in which a client reads how its answer came about."""


def told_fields(replica_id: int, queue_wait_s: float, answer_s: float, cold_start_s: float, fallback: str) -> bytes:
    """Write who answered, after how long in the line and in all; a cold start and a fallback only where there was one."""
    fields = b"x-toque-queue-ms: %d\r\nx-toque-replica: %d\r\nopenai-processing-ms: %d\r\n" % (
        queue_wait_s * 1000,
        replica_id,
        answer_s * 1000,
    )
    if cold_start_s:
        fields += b"x-toque-cold-start-ms: %d\r\n" % (cold_start_s * 1000)
    if fallback:
        fields += b"x-toque-fallback: %b\r\n" % fallback.encode("ascii")
    return fields
