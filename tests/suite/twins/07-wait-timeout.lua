local function say(...) print(string.format("%.1f", now()), ...) end
local main

local nap = async(function(seconds)
  await(sleep(seconds))
  say("woke", seconds)
end)

main = async(function()
  local tasks = { create_task(nap(1)), create_task(nap(3)) }
  local done, pending = await(wait(tasks, { timeout = 2 }))
  say(#done, #pending, tasks[1]:done(), tasks[2]:done())
  await(tasks[2])
  say("done")
end)

return { title = "wait-timeout", lesson = "The twin of 07-wait-timeout.py.", main = async(function() return await(main()) end) }
