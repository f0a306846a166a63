"""Count, asynchronously: each counter sleeps for one second, at the same time, so together they take one second."""

import asyncio


async def count():
    print("One")
    await asyncio.sleep(1)  # yields to the loop: the other counters run meanwhile
    print("Two")


async def main():
    await asyncio.gather(count(), count(), count())  # turns each coroutine into a task


if __name__ == "__main__":
    asyncio.run(main())
