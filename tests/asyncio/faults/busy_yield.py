"""A task that yields instead of waiting, while another one sleeps."""

import asyncio


async def spin():
    for _ in range(30_000):
        await asyncio.sleep(0)


async def main():
    await asyncio.gather(spin(), asyncio.sleep(0.01))


asyncio.run(main())
