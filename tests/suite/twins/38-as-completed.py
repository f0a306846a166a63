import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def nap(seconds):
    await asyncio.sleep(seconds)
    return seconds


async def main():
    for next_result in asyncio.as_completed([nap(3), nap(1), nap(2)]):
        say(await next_result)


asyncio.run(main())
