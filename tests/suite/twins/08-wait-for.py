import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def slow(seconds):
    try:
        await asyncio.sleep(seconds)
        return "slept"
    finally:
        say("leaving")


async def main():
    say(await asyncio.wait_for(slow(1), 2))
    try:
        await asyncio.wait_for(slow(5), 2)
    except asyncio.TimeoutError:
        say("timed out")


asyncio.run(main())
