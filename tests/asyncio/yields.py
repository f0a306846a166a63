import asyncio

import counting


async def work():
    for _ in range(50):
        await asyncio.sleep(0)


async def main():
    await asyncio.gather(*(work() for _ in range(20)))


counting.run(main())
