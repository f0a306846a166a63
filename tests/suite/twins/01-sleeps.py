import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def nap(name, seconds):
    say(name, "begins")
    await asyncio.sleep(seconds)
    say(name, "ends")


async def main():
    await nap("one", 1)
    await nap("two", 0.5)
    say("done")


asyncio.run(main())
