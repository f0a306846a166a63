import asyncio

import counting


async def user(lock):
    for _ in range(5):
        async with lock:
            await asyncio.sleep(0)


async def main():
    lock = asyncio.Lock()
    await asyncio.gather(*(user(lock) for _ in range(6)))


counting.run(main())
