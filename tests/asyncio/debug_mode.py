import asyncio
import logging

import counting

logging.disable(logging.CRITICAL)


async def work():
    await asyncio.sleep(0.001)


async def main():
    asyncio.get_running_loop().set_debug(True)
    await asyncio.gather(work(), work())


counting.run(main())
