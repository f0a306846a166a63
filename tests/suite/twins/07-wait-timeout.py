import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def nap(seconds):
    await asyncio.sleep(seconds)
    say("woke", seconds)


async def main():
    tasks = [asyncio.create_task(nap(seconds)) for seconds in (1, 3)]
    done, pending = await asyncio.wait(tasks, timeout=2)
    say(len(done), len(pending), tasks[0].done(), tasks[1].done())
    await tasks[1]
    say("done")


asyncio.run(main())
