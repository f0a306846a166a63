import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def counter(name):
    for number in range(3):
        say(name, number)
        await asyncio.sleep(0)


async def main():
    await asyncio.gather(counter("a"), counter("b"))
    say("done")


asyncio.run(main())
