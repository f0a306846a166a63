import asyncio

import counting


async def work():
    await asyncio.sleep(0)


async def main():
    finished = []
    tasks = [asyncio.ensure_future(work()) for _ in range(3)]
    for task in tasks:
        task.add_done_callback(finished.append)
    await asyncio.gather(*tasks)
    await asyncio.sleep(0)
    assert finished == tasks


counting.run(main())
