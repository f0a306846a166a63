import asyncio

import counting


async def inner():
    await asyncio.sleep(0.001)
    await asyncio.sleep(0)


async def middle():
    await inner()
    await inner()


async def main():
    await middle()


counting.run(main())
