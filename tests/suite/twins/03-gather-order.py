import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def nap(seconds):
    await asyncio.sleep(seconds)
    say("woke", seconds)
    return seconds


async def main():
    results = await asyncio.gather(nap(3), nap(1), nap(2))
    say(*results)


asyncio.run(main())
