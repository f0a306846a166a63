import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def slow():
    try:
        await asyncio.sleep(60)
    finally:
        say("cleaning up")
        await asyncio.sleep(3)
        say("clean")


async def main():
    try:
        await asyncio.wait_for(slow(), 2)
    except asyncio.TimeoutError:
        say("timed out")


asyncio.run(main())
