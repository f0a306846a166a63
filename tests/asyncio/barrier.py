import asyncio
import sys

import counting


async def runner(barrier):
    for _ in range(3):
        await barrier.wait()


async def main():
    if sys.version_info < (3, 11):
        return
    barrier = asyncio.Barrier(3)
    await asyncio.gather(*(runner(barrier) for _ in range(3)))


counting.run(main())
