import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def part(name, seconds, breaks):
    try:
        await asyncio.sleep(seconds)
        if breaks:
            raise ValueError(name)
    finally:
        say(name, "leaves")


async def main():
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(part("a", 1, True))
            group.create_task(part("b", 9, False))
            try:
                await asyncio.sleep(60)
            finally:
                say("body leaves")
    except* ValueError as errors:
        say("caught", *errors.exceptions)


asyncio.run(main())
