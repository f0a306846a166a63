"""An async generator: it yields values one by one and may await before each. Other tasks run meanwhile."""

import asyncio

PAGES = 3


async def pages(count):
    for page in range(1, count + 1):
        await asyncio.sleep(1)  # a page arrives every second
        yield page  # returns it to the reader, and suspends until the next one is requested


async def clock_hand(seconds):
    for _ in range(seconds):
        await asyncio.sleep(0.5)
        print("the others run")
        await asyncio.sleep(0.5)


async def main():
    hand = asyncio.create_task(clock_hand(PAGES))
    async for page in pages(PAGES):
        print("page", page)
    await hand


if __name__ == "__main__":
    asyncio.run(main())
