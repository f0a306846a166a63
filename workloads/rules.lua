-- Breaks each rule of async and await once. Each error suggests a fix, and the run continues.
local count = async(function() return 1 end)
local forgotten = async(function() print("nobody ever sees this") end)

local rules = {
  { "an await needs something to wait for", function() await(5) end },
  { "a coroutine function is called before it is awaited", function() await(count) end },
  { "a plain function is not a coroutine", function() create_task(print) end },
  { "a coroutine is awaited once", function() local c = count() await(c) await(c) end },
  { "a callback cannot await", function() table.sort({ 2, 1 }, function() await(sleep(1)) end) end },
  { "a task's error is raised where the task is awaited", function()
    await(create_task(async(function() fail("broken inside") end)(), { name = "broken" }))
  end },
}

return {
  title  = "The rules of async and await",
  lesson = "Calling a coroutine function creates a coroutine; awaiting that runs it. Await only inside a coroutine, "
        .. "await only awaitable values, and await each coroutine once.",
  clock  = "virtual",
  expects = { findings = { "failed-task", "never-awaited" } },
  main = async(function()
    for number, rule in ipairs(rules) do
      local kept, message = pcall(rule[2])
      print(number .. ". " .. rule[1])
      print("   " .. (kept and "nothing was said" or message:gsub("^.-:%d+: ", "")))
    end
    forgotten()                             -- called but never awaited, so it never runs
    print("7. a coroutine that nobody awaits never runs")
  end),
}
