import counting


async def work():
    import asyncio

    await asyncio.sleep(0.001)


counting.run(work())
counting.run(work())
