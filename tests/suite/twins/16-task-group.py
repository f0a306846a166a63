import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def part(name, seconds):
    await asyncio.sleep(seconds)
    say(name)
    return seconds


async def main():
    async with asyncio.TaskGroup() as group:
        a = group.create_task(part("a", 2))
        b = group.create_task(part("b", 1))
        say("created")
    say(a.result(), b.result())


asyncio.run(main())
