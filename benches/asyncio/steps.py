"""Steps that do nothing: 1,000 tasks that each yield 300 times. Writes the processor time in seconds to a file."""

import asyncio
import sys
import time

TASKS = 1_000
STEPS = 300


async def step():
    for _ in range(STEPS):
        await asyncio.sleep(0)


async def main():
    await asyncio.gather(*(step() for _ in range(TASKS)))


if "install" in sys.argv[2:]:
    import loopscope

    loopscope.install()
begun = time.process_time()
asyncio.run(main())
with open(sys.argv[1], "w", encoding="utf-8") as result:
    result.write(str(time.process_time() - begun))
