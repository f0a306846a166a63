import asyncio

import counting


async def user(permits):
    async with permits:
        await asyncio.sleep(0.001)


async def main():
    permits = asyncio.Semaphore(2)
    await asyncio.gather(*(user(permits) for _ in range(7)))
    bounded = asyncio.BoundedSemaphore(1)
    async with bounded:
        pass


counting.run(main())
