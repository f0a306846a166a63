import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def part(name, seconds):
    try:
        await asyncio.sleep(seconds)
        raise ValueError(name)
    except asyncio.CancelledError:
        raise ValueError(name + " in cleanup")


async def main():
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(part("a", 1))
            group.create_task(part("b", 9))
    except* ValueError as errors:
        say(len(errors.exceptions), "errors", "a" in str(errors.exceptions[0]), str(errors.exceptions[1]))


asyncio.run(main())
