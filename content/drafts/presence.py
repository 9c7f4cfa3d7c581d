"""Who has a page open: a heartbeat of the browser, kept in Redis only."""

from datetime import datetime

from redis.exceptions import RedisError

from core import redis_client

HEARTBEAT_SECONDS = 10
"""How often the browser reports that the page is open."""
GONE_SECONDS = 3 * HEARTBEAT_SECONDS


def sign(*, page: str, user_pk: int, now: datetime) -> list[int]:
    """Record that the user has the page open.

    Returns:
        The keys of the other users who have it open; empty if Redis is away.
    """
    key = f"editing:{page}"
    moment = now.timestamp()
    try:
        pipeline = redis_client.client().pipeline()
        pipeline.zremrangebyscore(key, "-inf", moment - GONE_SECONDS)
        pipeline.zadd(key, {str(user_pk): moment})
        pipeline.expire(key, 2 * GONE_SECONDS)
        pipeline.zrange(key, 0, -1)
        *_others, found = pipeline.execute()
    except RedisError:
        return []
    return [pk for pk in map(int, found) if pk != user_pk]
