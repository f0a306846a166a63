import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def sleeper():
    say("begins")
    try:
        await asyncio.sleep(60)
        say("never")
    finally:
        say("cleanup")


async def main():
    task = asyncio.create_task(sleeper())
    await asyncio.sleep(1)
    say(task.cancel(), task.done())
    try:
        await task
    except asyncio.CancelledError:
        say("cancelled", task.cancelled(), task.cancel())


asyncio.run(main())
