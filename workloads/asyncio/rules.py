"""The rules of async and await: breaks each of them once. Each error says what is wrong, and the run continues."""

import asyncio


async def count():
    return 1


async def forgotten():
    print("nobody ever sees this")


async def broken():
    raise ValueError("broken inside")


async def await_a_number():
    await 5


async def await_a_function():
    await count


async def make_a_task_of_a_function():
    asyncio.create_task(print)


async def await_twice():
    coroutine = count()
    await coroutine
    await coroutine


async def await_a_broken_task():
    await asyncio.create_task(broken(), name="broken")


RULES = [
    ("an await needs something to wait for", await_a_number),
    ("a coroutine function is called before it is awaited", await_a_function),
    ("a plain function is not a coroutine", make_a_task_of_a_function),
    ("a coroutine is awaited once", await_twice),
    ("a task's error is raised where the task is awaited", await_a_broken_task),
]


async def main():
    for number, (rule, break_it) in enumerate(RULES, 1):
        print("{}. {}".format(number, rule))
        try:
            await break_it()
        except Exception as error:
            print("   {}: {}".format(type(error).__name__, error))
    forgotten()  # called but never awaited, so it never runs
    print("6. a coroutine that nobody awaits never runs")


if __name__ == "__main__":
    asyncio.run(main())
