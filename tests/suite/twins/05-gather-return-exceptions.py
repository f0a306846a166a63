import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def nap(seconds, breaks):
    await asyncio.sleep(seconds)
    if breaks:
        raise ValueError("broken")
    return seconds


async def nothing():
    return None


async def main():
    results = await asyncio.gather(nap(1, True), nothing(), nap(2, False), return_exceptions=True)
    say(len(results), isinstance(results[0], ValueError), results[0], results[1] is None, results[2])


asyncio.run(main())
