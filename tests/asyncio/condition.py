import asyncio

import counting


async def consumer(condition, items):
    async with condition:
        await condition.wait_for(lambda: items)
        items.pop()


async def main():
    condition, items = asyncio.Condition(), []
    tasks = [asyncio.ensure_future(consumer(condition, items)) for _ in range(3)]
    for number in range(3):
        await asyncio.sleep(0)
        async with condition:
            items.append(number)
            condition.notify_all()
    await asyncio.gather(*tasks)


counting.run(main())
