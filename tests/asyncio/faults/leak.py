"""A task each 20 ms that nobody ever ends."""

import asyncio


async def forgotten():
    await asyncio.Event().wait()


async def main():
    kept = []
    for _ in range(100):
        kept.append(asyncio.create_task(forgotten()))
        await asyncio.sleep(0.02)


asyncio.run(main())
