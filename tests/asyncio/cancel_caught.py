import asyncio

import counting


async def survivor():
    for _ in range(3):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            pass
    return "survived"


async def main():
    task = asyncio.ensure_future(survivor())
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    assert await task == "survived"


counting.run(main())
