"""A task that computes, and another one that is ready meanwhile."""

import asyncio
import time


async def greedy():
    for _ in range(4):
        begun = time.monotonic()
        while time.monotonic() - begun < 0.2:
            pass
        await asyncio.sleep(0)


async def ticker():
    for _ in range(20):
        await asyncio.sleep(0.01)


async def main():
    await asyncio.gather(greedy(), ticker())


asyncio.run(main())
