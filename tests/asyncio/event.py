import asyncio

import counting


async def waiter(event):
    await event.wait()


async def main():
    event = asyncio.Event()
    tasks = [asyncio.ensure_future(waiter(event)) for _ in range(4)]
    await asyncio.sleep(0.001)
    event.set()
    await asyncio.gather(*tasks)
    await event.wait()


counting.run(main())
