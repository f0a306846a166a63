local function say(...) print(string.format("%.1f", now()), ...) end
local main

local work = async(function() await(sleep(60)) end)

main = async(function()
  local task = create_task(work())
  task:add_done_callback(function(task) say("callback", task:cancelled()) end)
  await(sleep(1))
  task:cancel()
  await(sleep(1))
  say("done")
end)

return { title = "done-callback-of-cancelled", lesson = "The twin of 35-done-callback-of-cancelled.py.", main = async(function() return await(main()) end) }
