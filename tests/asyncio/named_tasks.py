import asyncio

import counting


async def work():
    await asyncio.sleep(0.001)


async def main():
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(work(), name="worker-%d" % number) for number in range(3)]
    tasks[0].set_name("first")
    await asyncio.gather(*tasks)


counting.run(main())
