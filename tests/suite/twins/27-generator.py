import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def countdown(start):
    for number in range(start, 0, -1):
        await asyncio.sleep(1)
        yield number


async def main():
    async for number in countdown(3):
        say(number)
    say("lift-off")


asyncio.run(main())
