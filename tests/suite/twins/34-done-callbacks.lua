local function say(...) print(string.format("%.1f", now()), ...) end
local main

local work = async(function()
  await(sleep(1))
  return 7
end)

local function finished(task) say("callback", task:result()) end

main = async(function()
  local task = create_task(work())
  task:add_done_callback(finished)
  task:add_done_callback(function(task) say("second", task:done()) end)
  say("await", await(task))
end)

return { title = "done-callbacks", lesson = "The twin of 34-done-callbacks.py.", main = async(function() return await(main()) end) }
