import asyncio
import os

import counting


async def main():
    await asyncio.sleep(0)
    child = os.fork()
    if child == 0:
        os._exit(7)
    _, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) == 7
    await asyncio.sleep(0)


counting.run(main())
