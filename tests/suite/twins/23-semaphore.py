import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def worker(number, pool):
    async with pool:
        say(number, "begins")
        await asyncio.sleep(number)
    say(number, "ends")


async def main():
    pool = asyncio.Semaphore(2)
    await asyncio.gather(*(worker(number, pool) for number in (3, 1, 1.5, 4)))
    say(pool.locked())


asyncio.run(main())
