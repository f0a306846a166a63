import asyncio
import time

begun = time.monotonic()


def say(*words):
    print(f"{time.monotonic() - begun:.1f}", *words)


async def nap(seconds):
    await asyncio.sleep(seconds)
    return seconds


async def main():
    tasks = [asyncio.create_task(nap(seconds)) for seconds in (3, 1, 2)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    say(len(done), len(pending), done.pop().result())
    done, pending = await asyncio.wait(pending)
    say(len(done), len(pending), sorted(task.result() for task in done) == [2, 3])


asyncio.run(main())
