"""Eight tasks that hold a lock across a sleep, five times each."""

import asyncio


async def user(lock):
    for _ in range(5):
        async with lock:
            await asyncio.sleep(0.05)


async def main():
    lock = asyncio.Lock()
    await asyncio.gather(*(user(lock) for _ in range(8)))


asyncio.run(main())
