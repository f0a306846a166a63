"""Concurrent chains: each step waits for the one before; the chains do not wait for each other."""

import asyncio
import random
import time


async def fetch(number):
    await asyncio.sleep(random.randint(1, 5))
    return [number]


async def enrich(numbers):
    await asyncio.sleep(random.randint(1, 5))
    return numbers + [len(numbers) + 1]


async def store(numbers):
    await asyncio.sleep(random.randint(1, 5))
    return "-".join(map(str, numbers))


async def chain(number, started):
    fetched = await fetch(number)  # runs inline, in this task
    enriched = await enrich(fetched)
    stored = await store(enriched)
    print("chain", number, "stored", stored, "after", round(time.monotonic() - started), "s")


async def main():
    random.seed(0)
    started = time.monotonic()
    await asyncio.gather(*(chain(number, started) for number in range(1, 4)))


if __name__ == "__main__":
    asyncio.run(main())
