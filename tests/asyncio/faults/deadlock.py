"""Two tasks that wait for each other's lock, for ever."""

import asyncio


async def work(first, second):
    async with first:
        await asyncio.sleep(0.05)
        async with second:
            print("unreachable")


async def main():
    left, right = asyncio.Lock(), asyncio.Lock()
    await asyncio.gather(work(left, right), work(right, left))


asyncio.run(main())
