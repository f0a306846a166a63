import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def inner():
    await asyncio.sleep(1)
    raise KeyError("gone")


async def outer():
    try:
        await inner()
    finally:
        say("outer leaves")


async def main():
    task = asyncio.create_task(outer())
    try:
        await task
    except KeyError as error:
        say("caught", error.args[0], error is task.exception())
    say(task.done(), task.cancelled())


asyncio.run(main())
