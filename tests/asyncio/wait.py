import asyncio

import counting


async def work(number):
    await asyncio.sleep(0.001 * number)


async def main():
    tasks = [asyncio.ensure_future(work(number)) for number in range(4)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert done and pending
    done, pending = await asyncio.wait(tasks, timeout=1)
    assert len(done) == 4 and not pending


counting.run(main())
