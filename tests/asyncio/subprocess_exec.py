import asyncio
import sys

import counting


async def main():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print('from the child')", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.split() == [b"from", b"the", b"child"] and process.returncode == 0


counting.run(main())
