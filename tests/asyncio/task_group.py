import asyncio
import sys

import counting


async def work(number):
    await asyncio.sleep(0.001 * number)
    if number == 2:
        raise ValueError("two")


async def main():
    if sys.version_info < (3, 11):
        return
    async with asyncio.TaskGroup() as group:
        for number in range(2):
            group.create_task(work(number), name="member-%d" % number)
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(2, 5):
                group.create_task(work(number))
    except BaseException as error:
        assert type(error).__name__ == "ExceptionGroup"
    else:
        raise AssertionError


counting.run(main())
