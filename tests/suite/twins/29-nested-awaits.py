import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def level(depth):
    if depth == 0:
        await asyncio.sleep(1)
        return 1
    below = await level(depth - 1)
    say("level", depth)
    return below + 1


async def main():
    say(await level(3))


asyncio.run(main())
